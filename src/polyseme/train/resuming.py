"""Resuming only what was started: a changed recipe or corpus is refused, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polyseme.errors import RunError
from polyseme.train.run import RunDirectory


def check_same_request(run: RunDirectory, asked: Mapping[str, Any], fingerprint: Any = None) -> None:
    """Compare what is asked now with what the run was started with.

    Args:
        run: the run to go on with.
        asked: recipe, seed, budget, corpus … as they would be recorded now.
        fingerprint: () -> the corpus's fingerprint; called only when files look touched but not resized.
    Raises:  RunError: something differs; it names the key, what was got and what the run has.
    """
    if "imported" in run.meta:
        raise RunError(
            "an imported run has no training to go on with",
            where=run.path,
            fix=f"--init {run.path} -o NEW trains on from its weights",
        )
    before = dict(run.meta.get("asked", {}))
    now = dict(asked)
    if before.get("corpus") != now.get("corpus"):
        same_sizes = _without_times(before.get("corpus")) == _without_times(now.get("corpus"))
        known = run.meta.get("corpus", {}).get("fingerprint")
        if not (same_sizes and fingerprint is not None and known is not None and fingerprint() == known):
            raise RunError(
                "the corpus has changed since the run was started",
                got=_brief(now.get("corpus")),
                expected=_brief(before.get("corpus")),
                where=run.path,
                fix=f"--init {run.path} -o NEW trains on with the text as it is now",
            )
    before["valid"], now["valid"] = (_without_times(d.get("valid")) for d in (before, now))
    before.pop("ranks", None)  # older runs: any number of processes may go on
    before.pop("corpus", None)
    now.pop("corpus", None)
    for key, old, new in _differences(before, now):
        raise RunError(
            f"the run was started with another {key}",
            got=new,
            expected=old,
            where=run.path / "run.json",
            fix=_as_before(key, old, before.get("recipe") or {}),
        )


def _as_before(key: str, old: Any, recipe: Mapping[str, Any]) -> str:
    """What to type to go on: where a setting is another one, perhaps because it was left out, with its old value."""
    if key.partition(".")[0] in recipe and isinstance(old, bool | int | float | str) and str(old):
        return f"--set {key}={str(old).lower() if isinstance(old, bool) else old}, or name another -o"
    return "leave the change out to go on with it, or name another -o"


def _differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(k for k in new if k not in old)]:
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}".removeprefix("."))
    elif old != new:
        yield path.removeprefix("recipe."), old, new


def _without_times(signature: Any) -> Any:
    if isinstance(signature, Mapping) and "files" in signature:
        return sorted(entry[1] for entry in signature["files"])
    return signature


def _brief(signature: Any) -> str:
    if isinstance(signature, Mapping) and "files" in signature:
        files = signature["files"]
        return f"{len(files)} files, {sum(entry[1] or 0 for entry in files):,} bytes"
    return str(signature)
