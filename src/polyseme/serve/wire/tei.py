"""The shapes of text-embeddings-inference: vectors, similarity, labels, ranks, tokens.

    POST /embed {"inputs"}   /embed_all {"inputs"}   /embed_sparse {"inputs"}
    POST /similarity {"inputs": {"source_sentence", "sentences"}}
    POST /predict {"inputs": text, [text, text_b] or a batch [[text], [text, text_b], …]}
    POST /rerank {"query", "texts"}     /tokenize {"inputs"}   /decode {"ids"}      GET /info

As there, a text that is longer than the run reads is refused unless `truncate` is true. Batches may be of any size.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from polyseme.core.version import __version__
from polyseme.errors import ConfigError, PolysemeError
from polyseme.serve.calls import Answer, Call, Route
from polyseme.serve.errors import Body, Refused, checked
from polyseme.serve.wire.openai import VllmTokenize, vllm_tokenize
from polyseme.serve.wire.ours import TEXTS, Embed, embedded
from polyseme.serve.work.queue import Outcome
from polyseme.serve.work.shelf import Shelf

if TYPE_CHECKING:
    from polyseme.infer.model import Model

__all__ = [
    "ROUTES",
    "EmbedInputs",
    "Reading",
    "SimilarityInputs",
    "Texts",
    "embed",
    "for_task",
    "labels_of",
    "listed",
    "predicted",
    "similarity",
    "together",
]

Texts = str | tuple[str, ...]
MOST_STATES = 8192
"""Tokens of one answer that has a vector for each."""
TOGETHER = {
    *("1", "yes", "true", "same", "similar", "relevant", "related", "positive", "entailment", "paraphrase"),
    *("equivalent", "duplicate", "match", "matches", "follows"),
    *("是", "相同", "相似", "相关", "蕴含", "一致", "同义"),
}
"""Labels of pairs that say that the two belong together."""


class Reading(Body):
    """How texts are read; `left` and prompts would change what is read, and are refused."""

    truncate: bool | None = None
    truncation_direction: Literal["left", "right", "Left", "Right"] | None = None
    prompt_name: str | None = None


class EmbedInputs(Reading):
    """Texts, one or several."""

    inputs: Texts
    normalize: bool | None = True
    dimensions: int | None = Field(None, ge=1)


class AllInputs(Reading):
    """Texts whose tokens' vectors are wanted."""

    inputs: Texts


class SparseInputs(Reading):
    """Texts whose vectors are wanted without their zeros."""

    inputs: Texts


class Sentences(Body):
    """A sentence, and those that it is compared with."""

    source_sentence: str
    sentences: tuple[str, ...] = Field(min_length=1, max_length=TEXTS)


class SimilarityInputs(Body):
    """Sentences to compare."""

    inputs: Sentences
    parameters: Reading | None = None


class PredictInputs(Reading):
    """A text, a pair of texts, or a batch of lists of one or two."""

    inputs: Texts | tuple[tuple[str, ...], ...]
    raw_scores: bool = False


class Rerank(Reading):
    """A query, and the texts that are put in order."""

    query: str
    texts: tuple[str, ...]
    raw_scores: bool = False
    return_text: bool = False


class TokenizeInputs(Body):
    """Texts to cut."""

    inputs: Texts
    add_special_tokens: bool = True
    prompt_name: str | None = None


class Decode(Body):
    """Ids to join, one list or several."""

    ids: tuple[int, ...] | tuple[tuple[int, ...], ...] = Field(max_length=1 << 20)
    skip_special_tokens: bool = True


def listed(texts: Texts | Sequence[Any], name: str = "inputs") -> list[Any]:
    """Raises:  Refused: 422, none or too many."""
    several = [texts] if isinstance(texts, str) else list(texts)
    if not 1 <= len(several) <= TEXTS:
        got, most = len(several), f"1 … {TEXTS}"
        raise Refused(
            422,
            "no text, or too many",
            param=name,
            code="length",
            got=got,
            expected=most,
            fix="several requests",
        )
    return several


def _cuts(asked: Reading | None) -> bool:
    """Whether texts that are too long are cut.

    Raises:  Refused: 422, they would have to be read otherwise than they are.
    """
    if asked is None:
        return False
    if asked.prompt_name is not None:
        raise _unserved("prompt_name", "put the prompt in front of the texts")
    if asked.truncate and str(asked.truncation_direction).lower() == "left":
        raise _unserved("truncation_direction", "right: texts lose their ends")
    return bool(asked.truncate)


def _unserved(name: str, fix: str) -> Refused:
    return Refused(422, f"{name} is not served", param=name, code="unsupported", fix=fix)


