"""Freeing checkpoints: what goes, what stays, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adapting import adapt, start_run, write_examples
from polyseme.cli import main
from polyseme.errors import RunError
from polyseme.infer.model import load
from polyseme.train.opening import only_one_trains
from polyseme.train.run import RunDirectory
from polyseme.train.tidying import tidy


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tidy")
    start, examples = start_run(folder / "bert"), write_examples(folder / "train", "classify", 40)
    return adapt("classify", start, examples, folder / "run", epochs=1).path


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Callable[[str], RunDirectory]:
    """Gives copies of a trained run, of which nobody else holds a file open."""

    def make(name: str) -> RunDirectory:
        shutil.copytree(trained, tmp_path / name, ignore=shutil.ignore_patterns(".lock"))
        return RunDirectory.open(tmp_path / name)

    return make


def bytes_of(run: Path) -> int:
    return sum(file.stat().st_size for file in (run / "resume").rglob("*") if file.is_file())


def test_checkpoints_go_and_all_else_stays(
    copy: Callable[[str], RunDirectory], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [copy(name).path for name in ("a", "b")]
    held = [bytes_of(run) for run in runs]
    others = {
        f: f.read_bytes() for run in runs for f in run.rglob("*") if f.is_file() and "resume" not in f.parts
    }
    assert min(held) > 0
    assert main(["tidy", *map(str, runs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["freed_bytes"] == sum(held)
    assert [(one["path"], one["freed_bytes"]) for one in found["runs"]] == list(
        zip(map(str, runs), held, strict=True)
    )
    assert not any((run / "resume").exists() for run in runs)
    assert all(f.read_bytes() == data for f, data in others.items() if f.name != ".lock")
    load(runs[0])
    assert main(["tidy", str(runs[0])]) == 0
    assert "nothing to free" in capsys.readouterr().out


def test_nothing_is_removed_while_one_is_trained(copy: Callable[[str], RunDirectory]) -> None:
    free, busy = copy("free"), copy("busy")
    held = bytes_of(free.path)
    with only_one_trains(busy.path), pytest.raises(RunError, match="another process is training"):
        tidy(free.path, busy.path)
    assert bytes_of(free.path) == held > 0
    assert [one.files > 0 for one in tidy(free.path, busy.path)] == [True, True]


def test_what_could_go_on_is_kept_unless_it_is_asked_for(copy: Callable[[str], RunDirectory]) -> None:
    run = copy("run")
    run.save_meta(status="stopped")
    with pytest.raises(RunError, match="not ended its training"):
        tidy(run.path)
    assert bytes_of(run.path) > 0
    (one,) = tidy(run.path, unfinished=True)
    assert one.status == "stopped"
    assert one.freed_bytes > 0


def test_damaged_weights_keep_their_checkpoint(copy: Callable[[str], RunDirectory], tmp_path: Path) -> None:
    run = copy("run")
    (run.path / "heads" / "classify.safetensors").write_bytes(b"cut")
    with pytest.raises(RunError, match="a checkpoint is all there is"):
        tidy(run.path)
    assert bytes_of(run.path) > 0
    assert RunDirectory.open(run.path).weights()[1] is not None
    with pytest.raises(RunError):
        tidy(tmp_path)  # no run
