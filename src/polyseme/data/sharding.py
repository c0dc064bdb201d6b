"""A store in shards: prepared piece by piece, anywhere, in any order, and gone on with after a crash.

    corpus ──pieces.py──► pieces ──plan──► tokenizer.json, plan.json
                             ├──keys──► sorted runs on the disk ──merged by ranges of keys──► which documents to drop
                             └──shards──► shards/00000 …  ──seal──► counts/, store.json

All is made in a folder beside the store, .STORE.partial, which takes its name at last. Every step writes what is whole
or absent, so that going on means to do what is missing. The shards, and with them the digest in store.json, are the
same whatever the engine, the number of workers, the order and the restarts.

Where a piece cannot be read the others are made all the same, and kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.core.config import to_json
from polyseme.core.files import locked, make_folder, saving, sha256_of, sync_folder, write_atomic
from polyseme.data.engines import Engine
from polyseme.data.making import MOST_TOKENS, SketchFiles, Task, error_of, mapped, shards_made
from polyseme.data.store import SHARD, SPLITS, PreparedCorpus, is_store, write_meta
from polyseme.errors import CorpusError, RunError
from polyseme.text.clean import CleaningReport
from polyseme.text.corpus import Corpus, Fingerprint
from polyseme.text.near import ROW, merged, near_duplicates
from polyseme.text.pieces import PIECE, pieces
from polyseme.text.sources import SourceFile
from polyseme.text.tokenizers import Tokenizer

_PLANNING = (
    "remote",
    "unknown",
    "valid_share",
    "of_many",
    "valid_text",
    "most_tokens",
    "minimum_valid_tokens",
    "cuts",
)
"""What plan.json says that store.json need not."""


@dataclass(frozen=True, slots=True)
class Sharding:
    """How a corpus is prepared in shards.

    Args:
        engine: does the work.
        piece: bytes of text of a piece, about, and so of a shard.
        resume: go on with what an earlier command left; begin where there is nothing.
        most_tokens: of a split of a shard.
        remote: the URL at which shards are put as they are made, and of which only what counts stays here.
    """

    engine: Engine
    piece: int = PIECE
    resume: bool = False
    most_tokens: int = MOST_TOKENS
    remote: str | None = None


Listener = Callable[[str, int, int, int, int], None]
"""(stage, bytes done, bytes in all, documents, tokens)"""


def cut(corpus: Corpus, heldout: Corpus | None, size: int) -> list[tuple[str, list[SourceFile]]]:
    """The pieces of both, held-out files first: ("valid" or "", files)."""
    return [
        *(("valid", piece) for piece in (pieces(heldout, size) if heldout else ())),
        *(("", piece) for piece in pieces(corpus, size)),
    ]


def prepare_in_shards(
    corpus: Corpus,
    heldout: Corpus | None,
    cuts: Sequence[tuple[str, list[SourceFile]]],
    folder: Path,
    how: Sharding,
    request: Any,
    plan: Callable[[Path], dict[str, Any]],
    listen: Listener,
) -> PreparedCorpus:
    """Make a store in shards.

    Args:
        cuts: from `cut`.
        request: what decides the store beside the text; what an earlier command left is gone on with only if it is
            the same. Of text, pieces that were changed meanwhile are made anew.
        plan: (folder) -> what all pieces need to know, after tokenizer.json was written there; called once.
        listen: hears of every piece that is done.
    Raises:  CorpusError: pieces that cannot be read; or there is no text.
             RunError: the folder holds something, or what is unfinished is of another request, or being worked on.
             StorageError: the disk refuses.   PolysemeError: processes die again and again.
    """
    started = time.perf_counter()
    asked = hashlib.sha256(json.dumps([request, how.piece, how.most_tokens]).encode()).hexdigest()
    if how.resume and is_store(folder):
        return _finished(folder, asked)
    with _work_folder(folder, how.resume) as work:
        if not is_store(work):
            tasks = [
                Task("", str(work.absolute()), number, split, tuple(files))
                for number, (split, files) in enumerate(cuts)
            ]
            known = _planned(work, asked, plan, corpus, heldout, how, tasks)
            if known["text"]["deduplicate"] != "none":
                _drop_duplicates(work, tasks, known["text"]["deduplicate"] == "near", how.engine, listen)
            _run("shards", tasks, work, how.engine, listen)
            _seal(work, tasks, corpus, heldout, started)
        with saving(folder):
            for name in ("keys", "drops"):
                shutil.rmtree(work / name, ignore_errors=True)
            for name in ("plan.json", "heldout.bin", "lock"):
                (work / name).unlink(missing_ok=True)
            if folder.is_dir():
                folder.rmdir()  # it is empty
            work.rename(folder)
            sync_folder(folder.parent)
    return PreparedCorpus.open(folder)


def partial_of(folder: Path) -> Path:
    """Where a store in shards is made before it takes the place `folder`."""
    return folder.parent / f".{folder.name}.partial"


def is_unfinished(folder: Path) -> bool:
    """Whether there is something of a store in shards to go on with."""
    return (partial_of(folder) / "plan.json").is_file()


def _finished(folder: Path, asked: str) -> PreparedCorpus:
    store = PreparedCorpus.open(folder)
    if store.meta.get("request") != asked:
        raise RunError(
            "the store is whole, and of another text or of other options",
            where=folder,
            fix="name another folder, or delete this one first",
        )
    return store


@contextmanager
def _work_folder(folder: Path, resume: bool) -> Iterator[Path]:
    """The folder in which a store is made, held by this process; it stays where there is a plan to go on with."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise RunError(
            "the output folder already holds something",
            where=folder,
            fix="name another folder, or delete this one first",
        )
    work = partial_of(folder)
    if is_unfinished(folder) and not resume:
        raise RunError(
            "an unfinished preparation of this store is there",
            where=work,
            fix="the same command with --resume goes on with it; delete that folder to begin anew",
        )
    make_folder(work)
    with locked(work / "lock") as held:
        if held is False:
            raise RunError("another process prepares this store", where=work, fix="wait for it, or stop it")
        try:
            for stale in (work / "shards").glob(".*.partial-*"):  # of processes that were killed
                shutil.rmtree(stale, ignore_errors=True)
            yield work
        finally:
            if work.is_dir() and not (work / "plan.json").is_file():
                shutil.rmtree(work, ignore_errors=True)