class _Clock:
    """Where the time of a request goes, for TEI's headers; in milliseconds, as there."""

    def __init__(self) -> None:
        self._began = self._counted = time.monotonic()

    async def lengths(self, call: Call, texts: Sequence[str]) -> list[int]:
        """The tokens of texts."""
        found = await call.service.lengths(call.run, texts)
        self._counted = time.monotonic()
        return found

    def told(self, texts: Sequence[str], lengths: Sequence[int], outcome: Outcome) -> Answer:
        """An answer with the headers and without a body yet."""
        answer = Answer(tokens=sum(lengths)).noted(outcome.notes, outcome.cut)
        parts = {
            "x-tokenization-time": self._counted - self._began,
            "x-queue-time": outcome.waited,
            "x-inference-time": outcome.worked,
        }
        answer.headers |= {name: f"{seconds * 1000:.0f}" for name, seconds in parts.items()}
        answer.headers |= {
            "x-compute-type": "cpu",
            "x-compute-time": f"{sum(parts.values()) * 1000:.0f}",
            "x-compute-tokens": str(answer.tokens),
            "x-compute-characters": str(sum(map(len, texts))),
        }
        return answer


def _too_long(number: int) -> Refused:
    return Refused(413, f"input {number} is longer than the run reads", code="too_long", fix="truncate true")


async def _vectors(
    call: Call, texts: Sequence[str], normalize: bool | None, truncate: bool
) -> tuple[Any, Answer]:
    clock = _Clock()
    lengths = await clock.lengths(call, texts)
    wanted = Embed(texts=tuple(texts), normalize=normalize)
    key = ("embed", None, None, normalize)
    outcome = await call.service.ask(call.run, sum(lengths), embedded, (wanted, lengths), key)
    cut = outcome.value["truncated"]
    if cut and not truncate:
        raise _too_long(cut[0])
    answer = clock.told(texts, lengths, outcome).noted((), cut)
    return outcome.value["vectors"], answer


async def embed(call: Call) -> Answer:
    """A vector a text."""
    asked: EmbedInputs = call.asked
    vectors, answer = await _vectors(call, listed(asked.inputs), asked.normalize, _cuts(asked))
    if asked.dimensions not in (None, len(vectors[0])):
        raise Refused(
            422,
            "vectors of this run have another length",
            param="dimensions",
            code="dimensions",
            got=asked.dimensions,
            expected=len(vectors[0]),
            fix="without dimensions",
        )
    answer.body = [vector.tolist() for vector in vectors]
    return answer


async def similarity(call: Call) -> Answer:
    """Cosines of one sentence with others; ends of long ones are cut, unless truncate is false."""
    asked: SimilarityInputs = call.asked
    texts = [asked.inputs.source_sentence, *asked.inputs.sentences]
    truncate = _cuts(asked.parameters) or asked.parameters is None or asked.parameters.truncate is None
    vectors, answer = await _vectors(call, texts, True, truncate)
    answer.body = [float(vectors[0] @ vector) for vector in vectors[1:]]
    return answer


async def _embed_all(call: Call) -> Answer:
    asked: AllInputs = call.asked
    texts, truncate, clock = listed(asked.inputs), _cuts(asked), _Clock()
    lengths = await clock.lengths(call, texts)
    if sum(lengths) > MOST_STATES:
        got, most = f"{sum(lengths):,} tokens", f"at most {MOST_STATES:,}"
        raise Refused(
            413,
            "too many tokens for a vector each",
            code="too_much",
            got=got,
            expected=most,
            fix="fewer texts, or /embed for a vector a text",
        )

    def work(model: Model, _: Sequence[Any]) -> Sequence[Any]:
        if not truncate and max(lengths) > model.max_content:
            raise _too_long(next(i for i, n in enumerate(lengths) if n > model.max_content))
        return [[each.layers[0].tolist() for each in model.encode(texts, -1, True)]]

    outcome = await call.service.ask(call.run, sum(lengths), work)
    answer = clock.told(texts, lengths, outcome)
    answer.body = outcome.value
    return answer


async def _embed_sparse(call: Call) -> Answer:
    """The numbers of vectors that are mostly zeros: of 1-of-N a word's share of the text, of classes theirs."""
    asked: SparseInputs = call.asked
    texts, truncate, clock = listed(asked.inputs), _cuts(asked), _Clock()
    lengths = await clock.lengths(call, texts)

    def work(model: Model, _: Sequence[Any]) -> Sequence[Any]:
        from polyseme.infer.embed import sparse_rows
        from polyseme.infer.pooling import Pooling

        if not hasattr(model.encoder, "active"):
            raise ConfigError("vectors of this run are dense", fix="POST /embed, or a run of onehot")
        pooling = Pooling.of(model)
        most = pooling.max_content(model)
        if not truncate and max(lengths) > most:
            raise _too_long(next(i for i, n in enumerate(lengths) if n > most))
        rows, _, _ = sparse_rows(model, texts, pooling)
        return [
            [
                [
                    {"index": index, "value": value}
                    for index, value in zip(row.indices.tolist(), row.data.tolist(), strict=True)
                ]
                for row in rows
            ]
        ]

    outcome = await call.service.ask(call.run, sum(lengths), work)
    answer = clock.told(texts, lengths, outcome)
    answer.body = outcome.value
    return answer


