"""A small comparison of real runs: everything that a page of it can show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trained import WORDS, make_run

NAMES = ("bert", "gpt", "word2vec", "onehot")

TOML = """
seeds = [1, 2]
examples = 24
dev_examples = 12
test_examples = 20

[tasks."good <b>or</b> bad"]
task = "classify"
train = "mood.tsv"
dev = "mood.tsv"
test = "mood.tsv"
ways = ["frozen", "whole"]
max_length = 16
epochs = 1
settings = { "train.evaluations" = 1 }

[tasks.animals]
task = "tag"
language = "en"
train = "animals.conll"
test = "animals.conll"
epochs = 1
settings = { "train.evaluations" = 1 }

[probes.animals]
task = "ner"
train = "animals.conll"
dev = "animals.conll"
test = "animals.conll"
settings = { projection = 8, hidden = 8, epochs = 1, resamples = 40 }

[senses]
file = "uses.tsv"
folds = 3

[pairs]
files = ["pairs.tsv"]
"""


def write_files(folder: Path) -> Path:
    """Labelled files of a few lines and the TOML file that names them."""
    random = np.random.default_rng(0)

    def said(*words: str, length: int = 6) -> list[str]:
        chosen = [*random.choice(WORDS[:10], length - len(words)), *words]
        return [str(word) for word in random.permutation(chosen)]

    folder.mkdir(parents=True, exist_ok=True)
    moods = [f"{' '.join(said(mood))}\t{mood}" for mood in ("good", "bad") * 12]
    (folder / "mood.tsv").write_text("\n".join(["text\tlabel", *moods]), "utf-8")
    kinds = {"cat": "B-SMALL", "dog": "B-LARGE"}
    tagged = [[f"{w}\t{kinds.get(w, 'O')}" for w in said("cat", "dog")] for _ in range(24)]
    (folder / "animals.conll").write_text("\n\n".join("\n".join(one) for one in tagged) + "\n", "utf-8")
    uses = [f"{' '.join(said('river', other, length=7))}\triver\t{other}" for other in ("good", "bad") * 12]
    (folder / "uses.tsv").write_text("\n".join(["text\tword\tsense", *uses]), "utf-8")
    pairs = []
    for number in range(12):
        words = said("cat", "dog")
        kind = ("order", "double word")[number % 2]
        other = words[::-1] if kind == "order" else [*words, words[-1]]
        pairs.append(f"{' '.join(words)}\t{' '.join(other)}\t{kind}")
    (folder / "pairs.tsv").write_text("\n".join(["good\tbad\tphenomenon", *pairs]), "utf-8")
    file = folder / "compared.toml"
    file.write_text(TOML, "utf-8")
    return file


def make_runs(folder: Path) -> list[Path]:
    """A run of each of NAMES, with heads and losses, after two updates."""
    runs = []
    for name in NAMES:
        made = make_run(folder / f"{name} files", name)
        runs.append(made.rename(folder / name))
    return runs
