"""Senses for people: how well they are told apart, layer by layer, and maps on which every use is a point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from polyseme.report.charts import Axis, Chart, Rule, Series, beside, dots, lines, scatter
from polyseme.report.figures import width
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Heading, Notes, Part, Table

__all__ = ["senses_page", "senses_parts"]

FIGURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
"""How the figures that may be the headline are called."""

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
    lead = ", ".join(runs) + (f" · {Path(document['file']).name}" if document["file"] else "")
    return Page(say("Senses of words"), lead, senses_parts(document, say), lang)


def senses_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Part]:
    """The parts of a study of senses: figures, charts, maps. A comparison shows them, too.

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
                    "The figure of each word at the best layer, with 95 % intervals; grey: always the most frequent "
                    "sense. Each chart has its own scale."
                ),
                say("The figure of every run at its best layer"),
            )
        ]
    return [*parts, _difference_table(document, say)] if document["differences"] else parts


def best_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """The nearest neighbours' figure of every run at its best layer, over words and by word, with intervals."""
    runs, mean = document["runs"], document["mean"]
    names = [run["name"] for run in runs]
    panels = []
    if len(document["words"]) > 1:
        every = _titled({**mean, "word": say("mean of the words")}, say)
        panels.append((mean, every, [run["mean"]["best"] for run in runs]))
    for place, word in enumerate(document["words"]):
        panels.append((word, _titled(word, say), [run["words"][place]["best"] for run in runs]))
    charts = []
    for about, title, best in panels:
        rows = [
            {"run": name, **_rounded(layer["nearest"]["headline"])}
            for name, layer in zip(names, best, strict=True)
        ]
        ceiling, plain = _ceiling(about), replace(_series(document), legend=False)
        value, size = Axis("value", "", ".3f", _domain(rows, ceiling)), (210, 26 * len(names))
        ticks = dict.fromkeys(names, ceiling)
        charts.append(dots(rows, Axis("run"), value, names, plain, ticks, size, title))
    return beside(charts)


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
    nearest, main = best["nearest"], best["nearest"]["headline"]
    return [
        say(FIGURES[main["figure"]]),
        _shown(ceiling) if main["figure"] == "accuracy" else f"{main['ceiling']:.3f}",
        _shown(main),
        _shown(main["over"], "+"),
        _p(main["over"]),
        *(f"{nearest[key]['value']:.3f}" for key in ("accuracy", "balanced_accuracy", "macro_f1")),
        f"{best['centroid']['headline']['value']:.3f}",
        highest(nearest, run),
    ]