def _planned(
    work: Path,
    asked: str,
    plan: Callable[[Path], dict[str, Any]],
    corpus: Corpus,
    heldout: Corpus | None,
    how: Sharding,
    tasks: Sequence[Task],
) -> dict[str, Any]:
    """plan.json, made or as it is there; of pieces that were changed since, what was made is forgotten.

    Raises:  RunError: the one that is there is of another request, or of a text that is cut into other pieces.
    """
    path = work / "plan.json"
    cuts = [hashlib.sha256(task.to_json().encode()).hexdigest() for task in tasks]
    if path.is_file():
        known: dict[str, Any] = json.loads(path.read_bytes())
        changed = [
            number for number, pair in enumerate(zip(known["cuts"], cuts, strict=False)) if len({*pair}) > 1
        ]
        compared = bool(changed) and known["text"]["deduplicate"] != "none"  # with all the others
        if known["request"] != asked or len(known["cuts"]) != len(cuts) or compared:
            raise RunError(
                "what is unfinished is of another text or of other options",
                where=work,
                fix="the files and options as they were, or delete that folder to begin anew",
            )
        for number in changed:
            shutil.rmtree(work / "shards" / f"{number:05d}", ignore_errors=True)
        write_atomic(path, to_json({**known, "cuts": cuts}).encode())
        return known
    corpus.in_pieces = True  # damage is met again where all is read, and its piece named
    known = {
        "request": asked,
        "of_many": corpus.of_many,
        "valid_text": heldout.config.model_dump(mode="json") if heldout else None,
        "most_tokens": how.most_tokens,
        "remote": how.remote,
        "cuts": cuts,
        **plan(work),
    }
    if heldout is not None:
        keys = sorted({document.key for document in heldout.documents(CleaningReport())})
        write_atomic(work / "heldout.bin", np.array(keys, "<u8").tobytes())
    for name in ("shards", "keys"):
        make_folder(work / name)
    write_atomic(path, to_json(known).encode())
    return known


def _run(stage: str, tasks: Sequence[Task], work: Path, engine: Engine, listen: Listener) -> None:
    """Do a stage for all pieces for which it is not done.

    Raises:  CorpusError: pieces cannot be read; the others are done.   StorageError and others: at once.
    """
    sizes = [sum((f.size if f.end is None else f.end) - f.begin for f in task.files) for task in tasks]
    suffix = f"/{SHARD}" if stage == "shards" else ".bin"
    missing = [t for t in tasks if not (work / stage / f"{t.number:05d}{suffix}").is_file()]
    total, done = sum(sizes), sum(sizes) - sum(sizes[t.number] for t in missing)
    documents = tokens = 0
    name = "tokenizing" if stage == "shards" else "looking for duplicates"
    listen(name, done, total, 0, 0)
    wrong: list[tuple[int, CorpusError]] = []
    lines = [Task(stage, t.work, t.number, t.split, t.files).to_json() for t in missing]
    with closing(engine.map(lines)) as answers:  # type: ignore[type-var]
        for text in answers:
            answer = json.loads(text)
            error = error_of(answer)
            if isinstance(error, CorpusError):
                wrong.append((answer["number"], error))
            elif error is not None:
                raise error
            else:
                done += sizes[answer["number"]]
                documents, tokens = documents + answer["documents"], tokens + answer["tokens"]
                listen(name, done, total, documents, tokens)
    if wrong:
        _, error = min(wrong)
        others = len(wrong) - 1
        raise CorpusError(
            error.what,
            got=f"{error.got}; so are {others} other piece{'s' * (others > 1)}" if others else error.got,
            expected=error.expected,
            where=error.where,
            fix=f"{error.fix or 'mend the file'}; the other pieces are kept: then the same command with --resume",
        )


