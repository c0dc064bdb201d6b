"""Attention for people: what the heads do, which head does it most, and where the tokens of a text look."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.errors import InputError
from polyseme.report.charts import Axis, Chart, Series, beside, heatmap, links
from polyseme.report.files import boxes_for, save, write_study
from polyseme.report.head_view import COLOURS, head_view, label
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Either, Figure, Heading, Part, Table, View
from polyseme.study.attention import Attention

__all__ = ["NAMES", "attention_page", "attention_parts", "head_chart", "measures_chart", "write_attention"]

NAMES = {
    "previous": "to the previous token",
    "next": "to the next token",
    "itself": "to itself",
    "first": "to the first token",
    "separators": "to separators",
    "same_word": "to the word's other pieces",
    "same_word_elsewhere": "to the same word elsewhere",
    "a_to_b": "from A to B",
    "b_to_a": "from B to A",
    "entropy": "entropy (nats)",
    "relative_entropy": "entropy / uniform",
    "distance": "distance (tokens)",
}

_HEADS = 32
"""Heads up to which a table for people has a row for each; of more, one for each layer."""

_EDGES = 3
"""Edges of a token in the terminal."""

_TOKENS = 60
"""Tokens whose edges the terminal shows."""

_WRITTEN = 6
"""Heads of a layer up to which every cell has its figure written in it."""

_DRAWN = 80
"""Tokens that a picture shows at most."""

_FAINT = 0.02
"""Smaller shares are not drawn in a picture."""


def attention_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The whole page of what a run's heads do.

    Raises:  ConfigError: another language.
    """
    say = Speaker(lang)
    title = say("Attention of {run}", run=_name(document))
    lead = say(
        "A share says how much of a token's new vector comes from another token. It does not say why the model answers "
        "as it does."
    )
    return Page(title, lead, attention_parts(document, say), lang)


def attention_parts(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Part]:
    """What the heads do, as parts of a page.

    Args:
        document: `Attention.document`.
        say: speaks the page's language.
        prefix: stands before the names of the figures' files.
    """
    parts: list[Part] = []
    if document["view"] is not None:
        figures = [
            {
                say(NAMES[key]): _number(head[key]["value"])
                for key in _keys(document)
                if head[key]["value"] is not None
            }
            for head in document["figures"]
        ]
        chosen = document["chosen"]
        title = say("Layer {layer}, head {head}", layer=chosen["layer"], head=chosen["head"])
        picture = Figure(f"{prefix}head", head_chart(document, f"{_name(document)}: {title}", say))
        view = View(head_view(document, figures, say, prefix), [picture])
        looks: list[Part] = [
            say("{head}; --layer and --head choose another.", head=title),
            _looks(document, say),
        ]
        parts.append(Heading(say("Where the tokens look")))
        parts.append(Either(page=[view, *_shown(document, say)], terminal=looks))
    shares = {key: say(NAMES[key]) for key in _keys(document) if key not in ("entropy", "distance")}
    drawn = {key: name for key, name in shares.items() if any(head[key]["n"] for head in document["figures"])}
    figure = Figure(
        f"{prefix}heads",
        measures_chart(document, drawn, say),
        say(
            "Mean share of the attention of a text's tokens, and the entropy of their attention as a part "
            "of that of a uniform one (1 = looks everywhere alike)."
        ),
        say("What every head of {run} looks at", run=_name(document)),
    )
    return [
        *parts,
        Heading(say("What the heads do")),
        *_what(document, say),
        Either(page=[figure], terminal=[_measures(document, say)]),
        _most(document, say),
    ]


