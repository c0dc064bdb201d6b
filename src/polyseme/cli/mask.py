"""`polyseme mask`: what a masking objective hides in a text, and why."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from polyseme.cli.options import Json, Threads, use_threads
from polyseme.cli.output import closing, say, show
from polyseme.core.shell import command

EXAMPLE = 'polyseme mask ernie "Harry Potter is a series of novels."'


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

    result = mask(model, text, seed=seed, lexicon=lexicon or ())
    show(result, json=json)
    if not json and any(line["cut"] for line in result.lines):
        say(
            "⟦…⟧ is an entity, ⟨…⟩ a phrase, ‹…› a word of several pieces: each is hidden as a whole or not at all."
        )
    lexicons = [word for path in lexicon or [] for word in ("--lexicon", path)]
    closing(then=[command("polyseme", "mask", model, text, *lexicons, "--seed", seed + 1)])
