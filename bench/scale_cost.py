"""What a text costs by its size: megabytes a second of a core, bytes a token, and the memory and seconds to begin.

    python bench/scale_cost.py                      # to 1e11 tokens to read, to 1e7 to prepare; some minutes
    python bench/scale_cost.py --prepare 1e8        # text of 450 MB is written and prepared, too
    python bench/scale_cost.py --near 1e5 1e6       # only: near-duplicates among so many documents of 60 words

Stores of up to 1e11 tokens are one shard of sixteen million random tokens under many names, which is all that opening
and the row plan can tell. Every measurement is of a fresh process: seconds after its imports to the first row of the
middle of the fourth epoch, and by how much its peak memory grew. The peer is the plan of a store in one piece, which
holds every example of the text.

Of the sizes from 2e8 on, where both windows of the plan are full, a line a + b·n is fitted; its values at larger sizes
up to 1e12 are printed with 95 % intervals.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY, SHARD = 8_000, 1 << 24
DOCUMENT, SENTENCE = 400, 20
SIZES = (10**6, 10**7, 10**8, 2 * 10**8, 10**9, 10**10, 10**11)
LENGTH = 128


def peak() -> int:
    """The peak memory of this process in bytes; that of getrusage is the parent's, where it was larger."""
    line = next(
        line for line in Path("/proc/self/status").read_text().split("\n") if line.startswith("VmHWM")
    )
    return 1024 * int(line.split()[1])


