"""Preparing a corpus: polyseme against datasets.map, with the same text and the same tokenizer.

Both start from plain UTF-8 text files and end with token ids on disk, using two processes. The time leaves out
imports and the training of the tokenizer; the memory is the peak of the whole process tree.

    peer   load_dataset("text", sample_by="paragraph"), map(batched, num_proc=2) with PreTrainedTokenizerFast; ids alone
    ours   prepare(); besides the ids: cleaning with a report, sentence and document boundaries, word starts (Chinese
           ones from a segmenter), a held-out split by hash, unigram counts, a fingerprint

The text is English and Chinese from ../shared/data where that is present, else python-docs, repeated up to the size
asked for. Repetition helps ours: it looks each distinct word up instead of tokenizing it again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
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
PROCESSES = 2
FILE_BYTES = 8_000_000


def source_documents() -> Iterator[str]:
    """Documents of the corpora, over and over."""
    from polyseme.text.clean import CleaningReport
    from polyseme.text.config import TextConfig
    from polyseme.text.corpus import Corpus

    folders = [SHARED / "en", SHARED / "zh"]
    sources = [str(folder) for folder in folders if folder.is_dir()] or ["python-docs"]
    corpus = Corpus(sources, TextConfig())
    for _ in count():
        for document in corpus.documents(CleaningReport()):
            yield document.text


def make_text(folder: Path, total: int) -> int:
    """Write `total` bytes of text as files of 8 MB; the bytes that are not repetition are returned."""
    seen: set[int] = set()
    written = fresh = 0
    files = count()
    out = None
    for text in source_documents():
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
            out.close()
            return fresh
    raise AssertionError("the documents never end")


def ours(work: Path) -> dict[str, Any]:
    """Prepare with polyseme."""
    from polyseme.data.prepare import prepare
    from polyseme.text.config import TextConfig
    from polyseme.text.tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(work / "tokenizer.json")
    start = time.perf_counter()
    store = prepare(
        [str(work / "text")], work / "store", text=TextConfig(), tokenizer=tokenizer, workers=PROCESSES
    )
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "tokens": store.train.n_tokens + store.valid.n_tokens}


def peer(work: Path) -> dict[str, Any]:
    """Prepare with datasets and transformers."""
    import datasets
    from transformers import PreTrainedTokenizerFast

    datasets.disable_progress_bars()
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
        num_proc=PROCESSES,
        remove_columns=["text"],
    )
    seconds = time.perf_counter() - start
    lengths = (len(row) for batch in tokens.iter(1000) for row in batch["input_ids"])
    return {"seconds": seconds, "tokens": sum(lengths)}


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


def measure(side: str, work: Path) -> dict[str, Any]:
    """Run one side in a process of its own and watch its memory."""
    caches = {name: str(work / "cache") for name in ("HF_HOME", "HF_DATASETS_CACHE", "TMPDIR")}
    environment = os.environ | caches | {
        "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    (work / "cache").mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--side", side, str(work)]
    child = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    peak, kind = 0, "PSS"
    process = psutil.Process(child.pid)
    while child.poll() is None:
        with contextlib.suppress(psutil.Error):
            now, kind = tree_bytes(process)
            peak = max(peak, now)
        time.sleep(0.5)  # looking costs both sides time
    if child.returncode:
        raise SystemExit(f"{side} failed with exit code {child.returncode}")
    return json.loads((work / f"{side}.json").read_text()) | {"bytes": peak, "kind": kind}


def main() -> None:
    """Make the text, run both sides in turn, and print a table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "FOLDER"), help="used by the bench itself")
    options = parser.parse_args()
    if options.side:
        side, folder = options.side
        result = {"ours": ours, "peer": peer}[side](Path(folder))
        (Path(folder) / f"{side}.json").write_text(json.dumps(result))
        return

    from polyseme.text.config import TextConfig, TokenizerConfig
    from polyseme.text.corpus import Corpus
    from polyseme.text.training import train_tokenizer

    with tempfile.TemporaryDirectory(prefix="prepare-bench-") as name:
        work = Path(name)
        (work / "text").mkdir()
        fresh = make_text(work / "text", options.megabytes * 1_000_000)
        total = sum(path.stat().st_size for path in (work / "text").iterdir())
        corpus = Corpus([str(work / "text")], TextConfig())
        config = TokenizerConfig(sample_bytes=5_000_000)
        tokenizer = train_tokenizer(corpus.samples(config.sample_bytes, 0), config, total)
        tokenizer.save(work / "tokenizer.json")
        print(
            f"{total / 1e6:,.0f} MB of text ({fresh / 1e6:,.0f} MB of it different), "
            f"{tokenizer.vocab_size:,} tokens in the vocabulary, {PROCESSES} processes"
        )
        print(f"{'side':<6}{'seconds':>9}{'MB/s':>8}{'peak MB':>9}{'tokens':>14}")
        rows = {}
        for side in ("ours", "peer"):
            row = rows[side] = measure(side, work)
            print(
                f"{side:<6}{row['seconds']:>9.1f}{total / 1e6 / row['seconds']:>8.1f}{row['bytes'] / 1e6:>9.0f}"
                f"{row['tokens']:>14,}",
                flush=True,
            )
    mine, theirs = rows["ours"], rows["peer"]
    speed = [total / 1e6 / row["seconds"] for row in (mine, theirs)]
    memory = [row["bytes"] / 1e6 for row in (mine, theirs)]
    cases = [
        {"case": f"{options.megabytes} MB", "ours": speed[0], "peer": speed[1], "ratio": speed[0] / speed[1],
         "unit": "MB/s"},
        {"case": f"{options.megabytes} MB, peak memory of the process tree ({mine['kind']})", "ours": memory[0],
         "peer": memory[1], "ratio": memory[1] / memory[0], "unit": "MB"},
    ]  # fmt: skip
    print(json.dumps({"bench": "prepare_vs_datasets", "cases": cases}))


if __name__ == "__main__":
    main()
