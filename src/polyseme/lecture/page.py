"""The lecture as one page: chapter by chapter the claim, the command, the picture, the figure and what holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from polyseme.lecture.chapter import Chapter, in_order
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Commands, Either, Figure, Heading, Part, Table, View

__all__ = ["lecture_page"]


def lecture_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The whole page.

    Args:
        document: of `give`.
    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    chapters = in_order()
    lead = say(
        "From 1-of-N to GPT in {n} claims, each measured on {text} with small models that were trained for it. A claim "
        "that does not hold at this size is shown with its figure all the same.",
        n=len(document["chapters"]),
        text=", ".join(document["text"]),
    )
    parts: list[Part] = [*_overview(document, chapters, say)]
    for number, one in enumerate(document["chapters"], 1):
        parts += _chapter(number, one, chapters[one["name"]], say)
    parts += [Heading(say("How it was done")), say("The models that all chapters look into:")]
    parts.append(Commands(document["training"]))
    return Page(say("The lecture, replayed"), lead, parts, lang)


def _overview(document: Mapping[str, Any], chapters: Mapping[str, Chapter], say: Speaker) -> list[Part]:
    rows = []
    for number, one in enumerate(document["chapters"], 1):
        main = next((f for f in one["figures"] if f["holds"] is not None), None)
        claim = _own(chapters[one["name"]].title, say)
        # a narrow screen shows the first columns: what holds before what was measured
        rows.append(
            [f"{number}  {claim}", _word(one, say), _shown(main), "" if main is None else _named(main, say)]
        )
    head = [say("claim"), say("at this size"), say("value"), say("figure")]
    caption = say("The first figure of each chapter that the claim is held against; 95 % intervals.")
    return [Table(head, rows, caption, left=(0, 1, 3))]


def _chapter(number: int, one: Mapping[str, Any], chapter: Chapter, say: Speaker) -> list[Part]:
    parts: list[Part] = [Heading(f"{number}. {_own(chapter.title, say)}"), _own(chapter.claim, say)]
    if one["found"] is None:
        told = one["error"].splitlines()[0]
        return [*parts, say("This text cannot show it: {error}.", error=told)]
    parts.append(Commands(one["commands"]))
    parts += [_renamed(part, f"{number:02}_") for part in chapter.parts(one["found"], say)]
    head = [say("figure"), say("holds"), say("value"), say("held against")]
    rows = [
        [
            _named(figure, say),
            {True: say("yes"), False: say("no"), None: "—"}[figure["holds"]],
            _shown(figure),
            "—" if figure["against"] is None else _number(figure["against"], figure["percent"]),
        ]
        for figure in one["figures"]
    ]
    if rows:
        parts.append(Table(head, rows, left=(0, 1)))
    return [*parts, *_says(one, chapter, say)]


def _says(one: Mapping[str, Any], chapter: Chapter, say: Speaker) -> list[Part]:
    if one["holds"] is None:
        return []
    if one["holds"]:
        return [_own(chapter.holds, say)]
    some = any(figure["holds"] for figure in one["figures"])
    first = say("It holds in part.") if some else ""
    return [say.sentences(first, _own(chapter.fails, say), _own(chapter.takes, say))]


def _word(one: Mapping[str, Any], say: Speaker) -> str:
    if one["holds"] is None:
        return say("not shown") if one["found"] is None else "—"
    if one["holds"]:
        return say("holds")
    return say("holds in part") if any(figure["holds"] for figure in one["figures"]) else say("does not hold")


def _named(figure: Mapping[str, Any], say: Speaker) -> str:
    name = _own(figure["name"], say)
    return f"{name}{'：' if say.lang == 'zh' else ': '}{figure['of']}" if figure["of"] else name


def _own(words: str, say: Speaker) -> str:
    """What a chapter says of itself; a third party's stays as it is written."""
    try:
        return say(words)
    except KeyError:
        return words


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else f"{value:.3f}"


def _shown(figure: Mapping[str, Any] | None) -> str:
    """A figure, and its interval in a second line."""
    if figure is None or figure["value"] is None:
        return "—"
    value = _number(figure["value"], figure["percent"])
    if figure["low"] is None:
        return value
    low, high = (_number(figure[key], figure["percent"]) for key in ("low", "high"))
    return f"{value} ({low} … {high})"


def _renamed(part: Part, prefix: str) -> Part:
    """A chapter's part with figures' names of its own: no two charts of a page have one name."""
    if isinstance(part, Figure):
        return replace(part, name=prefix + part.name)
    if isinstance(part, View):
        return replace(part, pictures=[replace(one, name=prefix + one.name) for one in part.pictures])
    if isinstance(part, Either):
        return Either(
            [_renamed(one, prefix) for one in part.page], [_renamed(one, prefix) for one in part.terminal]
        )
    return part
