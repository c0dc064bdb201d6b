"""What pages and printed reports say, in English and in Chinese: the code has the English words, zh.toml the Chinese.

What comes from users (texts, labels, names of runs) is never translated.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from polyseme.errors import ConfigError

__all__ = ["Speaker"]

LANGUAGES = ("en", "zh")


class Speaker:
    """Says the words of a report.

    Args:
        lang: "en" or "zh".
    Raises:  ConfigError: another language.

    Example:
        >>> say = Speaker("zh")
        >>> say("{n} words", n=3), say.note("cat: 3 rows have no label: skipped (a.tsv:7)")
        ('3 词', 'cat：3 行没有标签：已跳过（a.tsv:7）')
    """

    def __init__(self, lang: str = "en") -> None:
        if lang not in LANGUAGES:
            raise ConfigError("no such language of reports", got=lang, expected=" or ".join(LANGUAGES))
        self.lang = lang

    def __call__(self, english: str, **values: object) -> str:
        """English words, of any case, in the report's language; {names} in them are filled in by str.format."""
        words = english if self.lang == "en" else _phrases()[english.casefold()]
        return words.format(**values) if values else words

    def metric(self, name: str) -> str:
        """The name of a metric; a third party's stays as it is."""
        return name if self.lang == "en" else _phrases().get(name, name)

    def sentences(self, *said: str) -> str:
        """Sentences in a row; Chinese ones need no space between them."""
        return ("" if self.lang == "zh" else " ").join(sentence for sentence in said if sentence)

    def note(self, english: str) -> str:
        """A finished sentence of a study, told by its form; one of no known form stays as it is."""
        for form, chinese in _notes() if self.lang == "zh" else ():
            if found := form.fullmatch(english):
                before, after = (found["before"] or "").replace(": ", "："), found["after"]
                return before + chinese.format(**found.groupdict()) + (f"（{after}）" if after else "")
        return english


def _tables() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_name("zh.toml").read_text("utf-8"))


@cache
def _phrases() -> dict[str, str]:
    return {english.casefold(): chinese for english, chinese in _tables()["phrases"].items()}


@cache
def _notes() -> list[tuple[re.Pattern[str], str]]:
    """Forms of notes, the longest first; who is meant may stand before them, and a place after them."""
    forms = []
    for english, chinese in sorted(_tables()["notes"].items(), key=lambda note: -len(note[0])):
        body = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(english))
        form = rf"(?P<before>(?:.+: )?){body}(?: \((?P<after>.*)\))?"
        forms.append((re.compile(form, re.DOTALL), chinese))
    return forms
