"""`polyseme fill`: complete a text at its [MASK]s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polyseme.cli.options import Folder, Json, Threads, positive, use_threads
from polyseme.cli.output import closing, command, emit, emit_json

EXAMPLE = 'polyseme fill runs/mine "The weather was [MASK] that day."'
_BAR_WIDTH = 20


def run(
    folder: Folder,
    text: str,
    /,
    *,
    top: int = 5,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Complete a text at its [MASK]s.

    Args:
        folder: the run folder.
        text: text with at least one [MASK].
        top: how many candidates to show for each.
        json: print one JSON document: [{"position", "candidates": [{"token", "probability", "sequence"}]}].
    """
    positive("--top", top)
    use_threads(threads)
    from polyseme.infer.fill import fill
    from polyseme.infer.model import load

    masks = fill(load(folder), text, top)
    if json:
        emit_json(masks)
    else:
        emit(fill_text(masks))
    closing(then=[command("polyseme", "neighbours", folder, "WORD")])


def fill_text(masks: Sequence[dict[str, Any]]) -> str:
    """Write candidates as a table a person can read, one block a mask."""
    blocks = []
    for mask in masks:
        lines = [] if len(masks) == 1 else [f"[MASK] at character {mask['position']}"]
        for candidate in mask["candidates"]:
            share = candidate["probability"]
            bar = "█" * round(share * _BAR_WIDTH)
            lines.append(f"{share:6.1%}  {bar:<{_BAR_WIDTH}}  {candidate['sequence']}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
