"""Senses for a terminal, and how their figures are written everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.figures import columns, width

__all__ = ["FIGURES", "contexts", "headline", "highest", "p_value", "senses_text", "shown", "tabled"]

FIGURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
"""How the figures that may be the headline are called."""

_LISTED = 3
"""Typical contexts of a group that are shown."""
_BESIDE = 64
"""Columns on each side of a use in them."""


def senses_text(document: Mapping[str, Any]) -> str:
    """The figures for a terminal."""
    parts = _labelled_text(document) if document["labelled"] else _unlabelled_text(document)
    return "\n\n".join("\n".join(part) for part in parts)


def _labelled_text(document: Mapping[str, Any]) -> list[list[str]]:
    parts = []
    for run in document["runs"]:
        rows = [
            [
                "word",
                "uses",
                "senses",
                "figure",
                "most frequent",
                "nearest neighbour",
                "over it",
                "p",
                "accuracy",
                "macro-F1",
                "centroid",
                "highest",
            ]
        ]
        for word, entry in zip(document["words"], run["words"], strict=True):
            rows.append(
                [word["word"], f"{word['uses']:,}", str(len(word["senses"])), *_best(entry["best"], run)]
            )
        if len(document["words"]) > 1:
            rows.append(["mean", "", "", *_best(run["mean"]["best"], run)])
        static = ": a word has the same vector in every use" if run["static"] else ""
        head = f"{run['name']} ({run['model']}){static}"
        parts.append([head, *columns(rows, [1, 2, 4, 8, 9, 10, 11])])
        rows = [["layer", "nearest neighbour", "centroid", "balanced", "macro-F1", "silhouette"]]
        for one in run["mean"]["layers"]:
            rows.append(
                [
                    str(one["layer"]),
                    shown(one["nearest"]["accuracy"]),
                    shown(one["centroid"]["accuracy"]),
                    f"{one['nearest']['balanced_accuracy']['value']:.3f}",
                    f"{one['nearest']['macro_f1']['value']:.3f}",
                    shown(one["silhouette"], "+"),
                ]
            )
        parts.append(columns(rows, [0]))
        parts += _test_text(document, run)
    if document["differences"]:
        rows = [["difference", "word", "figure", "nearest neighbour", "p"]]
        for one in document["differences"]:
            figure = FIGURES[one.get("figure", "accuracy")]
            sides = f"{one['first']} - {one['second']}"
            rows.append([sides, one["word"] or "mean", figure, shown(one, "+"), p_value(one)])
        parts.append(columns(rows, [4]))
    return parts


def _best(best: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """What is said of a word, or of the mean, at its best layer."""
    nearest, main = best["nearest"], headline(best["nearest"])
    return [
        FIGURES[main["figure"]],
        f"{main['ceiling']:.3f}",
        shown(main),
        shown(main["over"], "+"),
        p_value(main["over"]),
        f"{nearest['accuracy']['value']:.3f}",
        f"{nearest['macro_f1']['value']:.3f}",
        f"{headline(best['centroid'])['value']:.3f}",
        highest(nearest, run),
    ]


def _test_text(document: Mapping[str, Any], run: Mapping[str, Any]) -> list[list[str]]:
    """The given split, where the uses have one."""
    rows = [["test part", "train", "test", "nearest neighbour", "macro-F1", "layer", "centroid"]]
    for word, entry in zip(document["words"], run["words"], strict=True):
        test = entry["test"]
        if test:
            rows.append(
                [
                    word["word"],
                    f"{test['train']:,}",
                    f"{test['nearest']['accuracy']['n']:,}",
                    shown(test["nearest"]["accuracy"]),
                    f"{test['nearest']['macro_f1']['value']:.3f}",
                    str(test["nearest"]["layer"]),
                    f"{test['centroid']['accuracy']['value']:.3f}",
                ]
            )
    if len(rows) > 2 and "test" in run["mean"]:
        mean = run["mean"]["test"]
        macro, centroid = mean["nearest"]["macro_f1"]["value"], mean["centroid"]["accuracy"]["value"]
        figures = [shown(mean["nearest"]["accuracy"]), f"{macro:.3f}", "", f"{centroid:.3f}"]
        rows.append(["mean", "", "", *figures])
    return [columns(rows, [1, 2, 4, 5, 6])] if len(rows) > 1 else []


def _unlabelled_text(document: Mapping[str, Any]) -> list[list[str]]:
    parts = []
    for place, word in enumerate(document["words"]):
        for run in document["runs"]:
            entry = run["words"][place]
            rows = [["layer", "groups", "silhouette", "of one piece", "z", "z to pass"]]
            rows += [
                [str(one["layer"]), str(one["groups"]), *tabled(one, one["table"])] for one in entry["layers"]
            ]
            parts.append(
                [
                    f"{word['word']}, {word['uses']:,} uses, {run['name']} ({run['model']})",
                    *columns(rows, range(6)),
                ]
            )
            for number, group in enumerate(entry["groups"], 1):
                beside = f": {', '.join(group['words'])}" if group["words"] else ""
                parts.append(
                    [
                        f"group {number}, {group['uses']:,} uses{beside}",
                        *(f"  {one}" for one in contexts(group)),
                    ]
                )
    return parts


def headline(best: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figure that says most of a method at its best layer; of documents from before there were two, accuracy."""
    if "headline" in best:
        found: Mapping[str, Any] = best["headline"]
        return found
    maximum = best["maximum"]
    return {
        "figure": "accuracy",
        **best["accuracy"],
        "ceiling": best["accuracy"]["value"] - best["over_ceiling"]["value"],
        "over": best["over_ceiling"],
        "maximum": {"layer": maximum["layer"], "value": maximum["accuracy"]["value"]},
    }


def shown(one: Mapping[str, Any], sign: str = "") -> str:
    """A figure and its interval."""
    if one["value"] is None:
        return "—"
    low = "" if one["low"] is None else f" ({one['low']:{sign}.3f} … {one['high']:{sign}.3f})"
    return f"{one['value']:{sign}.3f}{low}"


def p_value(one: Mapping[str, Any]) -> str:
    """The larger p of the tests that were made."""
    p = max(one["p"], one.get("p_randomisation", 0.0))
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def highest(best: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """The highest figure of any layer, and that layer; a dash where there is one layer, which is no highest of any."""
    if len(run["layers"]) < 2:
        return "—"
    maximum = headline(best)["maximum"]
    return f"{maximum['value']:.3f} @ {maximum['layer']}"


def tabled(layer: Mapping[str, Any], table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Silhouette, the expected one, z and its threshold at the suggestion, or, of one group, at the highest z."""
    if not table:
        return ["—"] * 4
    one = next((t for t in table if t["groups"] == layer["groups"]), None) or max(table, key=lambda t: t["z"])
    return [
        f"{one['silhouette']:.3f}",
        f"{one['expected']:.3f}",
        f"{one['z']:.1f}",
        f"{layer['threshold']:.1f}",
    ]


def contexts(group: Mapping[str, Any]) -> list[str]:
    """Typical uses of a group, the word marked and in sight: Chinese characters beside it take two columns each."""
    return [
        f"{_cut(one['before'][::-1])[::-1]}【{one['form']}】{_cut(one['after'])}"
        for one in group["typical"][:_LISTED]
    ]


def _cut(text: str) -> str:
    """As much of a text as fits into the columns beside a use."""
    if width(text) <= _BESIDE:
        return text
    end = next(i for i in range(len(text)) if width(text[: i + 1]) >= _BESIDE)
    return text[:end].rstrip("…") + "…"
