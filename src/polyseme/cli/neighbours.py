"""`polyseme neighbours`: the words nearest to a word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import Json, Threads, positive, use_threads
from polyseme.cli.output import closing, command, emit, emit_json, use_command

EXAMPLE = "polyseme neighbours runs/mine good --top 5"


def run(
    folder: Annotated[Path, Parameter(name="RUN")],
    word: str,
    /,
    *,
    context: str | None = None,
    top: int = 10,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """List the words nearest to a word by the cosine of their vectors, or the other words of its class.

    Args:
        folder: the run folder.
        word: a word of the vocabulary; elmo also reads others, by their letters.
        context: a sentence that holds the word: compare its vector there rather than the word's own.
        top: how many neighbours to show.
        json: print one JSON document: [{"word", "similarity"}].
    """
    positive("--top", top)
    use_threads(threads)
    from polyseme.infer.load import load
    from polyseme.infer.neighbours import neighbours

    loaded = load(folder)
    found = neighbours(loaded, word, context, top)
    if json:
        emit_json(found)
    else:
        for entry in found:
            more = f"  {entry['count']:,} times, class {entry['path']}" if "path" in entry else ""
            emit(f"{entry['similarity']:6.3f}  {entry['word']}{more}")
    if context is None and loaded.fills_masks:
        closing(then=[command("polyseme", "neighbours", folder, word, "--context", f"… {word} …")])
    else:
        closing(then=[use_command(loaded.run.meta["recipe"], folder)])
