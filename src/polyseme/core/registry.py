"""A new model, objective or task is one new file: its file name is its key, and what it registers is its ENTRY.

A registry lists the modules of one package without importing them (so `polyseme list` never imports torch) and
imports one when it is asked for. Files without a line `ENTRY = …` are no entries. Third parties add entries
through entry points of the group `polyseme.KIND`: a name, and the module that holds the ENTRY.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Generic, TypeVar

from polyseme.core import synonyms
from polyseme.core.config import suggest
from polyseme.core.entries import ModelEntry, ObjectiveEntry, TaskEntry
from polyseme.errors import ConfigError

Entry = TypeVar("Entry")

_SYNONYMS = {"models": synonyms.MODELS, "tasks": synonyms.TASKS}
_REGISTERS = re.compile(r"^ENTRY = ", re.MULTILINE)


class Registry(Generic[Entry]):
    """The entries of one kind.

    Args:
        kind: plural noun shown to users, also the package's name: "models", "objectives" ….
        entry: the class of the entries.
    """

    def __init__(self, kind: str, entry: type[Entry]) -> None:
        self.kind = kind
        self._entry = entry
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
    def _plugins(self) -> dict[str, EntryPoint]:
        return {point.name.replace("_", "-"): point for point in entry_points(group=self.package)}

    def names(self) -> list[str]:
        """Keys in alphabetical order, ours and third parties'."""
        return sorted({*self._files, *self._plugins})

    def __contains__(self, name: str) -> bool:
        key = name.replace("_", "-")
        return key in self._files or key in self._plugins

    def summary(self, name: str) -> str:
        """First sentence of the entry's module docstring, read without importing it."""
        path = self._files.get(name)
        if path is None:
            spec = importlib.util.find_spec(self._plugins[name].module)
            path = Path(spec.origin) if spec and spec.origin else None
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) if path else None
        return (text or "").partition("\n\n")[0].replace("\n", " ")

    def load(self, name: str) -> Entry:
        """Import the module behind a key and give its entry.

        Raises:  ConfigError: no such key; it suggests the nearest one.  Or a third party's module has no such entry.
        """
        key = name.replace("_", "-")
        if key in self._files:
            module = importlib.import_module(f"{self.package}.{key.replace('-', '_')}")
        elif key in self._plugins:
            module = importlib.import_module(self._plugins[key].module)
        else:
            ours = _SYNONYMS.get(self.kind, {}).get(synonyms.spelled(name))
            fix = f"did you mean {ours.partition(' ')[0]}?" if ours else suggest(key, self.names())
            raise ConfigError(f"unknown {self.kind.removesuffix('s')} {name!r}", fix=fix)
        entry = getattr(module, self._plugins[key].attr or "ENTRY" if key in self._plugins else "ENTRY", None)
        if not isinstance(entry, self._entry):
            raise ConfigError(
                f"{module.__name__} registers no {self.kind.removesuffix('s')}",
                got="no ENTRY" if entry is None else f"an ENTRY of {type(entry).__name__}",
                expected=f"ENTRY = {self._entry.__name__}(…) of polyseme.core.entries",
                fix="another version of the package that brings it",
            )
        return entry


models = Registry("models", ModelEntry)
objectives = Registry("objectives", ObjectiveEntry)
tasks = Registry("tasks", TaskEntry)


def learned(name: str) -> ObjectiveEntry:
    """The entry of what is learned, from text (an objective) or from labels (a task).

    Raises:  ConfigError: no such key; it suggests the nearest one.
    """
    return tasks.load(name) if name in tasks else objectives.load(name)
