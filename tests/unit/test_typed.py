"""The watch over `try:` and `next:` lines finds what there is to type, and fails where it does not work."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme import cli
from polyseme.errors import ConfigError
from typed import Proposal, Watch, arguments_of, check, proposals


@pytest.mark.parametrize(
    ("hint", "verb", "found"),
    [
        ("check the form of the file", "finetune", []),
        (
            "--columns text=内容,label=标签",
            "finetune",
            [Proposal(("--columns", "text=内容,label=标签"), whole=False, instead=True)],
        ),
        (
            "--from english --to french",
            "generate",
            [Proposal(("--from", "english", "--to", "french"), whole=False)],
        ),
        (
            "polyseme neighbours RUN WORD, or polyseme embed RUN FILE -o OUT.npy",
            "score",
            [
                Proposal(("neighbours", "RUN", "WORD"), whole=True),
                Proposal(("embed", "RUN", "FILE", "-o", "OUT.npy"), whole=True),
            ],
        ),
        ("leave --end out, or score with gpt", "score", [Proposal(("--end",), whole=False, without=True)]),
        ("write it like --seed 3", "pretrain", [Proposal(("--seed", "3"), whole=False, instead=True)]),
        ("--resume goes on with it", "pretrain", [Proposal(("--resume",), whole=False)]),
        ('--choices "bad,good"', "score", [Proposal(("--choices", "bad,good"), whole=False)]),
    ],
)
def test_what_a_hint_holds(hint: str, verb: str, found: list[Proposal]) -> None:
    assert proposals(hint, verb) == found


@pytest.mark.parametrize(
    ("hint", "says"),
    [
        ("name it with --encodng", "no option --encodng"),
        ("polyseme fil RUN TEXT", "no verb 'fil'"),
        ("polyseme fill RUN --resume", "no option --resume"),
        ("pip install 'polyseme[nothing]'", "no extra nothing"),
    ],
)
def test_what_is_not_there_fails(hint: str, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check(hint)


def test_a_hint_that_does_not_help_fails(tmp_path: Path, watch_of_all: Watch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch_of_all, "typing", True)  # the watch over this very test looks away
        watch = Watch(tmp_path)
        watch.install(patch)
        arguments_of("pretrain")  # of the real one
        tried: list[int | None] = []

        def run(model: str, *corpus: str, steps: int = 1, threads: int = 1, seed: int | None = None) -> None:
            tried.append(seed)
            if seed is None:
                raise ConfigError("no seed", fix="--threads 2" if model == "bert" else "--seed 2")

        patch.setattr("polyseme.cli.pretrain.run", run)

        def refused(model: str) -> None:
            assert cli.main(["pretrain", model, "text", "--steps", "1"]) == 2
            watch.type_all()

        refused("gpt")
        assert tried == [None, 2]
        with pytest.raises(AssertionError, match="--threads 2"):
            refused("bert")
