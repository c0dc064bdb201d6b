"""Minimal pairs for people: accuracy of every phenomenon as bars, of every paradigm as a table, the worst errors.

All of it is drawn from the document alone, so that a saved one can be drawn again. Several runs' documents are drawn
together: {"runs": [document, document …]}, measured on the same pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.report.figures import columns, duration
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.pairs_chart import names_of, pairs_chart, runs_of, shown
from polyseme.report.parts import Figure, Heading, Part, Table
from polyseme.report.study_files import write_json_lines, write_study
from polyseme.study.standings import highest_apart

if TYPE_CHECKING:
    from polyseme.study.pairs import Pairs

__all__ = ["pairs_page", "pairs_parts", "pairs_text", "write_pairs"]

_RIGHT = (
    "{name} finds the good text more probable in {value} of {pairs} pairs, as a mean over {paradigms} paradigms (95 % "
    "interval {low} … {high}); chance is 0.5, and a tie counts one half ({ties} ties)."
)
_CAPTION = (
    "Share of pairs whose good text is more probable, mean over the paradigms of a phenomenon; lines are 95 % "
    "intervals (pairs drawn again within their paradigm; Wilson's for a single paradigm), the dashed line is chance."
)

_ERRORS = 20
"""Errors that a page lists of each run."""


def pairs_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The page that `polyseme pairs -o` writes.

    Raises:  ConfigError: no such language.
    """
    say = Speaker(lang)
    return Page(
        say("Minimal pairs"),
        say("Which of two texts that differ in one thing is more probable?"),
        pairs_parts(document, say),
        lang,
    )


def pairs_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Part]:
    """The parts: accuracy by phenomenon, by paradigm, and errors.

    Args:
        document: of `Pairs`, or {"runs": [several]}.
        say: speaks the page's language.
        prefix: of the figures' names.
    """
    runs = runs_of(document)
    names = names_of(runs)
    n = len(runs[0]["phenomena"])
    value = _number(runs[0]["figures"]["accuracy"]["value"])
    figure = Figure(
        f"{prefix}pairs",
        pairs_chart(document, say),
        say(_CAPTION),
        say("Bars of accuracy for {n} phenomena; the mean over all paradigms is {value}.", n=n, value=value),
    )
    return [
        Heading(say("Accuracy by phenomenon")),
        *(text for one, name in zip(runs, names, strict=True) for text in _said(one, name, say)),
        figure,
        Heading(say("Paradigms")),
        *_paradigms(runs, names, say),
        *(
            part
            for one, name in zip(runs, names, strict=True)
            for part in _errors(one, name if len(runs) > 1 else None, say)
        ),
    ]


def _said(one: Mapping[str, Any], name: str, say: Speaker) -> Iterable[Part]:
    """Paragraphs on one run."""
    all_, accuracy = one["figures"], one["figures"]["accuracy"]
    words = [
        say(
            _RIGHT,
            name=name,
            value=_number(accuracy["value"]),
            low=_number(accuracy["low"]),
            high=_number(accuracy["high"]),
            pairs=f"{all_['pairs']:,}",
            paradigms=all_["paradigms"],
            ties=f"{all_['ties']:,}",
        )
    ]
    kind = say(one["kind"])
    if one["scoring"]:
        words.append(say("Score: {kind}, {scoring}.", kind=kind, scoring=say(one["scoring"])))
    else:
        words.append(say("Score: {kind}.", kind=kind))
    if all_["unknown"]:
        words.append(
            say("{pairs} pairs have words that the run does not know.", pairs=f"{all_['unknown']:,}")
        )
    if one["same_tokens"]:
        words.append(say("{same} pairs are the same tokens to the run.", same=f"{one['same_tokens']:,}"))
    if "against" in one:
        difference = all_["difference"]
        words.append(
            say(
                "Against {name}: accuracy {value}, difference {difference} ({low} … {high}, p = {p}).",
                name=names_of([one, one["against"]])[1],
                value=_number(all_["against"]["value"]),
                difference=_number(difference["value"], "+"),
                low=_number(difference["low"], "+"),
                high=_number(difference["high"], "+"),
                p=_p(difference),
            )
        )
    yield " ".join(words)