def _drop_duplicates(work: Path, tasks: Sequence[Task], near: bool, engine: Engine, listen: Listener) -> None:
    """Write, for every piece, the places of documents whose text came before, in it or in an earlier piece.

    Args:
        near: those that nearly repeat an earlier one, too.
    """
    if (work / "drops").is_dir():
        return
    _run("keys", tasks, work, engine, listen)
    making = work / "drops.partial"
    shutil.rmtree(making, ignore_errors=True)
    for split in ("valid", ""):
        numbers = [task.number for task in tasks if task.split == split]
        keys = [work / "keys" / f"{number:05d}.bin" for number in numbers]
        dropped = {"duplicate": _repeated([mapped(path, ROW) for path in keys])}
        if near:
            dropped["near_duplicate"] = near_duplicates([SketchFiles(path) for path in keys])
        for kind, found in dropped.items():
            make_folder(making / kind)
            for piece, places in found if keys else ():
                with saving(making), (making / kind / f"{numbers[piece]:05d}.bin").open("ab") as file:
                    file.write(places.astype("<u4").tobytes())
    with saving(making):
        making.rename(work / "drops")


def _repeated(runs: Sequence[npt.NDArray[Any]]) -> Iterator[tuple[int, npt.NDArray[np.uint32]]]:
    """The documents of runs of keys that have a key of an earlier one: (number of the run, places in its piece)."""
    for number, rows in merged(runs):
        again = np.flatnonzero(rows["key"][1:] == rows["key"][:-1]) + 1
        for piece in np.unique(number[again]).tolist():
            yield piece, rows["place"][again[number[again] == piece]]


def _seal(
    work: Path,
    tasks: Sequence[Task],
    corpus: Corpus,
    heldout: Corpus | None,
    started: float,
) -> None:
    """Sum the shards up, and write store.json."""
    size = Tokenizer.from_file(work / "tokenizer.json").vocab_size
    counts = {split: np.zeros(size, "<i8") for split in SPLITS}
    splits: dict[str, dict[str, int]] = {split: {} for split in SPLITS}
    cleaned = CleaningReport()
    for found in (heldout, corpus):
        cleaned.merge(found.found if found else CleaningReport())
    fingerprints = {"valid": Fingerprint(), "": Fingerprint()}
    readings: dict[str, dict[tuple[str, str], dict[str, Any]]] = {"valid": {}, "": {}}
    shards = []
    for task in tasks:
        piece = work / "shards" / f"{task.number:05d}"
        for folder in shards_made(piece):
            data = (folder / SHARD).read_bytes()
            meta = json.loads(data)
            for split in SPLITS:
                counts[split] += np.fromfile(folder / split / "counts.bin", "<i8")
                for name, n in meta["splits"][split].items():
                    splits[split][name] = splits[split].get(name, 0) + n
            fingerprints[task.split].merge(meta["fingerprint"])
            cleaned.merge(CleaningReport.from_dict(meta["dirt"]))
            for entry in meta["reading"]:
                same = readings[task.split].setdefault(
                    (entry["source"], entry["rule"]), {**entry, "files": 0, "documents": 0}
                )
                for name in ("files", "documents"):
                    same[name] += entry[name]
            shards.append(
                {
                    "name": folder.relative_to(work / "shards").as_posix(),
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "bytes": sum(file["bytes"] for file in meta["files"].values()),
                    "fingerprint": meta["fingerprint"],
                    "splits": {
                        split: {
                            name: meta["splits"][split][name]
                            for name in ("documents", "sentences", "words", "tokens")
                        }
                        for split in SPLITS
                    },
                    "rows": meta["rows"],
                }
            )
    if not splits["train"]["tokens"]:
        raise CorpusError(
            "no text is left to train on",
            got=f"{splits['valid']['documents']} documents, all of them held out",
            where=", ".join(corpus.sources),
            fix="--set text.valid_share=0.05, or other text",
        )
    make_folder(work / "counts")
    for split in SPLITS:
        write_atomic(work / "counts" / f"{split}.bin", counts[split].tobytes())
    digest = hashlib.sha256(json.dumps([sha256_of(work / "tokenizer.json"), shards]).encode()).hexdigest()
    plan = json.loads((work / "plan.json").read_bytes())
    meta = {
        "fingerprint": fingerprints[""].value,
        **{name: value for name, value in plan.items() if name not in _PLANNING},
        "signature": corpus.signature(),  # a file may have been mended on the way
        "valid_fingerprint": fingerprints["valid"].value if heldout else None,
        "reading": [*readings[""].values()],
        "valid_reading": [*readings["valid"].values()],
        "dirt": cleaned.as_dict(),
        "heldout_suffices": splits["valid"]["tokens"] >= plan["minimum_valid_tokens"],
        "splits": splits,
        "seconds": round(time.perf_counter() - started, 3),
        "digest": digest,
        "shards": shards,
    }
    with saving(work):
        write_meta(work, meta)
