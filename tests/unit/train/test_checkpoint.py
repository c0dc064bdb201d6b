"""Checkpoints and published weights: complete or absent, verified, the older used when the newer is damaged."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from polyseme.errors import CheckpointError, RunError, StorageError
from polyseme.train import checkpoint, run
from polyseme.train.checkpoint import Checkpoint, newest, save
from polyseme.train.run import RunDirectory


def at(step: int) -> Checkpoint:
    weights = {"encoder.w": torch.full((2, 3), float(step)), "heads.masked_lm.b": torch.zeros(2)}
    return Checkpoint(weights | {"optimizer.x": torch.ones(1)}, None, {"step": step})


def test_two_are_kept_and_the_newest_is_found(tmp_path: Path) -> None:
    for step in (10, 200, 3000):
        save(tmp_path, at(step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000200", "step-000003000"]
    found, problems = newest(tmp_path)
    assert found is not None
    assert found.state["step"] == 3000
    assert float(found.tensors["encoder.w"][0, 0]) == 3000
    assert problems == []
    assert newest(tmp_path / "absent") == (None, [])


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncate", "alter", "remove"])
def test_a_damaged_checkpoint_gives_way_to_the_older(tmp_path: Path, name: str, damage: str) -> None:
    save(tmp_path, at(1))
    save(tmp_path, at(2))
    file = tmp_path / "step-000000002" / name
    data = file.read_bytes()
    if damage == "truncate":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "alter":
        file.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    else:
        file.unlink()
    found, problems = newest(tmp_path)
    assert found is not None
    assert found.state["step"] == 1
    assert len(problems) == 1


def test_a_full_disk_keeps_what_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, at(1))

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(StorageError, match="could not save") as caught:
        save(tmp_path, at(2))
    assert "No space left" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000001"]
    found, problems = newest(tmp_path)
    assert found is not None
    assert (found.state["step"], problems) == (1, [])


def make_run(folder: Path, **meta: Any) -> RunDirectory:
    return RunDirectory.create(folder, {"model": "bert", **meta})


def test_published_weights_come_back_and_damage_falls_back(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    weights = {k: v for k, v in at(7).tensors.items() if not k.startswith("optimizer.")}
    made.publish(weights, status="training")
    found, warning = RunDirectory.open(tmp_path / "run").weights()
    assert warning is None
    assert set(found) == set(weights)
    assert torch.equal(found["encoder.w"], weights["encoder.w"])

    file = tmp_path / "run" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated or altered"):
        RunDirectory.open(tmp_path / "run").weights()
    save(tmp_path / "run" / "resume", at(5))
    found, warning = RunDirectory.open(tmp_path / "run").weights()
    assert float(found["encoder.w"][0, 0]) == 5
    assert "optimizer.x" not in found
    assert warning is not None
    assert "step 5" in warning


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    with pytest.raises(RunError, match="another run") as caught:
        make_run(tmp_path / "run")
    assert "--resume" in str(caught.value)
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        make_run(tmp_path / "papers")
    assert (tmp_path / "papers" / "thesis.txt").read_text() == "mine"
    with pytest.raises(RunError, match="not a run"):
        RunDirectory.open(tmp_path / "papers")
    for path, got in (
        ("papers", "a folder without run.json"),
        ("papers/thesis.txt", "a file"),
        ("none", "no such folder"),
    ):
        with pytest.raises(RunError) as refused:
            RunDirectory.open(tmp_path / path)
        assert refused.value.got == got


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    made.save_meta(format_version=run.FORMAT_VERSION + 1)
    with pytest.raises(RunError, match="newer"):
        RunDirectory.open(tmp_path / "run")
