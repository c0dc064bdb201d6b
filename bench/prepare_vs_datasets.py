"""Preparing a corpus: polyseme against datasets.map and against bare tokenizers, with the same text and tokenizer.

All start from plain UTF-8 text files, with one process and with two. The time leaves out imports and the training of
the tokenizer; rates are per second and per second of processor, which is of all processes together from their start;
the memory is the peak of the whole process tree.

    ours        prepare(); besides the ids: cleaning with a report, sentence and document boundaries, word starts
                (Chinese ones from a segmenter), a held-out split by hash, unigram counts, a fingerprint
    before      the same of another checkout, named by --before
    datasets    load_dataset("text", sample_by="paragraph"), map(batched) with PreTrainedTokenizerFast; ids on disk
    tokenizers  encode_batch_fast of the paragraphs with threads of its own; ids alone, kept nowhere
    tokie       the strongest peer in plain speed (extra `peers`): encode_batch; ids alone, kept nowhere. How many of
                2,000 paragraphs get other ids than from tokenizers is printed: its WordPiece is not exact with our
                normaliser

The text is English and Chinese from ../shared/data where that is present, else python-docs, repeated up to the size
asked for. Repetition helps ours: it looks each distinct word up instead of tokenizing it again. --distinct stops where
the text would repeat itself; --language en or zh takes one of the two.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psutil

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "text"
FILE_BYTES = 8_000_000


def source_documents(languages: list[str], distinct: bool) -> Iterator[str]:
    """Documents of the corpora, over and over or once."""
    from polyseme.text.clean import CleaningReport
    from polyseme.text.config import TextConfig
    from polyseme.text.corpus import Corpus

    folders = [SHARED / language for language in languages]
    sources = [str(folder) for folder in folders if folder.is_dir()] or ["python-docs"]
    corpus = Corpus(sources, TextConfig())
    for _ in range(1) if distinct else count():
        for document in corpus.documents(CleaningReport()):
            yield document.text


def make_text(folder: Path, total: int, languages: list[str], distinct: bool) -> int:
    """Write `total` bytes of text as files of 8 MB; the bytes that are not repetition are returned."""
    seen: set[int] = set()
    written = fresh = 0
    files = count()
    out = None
    for text in source_documents(languages, distinct):
        if out is None or out.tell() > FILE_BYTES:
            if out:
                out.close()
            out = (folder / f"{next(files):03}.txt").open("wb")
        data = text.encode() + b"\n\n"
        out.write(data)
        written += len(data)
        if hash(text) not in seen:
            seen.add(hash(text))
            fresh += len(data)
        if written >= total:
            break
    assert out is not None
    out.close()
    return fresh


def ours(work: Path, processes: int) -> dict[str, Any]:
    """Prepare with polyseme."""
    from polyseme.data.prepare import prepare
    from polyseme.text.config import TextConfig
    from polyseme.text.tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(work / "tokenizer.json")
    store = work / "store"
    shutil.rmtree(store, ignore_errors=True)
    start = time.perf_counter()
    made = prepare([str(work / "text")], store, text=TextConfig(), tokenizer=tokenizer, workers=processes)
    seconds = time.perf_counter() - start
    names = sorted(path for path in store.rglob("*.bin"))
    same = hashlib.sha256(b"".join(path.read_bytes() for path in names)).hexdigest()[:16]
    return {"seconds": seconds, "tokens": made.train.n_tokens + made.valid.n_tokens, "store": same}


def datasets(work: Path, processes: int) -> dict[str, Any]:
    """Prepare with datasets and transformers."""
    import datasets
    from transformers import PreTrainedTokenizerFast

    datasets.disable_progress_bars()
    shutil.rmtree(work / "cache" / "text", ignore_errors=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(work / "tokenizer.json"))
    files = sorted(str(path) for path in (work / "text").iterdir())
    start = time.perf_counter()
    text = datasets.load_dataset(
        "text", data_files=files, split="train", sample_by="paragraph", cache_dir=str(work / "cache")
    )
    tokens = text.map(
        lambda batch: tokenizer(
            batch["text"], add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False
        ),
        batched=True,
        num_proc=processes,
        remove_columns=["text"],
    )
    seconds = time.perf_counter() - start
    lengths = (len(row) for batch in tokens.iter(1000) for row in batch["input_ids"])
    return {"seconds": seconds, "tokens": sum(lengths)}


def paragraphs(work: Path) -> Iterator[list[str]]:
    """The paragraphs of each file."""
    for path in sorted((work / "text").iterdir()):
        yield [text for text in path.read_text("utf-8").split("\n\n") if text]


def tokenizers(work: Path, processes: int) -> dict[str, Any]:
    """The ids alone, by the library that trained the tokenizer."""
    import tokenizers as library

    tokenizer = library.Tokenizer.from_file(str(work / "tokenizer.json"))
    start, n = time.perf_counter(), 0
    for texts in paragraphs(work):
        n += sum(len(e.ids) for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    return {"seconds": time.perf_counter() - start, "tokens": n}


def tokie(work: Path, processes: int) -> dict[str, Any]:
    """The ids alone, by tokie."""
    import tokenizers as library
    from tokie import Tokenizer

    tokenizer = Tokenizer.from_json(str(work / "tokenizer.json"))
    start, n = time.perf_counter(), 0
    for texts in paragraphs(work):
        n += sum(len(e.ids) for e in tokenizer.encode_batch(texts, add_special_tokens=False))
    seconds = time.perf_counter() - start
    exact = library.Tokenizer.from_file(str(work / "tokenizer.json"))
    some = next(paragraphs(work))[:2000]
    pairs = zip(
        tokenizer.encode_batch(some, add_special_tokens=False),
        exact.encode_batch_fast(some, add_special_tokens=False),
        strict=True,
    )
    wrong = sum(a.ids != b.ids for a, b in pairs)
    return {"seconds": seconds, "tokens": n, "wrong": f"{wrong} of {len(some)}"}


SIDES = {"ours": ours, "before": ours, "datasets": datasets, "tokenizers": tokenizers, "tokie": tokie}


def tree_bytes(process: psutil.Process) -> tuple[int, str]:
    """Memory of a process and its descendants: proportional set sizes where the system has them, else resident."""
    total, kind = 0, "PSS"
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            try:
                total += member.memory_full_info().pss
            except AttributeError:
                total, kind = total + member.memory_info().rss, "RSS"
    return total, kind


def measure(side: str, work: Path, processes: int, before: str | None) -> dict[str, Any]:
    """Run one side in a process of its own and watch its memory and processor time."""
    caches = {name: str(work / "cache") for name in ("HF_HOME", "HF_DATASETS_CACHE", "TMPDIR")}
    environment = os.environ | caches | {
        "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "true" if side == "tokenizers" and processes > 1 else "false",
        "RAYON_NUM_THREADS": str(processes if side in ("tokenizers", "tokie") else 1),
    }  # fmt: skip
    if side == "before":
        environment["PYTHONPATH"] = str(Path(before or "") / "src")
    (work / "cache").mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--side", side, str(work), str(processes)]
    child = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    peak, kind = 0, "PSS"
    process = psutil.Process(child.pid)
    while True:
        ended, code, used = os.wait4(child.pid, os.WNOHANG)  # with the processes that it waited for
        if ended:
            break
        with contextlib.suppress(psutil.Error):
            now, kind = tree_bytes(process)
            peak = max(peak, now)
        time.sleep(0.5)  # looking costs every side time
    child.returncode = os.waitstatus_to_exitcode(code)
    if child.returncode:
        raise SystemExit(f"{side} failed with exit code {child.returncode}")
    result = json.loads((work / f"{side}.json").read_text())
    return result | {"bytes": peak, "kind": kind, "cpu": used.ru_utime + used.ru_stime}


def main() -> None:
    """Make the text, run the sides in turn, and print a table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--language", choices=["en", "zh"], help="of the text; both where it is left out")
    parser.add_argument(
        "--distinct", action="store_true", help="no more text than there is without repetition"
    )
    parser.add_argument("--kind", default="wordpiece", help="of the tokenizer")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--sides", nargs="+", choices=SIDES, default=["ours", "datasets", "tokenizers", "tokie"]
    )
    parser.add_argument(
        "--rounds", type=int, default=1, help="the sides in turn so many times; medians are printed"
    )
    parser.add_argument("--before", metavar="CHECKOUT", help="of the version to compare with")
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "FOLDER", "N"), help="used by the bench itself")
    options = parser.parse_args()
    if options.side:
        side, folder, processes = options.side
        result = SIDES[side](Path(folder), int(processes))
        (Path(folder) / f"{side}.json").write_text(json.dumps(result))
        return

    from polyseme.text.config import TextConfig, TokenizerConfig
    from polyseme.text.corpus import Corpus
    from polyseme.text.training import train_tokenizer

    sides = [*options.sides, *(["before"] if options.before and "before" not in options.sides else [])]
    if "tokie" in sides and importlib.util.find_spec("tokie") is None:
        print("without tokie, the strongest peer: pip install polyseme[peers]")
        sides.remove("tokie")
    cases = []
    with tempfile.TemporaryDirectory(prefix="prepare-bench-") as name:
        work = Path(name)
        (work / "text").mkdir()
        languages = [options.language] if options.language else ["en", "zh"]
        fresh = make_text(work / "text", options.megabytes * 1_000_000, languages, options.distinct)
        total = sum(path.stat().st_size for path in (work / "text").iterdir())
        corpus = Corpus([str(work / "text")], TextConfig())
        config = TokenizerConfig.of({"kind": options.kind, "sample_bytes": 5_000_000}, "the bench")
        tokenizer = train_tokenizer(corpus.samples(config.sample_bytes, 0), config, total)
        tokenizer.save(work / "tokenizer.json")
        what = f"{total / 1e6:,.0f} MB of {' and '.join(languages)} ({fresh / 1e6:,.0f} MB of it different)"
        print(f"{what}, {options.kind}, {tokenizer.vocab_size:,} tokens in the vocabulary")
        for processes in options.processes:
            rows: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
            for number in range(options.rounds):
                for side in sides if number % 2 == 0 else reversed(sides):
                    rows[side].append(measure(side, work, processes, options.before))
            print(f"{processes} process{'es' * (processes > 1)}")
            print(f"{'side':<12}{'seconds':>9}{'MB/s':>8}{'MB/s a core':>13}{'peak MB':>9}{'tokens':>14}")
            medians = {}
            for side, runs in rows.items():
                names = ("seconds", "cpu", "bytes")
                seconds, cpu, peak = (statistics.median(run[key] for run in runs) for key in names)
                medians[side] = total / 1e6 / seconds, total / 1e6 / cpu, peak / 1e6
                last = runs[-1]
                rest = "".join(f"  {key} {last[key]}" for key in ("store", "wrong") if key in last)
                print(
                    f"{side:<12}{seconds:>9.1f}{total / 1e6 / seconds:>8.1f}{total / 1e6 / cpu:>13.2f}"
                    f"{peak / 1e6:>9.0f}{last['tokens']:>14,}{rest}",
                    flush=True,
                )
            for side in sides[1:]:
                for i, unit in ((0, "MB/s"), (1, "MB/s a core"), (2, "MB at most")):
                    mine, theirs = medians[sides[0]][i], medians[side][i]
                    ratio = theirs / mine if i == 2 else mine / theirs
                    case = f"{total / 1e6:.0f} MB, {processes} processes, {side}"
                    cases.append({"case": case, "ours": mine, "peer": theirs, "ratio": ratio, "unit": unit})
    print(json.dumps({"bench": "prepare_vs_datasets", "cases": cases}))


if __name__ == "__main__":
    main()