def highest(best: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """The highest figure of any layer, and that layer; a dash where there is one layer, which is no highest of any."""
    if len(run["layers"]) < 2:
        return "—"
    maximum = best["headline"]["maximum"]
    return f"{maximum['value']:.3f} @ {maximum['layer']}"


def _difference_table(document: Mapping[str, Any], say: Speaker) -> Table:
    rows = [
        [
            f"{pair['first']} - {pair['second']}",
            pair["word"] or say("mean of the words"),
            say(FIGURES[pair["figure"]]),
            _shown(pair, "+"),
            _p(pair),
        ]
        for pair in document["differences"]
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
                figure=say(FIGURES[document["mean"]["headline"]]).capitalize(),
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


def layers_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """The nearest neighbours' figure over layers, the mean of all words: a line a run, a band its interval.

    The ceiling of static representations is dashed. A run with one layer is a point with a bar.
    """
    runs, mean = document["runs"], document["mean"]
    rows, ceiling = _curves([(run["name"], run["mean"]) for run in runs], mean), _ceiling(mean)
    layer = Axis("layer", say("layer (0 = embeddings)"), integers=True)
    title = say("{figure} of the nearest neighbour", figure=say(FIGURES[mean["headline"]]))
    value = Axis("value", title, ".3f", _domain(rows, ceiling))
    words = say("always the most frequent sense: {value}", value=f"{ceiling:.3f}")
    return lines(rows, layer, value, _series(document), Rule(ceiling, words))


def words_chart(document: Mapping[str, Any], say: Speaker) -> Chart:
    """The same for every word by itself, one small chart each, with one scale."""
    runs, words = document["runs"], document["words"]
    panels = [
        _curves([(run["name"], run["words"][place]) for run in runs], word)
        for place, word in enumerate(words)
    ]
    names, layer = _series(document), Axis("layer", say("layer"), integers=True)
    value = Axis("value", "", ".3f", _domain([row for rows in panels for row in rows], *map(_ceiling, words)))
    charts = [
        lines(rows, layer, value, names, Rule(_ceiling(word)), size=(230, 150), title=_titled(word, say))
        for word, rows in zip(words, panels, strict=True)
    ]
    return beside(charts)


def _series(document: Mapping[str, Any]) -> Series:
    """The runs, in the order of their colours; where there are more than the document is about, "series" names all."""
    return Series("run", document.get("series") or [run["name"] for run in document["runs"]])


def _curves(runs: Sequence[tuple[str, Mapping[str, Any]]], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The layers of runs, by the figure of what they are about: a word, or the mean of all."""
    return [
        {"run": name, "layer": layer["layer"], **_rounded(layer["nearest"][about["headline"]])}
        for name, entry in runs
        for layer in entry["layers"]
    ]


def _layer_table(run: Mapping[str, Any], say: Speaker) -> Table:
    heads = ["layer", "nearest neighbour", "centroid", "balanced accuracy", "macro-F1", "silhouette"]
    rows = [
        [
            str(layer["layer"]),
            _shown(layer["nearest"]["accuracy"]),
            _shown(layer["centroid"]["accuracy"]),
            f"{layer['nearest']['balanced_accuracy']['value']:.3f}",
            f"{layer['nearest']['macro_f1']['value']:.3f}",
            _shown(layer["silhouette"], "+"),
        ]
        for layer in run["mean"]["layers"]
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
        chosen = say("{n} of {uses} uses are drawn, chosen by hash.", n=drawn, uses=uses)
        caption = say.sentences(caption, chosen)
    chart = map_chart(document, place, say)
    return Figure(name, chart, caption, say("Map of the uses of {word}", word=word["word"]))


def map_chart(document: Mapping[str, Any], place: int, say: Speaker) -> Chart:
    """The map of one word: a panel a run, every use a point with its sentence on hover, one legend for all.

    Args:
        document: of `Senses`.
        place: number of the word.
        say: who says the words.
    """
    word, runs = document["words"][place], document["runs"]
    entries = [run["words"][place] for run in runs]
    if document["labelled"]:
        labels = [f"{sense['sense']} ({sense['uses']:,})" for sense in word["senses"]]
        rows = _points(word["drawn"], [run["words"][place]["map"] for run in runs])
        for row, point in zip(rows, word["drawn"], strict=True):
            row["sense"] = labels[point["sense"]]
        rows.sort(key=lambda row: labels.index(row["sense"]))  # rare senses lie on top
        panels = [
            _panel(run, word, place, number, labels, None, len(runs), say) for number, run in enumerate(runs)
        ]
        return beside(panels, rows=rows)
    panels = []
    for number, (run, entry) in enumerate(zip(runs, entries, strict=True)):
        labels = [
            say("group {n} ({uses})", n=n, uses=f"{group['uses']:,}")
            for n, group in enumerate(entry["groups"], 1)
        ]
        rows = _points(word["drawn"], [run["words"][place]["map"] for run in runs])
        for row, group in zip(rows, entry["map"]["group"], strict=True):
            row["sense"] = labels[group]
        panels.append(_panel(run, word, place, number, labels, rows, len(runs), say))
    return beside(panels, resolve={"color": "independent", "shape": "independent"})


def _points(drawn: Sequence[Mapping[str, Any]], maps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a use: its context and its place on the map of every run."""
    return [
        {
            "context": f"{use['before']}【{use['form']}】{use['after']}",
            **{f"{axis}{number}": m[axis][i] for number, m in enumerate(maps) for axis in ("x", "y")},
        }
        for i, use in enumerate(drawn)
    ]


def _panel(
    run: Mapping[str, Any],
    word: Mapping[str, Any],
    place: int,
    number: int,
    labels: Sequence[str],
    rows: Sequence[Mapping[str, Any]] | None,
    panels: int,
    say: Speaker,
) -> Chart:
    """One run's map of one word, one of several panels; without rows it takes the data of the whole chart."""
    entry = run["words"][place]
    xs, ys = entry["map"]["x"], entry["map"]["y"]
    half = max(max(xs) - min(xs), max(ys) - min(ys), 1e-9) / 2 * 1.06
    layer = _layer_of_map(entry)
    title, more = say("{run}, layer {layer}", run=run["name"], layer=layer["layer"]), ""
    uses = f"{word['uses']:,}"
    if layer["dots"] == 1:
        half, more = 1.0, say("one point: all {n} uses have the same vector", n=uses)
    elif layer["dots"] is not None:
        more = say("{n} points for {uses} uses, whatever stands around them", n=layer["dots"], uses=uses)
    elif "nearest" in layer:
        figure = entry["best"]["nearest"]["headline"]["figure"]
        more = say("nearest neighbour {value}", value=f"{layer['nearest'][figure]['value']:.3f}")
        if figure != "accuracy":
            more = say("{word}, {figure}", word=more, figure=say(FIGURES[figure]))

    def axis(name: str, values: Sequence[float]) -> Axis:
        middle = (max(values) + min(values)) / 2
        return Axis(f"{name}{number}", domain=(middle - half, middle + half))

    places: list[dict[str, Any]] = []
    if layer["dots"] is not None:  # whatever the senses are, all uses of a form have one place
        places = [
            {f"x{number}": dot.x, f"y{number}": dot.y, "number": str(dot.number)}
            for dot in numbered(entry, word["drawn"])
        ]
    return scatter(
        rows,
        axis("x", xs),
        axis("y", ys),
        Series("sense", labels),
        ["context", "sense"],
        numbered=places,
        size=440 if panels == 1 else 360 if panels == 2 else 264,
        title=title,
        subtitle=more,
    )


class Dot(NamedTuple):
    """A point of a map on which several uses lie.

    Args:
        number: from 1, by how many uses.
        x, y: where it lies.
        uses: numbers of the drawn uses.
        forms, senses: how these are written, and their senses' numbers, with how many uses; most first.
    """

    number: int
    x: float
    y: float
    uses: list[int]
    forms: list[tuple[str, int]]
    senses: list[tuple[int, int]]


def numbered(entry: Mapping[str, Any], drawn: Sequence[Mapping[str, Any]]) -> list[Dot]:
    """The points of a run's map of a word on which its uses lie; none where context moves every use."""
    if _layer_of_map(entry)["dots"] is None or not drawn:
        return []
    xs, ys = entry["map"]["x"], entry["map"]["y"]
    near = 1e-3 * max(max(xs) - min(xs), max(ys) - min(ys), 1e-6)
    places: list[list[int]] = []
    for use, (x, y) in enumerate(zip(xs, ys, strict=True)):
        same = next((uses for uses in places if max(abs(x - xs[uses[0]]), abs(y - ys[uses[0]])) < near), None)
        if same is None:
            places.append([use])
        else:
            same.append(use)
    points = []
    for number, uses in enumerate(sorted(places, key=lambda uses: (-len(uses), uses[0])), 1):
        forms = Counter(drawn[use]["form"] for use in uses).most_common()
        senses = Counter(drawn[use]["sense"] for use in uses if "sense" in drawn[use]).most_common()
        points.append(Dot(number, xs[uses[0]], ys[uses[0]], uses, forms, senses))
    return points


def _layer_of_map(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The layer that a run's map of a word draws."""
    number = entry["map"]["layer"]
    return next(layer for layer in entry["layers"] if layer["layer"] == number)


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
        [run["name"], str(layer["layer"]), str(layer["groups"]), *_suggested(layer)]
        for run in document["runs"]
        for layer in run["words"][place]["layers"]
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
    cut = next((t for t in table if t["groups"] == layer["groups"]), None) or max(table, key=lambda t: t["z"])
    return [
        f"{cut['silhouette']:.3f}",
        f"{cut['expected']:.3f}",
        f"{cut['z']:.1f}",
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
        f"{_cut(use['before'][::-1])[::-1]}【{use['form']}】{_cut(use['after'])}"
        for use in group["typical"][:_LISTED]
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


def _titled(word: Mapping[str, Any], say: Speaker) -> str:
    """A word, and its figure where that is not accuracy."""
    figure = word["headline"]
    if figure == "accuracy":
        return str(word["word"])
    return say("{word}, {figure}", word=word["word"], figure=say(FIGURES[figure]))


def _ceiling(about: Mapping[str, Any]) -> float:
    """What always saying the most frequent sense gives of its figure."""
    figure = about["headline"]
    return float(about["ceiling"]["value" if figure == "accuracy" else figure])


def _domain(rows: Sequence[Mapping[str, Any]], *ceilings: float) -> tuple[float, float]:
    """From below everything that is drawn up to the best that can be."""
    return max(0.0, min([*ceilings, *(row["low"] for row in rows)]) - 0.03), 1.0


def _rounded(figure: Mapping[str, Any]) -> dict[str, float]:
    return {key: round(figure[key], 5) for key in ("value", "low", "high")}
