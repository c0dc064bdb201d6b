"""The README in English and in Chinese say the same: their outlines, commands, tables and links are compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polyseme import cli

ROOT = Path(__file__).resolve().parent.parent.parent
ENGLISH, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))

_FENCE = re.compile(r"^```(?P<info>\S[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def outline(text: str) -> list[str | tuple[str, list[str]]]:
    """Headings by their level and code by its kind and commands, in order; texts in quotes may differ."""
    found: list[str | tuple[str, list[str]]] = []
    for part in re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL):
        if match := _FENCE.fullmatch(part):
            lines = [line for line in match["body"].split("\n") if line.startswith("$ ")]
            lines = [re.sub(r'"[^"]*"', '"…"', line) for line in lines]
            lines = [re.sub(r"chinese-texts|my-texts", "TEXTS", line) for line in lines]
            found.append(
                (match["info"], [re.sub(r"(neighbours \S+) .*", r"\1 WORD", line) for line in lines])
            )
        else:
            found += re.findall(r"^#+(?= )", part, re.MULTILINE)
    return found


def commands_of_the_table(text: str) -> list[str]:
    return re.findall(r"^\| `(polyseme [^`]+)` \|", text, re.MULTILINE)


def links(text: str) -> set[str]:
    """X.zh.md stands for X.md, X-zh.png for X.png."""
    found = re.findall(r"\]\(((?!https?:|README)[^)#]+)", text)
    return {re.sub(r"[.-]zh(?=\.)", "", link) for link in found}


def test_headings_and_commands_are_the_same() -> None:
    assert outline(ENGLISH) == outline(CHINESE)
    assert outline(ENGLISH).count("##") == 10


def test_the_tables_have_the_same_commands() -> None:
    assert commands_of_the_table(ENGLISH) == commands_of_the_table(CHINESE)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_the_table_names_every_verb(text: str) -> None:
    verbs = [command.split()[1] for command in commands_of_the_table(text)]
    assert sorted(verbs) == sorted(verb for verb, _, _ in cli.VERBS)


def test_links_and_options_are_the_same() -> None:
    assert links(ENGLISH) == links(CHINESE)
    options = [set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) for text in (ENGLISH, CHINESE)]
    assert options[0] ^ options[1] <= {"--lang", "--report-lang"}  # how to read and to write Chinese
