"""Senses for people: a page of figures and maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Figure, Heading, Part, Table
from polyseme.report.senses_text import (
    FIGURES,
    contexts,
    headline,
    highest,
    p_value,
    senses_text,
    shown,
    tabled,
)

__all__ = ["senses_page", "senses_parts", "senses_text"]


def senses_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The page of a study of senses.

    Args:
        document: of `Senses`, or the JSON of an earlier one.
        lang: "en" or "zh".
    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    names = ", ".join(run["name"] for run in document["runs"])
    return Page(
        say("Senses of words"),
        f"{names} · {Path(document['file']).name}",
        senses_parts(document, say),
        lang,
    )


def senses_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Part]:
    """The parts of a study of senses: figures, charts, maps.

    Args:
        document: of `Senses`, or the JSON of an earlier one.
        say: speaks the page's language.
        prefix: stands before the names of figures.
    """
    return (_labelled if document["labelled"] else _unlabelled)(document, say, prefix)


def _labelled(document: Mapping[str, Any], say: Speaker, prefix: str) -> list[Part]:
    from polyseme.report.senses_charts import best_chart, layers_chart, map_chart, words_chart

    runs, words = document["runs"], document["words"]
    several = len(words) > 1
    figures: list[Part] = [
        say(
            "Each use of a word gets the sense of the use that is nearest to it among those of other texts, by the "
            "cosine of their vectors. What is called the best layer was chosen without the uses that it is reported on."
        ),
        _best_table(document, say),
    ]
    if len(runs) > 1:
        figures.append(
            Figure(
                f"{prefix}senses_runs",
                best_chart(document, say),
                say(
                    "The figure of each word at the best layer, with 95 % intervals; dashed: always the most frequent "
                    "sense. Each chart has its own scale."
                ),
                say("The figure of every run at its best layer"),
            )
        )
        figures.append(_difference_table(document, say))
    layers: list[Part] = [
        Figure(
            f"{prefix}senses_layers",
            layers_chart(document, say),
            say(
                "{figure} by layer, {what}; bands and bars are 95 % intervals.",
                figure=say(FIGURES[document["mean"].get("headline", "accuracy")]).capitalize(),
                what=_what(words, say),
            ),
            say("The nearest neighbours' figure by layer"),
        )
    ]
    if several:
        layers.append(
            Figure(
                f"{prefix}senses_words",
                words_chart(document, say),
                say("The same for every word. Dashed: always the most frequent sense of that word."),
                say("The nearest neighbours' figure by layer, for every word"),
            )
        )
    layers += [_layer_table(run, say) for run in runs]
    maps: list[Part] = [
        say(
            "Every point is a use of the word; the sentence shows when the pointer rests on it. A representation that "
            "does not look at the context has one point for all uses that are written alike: such points are numbered."
        )
    ]
    slugs = _slugs(words)
    for place, word in enumerate(words):
        maps.append(
            Figure(
                f"{prefix}senses_map_{slugs[place]}",
                map_chart(document, place, say),
                _map_caption(document, place, say),
                say("Map of the uses of {word}", word=word["word"]),
            )
        )
        maps += [table for run in document["runs"] if (table := _dots_table(run, word, place, say))]
    return [
        Heading(say("How well senses are told apart")),
        *figures,
        *map(say.note, document["notes"]),
        Heading(say("Layer by layer")),
        *layers,
        Heading(say("Maps of the uses")),
        *maps,
    ]


def _what(words: Sequence[Mapping[str, Any]], say: Speaker) -> str:
    return say("the mean of {n} words", n=len(words)) if len(words) > 1 else str(words[0]["word"])


def _best_table(document: Mapping[str, Any], say: Speaker) -> Table:
    head = [
        say("run"),
        say("word"),
        say("uses"),
        say("senses"),
        say("figure"),
        say("most frequent sense"),
        say("nearest neighbour, best layer"),
        say("over the most frequent"),
        "p",
        say("accuracy"),
        say("balanced accuracy"),
        say("macro-F1"),
        say("centroid, best layer"),
        say("highest layer"),
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
    return Table(head, rows, caption, left=(0, 1, 4))


def _best_row(
    best: Mapping[str, Any], ceiling: Mapping[str, Any], run: Mapping[str, Any], say: Speaker
) -> list[str]:
    """What is said of a word, or of the mean, at its best layer."""
    nearest, main = best["nearest"], headline(best["nearest"])
    return [
        say(FIGURES[main["figure"]]),
        shown(ceiling) if main["figure"] == "accuracy" else f"{main['ceiling']:.3f}",
        shown(main),
        shown(main["over"], "+"),
        p_value(main["over"]),
        f"{nearest['accuracy']['value']:.3f}",
        f"{nearest['balanced_accuracy']['value']:.3f}",
        f"{nearest['macro_f1']['value']:.3f}",
        f"{headline(best['centroid'])['value']:.3f}",
        highest(nearest, run),
    ]


def _difference_table(document: Mapping[str, Any], say: Speaker) -> Table:
    rows = [
        [
            f"{one['first']} - {one['second']}",
            one["word"] or say("mean of the words"),
            say(FIGURES[one.get("figure", "accuracy")]),
            shown(one, "+"),
            p_value(one),
        ]
        for one in document["differences"]
    ]
    caption = say(
        "Differences of the nearest neighbours' figure at the best layers, paired on the same uses."
    )
    return Table(
        [say("runs"), say("word"), say("figure"), say("difference"), "p"], rows, caption, left=(0, 1, 2)
    )


def _layer_table(run: Mapping[str, Any], say: Speaker) -> Table:
    head = [
        say("layer"),
        say("nearest neighbour"),
        say("centroid"),
        say("balanced accuracy"),
        say("macro-F1"),
        say("silhouette"),
    ]
    rows = [
        [
            str(one["layer"]),
            shown(one["nearest"]["accuracy"]),
            shown(one["centroid"]["accuracy"]),
            f"{one['nearest']['balanced_accuracy']['value']:.3f}",
            f"{one['nearest']['macro_f1']['value']:.3f}",
            shown(one["silhouette"], "+"),
        ]
        for one in run["mean"]["layers"]
    ]
    return Table(head, rows, say("{run}: means over the words, by cross-validation.", run=run["name"]))


def _map_caption(document: Mapping[str, Any], place: int, say: Speaker) -> str:
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
        caption += " " + say(
            "{n} of {uses} uses are drawn, chosen by hash.",
            n=f"{len(word['drawn']):,}",
            uses=f"{word['uses']:,}",
        )
    return caption


def _dots_table(run: Mapping[str, Any], word: Mapping[str, Any], place: int, say: Speaker) -> Table | None:
    """Which uses lie on each numbered point of a map; None where context moves the points."""
    from polyseme.report.senses_charts import numbered

    points = numbered(run["words"][place], word["drawn"])
    if not points:
        return None
    rows = [
        [
            str(point.number),
            f"{len(point.uses):,}",
            ", ".join(f"{form} {n:,}" for form, n in point.forms),
            ", ".join(f"{word['senses'][sense]['sense']} {n:,}" for sense, n in point.senses),
        ]
        for point in points
    ]
    head = [say("point"), say("uses"), say("written"), say("senses")]
    caption = say("{run}: the uses of {word} that lie on each point.", run=run["name"], word=word["word"])
    return Table(head, rows, caption, left=(0, 2, 3))


def _unlabelled(document: Mapping[str, Any], say: Speaker, prefix: str) -> list[Part]:
    from polyseme.report.senses_charts import map_chart

    parts: list[Part] = []
    slugs = _slugs(document["words"])
    for place, word in enumerate(document["words"]):
        parts += [
            Heading(word["word"]),
            say(
                "The uses have no labels: they are clustered by their vectors. The number of groups is a suggestion: "
                "the one that stands out most from a cloud of one piece with the same spread, or one where none does."
            ),
            _suggestion_table(document, place, say),
            Figure(
                f"{prefix}senses_map_{slugs[place]}",
                map_chart(document, place, say),
                _map_caption(document, place, say),
                say("Map of the uses of {word}", word=word["word"]),
            ),
        ]
        parts += [_group_table(run, run["words"][place], say) for run in document["runs"]]
        parts += map(say.note, document["notes"]) if place == 0 else []
    return parts


def _suggestion_table(document: Mapping[str, Any], place: int, say: Speaker) -> Table:
    rows = []
    for run in document["runs"]:
        for one in run["words"][place]["layers"]:
            rows.append([run["name"], str(one["layer"]), str(one["groups"]), *tabled(one, one["table"])])
    word = document["words"][place]
    head = [
        say("run"),
        say("layer"),
        say("groups"),
        say("silhouette"),
        say("silhouette of one piece"),
        "z",
        say("z to pass"),
    ]
    return Table(head, rows, say("{n} uses of {word}", n=f"{word['uses']:,}", word=word["word"]))


def _group_table(run: Mapping[str, Any], entry: Mapping[str, Any], say: Speaker) -> Table:
    rows = [
        [str(number), f"{group['uses']:,}", ", ".join(group["words"]), "\n".join(contexts(group))]
        for number, group in enumerate(entry["groups"], 1)
    ]
    head = [say("group"), say("uses"), say("words beside it"), say("typical uses")]
    caption = say("{run}, layer {layer}", run=run["name"], layer=entry["layer"])
    return Table(head, rows, caption, left=(0, 2, 3))


def _slugs(words: Sequence[Mapping[str, Any]]) -> list[str]:
    """The words as parts of files' names, no two alike, not even to a system that takes A for a."""
    slugs: list[str] = []
    for place, one in enumerate(words, 1):
        safe = "".join(c if c.isalnum() else "_" for c in one["word"])[:40].strip("_") or str(place)
        while safe.casefold() in (slug.casefold() for slug in slugs):
            safe += f"_{place}"
        slugs.append(safe)
    return slugs
