"""What to say of a model that is not where it was looked for: on a hub, in a folder of a hub's cache, called alike."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from pathlib import Path

from polyseme.errors import RunError

__all__ = ["models_inside", "not_here"]

_HUB = re.compile(
    r"https?:/{1,2}(?:www\.)?(?:huggingface\.co|hf\.co|hf-mirror\.com)/(?P<name>[\w.-]+(?:/[\w.-]+)?)(?P<rest>/.*)?"
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*:/{1,2}\S+", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_FILE = re.compile(
    r".*\.(bin|vec|txt|gz|zip|tar|model|kv|safetensors|pt|pth|json|ckpt|h5|hdf5|npy|onnx|gguf)", re.IGNORECASE
)
_MARKS = ("modules.json", "config.json")
_DEEPEST = 3


def not_here(source: str, output: Path) -> RunError:
    """The error for a source that is no folder and no file of this machine."""

    def error(got: str, fix: str | None) -> RunError:
        return RunError("there is nothing to import", got=got, where=source, fix=fix)

    if found := _HUB.fullmatch(source):
        return error("an address on a hub", _fetched(found["name"], output))
    if _URL.fullmatch(source):
        return error("an address, and polyseme opens no connections", "download it, and name the file here")
    path = Path(source)
    siblings = sorted(os.listdir(path.parent)) if path.parent.is_dir() else []
    if near := difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.75):
        again = shlex.join(["polyseme", "import", str(path.with_name(near[0])), "-o", str(output)])
        return error(f"no such folder or file; {near[0]} is there", again)
    if _NAME.fullmatch(source) and not _FILE.fullmatch(source):
        return error(
            "no such folder or file; if it is a model's name on a hub, it must be fetched first",
            _fetched(source, output),
        )
    return error("no such folder or file", None)


def _fetched(name: str, output: Path) -> str:
    folder = name.rpartition("/")[2]
    fetch = shlex.join(["hf", "download", name, "--local-dir", folder])
    return f"{fetch} && {shlex.join(['polyseme', 'import', folder, '-o', str(output)])}"


def models_inside(folder: Path) -> Path | None:
    """The one folder within another that holds a model, as snapshots/REVISION in a hub's cache does.

    It is looked for a few levels down. None = there is none, or several.
    """
    found: list[Path] = []
    level = [folder] if folder.is_dir() else []
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in sorted(outer.iterdir()) if inner.is_dir()][:64]
        found += [inner for inner in level if any((inner / mark).is_file() for mark in _MARKS)]
        if found:
            break
    return found[0] if len(found) == 1 else None
