"""The shapes of text-embeddings-inference: vectors, similarity, tokens.

    POST /embed {"inputs"}   /embed_all {"inputs"}   /similarity {"inputs": {"source_sentence", "sentences"}}
    POST /tokenize {"inputs"}   /decode {"ids"}      GET /info

As there, a text that is longer than the run reads is refused unless `truncate` is true. Batches may be of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from polyseme.core.version import __version__
from polyseme.serve.calls import Answer, Call, Route
from polyseme.serve.errors import Body, Refused, checked
from polyseme.serve.wire.openai import VllmTokenize, vllm_tokenize
from polyseme.serve.wire.ours import TEXTS, Embed, embedded

if TYPE_CHECKING:
    from polyseme.infer.model import Model

__all__ = ["ROUTES"]

Texts = str | tuple[str, ...]
MOST_STATES = 8192
"""Tokens of one answer that has a vector for each."""


class EmbedInputs(Body):
    """Texts, one or several."""

    inputs: Texts
    normalize: bool = True
    truncate: bool | None = None


class AllInputs(Body):
    """Texts whose tokens' vectors are wanted."""

    inputs: Texts
    truncate: bool | None = None


class Sentences(Body):
    """A sentence, and those that it is compared with."""

    source_sentence: str
    sentences: tuple[str, ...] = Field(min_length=1, max_length=TEXTS)


class SimilarityInputs(Body):
    """Sentences to compare."""

    inputs: Sentences


class TokenizeInputs(Body):
    """Texts to cut."""

    inputs: Texts
    add_special_tokens: bool = True


class Decode(Body):
    """Ids to join, one list or several."""

    ids: tuple[int, ...] | tuple[tuple[int, ...], ...] = Field(max_length=1 << 20)
    skip_special_tokens: bool = True


def _listed(texts: Texts) -> list[str]:
    """Raises:  Refused: 422, none or too many."""
    several = [texts] if isinstance(texts, str) else list(texts)
    if not 1 <= len(several) <= TEXTS:
        got, most = len(several), f"1 … {TEXTS}"
        raise Refused(422, "no text, or too many", param="inputs", code="length", got=got, expected=most)
    return several


def _told(answer: Answer, texts: Sequence[str], waited: float, worked: float) -> Answer:
    """With the headers of TEI; its times are in milliseconds."""
    answer.headers |= {
        "x-compute-type": "cpu",
        "x-compute-tokens": str(answer.tokens),
        "x-compute-characters": str(sum(map(len, texts))),
        "x-queue-time": f"{waited * 1000:.0f}",
        "x-inference-time": f"{worked * 1000:.0f}",
    }
    return answer


async def _vectors(call: Call, texts: Sequence[str], normalize: bool, truncate: bool) -> tuple[Any, Answer]:
    lengths = await call.service.lengths(call.run, texts)
    wanted = Embed(texts=tuple(texts), normalize=normalize)
    key = ("embed", None, None, normalize)
    outcome = await call.service.ask(call.run, sum(lengths), embedded, (wanted, lengths), key)
    cut = outcome.value["truncated"]
    if cut and not truncate:
        raise Refused(
            413, f"input {cut[0]} is longer than the run reads", code="too_long", fix="truncate true"
        )
    answer = Answer(tokens=sum(lengths)).noted(outcome.notes, cut)
    return outcome.value["vectors"], _told(answer, texts, outcome.waited, outcome.worked)


async def _embed(call: Call) -> Answer:
    asked: EmbedInputs = call.asked
    vectors, answer = await _vectors(call, _listed(asked.inputs), asked.normalize, bool(asked.truncate))
    answer.body = [vector.tolist() for vector in vectors]
    return answer


async def _similarity(call: Call) -> Answer:
    asked: SimilarityInputs = call.asked
    texts = [asked.inputs.source_sentence, *asked.inputs.sentences]
    vectors, answer = await _vectors(call, texts, True, True)
    answer.body = [float(vectors[0] @ vector) for vector in vectors[1:]]
    return answer


async def _embed_all(call: Call) -> Answer:
    asked: AllInputs = call.asked
    texts = _listed(asked.inputs)
    lengths = await call.service.lengths(call.run, texts)
    if sum(lengths) > MOST_STATES:
        got, most = f"{sum(lengths):,} tokens", f"at most {MOST_STATES:,}"
        raise Refused(413, "too many tokens for a vector each", code="too_much", got=got, expected=most)

    def work(model: Model, _: Sequence[Any]) -> Sequence[Any]:
        if not asked.truncate and max(lengths) > model.max_content:
            raise Refused(413, "an input is longer than the run reads", code="too_long", fix="truncate true")
        return [[each.layers[0].tolist() for each in model.encode(texts, -1, True)]]

    outcome = await call.service.ask(call.run, sum(lengths), work)
    answer = Answer(outcome.value, tokens=sum(lengths)).noted(outcome.notes, outcome.cut)
    return _told(answer, texts, outcome.waited, outcome.worked)


async def _tokenize(call: Call) -> Answer:
    """TEI's where there are `inputs`, vLLM's where there is a `prompt`."""
    known = {name: value for name, value in call.values.items() if name != "model"}
    if "inputs" not in known:
        call.asked = checked(VllmTokenize, known)
        return await vllm_tokenize(call)
    asked = checked(TokenizeInputs, known)
    texts = _listed(asked.inputs)
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
            raise Refused(422, "no such id in this run's vocabulary", param="ids", code="ids", got=wrong[0])
    return Answer([tokenizer.decode(each, asked.skip_special_tokens) for each in several])


async def _info(call: Call) -> Answer:
    about = await call.service.side.count(call.service.shelf.about, call.run)
    config = call.service.config
    return Answer(
        {
            "model_id": call.run,
            "model_sha": None,
            "model_dtype": "float32",
            "model_type": {"embedding": {"pooling": "mean"}},
            "max_concurrent_requests": 256,
            "max_input_length": about["max_tokens"],
            "max_batch_tokens": config.max_tokens,
            "max_client_batch_size": TEXTS,
            "auto_truncate": False,
            "version": __version__,
        }
    )


ROUTES = [
    Route("GET", "/info", _info, protocol="tei"),
    Route("POST", "/embed", _embed, EmbedInputs, "embed", "tei", "model"),
    Route("POST", "/embed_all", _embed_all, AllInputs, "encode", "tei", "model"),
    Route("POST", "/similarity", _similarity, SimilarityInputs, "similarity", "tei", "model"),
    Route("POST", "/tokenize", _tokenize, None, "tokenize", "tei", "model"),
    Route("POST", "/decode", _decode, Decode, "tokenize", "tei", "model"),
]