def _measures(document: Mapping[str, Any], say: Speaker) -> Table:
    """What the chart shades, as figures: a row a head, or a layer where there are very many."""
    keys, caption = _keys(document), ""
    if document["layers"] * document["heads"] <= _HEADS:
        rows = [
            [f"{figures['layer']}-{figures['head']}", *(_number(figures[key]["value"]) for key in keys)]
            for figures in document["figures"]
        ]
    else:
        rows = [
            [str(layer), *(_number(_mean(document, key, layer)) for key in keys)]
            for layer in range(1, document["layers"] + 1)
        ]
        caption = say(
            "Means of the {heads} heads of each layer; --json has every head.", heads=document["heads"]
        )
    return Table(
        [say("layer") if caption else say("head"), *(say(NAMES[key]) for key in keys)], rows, caption
    )


def _most(document: Mapping[str, Any], say: Speaker) -> Table:
    """For every measure the head that has most of it; of entropies, the one with the least, too."""
    rows = []
    for key in _keys(document):
        known = [head for head in document["figures"] if head[key]["value"] is not None]
        if not known:
            continue
        wanted = [(max, "")] if key not in ("relative_entropy",) else [(max, ""), (min, say(" (least)"))]
        for choose, mark in wanted:
            top = choose(known, key=lambda head: head[key]["value"])
            figure = top[key]
            interval = "" if figure["low"] is None else f"{figure['low']:.3f} … {figure['high']:.3f}"
            rows.append(
                [
                    say(NAMES[key]) + mark,
                    f"{top['layer']}-{top['head']}",
                    _number(figure["value"]),
                    interval,
                    _number(_mean(document, key)),
                ]
            )
    head = [say("measure"), say("most: layer-head"), say("value"), say("95 % interval"), say("mean of heads")]
    return Table(head, rows, left=(0, 1))


def _what(document: Mapping[str, Any], say: Speaker) -> list[str]:
    """What was measured, and what could not be seen at all."""
    measured, sees = document["measured"], document["sees"]
    lines = [
        say(
            "{run} ({model}): {layers} layers of {heads} heads; texts: {texts}, tokens: {tokens}{file}.",
            run=_name(document),
            model=document["model"],
            layers=document["layers"],
            heads=document["heads"],
            texts=f"{measured['texts']:,}",
            tokens=f"{measured['tokens']:,}",
            file="" if measured["file"] is None else say(" ({name})", name=Path(measured["file"]).name),
        )
    ]
    if sees["reach"] == "left":
        lines.append(say("Every token looks at itself and at what stands before it; the rest is hidden."))
    if sees["window"] is not None:
        lines.append(
            say(
                "The layers {layers} look at {n} tokens to either side at most; what lies beyond is hidden from them.",
                layers=", ".join(map(str, sees["local_layers"])),
                n=sees["window"],
            )
        )
    return lines


def _shown(document: Mapping[str, Any], say: Speaker) -> list[str]:
    """How much of the attention the picture has."""
    edges = document["view"]["edges"]
    lines = [
        say(
            "{shown} of {all} edges are drawn, those with a share of {above} or more, at most {top} of a token in a "
            "head: {mass} of all attention.",
            shown=f"{edges['shown']:,}",
            all=f"{edges['shown'] + edges['left_out']:,}",
            above=f"{edges['above']:.1%}",
            top=edges["top"],
            mass=f"{edges['share_of_attention']:.1%}",
        )
    ]
    if document["view"]["cut"]:
        lines.append(say("{n} tokens of the text were cut off.", n=f"{document['view']['cut']:,}"))
    return lines


def _looks(document: Mapping[str, Any], say: Speaker) -> Table:
    """Each token and the tokens that it looks at most, by the chosen head."""
    view, chosen = document["view"], document["chosen"]
    head = view["heads"][(chosen["layer"] - 1) * document["heads"] + chosen["head"] - 1]
    tokens = [label(token, view["texts"]) for token in view["tokens"]]
    rows = [[token] for token in tokens[:_TOKENS]]
    for i, j, share in zip(head["from"], head["to"], head["share"], strict=True):
        if i < len(rows) and len(rows[i]) <= _EDGES:
            rows[i].append(f"{tokens[j]} {share:.0%}")
    left = len(tokens) - len(rows)
    caption = say("… and {n} tokens more", n=f"{left:,}") if left else ""
    cells = [row + [""] * (1 + _EDGES - len(row)) for row in rows]
    columns = range(1 + _EDGES)
    return Table([say("token"), say("looks …"), *[""] * (_EDGES - 1)], cells, caption, columns)


