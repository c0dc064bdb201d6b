"""Where compiled code is kept: never where somebody else may have written, and never a reason to fail."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from polyseme.core import compiled as module
from polyseme.core.compiled import cache_place, digest_of_sources

SOURCE = """
from polyseme.core.compiled import compiled

@compiled(nogil=True)
def twice(x):
    return 2 * x
"""
CLOSURES = """
import os
from polyseme.core.compiled import compiled

def built(factor):
    @compiled(nogil=True)
    def times(x):
        return factor * x

    @compiled(nogil=True)
    def twice(x):
        return times(x) + 1

    return twice

twice = built(int(os.environ["FACTOR"]))
"""
CALL = (
    "import kernels; cache = getattr(kernels.twice, '_cache', None); "
    "print(kernels.twice(21), cache and cache.cache_path)"
)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    cache_place.cache_clear()
    for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A package whose __pycache__ nobody can make, root included: a file stands there."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "kernels.py").write_text(SOURCE)
    (package / "__pycache__").write_text("")
    return package


def run(package: Path, **environment: str) -> list[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA") and k != "PYTHONPATH"}
    source = Path(module.__file__).parents[2]
    path = os.pathsep.join([str(package), str(source)])
    command = [sys.executable, "-B", "-c", CALL]
    result = subprocess.run(
        command, env=clean | {"PYTHONPATH": path, **environment}, capture_output=True, text=True, check=True
    )
    return result.stdout.split()


def test_the_package_s_own_folder_comes_first(tmp_path: Path, sealed: Path) -> None:
    (sealed / "__pycache__").unlink()
    assert run(sealed, HOME=str(tmp_path)) == ["42", str(sealed / "__pycache__")]
    assert list((sealed / "__pycache__").glob("*.nbi"))


def test_a_read_only_package_uses_the_home_and_what_was_kept_is_used_again(
    tmp_path: Path, sealed: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    for _ in range(2):
        number, place = run(sealed, HOME=str(home))
        assert number == "42"
        assert Path(place).is_relative_to(home / ".cache" / "polyseme")
    assert (home / ".cache" / "polyseme").stat().st_mode & 0o077 == 0
    assert len(list(Path(place).glob("*.nbc"))) == 1


@pytest.mark.parametrize("home", ["", "/nonexistent", "/proc/none", "relative"])
def test_without_a_home_there_is_a_private_folder_for_temporary_files(
    tmp_path: Path, sealed: Path, home: str
) -> None:
    number, place = run(sealed, HOME=home, TMPDIR=str(tmp_path))
    private = tmp_path / f"polyseme-{os.geteuid()}"
    assert number == "42"
    assert Path(place).is_relative_to(private)
    assert private.stat().st_mode & 0o777 == 0o700
    assert not (sealed / "relative").exists()


def test_what_the_user_chose_wins_and_is_left_alone_where_it_cannot_be_written(
    tmp_path: Path, sealed: Path
) -> None:
    chosen, home = tmp_path / "chosen", tmp_path / "home"
    home.mkdir()
    assert Path(run(sealed, NUMBA_CACHE_DIR=str(chosen), HOME=str(home))[1]).is_relative_to(chosen)
    blocked = tmp_path / "file"
    blocked.write_text("")
    number, place = run(sealed, NUMBA_CACHE_DIR=str(blocked), HOME=str(home))
    assert number == "42"
    assert Path(place).is_relative_to(home)


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o755, 0o1777])
def test_a_folder_that_others_may_open_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: Path, mode: int
) -> None:
    planted = tmp_path / f"polyseme-{os.geteuid()}"
    planted.mkdir()
    planted.chmod(mode)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert str(planted) != cache_place(str(sealed))


def test_a_link_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    planted = tmp_path / f"polyseme-{os.geteuid()}"
    planted.symlink_to(target)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert str(planted) != cache_place(str(sealed))


def test_a_folder_of_another_user_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: Path
) -> None:
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    planted = tmp_path / f"polyseme-{us + 1}"
    planted.mkdir(mode=0o700)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert not module._is_ours(str(planted))


def test_a_folder_below_one_that_all_may_change_is_not_trusted(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    (open_to_all / "below").mkdir(parents=True)
    open_to_all.chmod(0o777)
    assert not module._is_ours(str(open_to_all / "below" / "polyseme"))
    open_to_all.chmod(0o1777)  # as /tmp is: nobody can rename what is ours
    assert module._is_ours(str(open_to_all / "below" / "other"))


def test_no_place_at_all_means_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: Path
) -> None:
    monkeypatch.setattr(module, "_is_ours", lambda folder: False)
    assert cache_place(str(sealed)) is None


def test_what_is_built_on_a_compiled_function_is_kept_for_the_next_process(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(CLOSURES)
    for _ in range(2):
        assert run(tmp_path, HOME=str(tmp_path), FACTOR="2")[0] == "43"
    kept = {file.name for file in (tmp_path / "__pycache__").glob("*.nbc")}
    assert len(kept) == 2
    assert run(tmp_path, HOME=str(tmp_path), FACTOR="3")[0] == "64"
    assert len({file.name for file in (tmp_path / "__pycache__").glob("*.nbc")} - kept) == 2


def test_damaged_files_are_compiled_over(tmp_path: Path, sealed: Path) -> None:
    (sealed / "__pycache__").unlink()
    run(sealed)
    for file in (sealed / "__pycache__").iterdir():
        file.write_bytes(pickle.dumps("0")[:5])
    assert run(sealed)[0] == "42"


def test_a_disk_that_is_full_costs_the_cache_only(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mounting a small disk needs root")
    (tmp_path / "kernels.py").write_text(SOURCE)
    disk = tmp_path / "__pycache__"
    disk.mkdir()
    source = Path(module.__file__).parents[2]
    script = (
        f"mount -t tmpfs -o size=4k,nr_inodes=9 none '{disk}' && exec '{sys.executable}' -B -c \"{CALL}\""
    )
    result = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{source}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in result.stderr or "unshare" in result.stderr:
        pytest.skip("mounting is not allowed here")
    assert result.stdout.split()[0] == "42", result.stderr


def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path: Path, sealed: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: run(sealed, HOME=str(tmp_path))[0], range(3)))
    assert answers == ["42"] * 3
    assert run(sealed, HOME=str(tmp_path))[0] == "42"


def test_without_compiling_the_plain_function_is_left(sealed: Path) -> None:
    assert run(sealed, NUMBA_DISABLE_JIT="1")[0] == "42"


def test_every_compiled_loop_goes_through_the_helper() -> None:
    """Numba's own cache=True fails where no folder can be written."""
    package = Path(module.__file__).parents[1]
    caching = [p for p in package.rglob("*.py") if "cache=True" in p.read_text("utf-8")]
    assert [p.name for p in caching] == []


def test_code_is_compiled_anew_where_a_file_that_it_imports_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    loops, helpers, other = (tmp_path / "polyseme" / f"{name}.py" for name in ("loops", "helpers", "other"))
    loops.parent.mkdir()
    loops.write_text("from polyseme.helpers import (\n    LANES,\n)\n")
    helpers.write_text("LANES = 16\n")
    other.write_text("\n")

    def digest() -> str:
        digest_of_sources.cache_clear()
        return digest_of_sources(loops)

    before = digest()
    other.write_text("changed = True\n")
    assert digest() == before
    helpers.write_text("LANES = 8\n")
    assert digest() != before
    assert digest_of_sources(tmp_path / "none.py") == ""
    digest_of_sources.cache_clear()


def test_what_is_kept_bears_that_digest() -> None:
    from polyseme.kernels import units

    loops = [loop for loop in vars(units).values() if hasattr(loop, "py_func")]
    kept = {loop._cache._cache_file._source_stamp for loop in loops if hasattr(loop, "_cache")}
    assert kept == {digest_of_sources(Path(units.__file__))}
