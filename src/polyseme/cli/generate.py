"""`polyseme generate`: continue a text, or put a task to a decoder as a text to go on with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from polyseme.cli.options import Folder, Json, ReadOn, Threads, positive, use_device, use_threads, written
from polyseme.cli.output import closing, emit, emit_json, show
from polyseme.core.shell import command
from polyseme.errors import ConfigError

if TYPE_CHECKING:
    from polyseme.infer.continuation import Generation
    from polyseme.infer.loaded import Loaded

EXAMPLE = 'polyseme generate runs/gpt "It was" --max-new-tokens 40'
Task = Literal["summary", "answer", "translate"]
_TASK = Group("Tasks without training", sort_key=1)
_CHOICE = Group("How tokens are chosen", sort_key=2)
_LOOK = Group("Looking at the choice", sort_key=3)


def run(
    folder: Folder,
    prompt: str,
    /,
    *,
    max_new_tokens: int | None = None,
    stop: list[str] | None = None,
    results: int = 1,
    int8: bool = False,
    task: Annotated[Task | None, Parameter(group=_TASK)] = None,
    question: Annotated[str | None, Parameter(group=_TASK)] = None,
    example: Annotated[list[str] | None, Parameter(group=_TASK)] = None,
    source: Annotated[str | None, Parameter(name="--from", group=_TASK)] = None,
    target: Annotated[str | None, Parameter(name="--to", group=_TASK)] = None,
    template: Annotated[str | None, Parameter(group=_TASK)] = None,
    temperature: Annotated[float | None, Parameter(group=_CHOICE)] = None,
    top_k: Annotated[int | None, Parameter(group=_CHOICE)] = None,
    top_p: Annotated[float | None, Parameter(group=_CHOICE)] = None,
    repetition_penalty: Annotated[float, Parameter(group=_CHOICE)] = 1.0,
    beams: Annotated[int, Parameter(group=_CHOICE)] = 1,
    length_penalty: Annotated[float, Parameter(group=_CHOICE)] = 1.0,
    seed: Annotated[int, Parameter(group=_CHOICE)] = 0,
    next_tokens: Annotated[int | None, Parameter(name="--next", group=_LOOK)] = None,
    alternatives: Annotated[int, Parameter(group=_LOOK)] = 0,
    threads: Threads = None,
    device: ReadOn = "cpu",
    json: Json = False,
) -> None:
    """Continue a text; it is printed as it comes.

    Args:
        folder: the run folder of a decoder, gpt or qwen3, or of a hybrid run.
        prompt: the text to continue; "" begins one. With --task, the text that the task is about.
        max_new_tokens: longest continuation, in tokens; when absent 128, for summaries and translations 100, for
            answers 50, and with --task at most half of what the model reads.
        stop: a string that ends the text and is not printed; may be repeated; backslash-n is a line end.
        results: so many continuations: samples of their own, or the best of the beams.
        int8: round the weights to eight bits: faster on CPUs, a quarter of the memory, hardly another text.
        task: summary (after "TL;DR:"), answer (after "Q: … A:") or translate (after "sentence ="); prints only what
            the model makes of it. Greedy, but for summaries, which are sampled with top-k 2.
        question: what is asked about the text.
        example: "a sentence = its translation"; may be repeated.
        source: the language of the text, named before the examples.
        target: the language to translate into.
        template: another prompt for the task, with {text} and, for answers, {question}; backslash-n is a line end.
        temperature: 0 takes the most probable token, below 1 plays safe, above 1 dares; 0.8 when absent.
        top_k: choose among so many of the most probable tokens only; 0 or absent, all.
        top_p: choose among the most probable tokens that together have this probability; 0.95 when absent.
        repetition_penalty: above 1, tokens that have occurred are less likely to come again.
        beams: above 1, follow so many continuations and print the most probable one; nothing is random then.
        length_penalty: beams are ranked by log-probability / length^this; above 0 favours long ones.
        seed: the same seed gives the same text.
        next_tokens: write nothing: list so many of the likeliest next tokens, and how sure the model is.
        alternatives: say of every token which so many, at most 20, were the likeliest in its place.
        json: print one JSON document: {"text", "tokens": [{"token", "probability"}], "finish": stop, length or end};
            with --task also "prompt" and "generated", of which "text" is the part that counts; with --alternatives
            tokens have also "entropy" and "alternatives": [{"token", "probability"}]. With --next: {"text", "entropy",
            "candidates": [{"token", "probability", "sequence"}]}.
    """
    use_threads(threads)
    use_device(device)
    from polyseme.infer.model import load

    given = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    options |= {
        "repetition_penalty": repetition_penalty,
        "beams": beams,
        "length_penalty": length_penalty,
        "results": results,
        "seed": seed,
        "alternatives": alternatives,
        "stop": tuple(written(text) for text in stop or ()),
    }
    about = {"question": question, "source": source, "target": target, "template": template}
    asked = {name: written(value) for name, value in about.items() if value is not None}
    pairs = [_pair(text) for text in example or ()]
    if task is None and (asked or pairs):
        names = {"source": "from", "target": "to"}
        first = next(iter(asked), "example")
        raise ConfigError(
            f"--{names.get(first, first)} belongs to a task", fix="--task summary, answer or translate"
        )
    if next_tokens is not None:
        positive("--next", next_tokens)
        _refuse_with_next(
            given | {"task": task, "stop": stop},
            {
                "alternatives": (alternatives, 0),
                "beams": (beams, 1),
                "results": (results, 1),
                "repetition_penalty": (repetition_penalty, 1.0),
                "length_penalty": (length_penalty, 1.0),
                "seed": (seed, 0),
            },
        )
    loaded = load(folder).prepared("int8" if int8 else "float32")
    if next_tokens is not None:
        show(loaded.next_tokens(prompt, next_tokens), json=json)
    elif task is not None:
        _reply(loaded, task, prompt, {**asked, "examples": pairs, **options}, json)
    else:
        _continue(loaded, prompt, options, json)
    closing(then=[command("polyseme", "score", folder, "FILE")])


def _refuse_with_next(given: Mapping[str, Any], others: Mapping[str, tuple[float, float]]) -> None:
    """Refuse options that are about writing, where nothing is written.

    Args:
        given: None where an option was not typed.
        others: their values, and those they have when absent.
    Raises:  ConfigError: one of them was given.
    """
    asked = [name for name, value in given.items() if value is not None]
    asked += [name for name, (value, absent) in others.items() if value != absent]
    if asked:
        option = f"--{asked[0].replace('_', '-')}"
        raise ConfigError(
            f"--next writes nothing, and {option} is about writing",
            got=option,
            fix=f"leave {option} out, or --next",
        )


def _pair(text: str) -> tuple[str, str]:
    """A sentence and its translation, as typed."""
    left, equals, right = text.partition(" = ")
    if not equals:
        left, equals, right = text.partition("=")
    if not (equals and left.strip() and right.strip()):
        raise ConfigError(
            "an example must be a sentence and its translation",
            got=text,
            fix='write it like --example "good day = bonne journée"',
        )
    return left.strip(), right.strip()


def _reply(loaded: Loaded, task: Task, text: str, options: dict[str, Any], json: bool) -> None:
    """Print a decoder's answer to a task."""
    from polyseme.infer.zero_shot import reply

    (answer,) = reply(loaded, task, [text], **options)
    if json:
        emit_json(answer.as_dict())
    else:
        answers = (answer, *answer.others)
        emit("\n\n".join(each.text + _steps(each.generation) for each in answers))


def _continue(loaded: Loaded, prompt: str, options: dict[str, Any], json: bool) -> None:
    """Print a text and its continuation, token by token."""
    from polyseme.infer.generate import generate_stream

    stream = generate_stream(loaded, prompt, **options)
    results = options["results"]
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
        emit(_steps(result))
    else:
        emit("\n\n".join(prompt + each.text + _steps(each) for each in (result, *result.others)))


def _steps(result: Generation) -> str:
    """The table of its steps, behind an empty line, where alternatives were asked for."""
    if not result.choices:
        return ""
    from polyseme.report.distributions import steps_parts
    from polyseme.report.language import Speaker
    from polyseme.report.page import Page

    return "\n\n" + Page("", "", steps_parts(result.as_dict(), Speaker())).text()
