"""Hugging Face's shapes, as `huggingface_hub.InferenceClient(model="http://127.0.0.1:8421/models/NAME")` posts them.

    POST /models/NAME {"inputs", "parameters"}           what is asked is told by the body, then by what the run is for
    POST /models/NAME/pipeline/TASK                      says it outright

    parameters.candidate_labels             zero-shot-classification   [{label, score}]
    inputs {question, context}              question-answering         {answer, score, start, end}
    inputs {source_sentence, sentences}     sentence-similarity        [score]
    inputs {text, text_pair}                text-classification of pairs
    a run of finetune tag                   token-classification       [{entity_group, score, word, start, end}]
    a run of finetune classify              text-classification        [[{label, score}]]
    a mask in the text                      fill-mask                  [{score, token, token_str, sequence}]
    a decoder                               text-generation            [{generated_text, details}], or a stream
    else                                    feature-extraction         [vector]

Parameters that would change nothing are taken, those that are not kept to are refused by name.
Source: the client's own types, huggingface_hub/inference/_generated/types.
"""

from __future__ import annotations

import re
import secrets
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from polyseme.core.config import suggest
from polyseme.core.synonyms import MASKS
from polyseme.serve.calls import Answer, Call, Chunks, Route, to_bytes
from polyseme.serve.errors import Body, Refused, checked, in_words
from polyseme.serve.wire.openai import log_of
from polyseme.serve.wire.ours import (
    MOST_NEW,
    SEED,
    STOPS,
    TOP,
    Choose,
    Fill,
    check_choices,
    check_fill,
    check_hidden,
    writing,
)
from polyseme.serve.wire.tei import (
    EmbedInputs,
    SimilarityInputs,
    Texts,
    embed,
    for_task,
    labels_of,
    listed,
    predicted,
    similarity,
)
from polyseme.serve.work.service import Stream

if TYPE_CHECKING:
    from polyseme.infer.continuation import Choice, Token
    from polyseme.infer.model import Model
    from polyseme.text.tokenizers import Tokenizer

__all__ = ["ROUTES", "TASKS"]

PROMPTS = 256
NEW_TOKENS = 100
"""Tokens that are written where nothing is said, as text-generation-inference does."""
MOST_TOP = 20
CHOICES = 100
_OF_EMBEDDING = frozenset(EmbedInputs.model_fields) - {"inputs"} | {"encoding_format"}
"""Fields of the body that only a request for vectors has."""
_OF_FILL = frozenset(("top_k", "targets"))
_FINISH = {"length": "length", "stop": "stop_sequence", "end": "eos_token"}


class _Hf(Body):
    """What every request may say, and changes nothing here."""

    options: dict[Literal["use_cache", "wait_for_model", "use_gpu"], bool] | None = None


class FillParameters(Body):
    """How masks are filled."""

    top_k: int | None = Field(None, ge=1, le=TOP)
    targets: tuple[str, ...] | None = Field(None, max_length=TOP)


class FillMask(_Hf):
    """Texts with masks."""

    inputs: Texts
    parameters: FillParameters = FillParameters()


class FeatureExtraction(EmbedInputs, _Hf):
    """Texts that become vectors."""

    encoding_format: Literal["float"] | None = None


class SentenceSimilarity(SimilarityInputs, _Hf):
    """A sentence, and those that it is compared with."""


class TagParameters(Body):
    """How tags are shown; words are tagged, so that ways to join pieces of words come to the same."""

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | None = None
    ignore_labels: tuple[str, ...] | None = Field(None, max_length=1000)
    stride: int | None = Field(None, ge=0)


class TokenClassification(_Hf):
    """Texts whose words are tagged."""

    inputs: Texts
    parameters: TagParameters = TagParameters()


class TextPair(Body):
    """Two texts that are judged together."""

    text: str
    text_pair: str


class LabelParameters(Body):
    """How labels are shown."""

    top_k: int | None = Field(None, ge=1)
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None


class TextClassification(_Hf):
    """Texts, or pairs, that get labels."""

    inputs: Texts | TextPair | tuple[TextPair, ...]
    parameters: LabelParameters = LabelParameters()


class QuestionInContext(Body):
    """A question, and the passage that answers it."""

    question: str
    context: str


