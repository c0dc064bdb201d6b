"""Senses for people: how well they are told apart, layer by layer, and maps on which every use is a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.report.figures import width
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Heading, Notes, Part, Table
from polyseme.report.senses_charts import best_chart, layers_chart, map_chart, numbered, words_chart
from polyseme.report.senses_text import FIGURES, headline

__all__ = ["senses_page", "senses_parts"]

_LISTED = 3
"""Typical contexts of a group that are shown."""
_BESIDE = 64
"""Columns on each side of a use in them."""


def senses_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The page of a study of senses.

    Args:
        document: of `Senses`, or the JSON of an earlier one.
        lang: "en" or "zh".
    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    runs = [
        say("{run} ({model}: one vector for all uses of a word)", run=run["name"], model=run["model"])
        if run["static"]
        else f"{run['name']} ({run['model']})"
        for run in document["runs"]
    ]
    lead = f"{', '.join(runs)} · {Path(document['file']).name}"
    return Page(say("Senses of words"), lead, senses_parts(document, say), lang)


def senses_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Part]:
    """The parts of a study of senses: figures, charts, maps.

    Args:
        document: of `Senses`, or the JSON of an earlier one.
        say: speaks the page's language.
        prefix: stands before the names of figures.
    """
    slugs = _slugs([word["word"] for word in document["words"]])
    maps = [_map(document, place, f"{prefix}senses_map_{slug}", say) for place, slug in enumerate(slugs)]
    notes = Either(page=[Notes([say.note(note) for note in document["notes"]])])
    parts: list[Part] = []
    if not document["labelled"]:
        for place, figure in enumerate(maps):
            parts += _groups(document, place, figure, say)
        return [notes, *parts]
    for place, figure in enumerate(maps):
        parts += [figure, *_dots(document, place, say)]
    explained = say(
        "Every point is a use of the word; the sentence shows when the pointer rests on it. A representation that "
        "does not look at the context has one point for all uses that are written alike: such points are numbered."
    )
    return [
        Heading(say("How well senses are told apart")),
        *_best(document, say, prefix),
        notes,
        Heading(say("Layer by layer")),
        *_layers(document, say, prefix),
        Heading(say("Maps of the uses")),
        Either(page=[explained, *parts]),
    ]


def _best(document: Mapping[str, Any], say: Speaker, prefix: str) -> list[Part]:
    """The figure of every run and word at its best layer, and how runs differ."""
    explained = say(
        "Each use of a word gets the sense of the use that is nearest to it among those of other texts, by the "
        "cosine of their vectors. What is called the best layer was chosen without the uses that it is reported on."
    )
    parts: list[Part] = [Either(page=[explained]), _best_table(document, say)]
    if len(document["runs"]) > 1:
        parts += [
            Figure(
                f"{prefix}senses_runs",
                best_chart(document, say),
                say(
                    "The figure of each word at the best layer, with 95 % intervals; dashed: always the most frequent "
                    "sense. Each chart has its own scale."
                ),
                say("The figure of every run at its best layer"),
            ),
            _difference_table(document, say),
        ]
    return parts


def _best_table(document: Mapping[str, Any], say: Speaker) -> Table:
    heads = [
        "run",
        "word",
        "uses",
        "senses",
        "figure",
        "most frequent sense",
        "nearest neighbour, best layer",
    ]
    heads += [
        "over the most frequent",
        "p",
        "accuracy",
        "balanced accuracy",
        "macro-F1",
        "centroid, best layer",
    ]
    rows = []
    for run in document["runs"]:
        if len(document["words"]) > 1:
            uses = sum(word["uses"] for word in document["words"])
            row = [run["name"], say("mean of the words"), f"{uses:,}", ""]
            rows.append(row + _best_row(run["mean"]["best"], document["mean"]["ceiling"], run, say))
        for word, entry in zip(document["words"], run["words"], strict=True):
            row = [run["name"], word["word"], f"{word['uses']:,}", str(len(word["senses"]))]
            rows.append(row + _best_row(entry["best"], word["ceiling"], run, say))
    caption = say(
        "Most frequent sense: what a representation with one vector a word can reach. Figure: balanced accuracy, "
        "the mean of the senses' own accuracies, where one sense has more than 80 % of the uses, else accuracy. "
        "Highest layer: chosen on the same uses, so it flatters."
    )
    return Table([*map(say, heads), say("highest layer")], rows, caption, left=(0, 1, 4), keys=2)


def _best_row(
    best: Mapping[str, Any], ceiling: Mapping[str, Any], run: Mapping[str, Any], say: Speaker
) -> list[str]:
    """What is said of a word, or of the mean, at its best layer."""
    nearest, main = best["nearest"], headline(best["nearest"])
    return [
        say(FIGURES[main["figure"]]),
        _shown(ceiling) if main["figure"] == "accuracy" else f"{main['ceiling']:.3f}",
        _shown(main),
        _shown(main["over"], "+"),
        _p(main["over"]),
        *(f"{nearest[key]['value']:.3f}" for key in ("accuracy", "balanced_accuracy", "macro_f1")),
        f"{headline(best['centroid'])['value']:.3f}",
        highest(nearest, run),
    ]


def highest(best: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """The highest figure of any layer, and that layer; a dash where there is one layer, which is no highest of any."""
    if len(run["layers"]) < 2:
        return "—"
    maximum = headline(best)["maximum"]
    return f"{maximum['value']:.3f} @ {maximum['layer']}"


def _difference_table(document: Mapping[str, Any], say: Speaker) -> Table:
    rows = [
        [
            f"{one['first']} - {one['second']}",
            one["word"] or say("mean of the words"),
            say(FIGURES[one.get("figure", "accuracy")]),
            _shown(one, "+"),
            _p(one),
        ]
        for one in document["differences"]
    ]
    head = [say("runs"), say("word"), say("figure"), say("difference"), "p"]
    caption = say(
        "Differences of the nearest neighbours' figure at the best layers, paired on the same uses."
    )
    return Table(head, rows, caption, left=(0, 1, 2), keys=2)


def _layers(document: Mapping[str, Any], say: Speaker, prefix: str) -> list[Part]:
    """The figure over layers, of the mean and of every word; a table a run, and a second where the file has a split."""
    words = document["words"]
    what = say("the mean of {n} words", n=len(words)) if len(words) > 1 else str(words[0]["word"])
    parts: list[Part] = [
        Figure(
            f"{prefix}senses_layers",
            layers_chart(document, say),
            say(
                "{figure} by layer, {what}; bands and bars are 95 % intervals.",
                figure=say(FIGURES[document["mean"].get("headline", "accuracy")]).capitalize(),
                what=what,
            ),
            say("The nearest neighbours' figure by layer"),
        )
    ]
    if len(words) > 1:
        parts.append(
            Figure(
                f"{prefix}senses_words",
                words_chart(document, say),
                say("The same for every word. Dashed: always the most frequent sense of that word."),
                say("The nearest neighbours' figure by layer, for every word"),
            )
        )
    for run in document["runs"]:
        parts += [_layer_table(run, say), *_split_table(document, run, say)]
    return parts


def _layer_table(run: Mapping[str, Any], say: Speaker) -> Table:
    heads = ["layer", "nearest neighbour", "centroid", "balanced accuracy", "macro-F1", "silhouette"]
    rows = [
        [
            str(one["layer"]),
            _shown(one["nearest"]["accuracy"]),
            _shown(one["centroid"]["accuracy"]),
            f"{one['nearest']['balanced_accuracy']['value']:.3f}",
            f"{one['nearest']['macro_f1']['value']:.3f}",
            _shown(one["silhouette"], "+"),
        ]
        for one in run["mean"]["layers"]
    ]
    caption = say("{run}: means over the words, by cross-validation.", run=run["name"])
    return Table([*map(say, heads)], rows, caption)


def _split_table(document: Mapping[str, Any], run: Mapping[str, Any], say: Speaker) -> list[Table]:
    """What the uses of the train part tell of those of the test part; none where the file names no parts."""
    tests = [
        (word["word"], f"{test['train']:,}", f"{test['nearest']['accuracy']['n']:,}", test)
        for word, entry in zip(document["words"], run["words"], strict=True)
        if (test := entry["test"])
    ]
    if len(tests) > 1 and "test" in run["mean"]:
        tests.append((say("mean of the words"), "", "", run["mean"]["test"]))
    rows = [
        [
            word,
            train,
            n,
            _shown(test["nearest"]["accuracy"]),
            f"{test['nearest']['macro_f1']['value']:.3f}",
            str(test["nearest"].get("layer", "")),
            f"{test['centroid']['accuracy']['value']:.3f}",
        ]
        for word, train, n, test in tests
    ]
    heads = ["word", "train", "test", "nearest neighbour", "macro-F1", "layer", "centroid"]
    caption = say("{run}: learned from the file's train part, judged on its test part.", run=run["name"])
    return [Table([*map(say, heads)], rows, caption)] if rows else []


def _map(document: Mapping[str, Any], place: int, name: str, say: Speaker) -> Figure:
    word = document["words"][place]
    method = document["runs"][0]["words"][place]["map"]["method"]
    how = {
        "pca": say("two principal components"),
        "umap": "UMAP",
        "lda": say(
            "the axes that part the senses best, learned from one half of the uses and drawn with the other"
        ),
    }[method]
    caption = say("{word}: {how}.", word=word["word"], how=how)
    if len(word["drawn"]) < word["uses"] and method != "lda":
        drawn, uses = f"{len(word['drawn']):,}", f"{word['uses']:,}"
        caption += " " + say("{n} of {uses} uses are drawn, chosen by hash.", n=drawn, uses=uses)
    chart = map_chart(document, place, say)
    return Figure(name, chart, caption, say("Map of the uses of {word}", word=word["word"]))


def _slugs(words: Sequence[str]) -> list[str]:
    """The words as parts of files' names, no two alike, not even to a system that takes A for a."""
    slugs: list[str] = []
    for place, word in enumerate(words, 1):
        safe = "".join(c if c.isalnum() else "_" for c in word)[:40].strip("_") or str(place)
        while safe.casefold() in (slug.casefold() for slug in slugs):
            safe += f"_{place}"
        slugs.append(safe)
    return slugs


