"""Our routes of studies, whose parts are done in several places, and some of which need no run in memory at all.

    senses   side: uses ─► desk: vectors of every use, in steps ─► side: maps (line 1) ─► side: groups (line 2)
    holes    desk: one turn, with the vectors of further runs
    mix      side: what run.json says of every run

The maps are there long before the groups: a page draws them at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from polyseme.core.reporter import NullReporter
from polyseme.errors import InputError
from polyseme.serve.calls import Answer, Call, Chunks, Route, to_bytes
from polyseme.serve.errors import Body, Refused, document, refused
from polyseme.serve.wire.ours import (
    HIDDEN,
    LAYERS,
    SEED,
    USES,
    broken,
    several_names,
    too_much,
    uses_from,
)

if TYPE_CHECKING:
    from polyseme.infer.model import Model
    from polyseme.study.senses import SenseStudy, UsesRead

__all__ = ["ROUTES"]

DRAWN = 400
"""Uses that are drawn where nobody says how many, as the verb has it."""
HOLES = 200
WORDS = 50
"""Words of a hole."""


class UseGiven(Body):
    """A use of the word: where it stands in a text, in characters, and, if that is known, in which sense."""

    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=1)
    id: str = ""
    sense: str | None = None


class Senses(Body):
    """A word, its uses or where they are looked for, and how they are drawn."""

    word: str
    source: Literal["store", "texts"] | tuple[str, ...] = Field("store", alias="from")
    uses: tuple[UseGiven, ...] | None = Field(None, min_length=1, max_length=USES)
    limit: int = Field(DRAWN, ge=1, le=USES)
    layers: int | tuple[int, ...] | Literal["all"] | None = None
    map: Literal["pca", "umap", "lda"] = "pca"
    of: Literal["word", "text", "both"] = "word"
    seed: int = Field(0, ge=0, le=SEED)


class Holes(Body):
    """Sentences with [MASK], the words that fit each, and whose vectors of them are compared."""

    texts: tuple[str, ...] = Field(min_length=1, max_length=HOLES)
    candidates: tuple[tuple[str, ...], ...] | None = Field(None, max_length=HOLES)
    top: int = Field(5, ge=2, le=WORDS)
    against: tuple[str, ...] = Field((), max_length=8)
    seed: int = Field(0, ge=0, le=SEED)


class Mix(Body):
    """Nothing: which runs are asked stands in `runs`."""


async def _senses(call: Call) -> Chunks:
    asked: Senses = call.asked
    if isinstance(asked.layers, tuple):
        too_much("too many layers named", len(asked.layers), LAYERS, "layers all")
    names = several_names(call)
    study = await call.service.side.study(_studied, call, asked, names or [call.run])
    if names is not None:
        return Chunks(_as_they_come(call, study, names), broken)
    read = await _read(call, call.run, study)
    first = await _drawn(call, study, read)

    async def two() -> AsyncIterator[bytes]:
        with _Watch() as watch:
            yield to_bytes({"run": call.run, "maps": first}) + b"\n"
            whole = await call.service.side.study(_groups, call, study, read, watch)
            yield to_bytes({"run": call.run, "answer": whole}) + b"\n"

    return Chunks(two(), broken)


class _Left(Exception):
    """Nobody waits for it any more."""


class _Watch(NullReporter):
    """Ends a study, which runs in a thread that nobody can stop, at its next step once the client has gone."""

    def __init__(self) -> None:
        self._left = False

    def stage(self, name: str, done: float, total: float | None, detail: str = "") -> None:
        """What a study tells of itself, many times a second."""
        if self._left:
            raise _Left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._left = True


async def _as_they_come(call: Call, study: SenseStudy, names: Sequence[str]) -> AsyncIterator[bytes]:
    """Two lines a run, each as soon as it is there."""
    done: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def of(name: str, watch: _Watch) -> None:
        try:
            read = await _read(call, name, study)
            done.put_nowait({"run": name, "maps": await _drawn(call, study, read)})
            whole = await call.service.side.study(_groups, call, study, read, watch)
            done.put_nowait({"run": name, "answer": whole, "last": True})
        except Exception as error:
            found = refused(error, paths=call.service.config.is_local)
            told = {"error": document(found)["error"], "status": found.status}
            done.put_nowait({"run": name, **told, "last": True})

    with _Watch() as watch:
        tasks = [asyncio.ensure_future(of(name, watch)) for name in names]
        try:
            left = len(tasks)
            while left:
                line = await done.get()
                left -= line.pop("last", False)
                yield to_bytes(line) + b"\n"
        finally:
            for task in tasks:
                task.cancel()


def _studied(call: Call, asked: Senses, names: Sequence[str]) -> SenseStudy:
    """The uses, and all that does not depend on a run; a store is that of the first run."""
    from polyseme.study.senses import SenseStudy
    from polyseme.study.word_uses import uses
    from polyseme.text.labelled.senses import Use

    found: list[Use] | None = None
    word = asked.word.strip()
    if not word:
        raise InputError("no word to look for", got=repr(asked.word), fix='"word": "bank"')
    if asked.uses is not None:
        if "source" in asked.model_fields_set:
            raise Refused(
                422,
                "uses, and where to look for them",
                param="from",
                code="unknown_field",
                fix="without from",
            )
        for place, use in enumerate(asked.uses):
            if not use.start < use.end <= len(use.text):
                where = f"uses.{place}"
                got, most = f"{use.start} … {use.end}", f"0 … {len(use.text)}"
                raise Refused(
                    422,
                    "no such place in the text",
                    param=where,
                    code="place",
                    got=got,
                    expected=most,
                    fix="start and end in characters of its text",
                )
        found = [
            Use(use.id or str(place), use.text, use.start, use.end, use.sense, word)
            for place, use in enumerate(asked.uses, 1)
        ]
    elif asked.source != "store":
        where_to = uses_from(call, asked.source)
        found = uses(None, word, limit=asked.limit, seed=asked.seed, **where_to).uses
    folders = [call.service.shelf.folder(name) for name in names]
    return SenseStudy.of(
        folders,
        found,
        word=word,
        limit=asked.limit if found is None else None,
        layer=list(asked.layers) if isinstance(asked.layers, tuple) else asked.layers,
        map=asked.map,
        of=asked.of,
        maps=True,
        seed=asked.seed,
    )


async def _read(call: Call, name: str, study: SenseStudy) -> UsesRead:
    """The vectors of the uses, read by the desk in steps, with turns of others between.

    Raises:  Refused: 413, they are too many tokens.
    """
    service = call.service
    texts = [use.text for word in study.words for use in word.uses]

    def counted() -> int:
        most = service.shelf.meta(name).get("recipe", {}).get("model", {}).get("max_position_embeddings")
        lengths = [len(ids) for ids in service.shelf.tokenizer(name).encode_ids(texts)]
        return sum(min(n, most or n) for n in lengths)

    tokens = await service.side.count(counted)
    too_much("too many tokens in all uses", tokens, service.config.max_queue, "a smaller limit")
    held: list[UsesRead] = []

    def steps(model: Model) -> Generator[Any]:
        held.append((yield from study.read_in_steps(model)))

    stream = await service.stream(name, tokens, steps)
    async for _ in stream:
        pass
    return held[0]


async def _drawn(call: Call, study: SenseStudy, read: UsesRead) -> dict[str, Any]:
    """The maps; they do not wait for the groups of others unless they take seconds themselves."""
    side = call.service.side
    return await (side.count if call.asked.map == "pca" else side.study)(_maps, call, study, read)


def _maps(call: Call, study: SenseStudy, read: UsesRead) -> dict[str, Any]:
    """What can be drawn at once: the uses, and where each stands at every layer."""
    (word,) = study.words
    (maps,) = study.maps_of(read)
    about = {"model": read.about["model"], "reach": read.about["reach"], "labelled": study.labelled}
    found = {**word.document, **about, "layers": maps, "notes": study.notes}
    found.pop("gold", None)
    spoken: dict[str, Any] = call.spoken(found)
    return spoken


def _groups(call: Call, study: SenseStudy, read: UsesRead, watch: _Watch) -> dict[str, Any]:
    found: dict[str, Any] = call.spoken(study.result([read], watch).document())
    return found


async def _holes(call: Call) -> Answer:
    asked: Holes = call.asked
    candidates = asked.candidates
    if candidates is not None:
        most = max(map(len, candidates), default=0)
        too_much("too many words for a hole", most, WORDS, "fewer words")
    for name in asked.against:
        call.service.shelf.folder(name)
    words = [word for hole in candidates or () for word in hole]
    lengths = await call.service.lengths(call.run, [*asked.texts, *words])
    each = [asked.top] * len(asked.texts) if candidates is None else [*map(len, candidates)]
    reads = sum(n * times for n, times in zip(lengths, each, strict=False)) * (1 + len(asked.against))
    too_much("too many tokens in all texts with all words", reads, HIDDEN, "fewer texts, words or runs")
    for name in asked.against:  # they are loaded while others are worked for
        await call.service.ask(name, 1, lambda model, _: [None])

    def work(model: Model, _: Sequence[Any]) -> list[Any]:
        from polyseme.study.holes import holes

        against = [call.service.shelf.get(name) for name in asked.against]
        found = holes(model, asked.texts, candidates, top=asked.top, against=against, seed=asked.seed)
        return [call.spoken(found.document())]

    outcome = await call.service.ask(call.run, sum(lengths), work)
    return Answer(outcome.value, tokens=sum(lengths)).noted(call.told(outcome.notes), outcome.cut)


async def _mix(call: Call) -> Answer:
    names = several_names(call)

    def drawn() -> dict[str, Any]:
        from polyseme.report.run_charts import mix_rows
        from polyseme.train.run import RunDirectory

        shelf = call.service.shelf
        learned = names or [
            name for name in shelf.names if (shelf.meta(name).get("results") or {}).get("mix")
        ]
        if not learned:
            raise InputError(
                "no served run has learned a mix of layers",
                got=", ".join(shelf.names),
                fix="polyseme finetune TASK RUN --train FILE --feature-based -o RUN2",
            )
        columns, rows = mix_rows([RunDirectory.open(shelf.folder(name)) for name in learned])
        return {"runs": learned, "columns": columns, "rows": rows}

    return Answer(await call.service.side.study(drawn))


ROUTES = [
    Route("POST", "/api/senses", _senses, Senses, "encode", several=True),
    Route("POST", "/api/holes", _holes, Holes, "encode"),
    Route("POST", "/api/mix", _mix, Mix, several=True),
]