def _keys(document: Mapping[str, Any]) -> list[str]:
    return [key for key in NAMES if key in document["figures"][0]]


def _mean(document: Mapping[str, Any], key: str, layer: int | None = None) -> float | None:
    values = [
        head[key]["value"]
        for head in document["figures"]
        if head[key]["value"] is not None and layer in (None, head["layer"])
    ]
    return sum(values) / len(values) if values else None


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _name(document: Mapping[str, Any]) -> str:
    return Path(document["run"]).name or str(document["run"])


def write_attention(result: Attention, output: Path, lang: str = "en") -> tuple[list[Path], list[str]]:
    """Write what the name says: a page, the head that is shown as a picture, or a folder of everything.

    Returns the files, and what a person should know of them.
    Raises:  InputError: a picture without a text.  StorageError: the disk refuses.
    """
    document, ending = result.document(), output.suffix.lower()
    page = attention_page(document, lang)
    if ending == ".html":
        return [page.write(output)], []
    if ending in (".svg", ".png"):
        pictures = [figure for figure in page.figures if figure.name == "head"]
        if not pictures:
            raise InputError("there is no head to draw without a text", fix="a TEXT, or -o FOLDER")
        wrote = save(pictures[0].chart, [output])
        note = boxes_for([pictures[0].chart], wrote)
    else:
        wrote, note = write_study("attention", document, page, output)
    return wrote, [note] if note else []


def measures_chart(document: Mapping[str, Any], names: Mapping[str, str], say: Speaker) -> Chart:
    """A heat map for every measure between 0 and 1: a row a layer, a column a head.

    Args:
        document: `Attention.document`.
        names: the measures that are drawn, and what they are called.
        say: speaks the page's language.
    """
    n_layers, n_heads = document["layers"], document["heads"]
    written = n_heads <= _WRITTEN
    small = max(13, min(26, 250 // n_heads))
    cell = (40, 28) if written else (small, small)
    maps = []
    for key, name in names.items():
        rows = [
            {
                "layer": head["layer"],
                "head": head["head"],
                "value": round(head[key]["value"], 4),
                "low": head[key]["low"],
                "high": head[key]["high"],
                "text": f"{head[key]['value']:.2f}".removeprefix("0"),
            }
            for head in document["figures"]
            if head[key]["value"] is not None
        ]
        maps.append(
            heatmap(
                rows,
                Axis("head", say("head")),
                Axis("layer", say("layer")),
                Axis("value", "", ".3f"),
                range(1, n_heads + 1),
                range(1, n_layers + 1),
                text="text" if written else "",
                cell=cell,
                title=name,
            )
        )
    return beside(maps, max(3, 1100 // (cell[0] * n_heads + 100)))


def head_chart(document: Mapping[str, Any], title: str, say: Speaker) -> Chart:
    """The chosen head as lines from each token on the left to those that it looks at, on the right.

    Args:
        document: `Attention.document`, with a view.
        title: stands above the picture.
        say: speaks the page's language.
    """
    view, chosen = document["view"], document["chosen"]
    head = view["heads"][(chosen["layer"] - 1) * document["heads"] + chosen["head"] - 1]
    tokens = view["tokens"][:_DRAWN]
    kinds = [say("token of A"), say("token of B"), say("separator")]
    edges = [
        {
            "from": i,
            "to": j,
            "share": share,
            "kind": kinds[2 if tokens[i]["text"] is None else tokens[i]["text"]],
        }
        for i, j, share in zip(head["from"], head["to"], head["share"], strict=True)
        if i < len(tokens) and j < len(tokens) and share >= _FAINT
    ]
    words = [label(token, view["texts"]) for token in tokens]
    return links(edges, words, Series("kind", kinds, COLOURS), title)
