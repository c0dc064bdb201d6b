"""Our own routes: what the command line prints with --json, over HTTP.

{"run": NAME, …} has one run's document. {"runs": [NAME…], …} has NDJSON, a line a run in the order in which they are
done: {"run": NAME, "answer": document} or {"run": NAME, "error": …}.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from polyseme.core.config import suggest
from polyseme.core.version import __version__
from polyseme.errors import PolysemeError
from polyseme.serve.calls import Answer, Call, Chunks, Handler, Route, to_bytes, without_paths
from polyseme.serve.errors import Body, Refused, document, refused
from polyseme.serve.work.service import Stream
from polyseme.serve.work.shelf import lines_after

if TYPE_CHECKING:
    from polyseme.infer.model import Model

__all__ = [
    "HIDDEN",
    "LAYERS",
    "ROUTES",
    "Choose",
    "Embed",
    "Fill",
    "broken",
    "check_choices",
    "check_fill",
    "check_hidden",
    "embedded",
    "several_names",
    "too_much",
    "uses_from",
    "writing",
]

TOP = 1000
TEXTS = 2048
PROMPTS = 16
MOST_NEW = 4096
USES = 1500
STOPS = 16
CKA = 2000
"""Words whose vectors are compared layer by layer in one turn of the desk."""
WRITTEN = 1 << 25
"""Characters of candidates that one answer may repeat its text in, and numbers of a matrix times 16."""
LONGEST = 512
"""Tokens of a text whose cosines are all shown; and what masked models are taken to read at once."""
WHOLE = 50
"""Candidates of a whole hole."""
LAYERS = 64
"""Layers that may be named one by one."""
HIDDEN = 1 << 22
"""Tokens that one request may have masked models read: each of a text's tokens is hidden in turn."""
SEED = (1 << 63) - 1
Pool = Literal["mean", "cls", "max", "last"]
Layer = int | Literal["mix"]
Task = Literal["summary", "answer", "translate"]
Stop = Annotated[str, Field(max_length=200)] | Annotated[tuple[str, ...], Field(max_length=STOPS)]


class Tokenize(Body):
    """A text."""

    text: str


class Encode(Body):
    """A text, the layers, and what is wanted of them: cosines of all tokens, of one word, or the vectors."""

    text: str
    layers: int | tuple[int, ...] | Literal["all"] = "all"
    word: str | None = None
    vectors: bool = False


class Embed(Body):
    """Texts, and how each becomes a vector."""

    texts: str | tuple[str, ...] = Field(max_length=1 << 21)
    pool: Pool | None = None
    layer: Layer | None = None
    normalize: bool | None = None
    truncate: bool = True


class Similarity(Body):
    """Texts, compared with others or among themselves."""

    texts: tuple[str, ...] = Field(min_length=1, max_length=TEXTS)
    others: tuple[str, ...] | None = Field(None, min_length=1, max_length=TEXTS)
    pool: Pool | None = None
    layer: Layer | None = None


class Neighbours(Body):
    """A word, alone or in a text."""

    word: str
    context: str | None = None
    start: int | None = Field(None, ge=0)
    plus: str | None = None
    minus: str | None = None
    top: int = Field(10, ge=1, le=TOP)


class Cosines(Body):
    """Words; or texts with a marked word, a use each."""

    items: tuple[str, ...] = Field(min_length=2, max_length=200)
    word: str | None = None
    layer: int | Literal["all"] | None = None


class Fill(Body):
    """A text with masks, or with what is to be hidden."""

    text: str
    top: int = Field(5, ge=1, le=TOP)
    hide: tuple[str | tuple[int, int], ...] = Field((), max_length=100)
    whole: bool = False
    among: tuple[str, ...] = Field((), max_length=TOP)
    detail: bool = False


class Score(Body):
    """Texts whose probability is asked."""

    texts: str | tuple[str, ...]
    context: str | None = None
    end: bool = False
    within_word: bool = False
    masked: bool = False
    detail: bool = False


class Pair(Body):
    """A minimal pair."""

    good: str
    bad: str


