"""The README in English and in Chinese say the same in one screen, and the page of commands names every verb."""

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
            found.append(
                (match["info"], [re.sub(r"chinese-texts|my-texts", "TEXTS", line) for line in lines])
            )
        else:
            found += re.findall(r"^#+(?= )", part, re.MULTILINE)
    return found


def table(text: str) -> list[list[str]]:
    """The cells of the table of what can be done, the heads of rows and columns aside; pictures stand in another."""
    lines = [line for line in text.split("\n") if line.startswith("| ") and "![" not in line]
    rows = [line.strip("|").split("|")[1:] for line in lines]
    return [[re.sub(r"[^✓–\w-]+.*", "", cell.strip()) for cell in row] for row in rows[1:]]


def links(text: str) -> set[str]:
    """X.zh.md stands for X.md, X-zh.png for X.png."""
    found = re.findall(r"\]\(((?!https?:|README)[^)#]+)", text)
    return {re.sub(r"[.-]zh(?=\.)", "", link) for link in found}


def test_headings_and_commands_are_the_same() -> None:
    assert outline(ENGLISH) == outline(CHINESE)
    (_, commands) = outline(ENGLISH)[-1]
    assert len(commands) == 2


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_a_readme_fits_one_screen(text: str) -> None:
    assert text.count("\n") < 50
    assert "![" in text


def test_the_tables_say_the_same_of_everybody() -> None:
    english, chinese = table(ENGLISH), table(CHINESE)
    assert len(english) == len(chinese) > 10
    for ours, theirs in zip(english, chinese, strict=True):
        assert [cell for cell in ours if cell in "✓–"] == [cell for cell in theirs if cell in "✓–"]
        assert len(ours) == len(theirs) == 5


def test_links_and_options_are_the_same() -> None:
    assert links(ENGLISH) == links(CHINESE)
    options = [set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) for text in (ENGLISH, CHINESE)]
    assert options[0] == options[1]


@pytest.mark.parametrize("page", ["commands.md", "commands.zh.md"])
def test_the_page_of_commands_names_every_verb(page: str) -> None:
    text = (ROOT / "docs" / "guide" / page).read_text("utf-8")
    commands = re.findall(r"^\| `polyseme ([^`]+)` \|", text, re.MULTILINE)
    assert sorted(command.split()[0] for command in commands) == sorted(verb for verb, _, _ in cli.VERBS)
    english = (ROOT / "docs" / "guide" / "commands.md").read_text("utf-8")
    assert commands == re.findall(r"^\| `polyseme ([^`]+)` \|", english, re.MULTILINE)