def _paradigms(runs: Sequence[Mapping[str, Any]], names: Sequence[str], say: Speaker) -> list[Part]:
    first = runs[0]
    key = [(one["paradigm"], one["phenomenon"]) for one in first["paradigms"]]
    left = [say("paradigm"), say("phenomenon")]
    if len(runs) > 1:
        by_name = [{(p["paradigm"], p["phenomenon"]): p for p in one["paradigms"]} for one in runs]
        rows, strong, hints = [], set(), {}
        for number, (paradigm, phenomenon) in enumerate(key):
            found = [one.get((paradigm, phenomenon)) for one in by_name]
            values = [None if one is None else one["accuracy"]["value"] for one in found]
            best = highest_apart([None if one is None else one["accuracy"] for one in found], 0.5)
            if best is not None:
                strong.add((number, 2 + best))
            for column, one in enumerate(found, 2):
                if one is not None:
                    hints[number, column] = _interval(one["accuracy"])
            pairs = f"{first['paradigms'][number]['pairs']:,}"
            rows.append([shown(paradigm), shown(phenomenon), *map(_number, values), pairs])
        caption = say("Bold: above chance, and the interval lies above those of all others.")
        return [Table([*left, *names, say("pairs")], rows, caption, (0, 1), frozenset(strong), hints)]
    compared = "against" in first
    head = [*left, say("accuracy"), say("interval")]
    if compared:
        head += [say("against"), say("difference"), say("interval"), "p"]
    head += [say("margin"), say("ties"), say("pairs")]
    rows = []
    for one in first["paradigms"]:
        row = [shown(one["paradigm"]), shown(one["phenomenon"])]
        row += [_number(one["accuracy"]["value"]), _interval(one["accuracy"])]
        if compared:
            difference = one["difference"]
            row += [_number(one["against"]["value"]), _number(difference["value"], "+")]
            row += [_interval(difference, "+"), _p(difference)]
        row += [f"{one['margin']['value']:+.2f}", f"{one['ties']:,}", f"{one['pairs']:,}"]
        rows.append(row)
    caption = say("Margin: mean of log p(good) - log p(bad), nats.")
    if compared:
        caption += " " + say("p is the larger of two tests, not corrected for their number.")
    return [Table(head, rows, caption, (0, 1))]


def _errors(one: Mapping[str, Any], name: str | None, say: Speaker) -> list[Part]:
    title = (
        say("Most confident errors") if name is None else say("Most confident errors of {name}", name=name)
    )
    if not one["errors"]:
        return [Heading(title), say("There are none.")]
    rows = [
        [error["good"], error["bad"], f"{error['margin']:+.2f}", shown(error["paradigm"])]
        for error in one["errors"][:_ERRORS]
    ]
    head = [say("good"), say("bad"), say("margin"), say("paradigm")]
    lead = say("{n} pairs were decided wrongly; these are the surest.", n=f"{one['wrong']:,}")
    return [Heading(title), lead, Table(head, rows, "", (0, 1, 3))]


def pairs_text(document: Mapping[str, Any]) -> str:
    """What the terminal shows: a table of phenomena and of paradigms, the surest errors."""
    return "\n\n\n".join(_text(one) for one in runs_of(document))


def _text(one: Mapping[str, Any]) -> str:
    scoring = f", {one['scoring']}" if one["scoring"] else ""
    title = f"{one['run']}: {one['model']}, {one['kind']}{scoring}"
    if "against" in one:
        title += f", against {one['against']['run']}: {one['against']['model']}"
    cost = one["cost"]
    lines = [title, f"{cost['texts']:,} texts, {cost['tokens']:,} tokens in {duration(cost['seconds'])}"]
    everything = [("all: mean over paradigms", one["figures"])]
    phenomena = [(shown(row["phenomenon"]), row) for row in one["phenomena"]]
    paradigms = [(shown(row["paradigm"]), row) for row in one["paradigms"]]
    parts = ["\n".join(lines), _table("phenomenon", [*phenomena, *everything])]
    if [name for name, _ in paradigms] != [name for name, _ in phenomena]:
        parts.append(_table("paradigm", paradigms))
    if one["errors"]:
        rows = [
            [f"{error['margin']:+.2f}", f"{error['bad']}  rather than  {error['good']}"]
            for error in one["errors"][:5]
        ]
        parts.append("\n".join(["surest errors, nats", *columns(rows, [0])]))
    return "\n\n".join(parts)


def _table(what: str, named: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    compared = "difference" in named[0][1]
    head = [what, "accuracy", "95 % interval"]
    if compared:
        head += ["against", "difference", "95 % interval", "p"]
    rows = [[*head, "margin", "ties", "unknown", "pairs"]]
    for name, one in named:
        row = [name, _number(one["accuracy"]["value"]), _interval(one["accuracy"])]
        if compared:
            difference = one["difference"]
            row += [_number(one["against"]["value"]), _number(difference["value"], "+")]
            row += [_interval(difference, "+"), _p(difference)]
        rows.append(
            [*row, f"{one['margin']['value']:+.2f}", *(f"{one[k]:,}" for k in ("ties", "unknown", "pairs"))]
        )
    return "\n".join(columns(rows, range(1, len(rows[0]))))


def write_pairs(result: Pairs, folder: Path, lang: str = "en") -> tuple[list[Path], list[str]]:
    """Write pairs.html, pairs.json, the chart as .svg and .png, and scores.jsonl: a line a pair with both scores.

    Returns the files, and what a person should know of them.
    Raises:  StorageError: the disk refuses.  ConfigError: no such language.
    """
    document = result.document()
    wrote, note = write_study("pairs", document, pairs_page(document, lang), folder)
    return [*wrote, write_json_lines(result.pairs, folder / "scores.jsonl")], [note] if note else []


def _number(value: float | None, sign: str = "") -> str:
    return "—" if value is None else f"{value:{sign}.3f}"


def _interval(one: Mapping[str, Any], sign: str = "") -> str:
    return "" if one["low"] is None else f"{one['low']:{sign}.3f} … {one['high']:{sign}.3f}"


def _p(difference: Mapping[str, Any]) -> str:
    return f"{max(difference['p'], difference['p_randomisation']):.4f}"