class Follow(Body):
    """Two texts."""

    text: str
    text_b: str


class Next(Body):
    """A text, and how many tokens may follow."""

    text: str
    top: int = Field(10, ge=1, le=TOP)


class Choose(Body):
    """A text, labels, and where both stand."""

    text: str
    choices: tuple[str, ...] = Field(min_length=2, max_length=100)
    template: str
    text_b: str | None = None
    normalize: Literal["sum", "mean", "pmi"] = "sum"
    neutral: str = ""


class Mask(Body):
    """A text that an objective hides parts of."""

    text: str
    seed: int = Field(1, ge=0, le=SEED)


class Predict(Body):
    """What a task reads: a text; two; or a question and its context."""

    text: str | None = None
    text_b: str | None = None
    question: str | None = None
    context: str | None = None
    threshold: float | None = None
    detail: bool = False


class Attention(Body):
    """A text or a pair whose attention is shown."""

    text: str
    text_b: str | None = None
    layer: int | None = Field(None, ge=1)
    head: int | None = Field(None, ge=1)
    top: int | None = Field(None, ge=1, le=TOP)
    full: bool = False


class Uses(Body):
    """A word, and where its uses are looked for."""

    word: str
    source: Literal["store", "texts"] | tuple[str, ...] = Field("store", alias="from")
    limit: int = Field(400, ge=1, le=USES)
    seed: int = Field(0, ge=0, le=SEED)


class Cka(Body):
    """Texts, and the run whose layers are held against those of the first; its own where none is named."""

    texts: tuple[str, ...] = Field(min_length=1, max_length=TEXTS)
    against: str | None = None
    unit: Literal["words", "texts"] = "words"
    limit: int = Field(CKA, ge=1, le=CKA)


class Directions(Body):
    """A text, and one of its words."""

    text: str
    word: str | None = None
    top: int = Field(5, ge=1, le=TOP)


class Tree(Body):
    """Words whose classes are drawn."""

    words: tuple[str, ...] = Field(min_length=1, max_length=200)


class Generate(Body):
    """A prompt, how it is gone on with, and whether the answer comes as it is written."""

    prompt: str
    stream: bool = True
    max_new_tokens: int = Field(128, ge=1, le=MOST_NEW)
    temperature: float = Field(0.8, ge=0, le=100)
    top_k: int | None = Field(None, ge=0, le=1 << 20)
    top_p: float | None = Field(0.95, gt=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, le=100)
    beams: int = Field(1, ge=1, le=PROMPTS)
    length_penalty: float = Field(1.0, ge=-100, le=100)
    results: int = Field(1, ge=1, le=PROMPTS)
    seed: int = Field(0, ge=-SEED, le=SEED)
    stop: Stop = ()
    alternatives: int = Field(0, ge=0, le=20)
    task: Task | None = None
    question: str | None = None
    examples: tuple[tuple[str, str], ...] = Field((), max_length=PROMPTS)
    source: str | None = Field(None, alias="from")
    target: str | None = Field(None, alias="to")
    template: str | None = None

    def about(self) -> dict[str, Any]:
        """What goes with a task and was given."""
        given = {name: getattr(self, name) for name in ("question", "source", "target", "template")}
        return {name: value for name, value in given.items() if value is not None} | (
            {"examples": self.examples} if self.examples else {}
        )

    def options(self) -> dict[str, Any]:
        """The fields of `GenerationConfig` that were given."""
        given = self.model_fields_set & set(_GENERATED)
        found = {name: getattr(self, name) for name in given}
        if isinstance(found.get("stop"), tuple):
            found["stop"] = list(found["stop"])
        return found


class Page(Body):
    """What a study wrote, to be drawn."""

    kind: str
    document: dict[str, Any] | list[Any]


