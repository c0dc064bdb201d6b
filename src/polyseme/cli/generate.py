"""`polyseme generate`: continue a text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from polyseme.cli.options import Json
from polyseme.cli.output import closing, command, emit, emit_json

_CHOICE = Group("How tokens are chosen", sort_key=1)


def run(
    folder: Annotated[Path, Parameter(name="RUN")],
    prompt: str,
    /,
    *,
    max_new_tokens: int = 128,
    stop: list[str] | None = None,
    results: int = 1,
    int8: bool = False,
    temperature: Annotated[float | None, Parameter(group=_CHOICE)] = None,
    top_k: Annotated[int | None, Parameter(group=_CHOICE)] = None,
    top_p: Annotated[float | None, Parameter(group=_CHOICE)] = None,
    repetition_penalty: Annotated[float, Parameter(group=_CHOICE)] = 1.0,
    beams: Annotated[int, Parameter(group=_CHOICE)] = 1,
    length_penalty: Annotated[float, Parameter(group=_CHOICE)] = 1.0,
    seed: Annotated[int, Parameter(group=_CHOICE)] = 0,
    json: Json = False,
) -> None:
    """Continue a text; it is printed as it comes.

    Args:
        folder: the run folder of a decoder: gpt, qwen3.
        prompt: the text to continue; "" begins one.
        max_new_tokens: longest continuation, in tokens.
        stop: a string that ends the text and is not printed; may be repeated; backslash-n is a line end.
        results: so many continuations: samples of their own, or the best of the beams.
        int8: round the weights to eight bits: faster on CPUs, a quarter of the memory, hardly another text.
        temperature: 0 takes the most probable token, below 1 plays safe, above 1 dares; 0.8 when absent.
        top_k: choose among so many of the most probable tokens only.
        top_p: choose among the most probable tokens that together have this probability; 0.95 when absent.
        repetition_penalty: above 1, tokens that have occurred are less likely to come again.
        beams: above 1, follow so many continuations and print the most probable one; nothing is random then.
        length_penalty: beams are ranked by log-probability / length^this; above 0 favours long ones.
        seed: the same seed gives the same text.
        json: print one JSON document: {"text", "tokens": [{"token", "probability"}], "finish": stop, length or end}.
    """
    from polyseme.infer.generate import generate_stream
    from polyseme.infer.load import load

    given = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    stream = generate_stream(
        load(folder).prepared("int8" if int8 else "float32"),
        prompt,
        max_new_tokens=max_new_tokens,
        repetition_penalty=repetition_penalty,
        beams=beams,
        length_penalty=length_penalty,
        results=results,
        seed=seed,
        stop=tuple(text.replace("\\n", "\n").replace("\\t", "\t") for text in stop or ()),
        **options,
    )
    shown = not json and results == 1
    if shown:
        sys.stdout.write(prompt)
    for piece in stream:
        if shown:
            sys.stdout.write(piece)
            sys.stdout.flush()
    result = stream.result
    assert result is not None
    if json:
        emit_json(result.as_dict())
    elif shown:
        emit("")
    else:
        emit("\n\n".join(prompt + each.text for each in (result, *result.others)))
    closing(then=[command("polyseme", "score", folder, "FILE")])