def _dots(document: Mapping[str, Any], place: int, say: Speaker) -> list[Table]:
    """Which uses lie on each numbered point of a map, of the runs whose points are not moved by context."""
    word, tables = document["words"][place], []
    head = [say("point"), say("uses"), say("written"), say("senses")]
    for run in document["runs"]:
        rows = [
            [
                str(point.number),
                f"{len(point.uses):,}",
                ", ".join(f"{form} {n:,}" for form, n in point.forms),
                ", ".join(f"{word['senses'][sense]['sense']} {n:,}" for sense, n in point.senses),
            ]
            for point in numbered(run["words"][place], word["drawn"])
        ]
        caption = say("{run}: the uses of {word} that lie on each point.", run=run["name"], word=word["word"])
        tables += [Table(head, rows, caption, left=(0, 2, 3))] if rows else []
    return tables


def _groups(document: Mapping[str, Any], place: int, figure: Figure, say: Speaker) -> list[Part]:
    """The groups of a word's uses, which have no labels."""
    word = document["words"][place]
    rows = [
        [run["name"], str(one["layer"]), str(one["groups"]), *_suggested(one)]
        for run in document["runs"]
        for one in run["words"][place]["layers"]
    ]
    heads = ["run", "layer", "groups", "silhouette", "silhouette of one piece"]
    explained = say(
        "The uses have no labels: they are clustered by their vectors. The number of groups is a suggestion: the one "
        "that stands out most from a cloud of one piece with the same spread, or one where none does."
    )
    return [
        Heading(word["word"]),
        Either(page=[explained]),
        Table(
            [*map(say, heads), "z", say("z to pass")],
            rows,
            say("{n} uses of {word}", n=f"{word['uses']:,}", word=word["word"]),
        ),
        figure,
        *(_group_table(run, run["words"][place], say) for run in document["runs"]),
    ]


