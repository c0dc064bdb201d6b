"""With train.tensorboard the records of metrics.jsonl are also TensorBoard's event files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from polyseme.errors import ConfigError
from polyseme.train import tensorboard
from polyseme.train.recipe import resolve
from trained import make_run

RECORDS = [{"step": 1, "loss": 2.5, "seconds": 1}, {"step": 2, "loss": 2.25, "note": "evaluated"}]


def test_without_the_library_it_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="TensorBoard is not installed") as caught:
        resolve("bert", settings={"train.tensorboard": True})
    assert "polyseme[tensorboard]" in str(caught.value)
    assert not resolve("bert").section("train").tensorboard


def test_numbers_are_written_and_the_file_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library too: a writer that notes what it is told."""

    class Writer:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            told.append(("open", folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, value, step))

        def close(self) -> None:
            told.append(("close",))

    told: list[tuple[object, ...]] = []
    module = type(tensorboard)("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(tensorboard, "check_tensorboard", lambda: None)
    monkeypatch.setattr("polyseme.train.recipe.check_tensorboard", lambda: None)
    run = make_run(tmp_path / "made", steps=2, **{"train.tensorboard": True})
    assert told[0] == ("open", str(run / "tensorboard"), None)
    assert told[-1] == ("close",)
    losses = [(name, step) for name, _, step in told[1:-1] if name == "loss"]
    assert losses == [("loss", 1), ("loss", 2)]
    told.clear()
    with tensorboard.EventFiles(tmp_path, step=2) as events:
        for record in RECORDS:
            events.write(record)
    assert told == [
        ("open", str(tmp_path / "tensorboard"), 3),
        ("loss", 2.5, 1),
        ("seconds", 1, 1),
        ("loss", 2.25, 2),
        ("close",),
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="the extra tensorboard is not installed"
)
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = make_run(tmp_path / "made", steps=2, **{"train.tensorboard": True})
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert {"loss", "lr", "grad_norm"} <= set(events.Tags()["scalars"])
    assert [scalar.step for scalar in events.Scalars("loss")] == [1, 2]
