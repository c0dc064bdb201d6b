"""Results at the prompt, as a table for pandas, and by the report's page where a kind has one."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from polyseme.core.result import Result, table_lines
from polyseme.errors import ConfigError

ROWS = [{"word": "银行", "value": 0.5, "n": 12_000}, {"word": "bank", "value": None, "n": 3}]


class Counted(Result):
    """A result of no verb."""

    kind = "counted"
    notes = ()

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def document(self) -> Any:
        return {"rows": self._rows}

    def headline(self) -> str:
        return f"{len(self._rows)} words"

    def rows(self) -> list[dict[str, Any]]:
        return self._rows


def test_wide_characters_stand_in_line() -> None:
    assert repr(Counted(ROWS)).split("\n") == [
        "Counted: 2 words",
        "  word  value       n",
        "  银行  0.500  12,000",
        "  bank      –       3",
    ]


def test_no_line_is_longer_than_a_terminal_and_a_long_table_is_cut() -> None:
    wide = [{f"column {i}": "一个很长的词语" * 5 for i in range(12)}] * 11
    lines = table_lines(wide)
    width = max(sum(2 if ord(c) > 0x2E7F else 1 for c in line) for line in lines)
    assert 60 < width <= 80
    assert len(lines) == 1 + 8 + 1
    assert lines[-1] == "  … and 3 more"
    assert table_lines([]) == []


def test_a_kind_without_a_page_shows_its_table() -> None:
    result = Counted(ROWS)
    assert "12,000" in str(result)
    assert "银行" in result._repr_html_()


def test_pandas_gets_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: ("frame", rows)))
    assert Counted(ROWS).to_pandas() == ("frame", ROWS)


def test_without_pandas_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="pandas is not installed") as caught:
        Counted(ROWS).to_pandas()
    assert caught.value.fix == "pip install 'polyseme[pandas]'"