class AnswerParameters(Body):
    """How answers are shown."""

    top_k: int | None = Field(None, ge=1, le=TOP)
    handle_impossible_answer: bool | None = None
    align_to_words: bool | None = None
    doc_stride: int | None = None
    max_answer_len: int | None = None
    max_question_len: int | None = None
    max_seq_len: int | None = None


class QuestionAnswering(_Hf):
    """A question about a passage."""

    inputs: QuestionInContext
    parameters: AnswerParameters = AnswerParameters()


class ZeroShotParameters(Body):
    """The labels, and the sentence that they stand in."""

    candidate_labels: str | Annotated[tuple[str, ...], Field(max_length=CHOICES)]
    hypothesis_template: str | None = None
    multi_label: bool | None = None


class ZeroShotClassification(_Hf):
    """Texts, and labels that nobody trained."""

    inputs: Texts
    parameters: ZeroShotParameters


class GenerationParameters(Body):
    """How a text goes on."""

    max_new_tokens: int | None = Field(None, ge=1, le=MOST_NEW)
    do_sample: bool | None = None
    temperature: float | None = Field(None, ge=0, le=100)
    top_k: int | None = Field(None, ge=0, le=1 << 20)
    top_p: float | None = Field(None, gt=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=100)
    seed: int | None = Field(None, ge=-SEED, le=SEED)
    stop: tuple[Annotated[str, Field(max_length=200)], ...] | None = Field(None, max_length=STOPS)
    return_full_text: bool | None = None
    details: bool | None = None
    decoder_input_details: bool | None = None
    top_n_tokens: int | None = Field(None, ge=0, le=MOST_TOP)
    truncate: int | None = Field(None, ge=1)
    adapter_id: str | None = None
    best_of: int | None = None
    frequency_penalty: float | None = None
    grammar: dict[str, Any] | None = None
    typical_p: float | None = None
    watermark: bool | None = None

    def options(self) -> dict[str, Any]:
        """The fields of `GenerationConfig`: greedy, unless something is said of chance, as in TGI."""
        sampled = self.do_sample
        if sampled is None:
            sampled = any(value is not None for value in (self.temperature, self.top_k, self.top_p))
        options: dict[str, Any] = {"max_new_tokens": self.max_new_tokens or NEW_TOKENS, "temperature": 0.0}
        if sampled and self.temperature != 0:
            options |= {"temperature": self.temperature or 1.0, "top_p": self.top_p or 1.0}
            options |= {"top_k": self.top_k} if self.top_k else {}
            options["seed"] = self.seed if self.seed is not None else secrets.randbelow(1 << 31)
        if self.repetition_penalty is not None:
            options["repetition_penalty"] = self.repetition_penalty
        return options | {"stop": list(self.stop or ()), "alternatives": self.top_n_tokens or 0}


class TextGeneration(_Hf):
    """Texts that are gone on with."""

    inputs: Texts
    parameters: GenerationParameters = GenerationParameters()
    stream: bool | None = None


def _refuse(parameters: Body, **harmless: tuple[object, ...]) -> None:
    """Raises:  Refused: a parameter that would change the answer and is not kept to.

    Args:
        harmless: for each such parameter the values that change nothing.
    """
    for name, values in harmless.items():
        given = getattr(parameters, name)
        if given is not None and given not in values:
            raise Refused(
                400,
                f"{name} is not served",
                param=f"parameters.{name}",
                code="unsupported",
                got=given,
                fix="leave it out",
            )


async def _fill_mask(call: Call) -> Answer:
    asked: FillMask = call.asked
    texts, top = listed(asked.inputs), asked.parameters.top_k or 5
    lengths = await call.service.lengths(call.run, texts)
    for text, length in zip(texts, lengths, strict=True):
        check_fill(replace(call, asked=Fill(text=text, top=top)), [length])

    def work(model: Model, _: Sequence[Any]) -> Sequence[Any]:
        ids, among = model.tokenizer.by_display, asked.parameters.targets or ()
        return [[[_candidates(mask, ids) for mask in model.fill(text, top, among=among)] for text in texts]]

    outcome = await call.service.ask(call.run, sum(lengths), work)
    answers = [masks[0] if len(masks) == 1 else masks for masks in outcome.value]
    body = answers[0] if isinstance(asked.inputs, str) else answers
    return Answer(body, tokens=sum(lengths)).noted(outcome.notes, outcome.cut)


def _candidates(mask: Mapping[str, Any], ids: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "score": candidate["probability"],
            "token": ids.get(candidate["token"], -1),  # a gap of an imported vocabulary has no id of its name
            "token_str": candidate["token"],
            "sequence": candidate["sequence"],
        }
        for candidate in mask["candidates"]
    ]


