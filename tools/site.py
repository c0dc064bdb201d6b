"""What the site (mkdocs.yml) needs beside plugins: lists that grow, fences, docstrings, a note on English pages."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import griffe

# ```console no-run: words for the tests (tests/docs/test_docs.py)
_INFO = re.compile(r"^```(\w+) [^\n]*$", re.MULTILINE)
_BREAK = re.compile(
    r"(?<=[，。；：、！？）”》])\n {0,2}(?=[\w`*\[“（《])|(?<=[\u4e00-\u9fff])\n {0,2}(?=[\u4e00-\u9fff“（《])"
)
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_NOTE = '!!! note "这一页只有英文。"\n\n'


def on_config(config: Any, **_: Any) -> Any:
    """Fill in Results and Decisions: each of their files, called by its heading."""
    docs = Path(config["docs_dir"])
    reference = next(part["Reference"] for part in config["nav"] if "Reference" in part)
    for section in reference:
        for title, folder in (("Results", "results"), ("Decisions", "decisions")):
            if title in section:
                section[title] = [
                    {_heading(path): f"{folder}/{path.name}"}
                    for path in sorted((docs / folder).glob("*.md"))
                    if not path.name.endswith(".zh.md")
                ]
    return config


def _heading(path: Path) -> str:
    return path.read_text("utf-8").partition("\n")[0].removeprefix("# ").replace("`", "")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Take the tests' words off the fences; join Chinese lines; say so where a Chinese reader gets an English page."""
    markdown = _INFO.sub(r"```\1", markdown)
    if page.file.locale_alternate_of != "zh":  # the language that is being built
        return markdown
    english = not str(page.file.abs_src_path).endswith(".zh.md")
    if english or page.file.src_uri == "api.zh.md":  # else the search finds the same text twice
        page.meta["search"] = {"exclude": True}
    if english:
        return _NOTE + markdown
    parts = _FENCED.split(markdown)  # a line's end would be shown as a blank
    return "".join(part if i % 2 else _BREAK.sub("", part) for i, part in enumerate(parts))


class PlainText(griffe.Extension):
    """Docstrings of the house are plain text: prose, and indented lines that stand as they are."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Indented lines become code; in the rest, between backticks aside, no sign means anything."""
    parts: list[str] = []
    code: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.startswith("  "):  # two: a table or an example
            code.append(line)
            continue
        if code:
            parts += ["", "```text", *textwrap.dedent("\n".join(code)).split("\n"), "```", ""]
            code = []
        pieces = re.split(r"(`[^`]*`)", line)
        parts.append(
            "".join(
                re.sub(r"([\\\[\]<*_])", r"\\\1", piece) if i % 2 == 0 else piece
                for i, piece in enumerate(pieces)
            )
        )
    return "\n".join(parts)
