"""The Chinese words of all reports: one translation each."""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict

from polyseme import report
from polyseme.text.words import has_cjk


def tables() -> dict[str, dict[str, str]]:
    """Every table of English words and their Chinese ones in the room, by its module and name."""
    found = {}
    for module in pkgutil.iter_modules(report.__path__):
        names = vars(importlib.import_module(f"polyseme.report.{module.name}"))
        for name, table in names.items():
            words = list(table.items()) if isinstance(table, dict) else []
            plain = all(isinstance(word, str) for pair in words for word in pair)
            if plain and any(has_cjk(chinese) for _, chinese in words):
                found[f"{module.name}.{name}"] = table
    return found


def test_a_label_has_one_translation_in_all_reports() -> None:
    """Upper and lower case are one: a reader of two pages must find the same word for the same thing."""
    found = tables()
    assert len(found) >= 6
    translations: dict[str, set[str]] = defaultdict(set)
    for table in found.values():
        for english, chinese in table.items():
            translations[english.casefold().rstrip(".:")].add(chinese.rstrip("。："))
    assert {english: some for english, some in translations.items() if len(some) > 1} == {}


def test_words_of_the_field_have_one_translation() -> None:
    """Words that pages of both kinds use: 义项 and no 词义 for a sense, 准确率 and no 正确率 for accuracy."""
    every = [chinese for table in tables().values() for chinese in table.values()]
    for other in ("词义", "正确率", "词嵌入层", "置信区间"):
        assert [chinese for chinese in every if other in chinese] == []
