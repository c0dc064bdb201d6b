"""Files and folders are complete or absent; a refusal of the disk comes with the advice that fits it."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from polyseme.core.files import locked, new_file, new_folder, saving, sha256_of, write_atomic
from polyseme.errors import RunError, StorageError


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "the right to write"),
        (errno.EPERM, "the right to write"),
        (errno.EROFS, "can only be read"),
        (errno.EISDIR, "of another kind"),
        (errno.ENOTDIR, "of another kind"),
        (errno.ENAMETOOLONG, "a shorter path"),
        (errno.EIO, "whether the disk is well"),
        (None, "whether the disk is well"),
    ],
)
def test_the_advice_fits_the_refusal(number: int | None, advice: str) -> None:
    error = OSError("odd") if number is None else OSError(number, os.strerror(number))
    with pytest.raises(StorageError, match="could not save") as caught, saving(Path("runs/x")):
        raise error
    assert advice in str(caught.value.fix)
    assert ("free some space" in str(caught.value.fix)) == (advice == "free some space")


def test_write_atomic_leaves_the_old_file_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.json"
    write_atomic(file, b"old")

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError):
        write_atomic(file, b"new")
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_new_folder_appears_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "store"
    with new_folder(folder) as temporary:
        assert temporary.parent == folder.parent
        assert not folder.exists()
        (temporary / "file").write_text("x")
    assert [path.name for path in folder.parent.iterdir()] == ["store"]
    assert (folder / "file").read_text() == "x"


def fail_within(folder: Path, error: BaseException) -> None:
    with new_folder(folder) as temporary:
        (temporary / "file").write_text("x")
        raise error


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), ValueError(), OSError(errno.EIO, "a source cannot be read")]
)
def test_new_folder_vanishes_with_a_failure(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        fail_within(tmp_path / "store", error)
    assert list(tmp_path.iterdir()) == []


def test_new_folder_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with new_folder(tmp_path / "store") as temporary:
        (temporary / "file").write_text("x")
    with pytest.raises(RunError, match="already holds") as refused, new_folder(tmp_path / "store"):
        pass
    assert "delete" in str(refused.value.fix)
    (tmp_path / "store" / "run.json").touch()
    with pytest.raises(RunError, match="already holds") as refused, new_folder(tmp_path / "store"):
        pass
    assert "delete" not in str(refused.value.fix)  # a run
    assert (tmp_path / "store" / "file").read_text() == "x"


def test_new_folder_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    prefix = f".store.partial-{platform.node()}-"
    stale = tmp_path / f"{prefix}{int(dead.stdout)}"
    alive = tmp_path / f"{prefix}{os.getppid()}"
    stale.mkdir()
    alive.mkdir()
    with new_folder(tmp_path / "store"):
        assert not stale.exists()
    assert alive.exists()


def test_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not save") as caught:
        fail_within(tmp_path / "store", OSError(errno.ENOSPC, "No space left on device"))
    assert "free some space" in str(caught.value)
    assert "MB free" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_may_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not save"):
        fail_within(tmp_path / "store", PermissionError(errno.EACCES, "denied", str(tmp_path / "store")))


def test_errors_of_other_places_pass_through(tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        fail_within(tmp_path / "store", PermissionError(errno.EACCES, "denied", "/elsewhere/corpus.txt"))


def test_a_disk_that_fills_while_the_buffers_are_flushed(tmp_path: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
import numpy as np
from polyseme.data.store import StoreWriter
from polyseme.core.files import new_folder
from polyseme.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with new_folder(Path({str(tmp_path / "store")!r})) as temporary, StoreWriter(temporary / "train", 64) as writer:
        n = 2000
        writer.add_documents(np.full(n, 5), np.ones(n, np.uint8), np.array([n]), np.array([1]))
except StorageError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert "could not save" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock") as first:
        assert first is not False
        if first:
            with locked(tmp_path / ".lock") as second:
                assert second is False
    with locked(tmp_path / ".lock") as again:
        assert again == first


def test_a_hash_of_files_is_that_of_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ab")
    (tmp_path / "b").write_bytes(b"c")
    whole = hashlib.sha256(b"abc").hexdigest()
    assert sha256_of(tmp_path / "a", tmp_path / "b") == whole
    assert write_atomic(tmp_path / "c", b"abc") == whole


def test_a_new_file_vanishes_with_a_failure(tmp_path: Path) -> None:
    def fail() -> None:
        with new_file(tmp_path / "x") as file:
            file.write(b"part")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
