"""`polyseme mask`: what a masking objective hides in a text, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.cli.options import Json, Threads, use_threads
from polyseme.cli.output import closing, command, emit, emit_json, say
from polyseme.report.figures import width

EXAMPLE = 'polyseme mask ernie "Harry Potter is a series of novels."'
_MARKS = {"entity": ("⟦", "⟧"), "phrase": ("⟨", "⟩"), "basic": ("‹", "›")}
_OUTCOMES = {"masked": "hidden", "random": "replaced", "kept": "kept as it is"}


def run(
    model: Annotated[str, Parameter(name="MODEL")],
    text: str,
    /,
    *,
    seed: int = 1,
    lexicon: list[str] | None = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Show what a model's objective would hide in a text, and why.

    Args:
        model: a run folder, or a model's name: ernie is shown below bert, with the text itself as the only corpus.
        text: any text.
        seed: number behind the random choices; another one hides other units.
        lexicon: files or folders of words, phrases and entities, repeatable.
        json: print one JSON document: {"text", "seed", "lines": [{"model", "stage", "masked", "units", …}]}.
    """
    use_threads(threads)
    from polyseme.infer.mask import mask

    shown = mask(model, text, seed, lexicon or [])
    if json:
        emit_json(shown)
    else:
        emit(mask_text(shown))
        if any(line["cut"] for line in shown["lines"]):
            say(
                "⟦…⟧ is an entity, ⟨…⟩ a phrase, ‹…› a word of several pieces: each is hidden as a whole or not at all."
            )
    more = [word for path in lexicon or [] for word in ("--lexicon", path)]
    closing(then=[command("polyseme", "mask", model, text, *more, "--seed", seed + 1)])


def mask_text(shown: dict[str, Any]) -> str:
    """Write every line's text as the model sees it, and below it the chosen units with their reasons."""
    return "\n\n".join(_block(shown["text"], line) for line in shown["lines"])


def _block(text: str, line: dict[str, Any]) -> str:
    head = f"{line['model']}: {line['stage']} ({line['hidden']} of {line['tokens']} tokens)"
    rows = [(u["text"], _OUTCOMES[u["outcome"]], _becomes(u), _reason(u)) for u in line["units"]]
    body = [head, f"  {line['masked']}"]
    if line["cut"]:
        body.insert(1, f"  {_cut(text, line['cut'])}")
    widths = [max((width(row[i]) for row in rows), default=0) for i in range(3)]
    for row in rows:
        cells = [cell + " " * (w - width(cell)) for cell, w in zip(row, widths, strict=False)]
        body.append(("    " + "  ".join([*cells, row[3]])).rstrip())
    return "\n".join(body)


def _becomes(unit: dict[str, Any]) -> str:
    return "" if unit["outcome"] == "kept" else " ".join(unit["shown"])


def _reason(unit: dict[str, Any]) -> str:
    source = {
        "lexicon": "from the lexicon",
        "segmenter": "a word of the segmenter" if unit["kind"] != "entity" else "a name to the segmenter",
        "capitals": "capitalised in the text",
        "mined": "words that go together in the text",
    }.get(unit["source"], "")
    kind = f"{unit['kind']} ({unit['type']})" if unit["type"] not in ("", unit["kind"]) else unit["kind"]
    return ", ".join(part for part in (kind, source) if part)


def _cut(text: str, cut: Sequence[Sequence[Any]]) -> str:
    """The text with brackets around its units of several tokens."""
    parts, at = [], 0
    for start, end, kind in cut:
        opening, closing_mark = _MARKS[kind]
        parts += [text[at:start], opening, text[start:end], closing_mark]
        at = end
    return "".join([*parts, text[at:]]).replace("\n", " ")
