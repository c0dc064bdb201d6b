"""What to type to make things again."""

from __future__ import annotations

from typing import Any

from polyseme.report.commands import finetune_command, pretrain_command, study_commands
from polyseme.train.recipe import resolve


def _meta(**settings: Any) -> dict[str, Any]:
    return {
        "asked": {"recipe": resolve("bert", None, settings).as_dict(), "seed": 3, "budget": "10 minutes"},
        "corpus": {"sources": ["my texts/", "b.txt"]},
    }


def test_the_command_that_makes_a_run_again(tmp_path: Any) -> None:
    command = pretrain_command(_meta(hidden_size=64, **{"train.learning_rate": 0.01}), tmp_path / "run")
    assert command == (
        f"polyseme pretrain bert 'my texts/' b.txt -o {tmp_path}/run --minutes 10 --seed 3 --set hidden_size=64 "
        "--set train.learning_rate=0.01"
    )
    alone = pretrain_command(_meta(objectives=["masked_lm"]), tmp_path)
    assert alone is not None
    assert alone.endswith("--set objectives=masked_lm")
    assert pretrain_command({"corpus": {}}, tmp_path) is None


def test_the_command_of_one_adaptation() -> None:
    spec = {
        "task": "classify",
        "train": "train.tsv",
        "dev": None,
        "epochs": {"frozen": 3},
        "max_length": 64,
        "columns": {"text": "1", "label": "2"},
        "settings": {
            "classify.class_weights": "balanced",
            "whole": {"classify.pool": "max"},
            "onehot": {"classify.ngrams": 2},
        },
    }
    task = {
        "way": "frozen-scratch",
        "spec": spec,
        "files": {"train": "a/train.tsv"},
        "examples": [500, 100, 200],
    }
    start = (
        "polyseme finetune classify runs/bert --train a/train.tsv --feature-based --from-scratch --epochs 3 "
        "--max-length 64 --examples 500 --columns text=1,label=2 --set classify.class_weights=balanced"
    )
    for model, own in (("bert", ""), ("onehot", " --set classify.ngrams=2")):
        run = {"path": "runs/bert", "model": model}
        assert finetune_command(task, run, 2, "out") == f"{start}{own} --seed 2 -o out"


def test_a_study_by_itself_asks_what_the_comparison_asked() -> None:
    spec = {"files": ["p.tsv"], "columns": {}, "scoring": "original", "limit": 9}
    found = {
        "bert": {"scoring": "original"},
        "gpt": {"scoring": None},
        "modernbert": {"scoring": "within-word"},
    }
    study = {"name": "pairs", "kind": "pairs", "spec": spec, "documents": found}
    document = {
        "settings": {"file": "in/a.toml", "seeds": [1]},
        "runs": {name: {"path": f"runs/{name}"} for name in found},
    }
    assert study_commands(study, document) == [
        "polyseme pairs runs/bert in/p.tsv --limit 9 --scoring original -o pairs-1",
        "polyseme pairs runs/gpt in/p.tsv --limit 9 -o pairs-2",
        "polyseme pairs runs/modernbert in/p.tsv --limit 9 -o pairs-3",
    ]