async def _tag(call: Call) -> Answer:
    asked: TokenClassification = call.asked
    _refuse(asked.parameters, stride=(0,))
    await for_task(call, "tag")
    predictions, answer = await predicted(call, listed(asked.inputs), True)
    ignored = ("O",) if asked.parameters.ignore_labels is None else asked.parameters.ignore_labels
    apart = asked.parameters.aggregation_strategy == "none"
    rows = [list((_words if apart else _groups)(each, ignored)) for each in predictions]
    answer.body = rows[0] if isinstance(asked.inputs, str) else rows
    return answer


def _place(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"word": part["text"], "start": part["start"], "end": part["end"]}


def _words(prediction: Mapping[str, Any], ignored: Sequence[str]) -> list[dict[str, Any]]:
    """Every word with its own tag."""
    return [
        {"entity": token["tag"], "score": token["probability"], "index": number, **_place(token)}
        for number, token in enumerate(prediction["tokens"], 1)
        if token["tag"] not in ignored
    ]


def _groups(prediction: Mapping[str, Any], ignored: Sequence[str]) -> list[dict[str, Any]]:
    """The spans of B and I tags, with the mean probability of their words; of plain tags every word."""
    tokens = prediction["tokens"]
    spans = prediction.get("spans", [{**token, "label": token["tag"]} for token in tokens])
    found = []
    for span in spans:
        if span["label"] in ignored:
            continue
        shares = [t["probability"] for t in tokens if span["start"] <= t["start"] and t["end"] <= span["end"]]
        found.append({"entity_group": span["label"], "score": statistics.fmean(shares), **_place(span)})
    return found


async def _classify(call: Call) -> Answer:
    asked: TextClassification = call.asked
    inputs: Any = asked.inputs
    pairs = isinstance(inputs, TextPair) or (
        isinstance(inputs, tuple) and bool(inputs) and isinstance(inputs[0], TextPair)
    )
    await for_task(call, "pair" if pairs else "classify")
    given = [inputs] if isinstance(inputs, TextPair) else listed(inputs)
    texts = [(each.text, each.text_pair) for each in given] if pairs else given
    predictions, answer = await predicted(call, texts, True)
    own = "sigmoid" if "labels" in predictions[0] else "none" if "value" in predictions[0] else "softmax"
    _refuse(asked.parameters, function_to_apply=(own,))
    # a list in a list even for one text: the client takes the first
    answer.body = [labels_of(each)[: asked.parameters.top_k] for each in predictions]
    return answer


async def _answer(call: Call) -> Answer:
    asked: QuestionAnswering = call.asked
    parameters = asked.parameters
    unserved = ("align_to_words", "doc_stride", "max_answer_len", "max_question_len", "max_seq_len")
    _refuse(parameters, **dict.fromkeys(unserved, ()))
    await for_task(call, "qa")
    given = [(asked.inputs.question, asked.inputs.context)]
    (said,), answer = await predicted(call, given, True, detail=True)
    spans = [
        {"answer": s["text"], "score": s["probability"], "start": s["start"], "end": s["end"]}
        for s in said["spans"]
    ]
    none = {"answer": "", "score": said["probability"], "start": 0, "end": 0}
    if not spans or (said["start"] is None and parameters.handle_impossible_answer is not False):
        spans.insert(0, none)
    answer.body = spans[0] if parameters.top_k in (None, 1) else spans[: parameters.top_k]
    return answer


async def _zero_shot(call: Call) -> Answer:
    asked: ZeroShotClassification = call.asked
    parameters = asked.parameters
    _refuse(parameters, multi_label=(False,))
    labels = parameters.candidate_labels
    labels = tuple(part.strip() for part in re.split("[,，]", labels)) if isinstance(labels, str) else labels
    if len(labels) < 2:
        raise Refused(
            422,
            "there must be two labels at least",
            param="parameters.candidate_labels",
            code="length",
            got=len(labels),
            fix='"candidate_labels": ["good", "bad"]',
        )
    texts = listed(asked.inputs)
    templates = [_template(parameters.hypothesis_template, text) for text in texts]
    lengths = await call.service.lengths(call.run, [*texts, templates[0]])
    chosen = replace(call, asked=Choose(text="", choices=labels, template=templates[0]))
    await call.service.side.count(check_choices, chosen, lengths[: len(texts)])

    def work(model: Model, _: Sequence[Any]) -> Sequence[Any]:
        from polyseme.infer.zero_shot import Chooser

        choosers = {template: Chooser(model, labels, template) for template in templates}
        rows = [
            choosers[template].probabilities([text])[0]
            for text, template in zip(texts, templates, strict=True)
        ]
        return [[_ranked(labels, row.tolist()) for row in rows]]

    outcome = await call.service.ask(call.run, sum(lengths), work)
    body = outcome.value[0] if isinstance(asked.inputs, str) else outcome.value
    return Answer(body, tokens=sum(lengths)).noted(outcome.notes, outcome.cut)


