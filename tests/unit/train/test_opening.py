"""What a run that could not start leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.errors import ConfigError, CorpusError, TrainingError
from polyseme.train import opening
from polyseme.train.run import RunDirectory


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (TrainingError("rank 1 of 2 is lost"), True),
        (MemoryError(), True),
        (OSError(28, "No space left on device"), True),
        (SystemExit(1), True),
        (KeyboardInterrupt(), True),
        (ConfigError("no such key"), False),
        (CorpusError("too little text"), False),
    ],
)
def test_a_whole_store_outlives_every_error_but_those_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, kept: bool
) -> None:
    run = RunDirectory.create(tmp_path / "run", {"model": "x", "status": "preparing"})
    (run.path / "store").mkdir()
    (run.path / "store" / "tokens").write_bytes(b"hours of work")
    for whole in (True, False):
        monkeypatch.setattr(opening, "is_store", lambda folder, whole=whole: whole)
        if not whole and not run.path.exists():
            run = RunDirectory.create(tmp_path / "run", {"model": "x", "status": "preparing"})
        with pytest.raises(type(error)), opening.forgotten_if_it_fails(run, resumed=False):
            raise error
        assert (tmp_path / "run" / "run.json").exists() == (whole and kept)
        assert (tmp_path / "run" / "store").exists() == (whole and kept)