def _suggested(layer: Mapping[str, Any]) -> list[str]:
    """Silhouette, the expected one, z and its threshold at the suggestion, or, of one group, at the highest z."""
    table = layer["table"]
    if not table:
        return ["—"] * 4
    one = next((t for t in table if t["groups"] == layer["groups"]), None) or max(table, key=lambda t: t["z"])
    return [
        f"{one['silhouette']:.3f}",
        f"{one['expected']:.3f}",
        f"{one['z']:.1f}",
        f"{layer['threshold']:.1f}",
    ]


def _group_table(run: Mapping[str, Any], entry: Mapping[str, Any], say: Speaker) -> Table:
    rows = [
        [str(number), f"{group['uses']:,}", ", ".join(group["words"]), "\n".join(contexts(group))]
        for number, group in enumerate(entry["groups"], 1)
    ]
    head = [say("group"), say("uses"), say("words beside it"), say("typical uses")]
    caption = say("{run}, layer {layer}", run=run["name"], layer=entry["layer"])
    return Table(head, rows, caption, left=(0, 2, 3))


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


def _shown(figure: Mapping[str, Any], sign: str = "") -> str:
    """A figure and its interval."""
    if figure["value"] is None:
        return "—"
    interval = "" if figure["low"] is None else f" ({figure['low']:{sign}.3f} … {figure['high']:{sign}.3f})"
    return f"{figure['value']:{sign}.3f}{interval}"


def _p(difference: Mapping[str, Any]) -> str:
    """The larger p of the tests that were made."""
    p = max(difference["p"], difference.get("p_randomisation", 0.0))
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
