"""Several seeds and one do not go on with each other; figures that some seed has not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from adapting import start_run, write_examples
from polyseme.cli import main
from polyseme.errors import RunError
from polyseme.report.run_summary import summarize, summary_text
from polyseme.train.request import FinetuneRequest
from polyseme.train.seeds import finetune_seeds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    start_run(folder / "START")
    write_examples(folder / "train", "classify", 16)
    return folder


def asked(folder: Path, output: Path, **changes: Any) -> FinetuneRequest:
    train = folder / "train.tsv"
    request: dict[str, Any] = {"task": "classify", "run": folder / "START", "train": train, "dev": train}
    return FinetuneRequest(**request, output=output, epochs=1, **changes)


def test_several_seeds_are_resumed_with_their_number(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    whole = finetune_seeds(asked(folder, output), 2)
    for seed in (1, 2):  # whichever was the best
        with pytest.raises(RunError, match="started with several seeds") as caught:
            finetune_seeds(asked(folder, output, seed=seed, resume=True))
        assert caught.value.expected == "seeds 1, 2"
        assert "--seeds 2 and --resume" in str(caught.value.fix)
    assert finetune_seeds(asked(folder, output, resume=True), 2).meta["seeds"] == whole.meta["seeds"]

    (output / "run.json").unlink()  # as if it had been stopped in its second seed
    shutil.rmtree(output / "seeds" / "2")
    train = str(folder / "train.tsv")
    words = ["finetune", "classify", str(folder / "START"), "--train", train, "--dev", train]
    words += ["--epochs", "1", "-o", str(output), "--resume"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "seeds 1, and those not begun yet" in said
    assert "--seeds N and --resume" in said
    assert main([*words, "--seeds", "2"]) == 0
    again = finetune_seeds(asked(folder, output, resume=True), 2)
    assert again.meta["seeds"] == whole.meta["seeds"]


def test_a_run_of_one_seed_is_not_overwritten_by_several(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    finetune_seeds(asked(folder, output))
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="started with one seed") as caught:
        finetune_seeds(asked(folder, output, resume=True), 2)
    assert "without --seeds" in str(caught.value.fix)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_figure_that_cannot_be_said_is_none(folder: Path, tmp_path: Path, seeds: int) -> None:
    rows = [f"the cat likes {n} dogs\t{n}.5" for n in range(6)]
    train = tmp_path / "numbers.tsv"
    train.write_text("\n".join(["text\tlabel", *rows]) + "\n", "utf-8")
    one = tmp_path / "one.tsv"  # of a single example there is no correlation
    one.write_text("text\tlabel\na day\t0.5\n", "utf-8")
    request = FinetuneRequest(
        task="classify", run=folder / "START", train=train, dev=one, output=tmp_path / "run", epochs=2
    )
    run = finetune_seeds(request, seeds)
    dev = run.meta["results"]["dev"]
    assert dev["spearman"] is dev["pearson"] is None
    assert dev["mean_squared_error"] > 0
    if seeds > 1:
        assert run.meta["seeds"]["dev"]["spearman"] == {"mean": None, "deviation": None, "values": [None] * 2}
        assert run.meta["seeds"]["dev"]["mean_absolute_error"]["mean"] > 0
    assert ["spearman", "—"] in [line.split()[:2] for line in summary_text(summarize(run)).split("\n")]
    assert "| spearman | — |" in (run.path / "README.md").read_text("utf-8")