def _template(hypothesis: str | None, text: str) -> str:
    """A template of `choose`; "This example is {}." is transformers' own."""
    from polyseme.text.words import has_cjk

    chinese = has_cjk(text)
    hypothesis = hypothesis if hypothesis is not None else "这是{}。" if chinese else "This example is {}."
    if hypothesis.count("{}") != 1:
        raise Refused(
            422,
            "a template has one place for a label",
            param="parameters.hypothesis_template",
            code="template",
            got=hypothesis,
            expected="one {}",
            fix='"hypothesis_template": "It is {}."',
        )
    before, behind = (part.replace("{", "{{").replace("}", "}}") for part in hypothesis.split("{}"))
    return f"{{text}}{'' if chinese else ' '}{before}{{label}}{behind}"


def _ranked(labels: Sequence[str], shares: Sequence[float]) -> list[dict[str, Any]]:
    best = sorted(zip(labels, shares, strict=True), key=lambda pair: -pair[1])
    return [{"label": label, "score": share} for label, share in best]


class _Piece(NamedTuple):
    """A token of a text that is written, and the characters that it brought."""

    text: str
    token: Token | None
    choice: Choice | None


class _Ids:
    """Tokens as text-generation-inference shows them.

    Args:
        tokenizer: of the run.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._ids = tokenizer, tokenizer.by_display

    def row(self, text: str, token: Token | None) -> dict[str, Any]:
        """A token; none stands for the end of the text."""
        if token is None:
            ends = self._tokenizer.end_ids or (self._tokenizer.pad_id,)
            return {"id": ends[0], "text": text, "logprob": 0.0, "special": True}
        id = self._ids.get(token.token, -1)
        special = id in self._tokenizer.special_ids
        return {"id": id, "text": text, "logprob": log_of(token.probability), "special": special}

    def top(self, choice: Choice | None) -> list[dict[str, Any]]:
        """What else could have stood there."""
        return [] if choice is None else [self.row(other.token, other) for other in choice.alternatives]


class _Texts:
    """The answers to one request for text.

    Args:
        texts, lengths: the prompts and their tokens.
        ids: of the run's tokens.
    """

    def __init__(self, call: Call, texts: Sequence[str], lengths: Sequence[int], ids: _Ids) -> None:
        asked: TextGeneration = call.asked
        self._call, self._texts, self._lengths, self._ids = call, texts, lengths, ids
        self._parameters, self._options = asked.parameters, asked.parameters.options()

    async def _begin(self, number: int) -> tuple[Stream, list[Any]]:
        return await writing(self._call, self._texts[number], self._lengths[number], self._options)

    def _ended(self, result: Any) -> dict[str, Any]:
        return {
            "finish_reason": _FINISH[result.finish],
            "generated_tokens": len(result.tokens),
            "seed": self._options.get("seed"),
        }

    def _text(self, number: int, result: Any) -> str:
        return str(self._texts[number] + result.text if self._parameters.return_full_text else result.text)

    async def whole(self) -> Answer:
        """All at once."""
        rows, written, notes = list[dict[str, Any]](), 0, list[str]()
        for number in range(len(self._texts)):
            prefill = await self._prefill(number)
            stream, holder = await self._begin(number)
            pieces = [piece async for piece, _ in _pieces(stream)]
            notes += [note for note in stream.notes if note not in notes]
            result = holder[0].result
            written += len(result.tokens)
            row: dict[str, Any] = {"generated_text": self._text(number, result)}
            if self._parameters.details:
                tokens = [self._ids.row(piece.text, piece.token) for piece in pieces]
                row["details"] = {**self._ended(result), "prefill": prefill, "tokens": tokens}
                if self._options["alternatives"]:
                    row["details"]["top_tokens"] = [self._ids.top(piece.choice) for piece in pieces]
            rows.append(row)
        return Answer(rows, tokens=sum(self._lengths) + written).noted(notes)

    async def _prefill(self, number: int) -> list[dict[str, Any]]:
        """The prompt's own tokens with their log-probabilities, where they are asked for."""
        if not (self._parameters.details and self._parameters.decoder_input_details):
            return []
        text = self._texts[number]
        await self._call.service.side.count(check_hidden, self._call, [self._lengths[number]])

        def work(model: Model, _: Sequence[Any]) -> Sequence[Any]:
            from polyseme.infer.score import token_log_probabilities

            tokenizer = model.tokenizer
            encoded = tokenizer.encode(text)
            (values,) = token_log_probabilities(model, [encoded], False)
            opening = [(id, tokenizer.display(id), None) for id in tokenizer.prefix_ids]
            own = zip(encoded.ids, map(tokenizer.display, encoded.ids), values, strict=True)
            return [[{"id": id, "text": name, "logprob": value} for id, name, value in [*opening, *own]]]

        outcome = await self._call.service.ask(self._call.run, self._lengths[number], work)
        found: list[dict[str, Any]] = outcome.value
        return found

    async def streamed(self) -> Chunks:
        """Token by token; the last event has the whole text, so each waits for the one behind it."""
        stream, holder = await self._begin(0)

        def event(index: int, piece: _Piece, **more: Any) -> bytes:
            token = self._ids.row(piece.text, piece.token)
            shown = {"index": index, "token": token, "generated_text": None, "details": None, **more}
            if self._options["alternatives"]:
                shown["top_tokens"] = self._ids.top(piece.choice)
            return b"data:" + to_bytes(shown) + b"\n\n"

        def last() -> dict[str, Any]:
            result = holder[0].result
            ended = {**self._ended(result), "input_length": self._lengths[0]}
            return {"generated_text": self._text(0, result), "details": ended}

        async def events() -> AsyncIterator[bytes]:
            index = 0
            try:
                async for piece, is_last in _pieces(stream):
                    index += 1
                    yield event(index, piece, **(last() if is_last else {}))
            finally:
                stream.close()
            if not index:  # the model ended the text at once
                yield event(1, _Piece("", None, None), **last())

        def broken(error: Refused) -> bytes:
            return b"data:" + to_bytes({"error": in_words(error), "error_type": "generation"}) + b"\n\n"

        headers = Answer().noted(stream.notes).headers
        return Chunks(events(), broken, headers, "text/event-stream", sum(self._lengths), stream.close)