def write_shard(folder: Path, tokens: int) -> None:
    """A shard of random tokens in documents of some 400."""
    from polyseme.data.making import _rows, counts_of
    from polyseme.data.store import StoreWriter, write_shard

    random = np.random.default_rng(0)
    splits = {}
    for split, size in (("train", tokens), ("valid", tokens // 100)):
        with StoreWriter(folder / split, VOCABULARY) as writer:
            while writer.n_tokens < size:
                sentences = random.geometric(SENTENCE / DOCUMENT, 2000)
                n = int(sentences.sum()) * SENTENCE
                ids = random.integers(5, VOCABULARY, n)
                writer.add_documents(
                    ids, (ids % 3 > 0).astype(np.uint8), np.full(n // SENTENCE, SENTENCE), sentences
                )
        splits[split] = counts_of(writer, 0, 1)
    write_shard(folder, {"fingerprint": "0" * 40, "splits": splits, "rows": _rows(folder)})


def make_store(folder: Path, shard: Path, tokens: int) -> None:
    """A store that is one shard under many names."""
    from polyseme.core.files import sha256_of
    from polyseme.data.store import SHARD as NAME
    from polyseme.data.store import SPLITS, write_meta

    (folder / "shards").mkdir(parents=True)
    (folder / "counts").mkdir()
    (folder / "tokenizer.json").write_text("{}")
    meta = json.loads((shard / NAME).read_bytes())
    for split in SPLITS:
        (folder / "counts" / f"{split}.bin").write_bytes((shard / split / "counts.bin").read_bytes())
    entry = {
        "sha256": sha256_of(shard / NAME),
        **{key: meta[key] for key in ("fingerprint", "splits", "rows")},
    }
    names = [f"{number:05d}" for number in range(max(1, round(tokens / meta["splits"]["train"]["tokens"])))]
    for name in names:
        (folder / "shards" / name).symlink_to(shard)
    write_meta(folder, {"fingerprint": "0" * 40, "shards": [{"name": name, **entry} for name in names]})


def begin(folder: str, whole: bool) -> None:
    """Open a store and find a row far within; print seconds, and by how many bytes the peak memory grew."""
    from polyseme.core.rng import Random
    from polyseme.data.examples import DocumentChunks, SpecialTokens
    from polyseme.data.packing import RowPlan
    from polyseme.data.store import PreparedCorpus, TokenStore
    from polyseme.data.windows import WINDOW, ShardedRows

    none = SpecialTokens(0, 0, 0, 0, np.zeros(0, np.bool_))
    before, start = peak(), time.perf_counter()
    if whole:
        store = TokenStore.open(Path(folder))
        source = DocumentChunks(store, LENGTH, none)
        plan = RowPlan(source.lengths, LENGTH, Random(0, "order"))
        plan.row(int(3.5 * plan.n_rows))
    else:
        train: Any = PreparedCorpus.open(Path(folder)).train
        rows = ShardedRows(
            train, lambda part: DocumentChunks(part, LENGTH, none), LENGTH, LENGTH, Random(0, "order")
        )
        first = int(3.5 * rows.n_rows)
        rows.row(first)
    seconds = time.perf_counter() - start
    if not whole:  # on through the next window, which is opened in the background
        for place in range(first, first + 2 * WINDOW // LENGTH, 500):
            rows.row(place)
    print(json.dumps({"seconds": seconds, "bytes": peak() - before}))


def prepared(corpus: str, folder: str) -> None:
    """Prepare a text in this process; print processor seconds, the peak memory, and what was made."""
    from polyseme.data.engines import engine_named
    from polyseme.data.prepare import prepare
    from polyseme.data.sharding import Sharding
    from polyseme.text.config import TextConfig, TokenizerConfig

    store = prepare(
        corpus,
        folder,
        text=TextConfig(documents="blank"),
        tokenizer=TokenizerConfig(vocab_size=VOCABULARY, sample_bytes=5_000_000),
        sharding=Sharding(engine_named("local", 1), 1 << 24),
    )
    tokens = store.train.n_tokens + store.valid.n_tokens
    size = sum(path.stat().st_size for path in Path(folder).rglob("*.bin"))
    spent = time.process_time()
    print(json.dumps({"seconds": spent, "bytes": peak(), "tokens": tokens, "size": size}))


def write_text(path: Path, tokens: int) -> int:
    """Made-up words in documents, about so many tokens; its bytes."""
    random = np.random.default_rng(1)
    words = np.array(
        ["".join(map(chr, random.integers(97, 123, random.integers(2, 9)))) for _ in range(30_000)]
    )
    block = []
    for _ in range(1000):
        ranks = np.minimum(random.zipf(1.3, random.integers(50, 600)), len(words)) - 1
        block.append(" ".join(words[ranks]) + ".")
    text = "\n\n".join(block) + "\n\n"
    with path.open("w") as file:
        while file.tell() < 4.5 * tokens:
            file.write(text)
    return path.stat().st_size


def near_duplicates(folder: str, documents: int, most: int = 20_000) -> None:
    """Make the sketches of made-up documents, find those that nearly repeat an earlier one, and print what it took.

    A fifth of the documents is an earlier one with another last word.
    """
    from polyseme.data.making import SketchFiles
    from polyseme.text.near import near_duplicates

    random, sketching = np.random.default_rng(0), 0.0
    words = np.array([f"w{n:x}" for n in range(30_000)])
    pieces = []
    for first in range(0, documents, most):
        n = min(most, documents - first)
        texts = words[random.integers(0, len(words), (n, 60))]
        again = np.flatnonzero(random.random(n) < 0.2)
        again = again[again > n // 20]
        texts[again] = texts[random.integers(0, n // 20, len(again))]
        texts[again, 59] = words[random.integers(0, len(words), len(again))]
        joined = [" ".join(text) for text in texts]
        start = time.process_time()
        pieces.append(SketchFiles(Path(folder) / f"{len(pieces):05d}.bin"))
        pieces[-1].write(joined)
        sketching += time.process_time() - start
    start = time.process_time()
    found = sum(len(places) for _, places in near_duplicates(pieces))
    spent = time.process_time() - start
    print(json.dumps({"sketching": sketching, "seconds": spent, "found": found, "bytes": peak()}))


def fresh(function: str, *arguments: object) -> dict[str, float]:
    """What a function of this file prints in a process of its own."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import scale_cost; "
    code += f"scale_cost.{function}(*{arguments!r})"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    answer: dict[str, float] = json.loads(done.stdout.strip().split("\n")[-1])
    return answer


def extrapolated(sizes: list[float], values: list[float], n: float) -> tuple[float, float]:
    """The value at n of a line through the points, and half of its 95 % interval (NaN of two points)."""
    from scipy.stats import t

    x, y = np.array(sizes) / max(sizes), np.array(values)
    n /= max(sizes)
    design = np.stack([np.ones_like(x), x], 1)
    fit, *_ = np.linalg.lstsq(design, y, rcond=None)
    left = len(x) - 2
    if left < 1:
        return float(fit @ [1, n]), float("nan")
    variance = float(((y - design @ fit) ** 2).sum()) / left
    where = np.array([1, n])
    spread = float(where @ np.linalg.inv(design.T @ design) @ where) * variance
    return float(fit @ [1, n]), float(t.ppf(0.975, left)) * spread**0.5


def main() -> None:
    """Measure, fit, and print the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=float, default=1e11, help="tokens of the largest store that is read")
    parser.add_argument(
        "--prepare", type=float, default=1e7, help="tokens of the largest text that is prepared"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--near", type=float, nargs="+", help="documents; nothing else is measured")
    options = parser.parse_args()
    cases: list[dict[str, object]] = []
    if options.near:
        print(
            f"{'documents':>10}{'sketches: µs each':>19}{'merging: µs each':>18}{'dropped':>9}{'peak MiB':>10}"
        )
        for size in map(int, options.near):
            with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
                took = fresh("near_duplicates", name, size)
            each = [took[part] / size * 1e6 for part in ("sketching", "seconds")]
            memory = took["bytes"] / 2**20
            print(
                f"{size:>10,}{each[0]:>19.0f}{each[1]:>18.0f}{took['found']:>9,.0f}{memory:>10.0f}",
                flush=True,
            )
            cases.append({"case": f"near {size:g} documents", "ours": sum(each), "unit": "µs", "MiB": memory})
        print(json.dumps({"bench": "scale_cost", "cases": cases}))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        print(f"{'preparing, tokens':>18}{'MB/s of a core':>16}{'bytes a token':>15}{'peak MiB':>10}")
        for size in [n for n in SIZES if n <= options.prepare]:
            text = folder / f"{size}.txt"
            n_bytes = write_text(text, size)
            made = fresh("prepared", str(text), str(folder / f"made{size}"))
            text.unlink()
            speed, each = n_bytes / made["seconds"] / 1e6, made["size"] / made["tokens"]
            print(
                f"{made['tokens']:>18,}{speed:>16.2f}{each:>15.2f}{made['bytes'] / 2**20:>10.0f}", flush=True
            )
            cases.append(
                {"case": f"prepare {size:g} tokens", "ours": speed, "unit": "MB/s", "peak": made["bytes"]}
            )
        shards = {}
        for size in {min(n, SHARD) for n in SIZES}:
            shards[size] = folder / f"shard{size}"
            write_shard(shards[size], size)
        sizes: list[float] = []
        seconds: list[float] = []
        grown: list[float] = []
        print(f"{'reading, tokens':>18}{'seconds':>9}{'MiB':>7}{'in one piece: s':>17}{'MiB':>7}")
        for size in [n for n in SIZES if n <= options.most]:
            store = folder / f"store{size}"
            make_store(store, shards[min(size, SHARD)], size)
            for _ in range(options.repeats):
                found = fresh("begin", str(store), False)
                sizes.append(size)
                seconds.append(found["seconds"])
                grown.append(found["bytes"] / 2**20)
            ours = (
                float(np.median(seconds[-options.repeats :])),
                float(np.median(grown[-options.repeats :])),
            )
            line = f"{size:>18,}{ours[0]:>9.2f}{ours[1]:>7.0f}"
            case: dict[str, object] = {
                "case": f"begin {size:g} tokens",
                "ours": ours[0],
                "unit": "s",
                "MiB": ours[1],
            }
            if size <= SHARD:
                peer = fresh("begin", str(shards[size] / "train"), True)
                line += f"{peer['seconds']:>17.2f}{peer['bytes'] / 2**20:>7.0f}"
                case |= {"peer": peer["seconds"], "ratio": peer["seconds"] / ours[0]}
            print(line, flush=True)
            cases.append(case)
        large = [k for k, n in enumerate(sizes) if n >= 2e8]
        if len({sizes[k] for k in large}) > 1:
            print(f"{'a + b·n at':>18}{'seconds':>20}{'MiB':>20}")
            for n in [n for n in (1e10, 1e11, 1e12) if n > options.most]:
                values = [
                    extrapolated([sizes[k] for k in large], [of[k] for k in large], n)
                    for of in (seconds, grown)
                ]
                print(f"{n:>18g}" + "".join(f"{value:>11.1f} ± {half:<6.1f}" for value, half in values))
                cases.append({"case": f"begin {n:g} tokens, extrapolated", "ours": values[0][0], "unit": "s"})
    print(json.dumps({"bench": "scale_cost", "cases": cases}))


if __name__ == "__main__":
    main()
