"""`polyseme neighbours`: the words nearest to a word."""

from __future__ import annotations

from polyseme.cli.options import Folder, Json, Threads, positive, use_threads
from polyseme.cli.output import closing, command, emit, emit_json, say, use_command

EXAMPLE = "polyseme neighbours runs/mine good --top 5"


def run(
    folder: Folder,
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
        json: print one JSON document: [{"word", "similarity", "count"}]; the count is that of the training text.
    """
    positive("--top", top)
    use_threads(threads)
    from polyseme.infer.model import load
    from polyseme.infer.neighbours import RARE, count_of, neighbours

    loaded = load(folder)
    nearest = neighbours(loaded, word, context, top)
    if json:
        emit_json(nearest)
    else:
        for entry in nearest:
            times = (
                f"{entry['count']:,} {'time' if entry['count'] == 1 else 'times'}" if "count" in entry else ""
            )
            path = f", class {entry['path']}" if "path" in entry else ""
            rare = ", rare" if "count" in entry and entry["count"] < RARE else ""
            emit(f"{entry['similarity']:6.3f}  {entry['word']}{'  ' if times else ''}{times}{path}{rare}")
    occurs = count_of(loaded, word)
    if occurs is not None and occurs < RARE:
        say(f"note: {word} occurs {occurs:,} times in the training text: its vector says little")
    if any(entry.get("count", RARE) < RARE for entry in nearest):
        say(f"note: rare: fewer than {RARE} times in the training text, too few for a vector to be trusted")
    if context is None and loaded.fills_masks:
        typed = ["--", word] if word.startswith("-") else [word]
        closing(then=[command("polyseme", "neighbours", folder, "--context", f"… {word} …", *typed)])
    else:
        closing(then=[use_command(loaded.run.meta["recipe"], folder)])