def _task(shelf: Shelf, name: str) -> str | None:
    """The task of a run; None = none, or the run cannot be read."""
    try:
        task: str | None = shelf.about(name)["task"]
    except (Refused, PolysemeError):
        return None
    return task


async def for_task(call: Call, *tasks: str) -> dict[str, Any]:
    """What is known of a run that was adapted to one of these tasks.

    Raises:  Refused: 400, it was not; the error names served runs that were.
    """
    shelf = call.service.shelf

    def look() -> dict[str, Any]:
        about = shelf.about(call.run)
        if about["task"] in tasks:
            return about
        can = [name for name in shelf.names if _task(shelf, name) in tasks]
        raise Refused(
            400,
            f"the run was not adapted to {' or '.join(tasks)}",
            param="model",
            code="run_cannot",
            got=f"{call.run}, {about['task'] or 'adapted to no task'}",
            fix=f"a run that can: {', '.join(can)}"
            if can
            else f"polyseme finetune {tasks[0]} RUN --train FILE -o RUN2",
        )

    return await call.service.side.count(look)


async def predicted(
    call: Call, given: Sequence[Any], truncate: bool, detail: bool = False
) -> tuple[list[dict[str, Any]], Answer]:
    """What an adapted run says of texts, or of pairs of them.

    Raises:  Refused: 413, one is too long and may not be cut.
    """
    texts = [part for each in given for part in ((each,) if isinstance(each, str) else each)]
    clock = _Clock()
    lengths = await clock.lengths(call, texts)
    inputs = [each if isinstance(each, str) else tuple(each) for each in given]

    def work(model: Model, _: Sequence[Any]) -> Sequence[Any]:
        return [model.predict(inputs, None, detail)]

    outcome = await call.service.ask(call.run, sum(lengths), work)
    cut = [number for number, each in enumerate(outcome.value) if each.get("cut")]
    if cut and not truncate:
        raise _too_long(cut[0])
    return outcome.value, clock.told(texts, lengths, outcome)


def labels_of(prediction: dict[str, Any]) -> list[dict[str, Any]]:
    """The labels of a text with their probabilities, the likeliest first; a number stands alone."""
    if "value" in prediction:
        return [{"label": "LABEL_0", "score": prediction["value"]}]
    shares = sorted(prediction["probabilities"].items(), key=lambda item: -item[1])
    return [{"label": label, "score": share} for label, share in shares]


async def _predict(call: Call) -> Answer:
    asked: PredictInputs = call.asked
    truncate = _cuts(asked)
    about = await for_task(call, "classify", "pair")
    if asked.raw_scores:
        raise _unserved("raw_scores", "leave it out: scores are probabilities")
    inputs: Any = asked.inputs
    single = isinstance(inputs, str) or bool(inputs and isinstance(inputs[0], str))
    batch = [(inputs,)] if isinstance(inputs, str) else [inputs] if single else listed(inputs)
    wanted = 2 if about["task"] == "pair" else 1
    if wrong := [each for each in batch if len(each) != wanted]:
        got, expected = f"{len(wrong[0])} texts", "[text, text_b]" if wanted == 2 else "a text, or [text]"
        raise Refused(
            422,
            f"{about['task']} does not read so many texts",
            param="inputs",
            got=got,
            expected=expected,
            fix=f"each as {expected}",
        )
    predictions, answer = await predicted(call, [e[0] if wanted == 1 else e for e in batch], truncate)
    rows = [labels_of(prediction) for prediction in predictions]
    answer.body = rows[0] if single else rows
    return answer


def together(labels: Sequence[str], wanted: str | None) -> str | None:
    """The label of a pair whose probability is the rank; None where the run gives numbers.

    Raises:  Refused: no label says it.
    """
    if not labels:
        return None
    found = [label for label in labels if label == wanted or label.casefold() in TOGETHER]
    if wanted is not None:
        found = [label for label in found if label == wanted]
    if len(found) == 1:
        return found[0]
    raise Refused(
        400 if wanted is None else 422,
        "which label says that two texts belong together?" if wanted is None else "no such label",
        param="label",
        code="label",
        got=wanted,
        expected=", ".join(labels),
        fix="POST /rerank?label=LABEL",
    )


