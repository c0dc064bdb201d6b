"""Minimal pairs for people: accuracy of every phenomenon as bars, of every paradigm as a table, the worst errors.

All of it is drawn from the document alone, so that a saved one can be drawn again. Several runs' documents are drawn
together: {"runs": [document, document …]}, measured on the same pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.report.figures import columns, duration
from polyseme.report.language import Speaker, speaker
from polyseme.report.page import Page
from polyseme.report.pairs_chart import names_of, pairs_chart, runs_of, shown
from polyseme.report.parts import Figure, Heading, Part, Table
from polyseme.report.study_files import write_json_lines
from polyseme.study.standings import highest_apart

if TYPE_CHECKING:
    from polyseme.study.pairs import Pairs

__all__ = ["CHINESE", "pairs_page", "pairs_parts", "pairs_text", "write_scores"]

_RIGHT = (
    "{name} finds the good text more probable in {value} of {pairs} pairs, as a mean over {paradigms} paradigms (95 % "
    "interval {low} … {high}); chance is 0.5, and a tie counts one half ({ties} ties)."
)
_CAPTION = (
    "Share of pairs whose good text is more probable, mean over the paradigms of a phenomenon; lines are 95 % "
    "intervals (pairs drawn again within their paradigm; Wilson's for a single paradigm), the dashed line is chance."
)

CHINESE = {
    "Minimal pairs": "最小对立体",
    "Which of two texts that differ in one thing is more probable?": "两个仅有一处不同的句子，哪一个的概率更高？",
    "Accuracy by phenomenon": "各语言现象的准确率",
    "Paradigms": "各范式",
    "Most confident errors": "最有把握的错误",
    "Most confident errors of {name}": "{name} 最有把握的错误",
    "log-likelihood": "对数似然",
    "pseudo-log-likelihood": "伪对数似然",
    "two-way log-likelihood": "双向对数似然",
    "original": "原始方式",
    "within-word": "词内从左到右",
    _RIGHT: (
        "{name} 在 {pairs} 个句对中认为好句概率更高的比例为 {value}（{paradigms} 个范式的平均，"
        "95% 区间 {low} … {high}）；随机猜测为 0.5，概率相等时计半分（共 {ties} 对）。"
    ),
    "Score: {kind}.": "分数：{kind}。",
    "Score: {kind}, {scoring}.": "分数：{kind}（{scoring}）。",
    "Against {name}: accuracy {value}, difference {difference} ({low} … {high}, p = {p}).": (
        "与 {name} 相比：其准确率为 {value}，差为 {difference}（{low} … {high}，p = {p}）。"
    ),
    "{pairs} pairs have words that the run does not know.": "有 {pairs} 个句对含有模型词表之外的词。",
    "{same} pairs are the same tokens to the run.": "有 {same} 个句对的两句在模型看来是相同的词元序列。",
    "all: mean over paradigms": "总体：各范式的平均",
    "Bold: above chance, and the interval lies above those of all others.": (
        "粗体：高于随机水平，且区间高于所有其他模型的区间。"
    ),
    "accuracy": "准确率",
    _CAPTION: (
        "好句概率更高的句对所占比例，按语言现象内各范式取平均；横线为 95% 区间"
        "（在范式内对句对重抽样；只有一个范式时用 Wilson 区间），虚线为随机水平。"
    ),
    "Bars of accuracy for {n} phenomena; the mean over all paradigms is {value}.": (
        "{n} 个语言现象准确率的条形图；全部范式的平均为 {value}。"
    ),
    "paradigm": "范式",
    "phenomenon": "语言现象",
    "interval": "区间",
    "pairs": "句对",
    "ties": "相等",
    "margin": "差值（奈特）",
    "against": "对照",
    "difference": "差",
    "Margin: mean of log p(good) - log p(bad), nats.": "差值：log p(好句) - log p(坏句) 的平均，单位奈特。",
    "p is the larger of two tests, not corrected for their number.": "p 取两种检验中较大者，未作多重比较校正。",
    "good": "好句",
    "bad": "坏句",
    "{n} pairs were decided wrongly; these are the surest.": "共有 {n} 个句对判断错误；下面是最有把握的。",
    "There are none.": "没有。",
}

_ERRORS = 20
"""Errors that a page lists of each run."""


def pairs_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The page that `polyseme pairs -o` writes.

    Raises:  ConfigError: no such language.
    """
    say = speaker(lang, CHINESE)
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
        say: in the page's language; its table holds `CHINESE`.
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


def write_scores(found: Pairs, path: Path) -> Path:
    """Write every pair with its scores as JSON lines, in order.

    Raises:  StorageError: the disk refuses.
    """
    return write_json_lines(found.pairs, path)


def _number(value: float | None, sign: str = "") -> str:
    return "—" if value is None else f"{value:{sign}.3f}"


def _interval(one: Mapping[str, Any], sign: str = "") -> str:
    return "" if one["low"] is None else f"{one['low']:{sign}.3f} … {one['high']:{sign}.3f}"


def _p(difference: Mapping[str, Any]) -> str:
    return f"{max(difference['p'], difference['p_randomisation']):.4f}"
