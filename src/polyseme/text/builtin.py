"""The built-in corpus `python-docs`: CPython's own documentation, present in every installation.

The help topics of pydoc and the docstrings of the standard library, about 2 MB of English. The library's files
are parsed, never imported; a module's docstrings make one document. Tests and bundled third-party packages are
left out, and so are docstrings that are short or occur again and again.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

__all__ = ["BUILTINS", "python_docs"]

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


BUILTINS = {"python-docs": python_docs}
