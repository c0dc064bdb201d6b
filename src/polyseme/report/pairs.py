"""Minimal pairs for people: accuracy of every phenomenon as bars, of every paradigm as a table, the worst errors.

All of it is drawn from the document alone, so that a saved one can be drawn again. Several runs' documents are drawn
together: {"runs": [document, document …]}, measured on the same pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.report.charts import Axis, Chart, Rule, Series, bars
from polyseme.report.figures import duration
from polyseme.report.files import write_json_lines, write_study
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Heading, Part, Table
from polyseme.study.standings import highest_apart

if TYPE_CHECKING:
    from polyseme.study.pairs import Pairs

__all__ = ["names_of", "pairs_chart", "pairs_page", "pairs_parts", "write_pairs"]

_RIGHT = (
    "{name} finds the good text more probable in {value} of {pairs} pairs, as a mean over {paradigms} paradigms (95 % "
    "interval {low} … {high}); chance is 0.5, and a tie counts one half ({ties} ties)."
)
_CAPTION = (
    "Share of pairs whose good text is more probable, mean over the paradigms of a phenomenon; lines are 95 % "
    "intervals (pairs drawn again within their paradigm; Wilson's for a single paradigm), the dashed line is chance."
)

_ERRORS, _FEW = 20, 5
"""Errors that a page lists of each run, and a terminal."""


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
        document: of `Pairs`, or {"runs": [several], "series"}: runs may have a "name", "series" are the names in the
            order of their colours.
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
    several = len(runs) > 1
    return [
        Heading(say("Accuracy by phenomenon")),
        *(_said(run, name, say) for run, name in zip(runs, names, strict=True)),
        *([figure, _beside(runs, names, say)] if several else [Either([figure], _phenomena(runs[0], say))]),
        Heading(say("Paradigms")),
        _beside(runs, names, say, ("paradigm", "phenomenon"))
        if several
        else _table(runs[0]["paradigms"], ("paradigm", "phenomenon"), say),
        *(
            part
            for run, name in zip(runs, names, strict=True)
            for part in _errors(run, name if several else None, say)
        ),
    ]


def _said(run: Mapping[str, Any], name: str, say: Speaker) -> str:
    """A paragraph on one run."""
    all_, accuracy = run["figures"], run["figures"]["accuracy"]
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
    kind = say(run["kind"])
    if run["scoring"]:
        words.append(say("Score: {kind}, {scoring}.", kind=kind, scoring=say(run["scoring"])))
    else:
        words.append(say("Score: {kind}.", kind=kind))
    if all_["unknown"]:
        words.append(
            say("{pairs} pairs have words that the run does not know.", pairs=f"{all_['unknown']:,}")
        )
    if run["same_tokens"]:
        words.append(say("{same} pairs are the same tokens to the run.", same=f"{run['same_tokens']:,}"))
    if "against" in run:
        difference = all_["difference"]
        words.append(
            say(
                "Against {name}: accuracy {value}, difference {difference} ({low} … {high}, p = {p}).",
                name=names_of([run, run["against"]])[1],
                value=_number(all_["against"]["value"]),
                difference=_number(difference["value"], "+"),
                low=_number(difference["low"], "+"),
                high=_number(difference["high"], "+"),
                p=_p(difference),
            )
        )
    cost = run["cost"]
    texts, tokens = f"{cost['texts']:,}", f"{cost['tokens']:,}"
    words.append(
        say(
            "{texts} texts, {tokens} tokens in {time}.",
            texts=texts,
            tokens=tokens,
            time=duration(cost["seconds"]),
        )
    )
    return say.sentences(*words)


def _phenomena(run: Mapping[str, Any], say: Speaker) -> list[Part]:
    """What the chart draws, as figures; nothing where paradigms are the same as phenomena."""
    rows = run["phenomena"]
    if [row["phenomenon"] for row in rows] == [row["paradigm"] for row in run["paradigms"]]:
        return []
    total = {**run["figures"], "phenomenon": say("all: mean over paradigms")}
    return [_table([*rows, total], ("phenomenon",), say)]


def _table(rows: Sequence[Mapping[str, Any]], names: Sequence[str], say: Speaker) -> Table:
    """The figures of one run by paradigm or phenomenon."""
    compared = "difference" in rows[0]
    head = [*map(say, names), say("accuracy")]
    head += [say("against"), say("difference"), "p"] if compared else []
    head += [say("margin"), say("ties"), say("unknown"), say("pairs")]
    cells = []
    for figures in rows:
        row = [*(name_of(figures[name]) for name in names), _measured(figures["accuracy"])]
        if compared:
            difference = figures["difference"]
            row += [_number(figures["against"]["value"]), _measured(difference, "+"), _p(difference)]
        row += [
            f"{figures['margin']['value']:+.2f}",
            *(f"{figures[key]:,}" for key in ("ties", "unknown", "pairs")),
        ]
        cells.append(row)
    caption = say("Margin: mean of log p(good) - log p(bad), nats.")
    if compared:
        caption = say.sentences(caption, say("p is the larger of two tests, not corrected for their number."))
    return Table(head, cells, caption, range(len(names)))


def _beside(
    runs: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    say: Speaker,
    of: Sequence[str] = ("phenomenon",),
) -> Table:
    """The accuracy of several runs by phenomenon or paradigm, and over all."""
    part = "phenomena" if len(of) == 1 else "paradigms"
    by_name = [{tuple(row[key] for key in of): row for row in run[part]} for run in runs]
    total = say("all: mean over paradigms")
    lines = [
        ([name_of(row[key]) for key in of], row, [rows.get(key) for rows in by_name])
        for key, row in by_name[0].items()
    ]
    lines.append(([total, *[""] * (len(of) - 1)], runs[0]["figures"], [run["figures"] for run in runs]))
    rows, strong = [], set()
    for number, (said, first, found) in enumerate(lines):
        figures = [None if row is None else row["accuracy"] for row in found]
        best = highest_apart(figures, 0.5)
        if best is not None:
            strong.add((number, len(of) + best))
        measured = ["—" if one is None else _measured(one) for one in figures]
        rows.append([*said, *measured, f"{first['pairs']:,}"])
    head = [*map(say, of), *names, say("pairs")]
    caption = say("Bold (•): above chance, and the interval lies above those of all others.")
    return Table(head, rows, caption, range(len(of)), frozenset(strong), keys=len(of))


def _errors(run: Mapping[str, Any], name: str | None, say: Speaker) -> list[Part]:
    title = (
        say("Most confident errors") if name is None else say("Most confident errors of {name}", name=name)
    )
    if not run["errors"]:
        return [Heading(title), say("There are none.")]
    rows = [
        [error["good"], error["bad"], f"{error['margin']:+.2f}", name_of(error["paradigm"])]
        for error in run["errors"]
    ]
    head = [say("good"), say("bad"), say("margin"), say("paradigm")]
    lead = say("{n} pairs were decided wrongly; these are the surest.", n=f"{run['wrong']:,}")
    page, terminal = (Table(head, rows[:n], "", (0, 1, 3)) for n in (_ERRORS, _FEW))
    return [Heading(title), lead, Either(page=[page], terminal=[terminal])]


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


def _measured(figure: Mapping[str, Any], sign: str = "") -> str:
    interval = _interval(figure, sign)
    return _number(figure["value"], sign) + (f" ({interval})" if interval else "")


def _interval(figure: Mapping[str, Any], sign: str = "") -> str:
    return "" if figure["low"] is None else f"{figure['low']:{sign}.3f} … {figure['high']:{sign}.3f}"


def _p(difference: Mapping[str, Any]) -> str:
    return f"{max(difference['p'], difference['p_randomisation']):.4f}"


def runs_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The documents of the runs that a document is about."""
    return list(document["runs"]) if "runs" in document else [document]