def _listed(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


_GENERATED = (
    "max_new_tokens",
    "temperature",
    "top_k",
    "top_p",
    "repetition_penalty",
    "beams",
    "length_penalty",
    "results",
    "seed",
    "stop",
    "alternatives",
)
"""Fields of `Generate` that are those of `GenerationConfig`."""
Work = Callable[["Model", Any], Any]
Check = Callable[[Call, Sequence[int]], None]


def too_much(what: str, got: int, most: int, fix: str) -> None:
    """Raises:  Refused: 413, where an answer or its work has no bound but this one."""
    if got > most:
        raise Refused(413, what, code="too_much", got=f"{got:,}", expected=f"at most {most:,}", fix=fix)


def check_fill(call: Call, lengths: Sequence[int]) -> None:
    """Raises:  Refused: 413, too many candidates."""
    asked: Fill = call.asked
    masks = asked.text.lower().count("mask") + asked.text.count("___") + (sum(lengths) if asked.hide else 0)
    written = masks * asked.top * len(asked.text)
    too_much("too many candidates for so long a text", written, WRITTEN, "a smaller top, or a shorter text")
    if asked.whole:
        too_much("too many candidates to be followed", asked.top, WHOLE, "a smaller top, or whole false")


def _check_next(call: Call, lengths: Sequence[int]) -> None:
    written = call.asked.top * len(call.asked.text)
    too_much("too many candidates for so long a text", written, WRITTEN, "a smaller top, or a shorter text")


def check_hidden(call: Call, lengths: Sequence[int]) -> None:
    """Raises:  Refused: 413, a masked model would read too much."""
    if "fill" in call.service.shelf.abilities(call.run):
        reads = sum(n * min(n, LONGEST) for n in lengths)
        too_much("too long: each token is hidden in turn", reads, HIDDEN, "shorter texts, or fewer")


def _check_score(call: Call, lengths: Sequence[int]) -> None:
    too_much("too many texts", len(_listed(call.asked.texts)), TEXTS, "several requests")
    check_hidden(call, lengths)


def check_choices(call: Call, lengths: Sequence[int]) -> None:
    """Raises:  Refused: 413, a text with every choice is too much."""
    n = len(call.asked.choices)
    call.service.bounded(n * sum(lengths))
    check_hidden(call, [length for length in lengths for _ in range(n)])


def _check_matrix(call: Call, lengths: Sequence[int]) -> None:
    n = len(call.asked.texts)
    cells = n * len(call.asked.others or call.asked.texts)
    too_much("too many cosines", 16 * cells, WRITTEN, "fewer texts, or their vectors: POST /api/embed")


def _check_encode(call: Call, lengths: Sequence[int]) -> None:
    if isinstance(call.asked.layers, tuple):
        too_much("too many layers named", len(call.asked.layers), LAYERS, "layers all")
    if call.asked.word is None and not call.asked.vectors:
        too_much("too many tokens for cosines", sum(lengths), LONGEST, "a word, or vectors true")


def _of(texts: Callable[[Any], Sequence[str]], work: Work, check: Check | None = None) -> Handler:
    """A handler of one turn of the desk: the tokens of some texts are counted, and one function is called."""

    async def one(call: Call) -> Answer:
        lengths = await call.service.lengths(call.run, texts(call.asked))
        asked = call.asked
        if check is not None:
            await call.service.side.count(check, call, lengths)  # it may read what a run can do
        outcome = await call.service.ask(call.run, sum(lengths), lambda model, _: [work(model, asked)])
        return Answer(call.spoken(outcome.value), tokens=sum(lengths)).noted(
            call.told(outcome.notes), outcome.cut
        )

    return _several(one)


def several_names(call: Call) -> list[str] | None:
    """The runs that were asked together, each once; None where one is asked.

    Raises:  Refused: 422 they are no list of names, 404 there is no such run.
    """
    names = call.values.get("runs")
    if names is None:
        return None
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        raise Refused(422, "runs are a list of names", param="runs", code="type", fix='"runs": ["NAME"]')
    for name in names:
        call.service.shelf.folder(name)
    return list(dict.fromkeys(names))


def _several(one: Callable[[Call], Awaitable[Answer]]) -> Handler:
    """A handler that answers for one run, or for several as they are done."""

    async def handler(call: Call) -> Answer | Chunks:
        names = several_names(call)
        if names is None:
            return await one(call)

        async def line(name: str) -> dict[str, Any]:
            try:
                answer = await one(replace(call, run=name))
            except Exception as error:
                found = refused(error, paths=call.service.config.is_local)
                again = {k.replace("-", "_"): int(v) for k, v in found.headers.items() if k == "retry-after"}
                return {"run": name, "error": document(found)["error"], "status": found.status, **again}
            notes = {"notes": answer.headers["x-notes"]} if "x-notes" in answer.headers else {}
            return {"run": name, "answer": answer.body, "tokens": answer.tokens, **notes}

        async def lines() -> AsyncIterator[bytes]:
            tasks = [asyncio.ensure_future(line(name)) for name in dict.fromkeys(names)]
            try:
                for done in asyncio.as_completed(tasks):
                    yield to_bytes(await done) + b"\n"
            finally:
                for task in tasks:
                    task.cancel()

        return Chunks(lines(), broken)

    return handler


def broken(error: Refused) -> bytes:
    """The last line of an answer whose work failed underway."""
    return to_bytes(document(error)) + b"\n"


def _tokenize(model: Model, asked: Tokenize) -> Any:
    from polyseme.infer.tokenize import tokenize

    return tokenize(model, asked.text).document()


def _encode(model: Model, asked: Encode) -> dict[str, Any]:
    import numpy as np

    from polyseme.infer.embed import cosines
    from polyseme.infer.hidden import encode
    from polyseme.text.labelled.senses import occurrences

    layers = asked.layers if isinstance(asked.layers, int | str) else list(asked.layers)
    encoded = encode(model, asked.text, layers)
    answer = encoded.document()
    if asked.vectors:
        states = np.ascontiguousarray(encoded.layers, "<f4")
        return answer | {"vectors": base64.b64encode(states.tobytes()).decode(), "shape": list(states.shape)}
    if asked.word is None:
        return answer | {"cosines": [cosines(layer, layer).tolist() for layer in encoded.layers]}
    part = [match.span() for match in re.finditer(re.escape(asked.word), asked.text, re.IGNORECASE)]
    at, end = [*occurrences(asked.text, asked.word), *part, (-1, -1)][0]
    inside = [i for i, (s, e) in enumerate(encoded.offsets.tolist()) if s < end and e > at]
    if at < 0 or not inside:
        raise Refused(
            400,
            "the word is not in the text",
            param="word",
            code="InputError",
            got=asked.word,
            fix="a word as it stands in the text",
        )
    means = [layer[inside].mean(0, keepdims=True) for layer in encoded.layers]
    rows = [cosines(mean, layer)[0].tolist() for mean, layer in zip(means, encoded.layers, strict=True)]
    return answer | {"word": asked.word, "cosines": rows}


def embedded(model: Model, asked: Sequence[tuple[Embed, Sequence[int]]]) -> list[dict[str, Any]]:
    """Vectors of several requests that ask for the same kind, by one reading."""
    from polyseme.infer.embed import Embedder, Pooling

    first = asked[0][0]
    pooling = Pooling.of(model, pool=first.pool, normalize=first.normalize)
    embedder = Embedder(model, pooling, first.layer)
    vectors = embedder.read([text for each, _ in asked for text in _listed(each.texts)])
    answers, at = [], 0
    for _, lengths in asked:
        answers.append(
            {
                "vectors": vectors[at : at + len(lengths)],
                "truncated": [i for i, n in enumerate(lengths) if n > embedder.max_content],
                "pooling": embedder.pooling.as_dict(),
            }
        )
        at += len(lengths)
    return answers


async def _embed(call: Call) -> Answer:
    asked: Embed = call.asked
    texts = _listed(asked.texts)
    if not 1 <= len(texts) <= TEXTS:
        raise Refused(
            422,
            "no text, or too many",
            param="texts",
            code="length",
            got=len(texts),
            expected=f"1 … {TEXTS}",
            fix="several requests",
        )
    lengths = await call.service.lengths(call.run, texts)
    key = ("embed", asked.pool, asked.layer, asked.normalize)
    outcome = await call.service.ask(call.run, sum(lengths), embedded, (asked, lengths), key)
    if outcome.value["truncated"] and not asked.truncate:
        raise Refused(
            413,
            "a text is longer than the run reads",
            param=f"texts.{outcome.value['truncated'][0]}",
            code="too_long",
            fix="truncate true reads its beginning",
        )
    value = {**outcome.value, "vectors": [vector.tolist() for vector in outcome.value["vectors"]]}
    return Answer(value, tokens=sum(lengths)).noted(call.told(outcome.notes), value["truncated"])


def _similarity(model: Model, asked: Similarity) -> dict[str, Any]:
    from polyseme.infer.embed import similarity

    others = None if asked.others is None else list(asked.others)
    return {"similarity": similarity(model, list(asked.texts), others, asked.pool, asked.layer).tolist()}


def _score(model: Model, asked: Score) -> dict[str, Any]:
    from polyseme.infer.score import kind_of, score_lines, total_of

    texts = _listed(asked.texts)
    kind = kind_of(model, asked.masked or asked.within_word)
    scores = score_lines(
        model, texts, asked.end, asked.context, asked.within_word, asked.masked, asked.detail
    )
    lines = [
        ({"text": text} if asked.detail else {}) | each.as_dict()
        for text, each in zip(texts, scores, strict=True)
    ]
    return {"kind": kind, "lines": lines, "total": total_of(scores, kind)}


def _pair(model: Model, asked: Pair) -> dict[str, Any]:
    from polyseme.infer.score import kind_of, score

    good, bad = score(model, [asked.good, asked.bad], within_word=kind_of(model) == "pseudo-log-likelihood")
    margin = good.log_likelihood - bad.log_likelihood
    return {"margin": margin, "good": good.as_dict(), "bad": bad.as_dict()}


def _fill(model: Model, asked: Fill) -> Any:
    from polyseme.infer.fill import fill

    how: dict[str, Any] = {"hide": asked.hide, "whole": asked.whole, "among": asked.among}
    if asked.detail:
        return fill(model, asked.text, asked.top, **how, detail=True).document()
    return fill(model, asked.text, asked.top, **how)


def _next(model: Model, asked: Next) -> Any:
    return model.next_tokens(asked.text, asked.top).document()


def _choose(model: Model, asked: Choose) -> dict[str, Any]:
    from polyseme.infer.zero_shot import Chooser

    chooser = Chooser(model, asked.choices, asked.template, asked.normalize, asked.neutral)
    second = None if asked.text_b is None else [asked.text_b]
    shares = chooser.probabilities([asked.text], second)[0]
    return {"probabilities": dict(zip(asked.choices, shares.tolist(), strict=True))}


def _predict(model: Model, asked: Predict) -> Any:
    from polyseme.infer.predict import task_of

    task = task_of(model)
    names = {"pair": ("text", "text_b"), "qa": ("question", "context")}.get(task, ("text",))
    given = [getattr(asked, name) for name in names]
    for name, value in zip(names, given, strict=True):
        if value is None:
            raise Refused(
                422,
                f"a field is missing: {name}",
                param=name,
                code="missing",
                expected=f"{task}",
                fix=f"a text as {name}",
            )
    for name in ("text", "text_b", "question", "context"):
        if name not in names and getattr(asked, name) is not None:
            raise Refused(
                422, f"{task} does not read {name}", param=name, code="unknown_field", fix=f"without {name}"
            )
    return model.predict(given[0] if len(given) == 1 else tuple(given), asked.threshold, asked.detail)


def _attention(model: Model, asked: Attention) -> Any:
    from polyseme.study.attention import attention

    return attention(
        model,
        asked.text,
        asked.text_b,
        layer=asked.layer,
        head=asked.head,
        top=asked.top,
        full=asked.full,
    ).document()


def _cosines(model: Model, asked: Cosines) -> Any:
    from polyseme.study.cosines import cosines

    return cosines(model, asked.items, word=asked.word, layer=asked.layer).document()


def _directions(model: Model, asked: Directions) -> Any:
    from polyseme.study.directions import directions

    return directions(model, asked.text, word=asked.word, top=asked.top).document()


def _tree(model: Model, asked: Tree) -> Any:
    from polyseme.study.tree import tree

    return tree(model, asked.words).document()


async def _cka(call: Call) -> Answer:
    asked: Cka = call.asked
    against = [] if asked.against is None else [asked.against]
    for name in against:
        call.service.shelf.folder(name)
    lengths = await call.service.lengths(call.run, asked.texts)
    for name in against:  # it is loaded while others are worked for
        await call.service.ask(name, 1, lambda model, _: [None])

    def work(model: Model, _: Sequence[Any]) -> list[Any]:
        from polyseme.study.cka import cka

        others = [call.service.shelf.get(name) for name in against]
        return [cka([model, *others], asked.texts, unit=asked.unit, limit=asked.limit).document()]

    outcome = await call.service.ask(call.run, sum(lengths), work)
    return Answer(outcome.value, tokens=sum(lengths)).noted(call.told(outcome.notes), outcome.cut)


async def _mask(call: Call) -> Answer:
    from polyseme.infer.mask import mask

    asked: Mask = call.asked
    lengths = await call.service.lengths(call.run, [asked.text])
    folder = call.service.shelf.folder(call.run)
    found = await call.service.side.study(lambda: mask(folder, asked.text, seed=asked.seed).document())
    return Answer(found, tokens=sum(lengths))


def uses_from(call: Call, source: str | Sequence[str]) -> dict[str, Any]:
    """Where uses of a word are looked for, as `uses` is told; nothing where that is a run's own store.

    Raises:  Refused: 400, no texts are served.
    """
    if source == "texts":
        if not call.service.config.texts:
            raise Refused(400, "no texts are served", param="from", fix="polyseme serve --texts FILE")
        return {"texts": list(call.service.config.texts)}
    return {} if source == "store" else {"lines": list(source)}


async def _uses(call: Call) -> Answer:
    from polyseme.study.word_uses import uses

    asked: Uses = call.asked
    folder = call.service.shelf.folder(call.run)
    where = uses_from(call, asked.source)
    run = None if where else folder

    def found() -> Any:
        document = uses(run, asked.word, limit=asked.limit, seed=asked.seed, **where).document()
        if not call.service.config.is_local:
            for use in document["uses"]:
                use["id"] = without_paths(use["id"], call.service.config.hidden)
        return document

    return Answer(call.spoken(await call.service.side.study(found)))


async def _page(call: Call) -> Answer:
    """The blocks of a page: what a study wrote, as parts that a reader draws itself."""
    from polyseme.report import results

    asked: Page = call.asked
    lang = call.lang or call.service.config.lang
    if asked.kind not in results.PAGES:
        known = ", ".join(sorted(results.PAGES))
        raise Refused(
            422,
            "no such kind",
            param="kind",
            got=asked.kind,
            expected=known,
            fix=suggest(asked.kind, results.PAGES),
        )

    def drawn() -> Any:
        try:
            return results.page_of_document(asked.kind, asked.document, lang).document()
        except Exception as error:
            if isinstance(error, PolysemeError):
                raise
            raise Refused(
                422,
                f"the document is not what polyseme {asked.kind} writes",
                param="document",
                code="document",
                fix=f"the JSON of polyseme {asked.kind} --json",
            ) from None

    return Answer(await call.service.side.study(drawn))


async def writing(
    call: Call,
    prompt: str,
    length: int,
    options: Mapping[str, Any],
    task: Task | None = None,
    about: Mapping[str, Any] | None = None,
) -> tuple[Stream, list[Any]]:
    """Begin a text, or a reply to a task; the list will hold what has its `result` once the pieces are through."""
    holder: list[Any] = []

    def begun(model: Model) -> Iterator[Any]:
        from polyseme.infer.generate import generate_stream
        from polyseme.infer.zero_shot import reply_stream

        if task is None:
            holder.append(generate_stream(model, prompt, **options))
        else:
            holder.append(reply_stream(model, task, prompt, **(about or {}), **options))
        steps: Iterator[Any] = holder[0].steps()
        return steps

    return await call.service.stream(call.run, length, begun), holder


async def _generate(call: Call) -> Answer | Chunks:
    asked: Generate = call.asked
    about = asked.about()
    if about and asked.task is None:
        name = {"source": "from", "target": "to"}.get(next(iter(about)), next(iter(about)))
        raise Refused(
            422, f"{name} belongs to a task", param=name, code="task", fix="task summary, answer or translate"
        )
    sides = [side for pair in asked.examples for side in pair]
    lengths = await call.service.lengths(call.run, [asked.prompt, asked.question or "", *sides])
    length = sum(lengths)
    call.service.bounded(length + asked.max_new_tokens * max(asked.beams, asked.results))
    stream, holder = await writing(call, asked.prompt, length, asked.options(), asked.task, about)
    if not asked.stream:
        async for _ in stream:
            pass
        return Answer(holder[0].result.as_dict(), tokens=length).noted(call.told(stream.notes))

    async def lines() -> AsyncIterator[bytes]:
        pieces = aiter(stream)
        try:
            async for step in pieces:
                yield to_bytes(step.as_dict()) + b"\n"
        finally:
            stream.close()
        notes = {"notes": call.told(stream.notes)} if stream.notes else {}
        yield to_bytes({"done": holder[0].result.as_dict(), **notes}) + b"\n"

    headers = Answer().noted(call.told(stream.notes)).headers
    return Chunks(lines(), broken, headers, tokens=length, close=stream.close)


async def _server(call: Call) -> Answer:
    config, queue, shelf = call.service.config, call.service.queue, call.service.shelf
    return Answer(
        {
            "polyseme": __version__,
            "runs": shelf.names,
            "limits": {
                "max_tokens": config.max_tokens,
                "max_queue": config.max_queue,
                "timeout": config.timeout,
                "max_body": config.max_body,
                "texts": TEXTS,
                "top": TOP,
                "max_new_tokens": MOST_NEW,
            },
            "queue": {"jobs": queue.jobs, "tokens": queue.tokens, "rate": queue.rate},
            "streams": call.service.desk.streams,
            "loaded": shelf.in_memory,
            "lang": config.lang,
        }
    )


async def _runs(call: Call) -> Answer:
    shelf = call.service.shelf

    def every() -> list[dict[str, Any]]:
        found = []
        for name in shelf.names:
            try:
                found.append(shelf.about(name))
            except Exception as error:  # one that is damaged leaves the others alone
                told = refused(error, paths=call.service.config.is_local)
                found.append({"run": name, "error": document(told)["error"]})
        return found

    return Answer({"runs": await call.service.side.count(every)})


async def _run(call: Call) -> Answer:
    """What `polyseme inspect --json` prints; `about` beside it says what the run can be asked."""
    from polyseme.report.run_summary import inspect

    folder = call.service.shelf.folder(call.run)
    document = await call.service.side.count(lambda: inspect(folder).document())
    config = call.service.config
    return Answer(document if config.is_local else without_paths(document, config.hidden))


async def _about(call: Call) -> Answer:
    return Answer(await call.service.side.count(call.service.shelf.about, call.run))


async def _metrics_of_run(call: Call) -> Answer:
    after = call.query.get("after", "0")
    if not after.isascii() or not after.isdigit() or len(after) > 15:
        raise Refused(422, "after is a number of bytes", param="after", code="type", got=after, fix="after=0")
    file = call.service.shelf.folder(call.run) / "metrics.jsonl"
    lines, behind = await call.service.side.count(lines_after, file, int(after))
    return Answer(lines, headers={"x-next": str(behind)}, media="application/x-ndjson")


async def _stop(call: Call) -> Answer:
    """End what is being answered: its own answer says so."""
    work = call.service.works.get(call.parts["id"])
    if work is None or work.done():
        raise Refused(
            404,
            "nothing of this X-Work is going on",
            code="work_not_found",
            got=call.parts["id"],
            fix="the X-Work of an answer that has not ended",
        )
    work.set_result(None)
    return Answer({"stopped": call.parts["id"]})


async def _health(call: Call) -> Answer:
    return Answer({"status": "ok"})


async def _metrics(call: Call) -> Answer:
    queue, desk, shelf = call.service.queue, call.service.desk, call.service.shelf
    now = {
        "queue_jobs": queue.jobs,
        "queue_tokens": queue.tokens,
        "queue_dropped_total": queue.dropped,
        "tokens_per_second": queue.rate,
        "streams": desk.streams,
        "requests_open": len(call.service.works),
        "runs_loaded": len(shelf.in_memory),
        "weights_bytes": shelf.bytes,
    }
    text = call.service.counts.text(now)
    return Answer(text.encode(), media="text/plain; version=0.0.4; charset=utf-8")


def _turn(
    path: str,
    body: type[Body],
    texts: Callable[[Any], Sequence[str]],
    work: Work,
    ability: str,
    check: Check | None = None,
) -> Route:
    return Route("POST", f"/api/{path}", _of(texts, work, check), body, ability, several=True)


def _text(asked: Any) -> Sequence[str]:
    return [asked.text]


def _two(asked: Any) -> Sequence[str]:
    return [asked.text, asked.text_b or ""]


ROUTES = [
    Route("GET", "/health", _health),
    Route("GET", "/metrics", _metrics),
    Route("DELETE", "/api/work/{id}", _stop),
    Route("GET", "/api/server", _server),
    Route("GET", "/api/runs", _runs),
    Route("GET", "/api/runs/{run}", _run),
    Route("GET", "/api/runs/{run}/about", _about),
    Route("GET", "/api/runs/{run}/metrics", _metrics_of_run),
    Route("POST", "/api/embed", _several(_embed), Embed, "embed", several=True),
    Route("POST", "/api/generate", _generate, Generate, "generate"),
    Route("POST", "/api/cka", _several(_cka), Cka, "encode", several=True),
    Route("POST", "/api/mask", _several(_mask), Mask, "fill", several=True),
    Route("POST", "/api/uses", _several(_uses), Uses, several=True),
    Route("POST", "/api/page", _page, Page),
    _turn("tokenize", Tokenize, _text, _tokenize, "tokenize"),
    _turn("encode", Encode, _text, _encode, "encode", _check_encode),
    _turn(
        "similarity",
        Similarity,
        lambda a: [*a.texts, *(a.others or ())],
        _similarity,
        "similarity",
        _check_matrix,
    ),
    _turn(
        "neighbours",
        Neighbours,
        lambda a: [a.word, a.context or "", a.plus or "", a.minus or ""],
        lambda model, a: model.neighbours(
            a.word, a.context, a.top, start=a.start, plus=a.plus, minus=a.minus
        ).document(),
        "neighbours",
    ),
    _turn("cosines", Cosines, lambda a: a.items, _cosines, "encode"),
    _turn("fill", Fill, _text, _fill, "fill", check_fill),
    _turn("score", Score, lambda a: [a.context or "", *_listed(a.texts)], _score, "score", _check_score),
    _turn("pairs", Pair, lambda a: [a.good, a.bad], _pair, "score", check_hidden),
    _turn("follows", Follow, _two, lambda model, a: model.follows(a.text, a.text_b).document(), "follows"),
    _turn(
        "next",
        Next,
        _text,
        lambda model, a: model.next_tokens(a.text, a.top).document(),
        "next_tokens",
        _check_next,
    ),
    _turn("choose", Choose, lambda a: [a.text, a.text_b or "", a.template], _choose, "choose", check_choices),
    _turn(
        "predict",
        Predict,
        lambda a: [part or "" for part in (a.text, a.text_b, a.question, a.context)],
        _predict,
        "predict",
    ),
    _turn("attention", Attention, _two, _attention, "attention"),
    _turn("directions", Directions, _text, _directions, "directions"),
    _turn("tree", Tree, lambda a: a.words, _tree, "tree"),
]
