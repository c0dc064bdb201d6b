"""`polyseme compare -o TABLE.md`: every cell is one fine-tune and its evaluation; done once."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyseme
from adapting import adapt, start_run, write_examples
from polyseme.cli import main
from polyseme.errors import Interrupted
from polyseme.study import grid as module
from polyseme.study.compare import open_comparison
from polyseme.study.grid import Cell, Grid
from polyseme.study.standings import above

GRID = """
seeds = [1, 2]
examples = 24
test_examples = 16

[rows.bert]
runs = { en = "runs/bert" }
ways = ["frozen", "whole", "whole-scratch"]
settings = { all = { "train.warmup" = 0.0 }, whole = { "train.learning_rate" = 0.01 } }

[rows.counts]
runs = { en = "runs/onehot" }

[tasks.moods]
task = "classify"
train = "train.tsv"
dev = "train.tsv"
test = "test.tsv"
epochs = { frozen = 3, whole = 2 }
settings = { "train.evaluations" = 1, whole = { "classify.dropout" = 0.0, "classify.pool" = "max" } }

[[claims]]
text = "whole over frozen"
first = ["bert/whole"]
second = ["bert/frozen", "counts/frozen"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs, files, a grid, and its table."""
    folder = tmp_path_factory.mktemp("table")
    start_run(folder / "runs" / "bert")
    start_run(folder / "runs" / "onehot", "onehot")
    write_examples(folder / "train", "classify", 40)
    write_examples(folder / "test", "classify", 30, seed=1)
    (folder / "grid.toml").write_text(GRID, "utf-8")
    assert table(folder) == 0
    return folder


def open_grid(file: Path, cells: Path) -> Grid:
    return open_comparison([], file, cells).grid


def table(folder: Path, *more: str) -> int:
    return main(["compare", "--tasks", str(folder / "grid.toml"), "-o", str(folder / "table.md"), *more])


def cells(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in sorted((folder / "table.md.cells").glob("*.json"))
    }


def cell_pool(found: dict[str, dict[str, Any]], name: str) -> str:
    return str(found[name]["config"]["pool"])


def test_every_cell_is_a_fine_tune_and_its_evaluation(folder: Path, tmp_path: Path) -> None:
    found = cells(folder)
    ways = [("bert", way) for way in ("frozen", "whole", "whole-scratch")] + [("counts", "frozen")]
    assert set(found) == {f"moods.{row}.{way}.{seed}" for row, way in ways for seed in (1, 2)}
    assert not (folder / "table.md.cells" / "work").exists() or not list(
        (folder / "table.md.cells" / "work").iterdir()
    )
    run = adapt(
        "classify", folder / "runs" / "bert", folder / "train.tsv", tmp_path / "run",
        from_scratch=True, epochs=2, batch_size=32, learning_rate=0.01, examples=24, dev_examples=1000, seed=2,
        settings={"classify.pool": "max"},
    )  # fmt: skip
    assert cell_pool(found, "moods.bert.whole.1") == "max"
    assert cell_pool(found, "moods.bert.frozen.1") == cell_pool(found, "moods.counts.frozen.1") == "mean"
    cell = found["moods.bert.whole-scratch.2"]
    assert cell["dev"] == run.meta["results"]["dev"]
    assert cell["examples"] == 24
    assert len(cell["predictions"]) == 16
    grid = open_grid(folder / "grid.toml", folder / "table.md.cells")
    lines = ["text\tlabel", *(f"{r.text}\t{r.label}" for r in grid.records("moods"))]
    (tmp_path / "test.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    figures = polyseme.evaluate(run.path, tmp_path / "test.tsv").figures
    measure = grid.measure(Cell(2, "moods", "bert", "whole-scratch"))
    assert measure is not None
    assert measure.value == figures["accuracy"]["value"]


def test_the_table_says_what_the_cells_say(folder: Path) -> None:
    text = (folder / "table.md").read_text("utf-8")
    grid = open_grid(folder / "grid.toml", folder / "table.md.cells")
    means = {}
    for row, way in (("bert", "frozen"), ("bert", "whole"), ("bert", "whole-scratch"), ("counts", "frozen")):
        measures = [grid.measure(Cell(seed, "moods", row, way)) for seed in (1, 2)]  # type: ignore[arg-type]
        means[row, way] = 100 * float(np.mean([m.value for m in measures if m is not None]))
    assert text.startswith("8 of 8 cells are done")
    assert "moods<br>accuracy" in text
    shown = re.findall(r"\| (bert|counts) \| (\d+\.\d)<br>(\d+\.\d)–(\d+\.\d) \|", text)
    expected = [means["bert", "frozen"], means["counts", "frozen"], means["bert", "whole"]]
    expected.append(means["bert", "whole-scratch"])
    assert [float(value) for _, value, _, _ in shown] == pytest.approx(expected, abs=0.051)
    assert all(float(low) <= float(value) <= float(high) for _, value, low, high in shown)
    worth = re.search(r"\| bert, trained as a whole \| ([+-]\d+\.\d)", text)
    assert worth is not None
    assert float(worth[1]) == pytest.approx(
        means["bert", "whole"] - means["bert", "whole-scratch"], abs=0.051
    )
    assert re.search(r"\| whole over frozen \| .* \| yes \d, no \d, open \d \|", text)
    mixed = grid.result(Cell(1, "moods", "bert", "frozen")), grid.measure(Cell(1, "moods", "bert", "frozen"))
    assert mixed[0] is not None
    assert mixed[1] is not None
    assert mixed[0]["mix"]["weights"]
    knows = above(mixed[1].value, grid.chance(Cell(1, "moods", "bert", "frozen")), mixed[1].name)
    assert ("## Layer mixes" in text) == knows  # the mix of a head that learned nothing is luck


def test_cells_that_the_old_verb_table_wrote_are_read(folder: Path, tmp_path: Path) -> None:
    """`polyseme table` became `compare -o X.md`; the form of its cells is written out here."""
    now = cells(folder)["moods.counts.frozen.1"]
    cell = {
        "cell": "moods.counts.frozen.1",
        "asked": {
            "run": now["asked"]["run"],
            "files": now["asked"]["files"],
            "task": ["classify", {}, {"train.evaluations": 1}, None, 3.0],
            "way": "frozen",
            "examples": [24, 1000, 16],
        },
        "dev": {"accuracy": 0.5},
        "mix": None,
        "steps": 2,
        "seconds": 3600.0,
        "parameters": 100,
        "trained_parameters": 10,
        "examples": 24,
        "config": now["config"],
        "predictions": [{"label": "good"}] * 16,
    }
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "moods.counts.frozen.1.json").write_text(json.dumps(cell, indent=2), "utf-8")
    output = ["-o", str(tmp_path / "table.md"), "--cells", str(tmp_path / "cells"), "--only-write"]
    assert main(["compare", "--tasks", str(folder / "grid.toml"), *output]) == 0
    text = (tmp_path / "table.md").read_text("utf-8")
    assert text.startswith("1 of 8 cells are done")
    assert "1.0 hours of training" in text


def test_a_claim_about_the_best_names_it_and_may_be_about_its_own_random_start(folder: Path) -> None:
    twin = """
[rows.twin]
runs = { en = "runs/bert" }
ways = ["whole"]
settings = { all = { "train.warmup" = 0.0 }, whole = { "train.learning_rate" = 0.01 } }
scratch = "bert"

[tasks.moods]"""
    claims = """
[[claims]]
text = "twin over its random start"
first = ["twin/whole"]
second = ["scratch"]

[[claims]]
text = "best over its random start"
first = ["bert/whole", "twin/whole"]
second = ["scratch"]

[[claims]]
text = "best over static"
first = ["bert/frozen", "bert/whole"]
second = ["counts/frozen"]
"""
    file, kept = folder / "twin.toml", folder / "twin.cells"
    file.write_text(GRID.replace("\n[tasks.moods]", twin) + claims, "utf-8")
    shutil.copytree(folder / "table.md.cells", kept)
    for seed in (1, 2):  # the same run with the same settings: what was done for one row holds for the other
        shutil.copy(kept / f"moods.bert.whole.{seed}.json", kept / f"moods.twin.whole.{seed}.json")
    output = folder / "twin.md"
    assert (
        main(["compare", "--tasks", str(file), "-o", str(output), "--cells", str(kept), "--only-write"]) == 0
    )
    text = output.read_text("utf-8")
    assert text.startswith("10 of 10 cells are done")
    figures = dict(re.findall(r"^\| ([^|]+) \| ([+-]\S+) \|", text, re.MULTILINE))
    worth = figures["bert, trained as a whole"]
    assert figures["twin, trained as a whole"] == figures["twin over its random start"] == worth
    assert figures["best over its random start"] == f"{worth}<br>bert/whole"  # of equal ones the first
    dev = {
        way: np.mean(
            [next(iter(cells(folder)[f"moods.bert.{way}.{seed}"]["dev"].values())) for seed in (1, 2)]
        )
        for way in ("frozen", "whole")
    }
    assert figures["best over static"].endswith(f"<br>bert/{max(dev, key=lambda way: dev[way])}")


def test_what_is_done_is_not_done_again_unless_it_is_asked_otherwise(folder: Path) -> None:
    kept = folder / "table.md.cells"
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    text = (folder / "table.md").read_text("utf-8")
    assert table(folder) == 0
    assert {path: path.stat().st_mtime_ns for path in kept.glob("*.json")} == before
    assert (folder / "table.md").read_text("utf-8") == text
    other = folder / "other.toml"
    other.write_text(GRID.replace("whole = 2", "whole = 1"), "utf-8")
    grid = open_grid(other, kept)
    assert {cell.way for cell in grid.cells() if grid.result(cell) is None} == {"whole", "whole-scratch"}
    (kept / "moods.counts.frozen.1.json").write_text("{", "utf-8")  # cut off
    assert table(folder, "--only-write") == 0
    assert (folder / "table.md").read_text("utf-8").startswith("7 of 8 cells are done")
    assert table(folder) == 0
    assert (folder / "table.md").read_text("utf-8").split("## Costs")[0] == text.split("## Costs")[0]


def test_stopped_in_the_middle_it_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, done = tmp_path / "cells", []
    finetune = module.finetune

    def stopping(request: Any) -> Any:
        if len(done) == 2:
            request.output.mkdir(parents=True)
            raise Interrupted("stopped at step 1; everything is saved")
        done.append(request.output.name)
        return finetune(request)

    monkeypatch.setattr(module, "finetune", stopping)
    assert table(folder, "--cells", str(kept)) == 130
    assert len(list(kept.glob("*.json"))) == 2
    monkeypatch.undo()
    import fcntl

    with (kept / ".moods.counts.frozen.2.lock").open("w") as file:  # another process is at it
        fcntl.flock(file, fcntl.LOCK_EX)
        capsys.readouterr()
        assert table(folder, "--cells", str(kept)) == 0
        out, err = capsys.readouterr()
        assert out.startswith("7 of 8 cells are done")
        assert "1 pieces are not done yet, or another process is at them" in err
    assert table(folder, "--cells", str(kept)) == 0
    assert capsys.readouterr().out.startswith("8 of 8 cells are done")
    mine = {path.name: json.loads(path.read_bytes())["predictions"] for path in kept.glob("*.json")}
    assert mine == {f"{name}.json": cell["predictions"] for name, cell in cells(folder).items()}


def test_rows_of_some_tasks_and_settings_by_model(folder: Path) -> None:
    file = folder / "ngrams.toml"
    rows = '[rows.ngrams]\nruns = { en = "runs/onehot" }\ntasks = ["moods"]\n'
    rows += 'settings = { all = { "classify.penalty" = 1.0 } }\n\n[rows.counts]'
    more = '[tasks.others]\ntask = "classify"\ntrain = "train.tsv"\ntest = "test.tsv"\n\n[[claims]]'
    text = GRID.replace("[rows.counts]", rows).replace("[[claims]]", more)
    text = text.replace(
        'settings = { "train.evaluations"',
        'settings = { onehot = { "classify.ngrams" = 2 }, "train.evaluations"',
    )
    file.write_text(text, "utf-8")
    grid = open_grid(file, folder / "ngrams.cells")
    assert {(cell.task, cell.row) for cell in grid.cells() if cell.row != "bert"} == {
        ("moods", "ngrams"), ("moods", "counts"), ("others", "counts"),
    }  # fmt: skip
    settings = {
        row: grid.request(Cell(1, "moods", row, "frozen")).settings for row in ("bert", "counts", "ngrams")
    }
    assert settings["bert"] == {"train.evaluations": 1, "train.warmup": 0.0}
    assert settings["counts"] == {"train.evaluations": 1, "classify.ngrams": 2}
    assert settings["ngrams"] == settings["counts"] | {"classify.penalty": 1.0}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[rows.counts]", "[row.counts]", "unknown key 'row'"),
        ('task = "classify"', 'task = "clasify"', "clasify"),
        ('"counts/frozen"]', '"counts/whole"]', "bert/whole-scratch, counts/frozen"),
        ('"runs/onehot"', '"runs/none"', "runs/none"),
        (
            'first = ["bert/whole"]\nsecond = ["bert/frozen", "counts/frozen"]',
            'first = ["bert/frozen"]\nsecond = ["scratch"]',
            "frozen-scratch",
        ),
        ('["bert/frozen", "counts/frozen"]', "[]", "second"),
        (
            'runs = { en = "runs/onehot" }',
            'runs = { en = "runs/onehot" }\nscratch = "brt"',
            "did you mean bert",
        ),
        ('test = "test.tsv"', 'test = "tset.tsv"', "did you mean test.tsv"),
        ('ways = ["frozen", "whole", "whole-scratch"]', 'ways = ["thawed"]', "ways"),
        ("epochs = { frozen", "epoch = { frozen", "did you mean epochs"),
        ('whole = { "classify.dropout"', 'onehut = { "classify.dropout"', "did you mean onehot"),
        ("[rows.counts]", '[rows.counts]\ntasks = ["mood"]', "did you mean moods"),
    ],
)
def test_mistakes_in_the_file_are_told_before_anything_is_done(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    assert old in GRID
    bad = folder / "bad.toml"
    bad.write_text(GRID.replace(old, new), "utf-8")
    assert main(["compare", "--tasks", str(bad), "-o", str(folder / "bad.md")]) == 2
    said = capsys.readouterr().err
    assert says in said, said
    assert not (folder / "bad.md").exists()
    assert not list((folder / "bad.md.cells").glob("*.json"))


def test_the_old_verb_says_what_to_type(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, output = folder / "grid.toml", folder / "table.md"
    assert main(["table", str(file), "-o", str(output), "--only-write"]) == 2
    says = capsys.readouterr().err
    assert f"try:      polyseme compare -o {output} --only-write --tasks {file}" in says, says
    assert main(shlex.split(says.partition("try:")[2].splitlines()[0])[1:]) == 0
    assert main(["compare", "--tasks", str(file), "-o", str(output.with_suffix(".html"))]) == 2
    assert f"-o {output}" in capsys.readouterr().err
    assert main(["compare", str(folder / "runs" / "bert"), "--tasks", str(file), "-o", str(output)]) == 2
    assert "[rows]" in capsys.readouterr().err
