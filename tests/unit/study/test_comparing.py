from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from adapting import start_run, write_examples
from polyseme.errors import ConfigError, RunError
from polyseme.study.compare import compare_runs, learns, names_of, open_comparison
from polyseme.study.results import ResultCache, file_name, held
from polyseme.study.stats import holm, seeds_interval
from polyseme.tasks.metrics.measure import mean_of
from polyseme.train.run import RunDirectory


def test_holm_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        ps = rng.random(6) ** 2
        order = np.argsort(ps)
        expected = np.empty(6)
        for k, place in enumerate(order):
            expected[place] = max(min(1.0, (6 - j) * ps[order[j]]) for j in range(k + 1))
        assert holm(ps.tolist()) == pytest.approx(expected.tolist())
    assert holm([]) == []
    assert holm([0.02]) == [0.02]


def test_the_interval_over_seeds_is_wider_where_seeds_differ() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(400)
    alike = [mean_of("m", scores)] * 3
    apart = [mean_of("m", scores + shift) for shift in (-0.2, 0.0, 0.2)]
    low, high = seeds_interval(alike)
    assert low < scores.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * scores.std() / 20, rel=0.15)
    far = seeds_interval(apart)
    assert far[1] - far[0] > 2 * (high - low)
    assert np.isnan(seeds_interval([mean_of("m", [])])).all()


def test_names_are_as_short_as_they_can_be() -> None:
    paths = [Path("a/x/bert"), Path("b/x/bert"), Path("b/gpt"), Path("c/gpt")]
    assert list(names_of(paths)) == ["a/x/bert", "b/x/bert", "b/gpt", "c/gpt"]
    assert list(names_of([Path("runs/bert"), Path("runs/gpt/")])) == ["bert", "gpt"]
    assert names_of(paths)["b/gpt"] == Path("b/gpt")
    with pytest.raises(ConfigError, match="given twice"):
        names_of([Path("a/bert"), Path("a/../a/bert")])
    alien = [
        Path(os.fsdecode(b"a/\xc4\xe3")),
        Path(os.fsdecode(b"a/\xba\xc3")),
    ]  # no UTF-8: names of another system
    assert list(names_of(alien)) == ["\ufffd\ufffd", "\ufffd\ufffd'"]


def test_pieces_are_kept_by_what_they_depend_on(tmp_path: Path) -> None:
    kept = ResultCache(tmp_path / "cells")
    asked = {"kind": "senses", "run": {"model": "a1"}, "files": ("f",)}
    assert kept.get(asked) is None
    kept.put(asked, {"found": {"x": 1.5}})
    assert kept.get(asked) == {"asked": json.loads(json.dumps(asked)), "found": {"x": 1.5}}
    for other in ({"run": {"model": "b2"}}, {"files": ["g"]}, {"kind": "pairs"}):
        assert kept.get(asked | other) is None
    kept.path(asked).write_text(kept.path(asked).read_text()[:-9])
    assert kept.get(asked) is None  # cut off: made again
    kept.path(asked).write_text("[]")
    assert kept.get(asked) is None


def test_only_one_holds_a_piece(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    with held(lock) as first, held(lock) as second:
        assert (first, second) == (True, False)
    with held(lock) as again:
        assert again
    assert file_name("a/b%2F") == "a%2Fb%252F"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparing")
    for name in ("bert", "onehot"):
        start_run(folder / name, name)
    write_examples(folder / "mood", "classify")
    return folder


def test_runs_are_used_for_their_language(folder: Path) -> None:
    meta = folder / "bert" / "run.json"
    known = json.loads(meta.read_text())
    meta.write_text(json.dumps(known | {"corpus": {"language": "zh"}}))
    file = folder / "tasks.toml"
    task = '[tasks.{0}]\ntask = "classify"\ntrain = "mood.tsv"\ntest = "mood.tsv"\n{1}\n'
    asked = [task.format("a", 'language = "en"'), task.format("b", 'language = "zh"'), task.format("c", "")]
    file.write_text("seeds = [1]\n" + "".join(asked) + '[pairs]\nlanguage = "en"\nfiles = ["mood.tsv"]\n')
    comparison = open_comparison([folder / "bert", folder / "onehot"], file, folder / "cells")
    cells = {(cell.task, cell.row) for cell in comparison.grid.cells()}
    assert cells == {("b", "bert"), ("c", "bert"), ("a", "onehot"), ("b", "onehot"), ("c", "onehot")}
    assert [piece.title for piece in comparison.pieces()] == ["pairs of onehot"]
    found = comparison.document()
    assert found["tasks"][0]["absent"]["bert"] == {
        "code": "language",
        "detail": "zh, not en",
        "text": "the run was trained on text of another language: zh, not en",
    }
    assert found["tasks"][0]["absent"]["onehot"]["code"] == "not done"
    assert found["studies"][0]["absent"]["bert"]["code"] == "language"
    assert comparison.left() == 6
    meta.write_text(json.dumps(known))


def test_a_figure_that_a_task_has_not_is_named(folder: Path, tmp_path: Path) -> None:
    file = folder / "figure.toml"
    task = (
        '[tasks.a]\ntask = "classify"\ntrain = "mood.tsv"\ndev = "mood.tsv"\ntest = "mood.tsv"\nepochs = 1\n'
    )
    file.write_text(f'seeds = [1]\n{task}metric = "acuracy"\n')
    comparison = open_comparison([folder / "bert"], file, tmp_path / "cells")
    assert compare_runs(comparison) == 0
    with pytest.raises(ConfigError, match="no such figure") as caught:
        comparison.document()
    assert "did you mean accuracy" in str(caught.value)
    file.write_text(file.read_text().replace("acuracy", "accuracy"))
    again = open_comparison([folder / "bert"], file, tmp_path / "cells")
    assert again.left() == 0
    assert again.document()["tasks"][0]["metric"] == "accuracy"


def test_what_gradients_can_train(folder: Path) -> None:
    assert learns(RunDirectory.open(folder / "bert"))
    assert not learns(RunDirectory.open(folder / "onehot"))


def test_a_run_without_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"format_version": 1, "model": "bert"}))
    (folder / "empty.toml").write_text("")
    with pytest.raises(RunError, match="no weights yet"):
        open_comparison([tmp_path], folder / "empty.toml", tmp_path / "cells")
