"""`polyseme fill`: complete a text at its [MASK]s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.cli.options import Folder, Json, ReadOn, Threads, positive, use_device, use_threads
from polyseme.cli.output import closing, emit, emit_json, show
from polyseme.core.shell import command

EXAMPLE = 'polyseme fill runs/mine "The weather was [MASK] that day."'
_BAR_WIDTH = 20


def run(
    folder: Folder,
    text: str,
    /,
    *,
    top: int = 5,
    hide: list[str] | None = None,
    whole: Annotated[bool, Parameter(show_default=False)] = False,
    among: list[str] | None = None,
    detail: Annotated[bool, Parameter(show_default=False)] = False,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Complete a text at its [MASK]s.

    Args:
        folder: the run folder.
        text: text with at least one [MASK], or with a word to hide.
        top: how many candidates to show for each.
        hide: a word of the text that is hidden wherever it stands, as if [MASK] were written there; may be repeated.
        whole: fill masks side by side together, as one word or name.
        among: a candidate that alone is shown, with others that are named so; may be repeated.
        detail: say how sure the model is (the entropy), and the rank and nats of the word that was hidden.
        json: print one JSON document: [{"position", "candidates": [{"token", "probability", "sequence"}]}]; with
            --detail also "entropy" and, of a hidden word, "original": {"token", "rank", "nats"}; with --whole masks
            side by side have "masks", how many, "tokens" and "pseudo_likelihood" for "probability", and "entropies".
    """
    positive("--top", top)
    use_threads(threads)
    use_device(device)
    from polyseme.infer.fill import fill
    from polyseme.infer.model import load

    loaded = load(folder)
    if detail:
        show(fill(loaded, text, top, hide=hide or (), whole=whole, among=among or (), detail=True), json=json)
    else:
        masks = fill(loaded, text, top, hide=hide or (), whole=whole, among=among or ())
        if json:
            emit_json(masks)
        else:
            emit(fill_text(masks))
    closing(then=[command("polyseme", "neighbours", folder, "WORD")])


def fill_text(masks: Sequence[dict[str, Any]]) -> str:
    """Write candidates as a table a person can read, one block a mask."""
    blocks = []
    for mask in masks:
        n = mask.get("masks", 1)
        what = "[MASK]" if n == 1 else f"{n} masks"
        lines = [] if len(masks) == 1 else [f"{what} at character {mask['position']}"]
        for candidate in mask["candidates"]:
            share = candidate["probability" if "probability" in candidate else "pseudo_likelihood"]
            bar = "█" * round(share * _BAR_WIDTH)
            lines.append(f"{share:6.1%}  {bar:<{_BAR_WIDTH}}  {candidate['sequence']}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
