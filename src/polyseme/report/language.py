"""The page's own words in English and Chinese.

A report's code holds the English words; beside them stands a table of the Chinese ones. What comes from users (texts,
labels, names of runs) is never translated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from polyseme.errors import ConfigError

__all__ = ["LANGUAGES", "Speaker", "speaker"]

LANGUAGES = ("en", "zh")

Speaker = Callable[..., str]
"""(English words, named values) -> the words in the page's language, values filled in by str.format."""


def speaker(lang: str, chinese: Mapping[str, str]) -> Speaker:
    """Who says a report's words.

    Args:
        lang: "en" or "zh".
        chinese: English words -> Chinese ones, both with the same {names}.
    Raises:  ConfigError: another language.

    Example:
        >>> speaker("zh", {"{n} runs": "{n} 个运行"})("{n} runs", n=3)
        '3 个运行'
    """
    if lang not in LANGUAGES:
        raise ConfigError("no such language of reports", got=lang, expected=" or ".join(LANGUAGES))

    def say(english: str, **values: object) -> str:
        words = english if lang == "en" else chinese[english]
        return words.format(**values) if values else words

    return say
