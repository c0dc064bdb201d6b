"""Attention for people: what the heads do, which head does it most, and where the tokens of a text look."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.errors import InputError
from polyseme.report.figures import columns
from polyseme.report.head_charts import head_chart, measures_chart
from polyseme.report.head_view import head_view, label
from polyseme.report.language import Speaker
from polyseme.report.page import Page
from polyseme.report.parts import Figure, Heading, Part, Table
from polyseme.report.study_files import write_pictures, write_study
from polyseme.study.attention import Attention

__all__ = ["attention_figures", "attention_page", "attention_parts", "attention_text"]

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
_SHORT = {
    "previous": "previous",
    "next": "next",
    "itself": "itself",
    "first": "first",
    "separators": "separators",
    "same_word": "same word",
    "same_word_elsewhere": "elsewhere",
    "a_to_b": "A→B",
    "b_to_a": "B→A",
    "entropy": "entropy",
    "relative_entropy": "relative",
    "distance": "distance",
}

_HEADS = 32
"""Heads up to which a table for people has a row for each; of more, one for each layer."""

_EDGES = 3
"""Edges of a token in the terminal."""

_TOKENS = 60
"""Tokens whose edges the terminal shows."""


def attention_text(document: Mapping[str, Any]) -> str:
    """Which head does what most, the measures of the heads, and where each token looks by the chosen head."""
    say = Speaker()
    most = _most(document, say)
    parts = ["\n".join(_what(document, say)), "\n".join(columns([most.head, *most.rows], [2, 4]))]
    keys = _keys(document)
    each = document["layers"] * document["heads"] <= _HEADS
    rows = [["head" if each else "layer", *(_SHORT[key] for key in keys)]]
    if each:
        rows += [
            [f"{one['layer']}-{one['head']}", *(_number(one[key]["value"]) for key in keys)]
            for one in document["figures"]
        ]
    else:
        rows += [
            [str(layer), *(_number(_mean(document, key, layer)) for key in keys)]
            for layer in range(1, document["layers"] + 1)
        ]
        parts.append(f"means of the {document['heads']} heads of each layer; --json has every head")
    parts.append("\n".join(columns(rows, range(1, len(keys) + 1))))
    if document["view"] is not None:
        parts.append("\n".join(_looks(document)))
    return "\n\n".join(parts)


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
                say(NAMES[key]): _number(one[key]["value"])
                for key in _keys(document)
                if one[key]["value"] is not None
            }
            for one in document["figures"]
        ]
        parts.append(Heading(say("Where the tokens look")))
        parts += [head_view(document, figures, say, prefix), *_shown(document, say)]
    shares = {key: say(NAMES[key]) for key in _keys(document) if key not in ("entropy", "distance")}
    drawn = {key: name for key, name in shares.items() if any(one[key]["n"] for one in document["figures"])}
    return [
        *parts,
        Heading(say("What the heads do")),
        *_what(document, say),
        Figure(
            f"{prefix}heads",
            measures_chart(document, drawn, say),
            say(
                "Mean share of the attention of a text's tokens, and the entropy of their attention as a part "
                "of that of a uniform one (1 = looks everywhere alike)."
            ),
            say("What every head of {run} looks at", run=_name(document)),
        ),
        _most(document, say),
    ]


def attention_figures(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Figure]:
    """Pictures that stand for the interactive part of the page: the chosen head."""
    if document["view"] is None:
        return []
    chosen = document["chosen"]
    title = f"{say('Layer')} {chosen['layer']}, {say('Head')} {chosen['head']}"
    return [Figure(f"{prefix}head", head_chart(document, f"{_name(document)}: {title}", say))]


def _most(document: Mapping[str, Any], say: Speaker) -> Table:
    """For every measure the head that has most of it; of entropies, the one with the least, too."""
    rows = []
    for key in _keys(document):
        known = [one for one in document["figures"] if one[key]["value"] is not None]
        if not known:
            continue
        wanted = [(max, "")] if key not in ("relative_entropy",) else [(max, ""), (min, say(" (least)"))]
        for choose, mark in wanted:
            one = choose(known, key=lambda head: head[key]["value"])
            figure = one[key]
            interval = "" if figure["low"] is None else f"{figure['low']:.3f} … {figure['high']:.3f}"
            rows.append(
                [
                    say(NAMES[key]) + mark,
                    f"{one['layer']}-{one['head']}",
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
            file="" if measured["file"] is None else f" ({Path(measured['file']).name})",
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
    found = [
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
        found.append(say("{n} tokens of the text were cut off.", n=f"{document['view']['cut']:,}"))
    return found


def _looks(document: Mapping[str, Any]) -> list[str]:
    """Each token and the tokens that it looks at most, by the chosen head."""
    view, chosen = document["view"], document["chosen"]
    head = view["heads"][(chosen["layer"] - 1) * document["heads"] + chosen["head"] - 1]
    tokens = [label(token, view["texts"]) for token in view["tokens"]]
    rows = [[token] for token in tokens[:_TOKENS]]
    for i, j, share in zip(head["from"], head["to"], head["share"], strict=True):
        if i < len(rows) and len(rows[i]) <= _EDGES:
            rows[i].append(f"{tokens[j]} {share:.0%}")
    lines = columns([row + [""] * (1 + _EDGES - len(row)) for row in rows])
    left = len(tokens) - len(rows)
    title = f"layer {chosen['layer']}, head {chosen['head']}: where each token looks (--layer, --head choose another)"
    return [title, *(f"  {line}" for line in lines), *([f"  … and {left:,} tokens more"] if left else [])]


def _keys(document: Mapping[str, Any]) -> list[str]:
    return [key for key in NAMES if key in document["figures"][0]]


def _mean(document: Mapping[str, Any], key: str, layer: int | None = None) -> float | None:
    values = [
        one[key]["value"]
        for one in document["figures"]
        if one[key]["value"] is not None and layer in (None, one["layer"])
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
    pictures = attention_figures(document, Speaker(lang))
    if ending == ".html":
        return [page.write(output)], []
    if ending in (".svg", ".png"):
        if not pictures:
            raise InputError("there is no head to draw without a text", fix="a TEXT, or -o FOLDER")
        wrote, note = write_pictures(pictures[0], [output])
        return wrote, [note] if note else []
    wrote, note = write_study("attention", document, page, output)
    notes = [note] if note else []
    for figure in pictures:
        files, note = write_pictures(figure, [output / f"{figure.name}.svg", output / f"{figure.name}.png"])
        wrote += files
        notes += [note] if note else []
    return wrote, notes