async def _rerank(call: Call) -> Answer:
    """Texts by how probable it is that they belong to a query; a run of `finetune pair` says it."""
    asked: Rerank = call.asked
    texts, truncate = listed(asked.texts, "texts"), _cuts(asked)
    about = await for_task(call, "pair")
    label = together(about["labels"], call.query.get("label"))
    if asked.raw_scores:
        raise _unserved("raw_scores", "leave it out: scores are probabilities")
    predictions, answer = await predicted(call, [(asked.query, text) for text in texts], truncate)
    scores = [each["value"] if label is None else each["probabilities"][label] for each in predictions]
    order = sorted(range(len(texts)), key=lambda i: -scores[i])
    answer.body = [
        {"index": i, "score": scores[i]} | ({"text": texts[i]} if asked.return_text else {}) for i in order
    ]
    return answer


async def _tokenize(call: Call) -> Answer:
    """TEI's where there are `inputs`, vLLM's where there is a `prompt`."""
    known = {name: value for name, value in call.values.items() if name != "model"}
    if "inputs" not in known:
        call.asked = checked(VllmTokenize, known)
        return await vllm_tokenize(call)
    asked = checked(TokenizeInputs, known)
    texts = listed(asked.inputs)
    _cuts(Reading(prompt_name=asked.prompt_name))
    lengths = await call.service.lengths(call.run, texts)
    tokenizer = await call.service.side.count(call.service.shelf.tokenizer, call.run)

    def row(id: int, start: int | None, stop: int | None) -> dict[str, Any]:
        special = start is None
        return {"id": id, "text": tokenizer.token(id), "special": special, "start": start, "stop": stop}

    rows = []
    for tokens in await call.service.side.count(tokenizer.encode_batch, texts):
        own = [row(id, *place) for id, place in zip(tokens.ids, tokens.offsets, strict=True)]
        if asked.add_special_tokens:
            before = [row(id, None, None) for id in tokenizer.prefix_ids]
            own = [*before, *own, *(row(id, None, None) for id in tokenizer.suffix_ids)]
        rows.append(own)
    return Answer(rows, tokens=sum(lengths))


async def _decode(call: Call) -> Answer:
    asked: Decode = call.asked
    ids: Any = asked.ids
    several = [ids] if not ids or isinstance(ids[0], int) else list(ids)
    tokenizer = await call.service.side.count(call.service.shelf.tokenizer, call.run)
    for each in several:
        if wrong := [id for id in each if not 0 <= id < tokenizer.vocab_size]:
            raise Refused(
                422,
                "no such id in this run's vocabulary",
                param="ids",
                code="ids",
                got=wrong[0],
                fix="POST /tokenize gives a text's ids",
            )
    return Answer([tokenizer.decode(each, asked.skip_special_tokens) for each in several])


def _model_type(shelf: Shelf, about: dict[str, Any]) -> dict[str, Any]:
    """What a run is in TEI's words: a classifier, a reranker, or one that gives vectors."""
    if about["task"] in ("classify", "pair"):
        labels = {str(number): label for number, label in enumerate(about["labels"] or ("LABEL_0",))}
        names = {label: int(number) for number, label in labels.items()}
        kind = "classifier" if about["task"] == "classify" else "reranker"
        return {kind: {"id2label": labels, "label2id": names}}
    pooling = (shelf.meta(about["run"]).get("embedding") or {}).get("pool", "mean")
    return {"embedding": {"pooling": pooling}}


async def _info(call: Call) -> Answer:
    shelf, config = call.service.shelf, call.service.config
    about = await call.service.side.count(shelf.about, call.run)
    return Answer(
        {
            "model_id": call.run,
            "model_sha": None,
            "model_dtype": "float32",
            "model_type": await call.service.side.count(_model_type, shelf, about),
            "max_concurrent_requests": 256,
            "max_input_length": about["max_tokens"],
            "max_batch_tokens": config.max_tokens,
            "max_client_batch_size": TEXTS,
            "auto_truncate": False,
            "version": __version__,
        }
    )


_TOKENIZES = (TokenizeInputs, VllmTokenize)
ROUTES = [
    Route("GET", "/info", _info, protocol="tei"),
    Route("POST", "/embed", embed, EmbedInputs, "embed", "tei", "model"),
    Route("POST", "/embed_all", _embed_all, AllInputs, "encode", "tei", "model"),
    Route("POST", "/embed_sparse", _embed_sparse, SparseInputs, "embed_sparse", "tei", "model"),
    Route("POST", "/similarity", similarity, SimilarityInputs, "similarity", "tei", "model"),
    Route("POST", "/predict", _predict, PredictInputs, "predict", "tei", "model"),
    Route("POST", "/rerank", _rerank, Rerank, "predict", "tei", "model"),
    Route("POST", "/tokenize", _tokenize, None, "tokenize", "tei", "model", _TOKENIZES),
    Route("POST", "/decode", _decode, Decode, "tokenize", "tei", "model"),
]