def names_of(abouts: Sequence[Mapping[str, Any]]) -> list[str]:
    """What runs are called: the name that they were given, or their model, with folder or path to tell them apart."""
    ways = [
        [str(run.get("name", "")) for run in abouts],
        [str(run["model"]) for run in abouts],
        [f"{run['model']} ({Path(run['run']).name})" for run in abouts],
        [f"{run['model']} ({run['run']})" for run in abouts],
        [f"{number}: {run['model']}" for number, run in enumerate(abouts, 1)],
    ]
    return next(names for names in ways if all(names) and max(Counter(names).values()) == 1)


def pairs_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """Bars of the accuracy of every phenomenon, one a run, with intervals and the line of chance."""
    rows, names, labels = _bars(document, say)
    accuracy = Axis("accuracy", say("accuracy"), ".2f", (0, 1))
    runs = Series("run", document.get("series") or names)
    return bars(rows, Axis("phenomenon"), accuracy, labels, runs, text="text", rule=Rule(0.5))


def _bars(document: Mapping[str, Any], say: Speaker) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Rows of the chart, names of the runs and of the phenomena in order: all first, then by the first run's figure."""
    runs = runs_of(document)
    own = names_of(runs)
    sources: list[tuple[str, Mapping[str, Any], str]] = [
        (name, run, "accuracy") for name, run in zip(own, runs, strict=True)
    ]
    if len(runs) == 1 and "against" in runs[0]:
        names = names_of([runs[0], runs[0]["against"]])
        sources = [(names[0], runs[0], "accuracy"), (names[1], runs[0], "against")]
    total = say("all: mean over paradigms")
    ranked = sorted(runs[0]["phenomena"], key=lambda row: -row["accuracy"]["value"])
    labels = [total, *(name_of(row["phenomenon"]) for row in ranked)]
    rows = []
    for name, run, field in sources:
        for label, figures in [
            (total, run["figures"]),
            *((name_of(phenomenon["phenomenon"]), phenomenon) for phenomenon in run["phenomena"]),
        ]:
            accuracy = figures[field]
            rows.append(
                {
                    "phenomenon": label,
                    "run": name,
                    "accuracy": round(accuracy["value"], 4),
                    "text": f"{accuracy['value']:.2f}",
                    "low": round(accuracy["low"], 4),
                    "high": round(accuracy["high"], 4),
                    "pairs": accuracy["n"],
                }
            )
    return rows, [name for name, _, _ in sources], list(dict.fromkeys(labels))


def name_of(name: str) -> str:
    """A name as a person reads it: file names and BLiMP's have underscores for spaces."""
    return name.replace("_", " ")