async def _pieces(stream: Stream) -> AsyncIterator[tuple[_Piece, bool]]:
    """The tokens of a stream, and whether each is the last; characters that were held back belong to it."""
    held: _Piece | None = None
    try:
        async for step in stream:
            if held is not None and step.token is None:
                held = held._replace(text=held.text + step.piece)
                continue
            if held is not None:
                yield held, False
            held = _Piece(step.piece, step.token, step.choice)
        if held is not None:
            yield held, True
    finally:
        stream.close()


async def _generate(call: Call) -> Answer | Chunks:
    asked: TextGeneration = call.asked
    parameters = asked.parameters
    _refuse(
        parameters,
        adapter_id=(),
        best_of=(1,),
        frequency_penalty=(0.0,),
        grammar=(),
        typical_p=(1.0,),
        watermark=(False,),
    )
    texts = [asked.inputs] if isinstance(asked.inputs, str) else list(asked.inputs)
    if not 1 <= len(texts) <= (1 if asked.stream else PROMPTS):
        most = "one text" if asked.stream else f"1 … {PROMPTS}"
        raise Refused(
            422,
            "no text, or too many",
            param="inputs",
            code="length",
            got=len(texts),
            expected=most,
            fix="several requests",
        )
    lengths = await call.service.lengths(call.run, texts)
    if parameters.truncate is not None and max(lengths) > parameters.truncate:
        _refuse(parameters, truncate=())
    call.service.bounded(sum(lengths) + parameters.options()["max_new_tokens"] * len(texts))
    tokenizer = await call.service.side.count(call.service.shelf.tokenizer, call.run)
    writer = _Texts(call, texts, lengths, await call.service.side.count(_Ids, tokenizer))
    return await writer.streamed() if asked.stream else await writer.whole()


