"""A new model, objective or task is one new file: its file name is its key.

A registry lists the modules of one room without importing them (so `polyseme list` never imports torch) and imports
one when it is asked for. Files without a line `ENTRY = …` (or `CONFIG = …`) are no entries. Third parties add entries
through entry points of the group `polyseme.KIND`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from polyseme.core import synonyms
from polyseme.core.config import suggest
from polyseme.errors import ConfigError

_SYNONYMS = {"models": synonyms.MODELS, "tasks": synonyms.TASKS}
_REGISTERS = re.compile(r"^(ENTRY|CONFIG) = ", re.MULTILINE)


class Registry:
    """The entries of one kind.

    Args:
        kind: plural noun shown to users, also the room's name: "models", "objectives" ….
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.package = f"polyseme.{kind}"

    @cached_property
    def _files(self) -> dict[str, Path]:
        folder = Path(__file__).resolve().parent.parent / self.kind
        return {
            path.stem.replace("_", "-"): path
            for path in sorted(folder.glob("*.py"))
            if _REGISTERS.search(path.read_text("utf-8"))
        }

    @cached_property
    def _plugins(self) -> dict[str, str]:
        return {point.name: point.value for point in entry_points(group=self.package)}

    def names(self) -> list[str]:
        """Keys in alphabetical order, ours and third parties'."""
        return sorted({*self._files, *self._plugins})

    def summary(self, name: str) -> str:
        """First sentence of the entry's module docstring, read without importing it."""
        path = self._files.get(name)
        if path is None:
            spec = importlib.util.find_spec(self._plugins[name].partition(":")[0])
            path = Path(spec.origin) if spec and spec.origin else None
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) if path else None
        return (text or "").partition("\n\n")[0].replace("\n", " ")

    def load(self, name: str) -> ModuleType:
        """Import the module behind a key.

        Raises:  ConfigError: no such key; it suggests the nearest one.
        """
        key = name.replace("_", "-")
        if key in self._files:
            return importlib.import_module(f"{self.package}.{key.replace('-', '_')}")
        plugins = self._plugins
        if key in plugins:
            return importlib.import_module(plugins[key].partition(":")[0])
        ours = _SYNONYMS.get(self.kind, {}).get(synonyms.spelled(name))
        fix = f"did you mean {ours.partition(' ')[0]}?" if ours else suggest(key, self.names())
        raise ConfigError(f"unknown {self.kind.removesuffix('s')} {name!r}", fix=fix)


models = Registry("models")
objectives = Registry("objectives")
tasks = Registry("tasks")


def learned(name: str) -> ModuleType:
    """The module of what is learned, from text (an objective) or from labels (a task).

    Raises:  ConfigError: no such key; it suggests the nearest one.
    """
    return (tasks if name.replace("_", "-") in tasks.names() else objectives).load(name)
