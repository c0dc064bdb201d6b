"""The strong form of 1-of-N beside scikit-learn's TF-IDF and logistic regression: SST-2 and ChnSentiCorp.

    python bench/onehot_vs_tfidf.py              accuracy on test and seconds
    python bench/onehot_vs_tfidf.py --dev        accuracy on dev, to choose settings; nothing of test is read

Ours is `polyseme finetune classify RUN --set classify.ngrams=2` on a run of onehot that knows the words of the
training texts. The peers, with as many trials of C on dev as ours has penalties: TfidfVectorizer of one and two words
under liblinear, which is what most people use; and the strongest that scikit-learn has without writing more, the same
beside TF-IDF of one to five characters. Words of Chinese are rjieba's on both sides. Each run is a process of its own,
in turn, and the seconds are those of the whole process, from its start to its end: reading, learning, choosing on dev,
and of ours saving, too. Peers print test accuracy themselves; ours is then judged by another process, outside the
clock. The ratio is that of the accuracies to the best peer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from polyseme import Budget, PretrainRequest, pretrain
from polyseme.tasks.classify import PENALTIES

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "tasks"
PEERS = ("words", "words and characters")
C = [2 / penalty for penalty in PENALTIES]
ROUNDS = 3


class Case(NamedTuple):
    """A task: its folder, columns, and how many training examples are used.

    Args:
        chinese: the texts are Chinese.
    """

    title: str
    folder: str
    columns: dict[str, str]
    chinese: bool = False
    examples: int | None = None


SST2 = {"text": "1", "label": "2"}
CHN = {"text": "text_a", "label": "label"}
CASES = [
    Case("SST-2", "sst2", SST2),
    Case("ChnSentiCorp", "chnsenticorp", CHN, True),
    Case("ChnSentiCorp, 2,000", "chnsenticorp", CHN, True, 2000),
]


def read(case: Case, part: str) -> tuple[list[str], list[str]]:
    """Texts and labels of a part; of the training part the examples that `--examples` takes."""
    from polyseme.tasks.classify import ENTRY
    from polyseme.text.labelled.records import Problems
    from polyseme.train.examples import subset_of

    path = DATA / case.folder / f"{part}.tsv"
    records = list(ENTRY.build.read(path, ENTRY.config(), case.columns, Problems()))
    if part == "train":
        records = subset_of(records, case.examples)
    return [record.text for record in records], [str(record.label) for record in records]


def peer(case: Case, kind: str, part: str) -> float:
    """Accuracy of a peer, whose C is the best on dev."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_union

    words: dict[str, Any] = {"ngram_range": (1, 2), "sublinear_tf": True}
    if case.chinese:
        import rjieba

        words |= {"tokenizer": rjieba.cut, "token_pattern": None}
    else:
        words |= {"token_pattern": r"\S+"}
    features = [TfidfVectorizer(**words)]
    if kind != PEERS[0]:
        features.append(TfidfVectorizer(analyzer="char", ngram_range=(1, 5), sublinear_tf=True))
    features = make_union(*features)
    (texts, labels), (dev, dev_labels) = read(case, "train"), read(case, "dev")
    x, x_dev = features.fit_transform(texts), features.transform(dev)
    models = [LogisticRegression(C=c, solver="liblinear").fit(x, labels) for c in C]
    best = max(models, key=lambda model: model.score(x_dev, dev_labels))
    judged, gold = read(case, part)
    return float(best.score(features.transform(judged), gold))


def timed(arguments: list[str], threads: int) -> tuple[float, float, str]:
    """Seconds and processor seconds of a process, and what it printed."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, env=environment)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used, done.stdout


def ours(case: Case, run: Path, output: Path, threads: int, part: str) -> tuple[float, float, float]:
    """Accuracy, seconds, processor seconds."""
    polyseme = [sys.executable, "-m", "polyseme"]
    files = [DATA / case.folder / f"{name}.tsv" for name in ("train", "dev", part)]
    columns = [f"--columns={name}={theirs}" for name, theirs in case.columns.items()]
    learn = [*polyseme, "finetune", "classify", str(run), "--train", str(files[0]), "--dev", str(files[1])]
    learn += [*columns, "-o", str(output), "--set", "classify.ngrams=2", "--threads", str(threads)]
    learn += ["--examples", str(case.examples)] if case.examples else []
    seconds, used, _ = timed(learn, threads)
    _, _, said = timed([*polyseme, "evaluate", str(output), str(files[2]), *columns, "--json"], threads)
    return json.loads(said)["accuracy"]["value"], seconds, used


def onehot(case: Case, folder: Path) -> Path:
    """A run of onehot on the training texts, without their labels."""
    texts = folder / "texts.txt"
    texts.write_text("\n".join(read(case, "train")[0]), "utf-8")
    settings = {"text.sentences": "line"}
    request = PretrainRequest(
        model="onehot", corpus=[str(texts)], output=folder / "run", budget=Budget(epochs=1), settings=settings
    )
    return pretrain(request).path


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    part = "dev" if asked.dev else "test"
    if not DATA.is_dir():
        raise SystemExit(f"the bench needs the tasks in {DATA}")
    if asked.peer:
        title, kind = asked.peer
        print(peer(next(case for case in CASES if case.title == title), kind, part))
        return
    found: list[dict[str, Any]] = []
    print(f"{'task':<20} {'who':<22} threads  accuracy on {part}  seconds  of processor")
    for case in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            run = onehot(case, folder)
            for threads in asked.threads:
                rows: dict[str, list[tuple[float, float, float]]] = {}
                for turn in range(asked.rounds):
                    output = folder / f"adapted-{threads}-{turn}"
                    rows.setdefault("ours", []).append(ours(case, run, output, threads, part))
                    for kind in PEERS:
                        arguments = [sys.executable, __file__, "--peer", case.title, kind]
                        seconds, used, said = timed(arguments + ["--dev"] * asked.dev, threads)
                        rows.setdefault(kind, []).append((float(said), seconds, used))
                for who, runs in rows.items():
                    accuracy, seconds, used = (
                        statistics.median(column) for column in zip(*runs, strict=True)
                    )
                    print(
                        f"{case.title:<20} {who:<22} {threads:7}  {100 * accuracy:16.2f}  {seconds:7.1f}  {used:12.1f}",
                        flush=True,
                    )
                best = max(rows[kind][0][0] for kind in PEERS)
                found.append(
                    {
                        "case": f"{case.title}, {threads} thread(s)",
                        "ours": rows["ours"][0][0],
                        "peer": best,
                        "ratio": round(rows["ours"][0][0] / best, 4),
                        "unit": "accuracy",
                        "seconds": statistics.median(r[1] for r in rows["ours"]),
                    }
                )
    print(json.dumps({"bench": "onehot_vs_tfidf", "cases": found}))


if __name__ == "__main__":
    main()