@dataclass(frozen=True)
class _Task:
    """A task that can be asked.

    Args:
        body: what is posted.
        ability: that a run must have.
        handler: who answers.
    """

    body: type[Body]
    ability: str
    handler: Callable[[Call], Awaitable[Answer | Chunks]]


TASKS = {
    "feature-extraction": _Task(FeatureExtraction, "embed", embed),
    "fill-mask": _Task(FillMask, "fill", _fill_mask),
    "question-answering": _Task(QuestionAnswering, "predict", _answer),
    "sentence-similarity": _Task(SentenceSimilarity, "similarity", similarity),
    "text-classification": _Task(TextClassification, "predict", _classify),
    "text-generation": _Task(TextGeneration, "generate", _generate),
    "token-classification": _Task(TokenClassification, "predict", _tag),
    "zero-shot-classification": _Task(ZeroShotClassification, "choose", _zero_shot),
}
OTHER_NAMES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def _task_of(values: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """The task that a body asks for, of a run that is for something.

    Raises:  Refused: there are no inputs, or of no shape that is known.
    """
    inputs, parameters = values.get("inputs"), values.get("parameters")
    if isinstance(parameters, dict) and "candidate_labels" in parameters:
        return "zero-shot-classification"
    first = inputs[0] if isinstance(inputs, list) and inputs else inputs
    if isinstance(first, dict):
        for sign, task in {
            "question": "question-answering",
            "source_sentence": "sentence-similarity",
            "text_pair": "text-classification",
        }.items():
            if sign in first:
                return task
    if not isinstance(first, str):
        expected = (
            "a text, texts, {question, context}, {source_sentence, sentences} or {text, text_pair}"
            if "inputs" in values
            else "inputs"
        )
        raise Refused(
            422,
            "nothing that can be asked",
            param="inputs",
            code="shape",
            expected=expected,
            fix="/models/NAME/pipeline/TASK says which task is meant",
        )
    adapted = {
        "tag": "token-classification",
        "classify": "text-classification",
        "pair": "text-classification",
    }
    if about["task"] in (*adapted, "qa"):
        return adapted.get(about["task"], "question-answering")
    if _OF_EMBEDDING & values.keys():
        return "feature-extraction"
    texts = [inputs] if isinstance(inputs, str) else [text for text in inputs or () if isinstance(text, str)]
    mask = about["mask"]
    if mask is not None and any(mask in text or re.search(MASKS, text, re.IGNORECASE) for text in texts):
        return "fill-mask"
    if "generate" in about["abilities"]:
        return "text-generation"
    # the client sends parameters with a text to fill, and none with a text that becomes a vector
    if mask is not None and isinstance(parameters, dict) and parameters.keys() <= _OF_FILL:
        return "fill-mask"
    return "feature-extraction"


async def _by_shape(call: Call) -> Answer | Chunks:
    about = await call.service.side.count(call.service.shelf.about, call.run)
    return await _asked(call, _task_of(call.values, about))


async def _outright(call: Call) -> Answer | Chunks:
    task = OTHER_NAMES.get(call.parts["task"], call.parts["task"])
    if task not in TASKS:
        raise Refused(
            404,
            "no such task",
            param="task",
            code="task",
            got=task,
            expected=", ".join(sorted(TASKS)),
            fix=suggest(task, TASKS),
        )
    return await _asked(call, task)


async def _asked(call: Call, name: str) -> Answer | Chunks:
    """Have a task done.

    Raises:  Refused: the run has not the ability; the error names those that have.
    """
    task, shelf = TASKS[name], call.service.shelf
    call.asked = checked(task.body, {key: value for key, value in call.values.items() if key != "model"})
    if task.ability != "predict" and task.ability not in await call.service.abilities(call.run):
        can = await call.service.side.count(shelf.able, task.ability)
        raise Refused(
            400,
            f"the run cannot do {name}",
            param="model",
            code="run_cannot",
            got=call.run,
            fix=f"a run that can: {', '.join(can)}" if can else None,
        )
    return await task.handler(call)


_BODIES = tuple(task.body for task in TASKS.values())
ROUTES = [
    Route("POST", "/models", _by_shape, None, None, "hf", "model", _BODIES),
    Route("POST", "/", _by_shape, None, None, "hf", "model", _BODIES),
    Route("POST", "/pipeline/{task}", _outright, None, None, "hf", "model", _BODIES),
]
