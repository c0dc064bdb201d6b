r"""Tasks that a decoder was never trained for, put to it as texts to go on with, as GPT-2 was used.

    summary     "{text}\nTL;DR:"                  100 tokens, top-k 2; the first three sentences of them
    answer      "{text}\n\nQ: {question}\nA:"     greedy, to the end of the line
    translate   "a = b\n … {text} ="               greedy, after pairs of sentences; the first sentence

What does not fit is left out from the beginning of the text, or the first pairs, never from the question. What is
generated never pushes the prompt out of the model's view, unless more is asked for than half of what the model reads.

Source:  Radford et al. (2019), sections 3.5 to 3.8. Departures: a document and its question are set apart by an empty
line; --from and --to may name the languages, as one more pair in front of the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from polyseme.errors import ConfigError
from polyseme.infer.continuation import Generation
from polyseme.infer.generate import GenerationConfig, decoder_head, generate
from polyseme.infer.inputs import one_of
from polyseme.infer.loaded import Loaded
from polyseme.infer.template import Template, shortened
from polyseme.text.sentences import sentence_spans
from polyseme.text.words import has_cjk

__all__ = ["Reply", "Task", "first_sentences", "reply"]

Task = Literal["summary", "answer", "translate"]


class _Form(NamedTuple):
    """How a task is put to a decoder.

    Args:
        template: the prompt.
        names: places of the template, all of them needed.
        options: of generation, where the user says nothing.
        sentences: so many of what is generated are the reply; None = all.
    """

    template: str
    names: tuple[str, ...]
    options: Mapping[str, Any]
    sentences: int | None


_SAMPLED = {"temperature": 1.0, "top_k": 2, "top_p": 1.0}
_GREEDY = {"temperature": 0.0}
FORMS: Mapping[Task, _Form] = {
    "summary": _Form("{text}\nTL;DR:", ("text",), {"max_new_tokens": 100, **_SAMPLED}, 3),
    "answer": _Form(
        "{text}\n\nQ: {question}\nA:",
        ("text", "question"),
        {"max_new_tokens": 50, "stop": ("\n",), **_GREEDY},
        None,
    ),
    "translate": _Form("{text} =", ("text",), {"max_new_tokens": 100, "stop": ("\n",), **_GREEDY}, 1),
}


@dataclass(frozen=True)
class Reply:
    """What a decoder made of a task.

    Args:
        text: the summary, answer or translation; "" where the model ended at once.
        generation: all that was generated; its `prompt` is what the model was given.
        others: further results, where several were asked for.
    """

    text: str
    generation: Generation
    others: tuple[Reply, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """{"text", "prompt", "generated", "tokens", "finish"}, and "others" where there are any."""
        whole = self.generation.as_dict()
        document = {
            "text": self.text,
            "prompt": self.generation.prompt,
            "generated": whole["text"],
            "tokens": whole["tokens"],
            "finish": whole["finish"],
        }
        return document | ({"others": [other.as_dict() for other in self.others]} if self.others else {})


def reply(
    loaded: Loaded,
    task: Task,
    texts: Sequence[str],
    *,
    question: str | None = None,
    examples: Sequence[tuple[str, str]] = (),
    source: str | None = None,
    target: str | None = None,
    template: str | None = None,
    **options: Any,
) -> list[Reply]:
    """Put a task to a decoder.

    Args:
        loaded: a run of a decoder (gpt, qwen3 …).
        task: summary, answer or translate.
        texts: documents, or sentences to translate.
        question: about each of the documents (answer).
        examples: pairs of a sentence and its translation (translate).
        source, target: names of the two languages (translate); both or neither.
        template: another prompt with {text} and, to answer, {question}.
        options: the fields of `GenerationConfig`; stop strings are added to the task's own.
    Returns a `Reply` a text.
    Raises:  ConfigError: the run cannot generate, or something is missing or does not belong to the task.
             InputError: the question alone is longer than the model reads.

    Example:
        reply(load("runs/gpt"), "answer", ["The cat sat on the mat."], question="Where did it sit?")[0].text
    """
    one_of("task", task, get_args(Task))
    decoder_head(loaded)
    _check(task, question, examples, source, target)
    form = FORMS[task]
    own = Template(form.template if template is None else template, form.names, form.names)
    settings = _options(loaded, form, own, options)
    new = int(settings.get("max_new_tokens", 1))
    most = int(loaded.encoder.max_length)
    room = most - loaded.lead - min(new, most // 2)
    pairs = [*([(source, target)] if source and target else []), *examples]
    prompts, cut = [], 0
    for text in texts:
        prompt, short = _prompt(loaded, own, text, question, pairs, room)
        prompts.append(prompt)
        cut += short
    if cut:
        warnings.warn(
            f"{cut:,} of {len(texts):,} prompts are longer than the {room:,} tokens that the model reads beside its "
            "reply: what stands first was left out",
            stacklevel=2,
        )
    return [_reply(form, generation) for generation in generate(loaded, prompts, **settings)]


def first_sentences(text: str, n: int | None) -> str:
    """The first sentences of a text; None = all of it.  Chinese and English ends count, by what the text is in.

    Example:
        >>> first_sentences(" Mr. Fox left. He ran. And", 2)
        'Mr. Fox left. He ran.'
    """
    text = text.strip()
    if n is None or not text:
        return text
    spans = sentence_spans(text, "zh" if has_cjk(text) else "en")[:n]
    return text[: spans[-1][1]] if spans else text


def _reply(form: _Form, generation: Generation) -> Reply:
    others = tuple(_reply(form, other) for other in generation.others)
    return Reply(first_sentences(generation.text, form.sentences), generation, others)


def _check(
    task: Task,
    question: str | None,
    examples: Sequence[tuple[str, str]],
    source: str | None,
    target: str | None,
) -> None:
    """Refuse what the task lacks or does not take.

    Raises:  ConfigError: something is missing or does not belong to it.
    """
    if (question is not None) != (task == "answer"):
        raise ConfigError(
            "an answer needs a question" if task == "answer" else f"{task} takes no question",
            got=question,
            fix='question="…", or --question "…" to type' if task == "answer" else "task answer",
        )
    if question is not None and not question.strip():
        raise ConfigError("the question is empty")
    if task != "translate" and (examples or source or target):
        raise ConfigError(f"{task} takes no pairs of sentences and no languages", fix="task translate")
    if (not source) != (not target):
        raise ConfigError("both languages or neither", got=source or target, fix="--from english --to french")
    pairs: Sequence[Any] = examples
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(side, str) and side.strip() for side in pair):
            raise ConfigError(
                "an example must be a sentence and its translation",
                got=repr(pair)[:80],
                expected='("a", "b")',
            )


def _options(loaded: Loaded, form: _Form, template: Template, given: Mapping[str, Any]) -> dict[str, Any]:
    """What to generate with: the task's own options, then those that were given.

    Raises:  ConfigError: an option is unknown or out of range.
    """
    settings: dict[str, Any] = dict(form.options)
    settings["max_new_tokens"] = min(settings["max_new_tokens"], max(1, int(loaded.encoder.max_length) // 2))
    if given.get("beams", 1) != 1:
        for name in ("temperature", "top_k", "top_p"):
            settings.pop(name, None)
    more = given.get("stop") or ()
    stop = dict.fromkeys([*settings.get("stop", ()), *([more] if isinstance(more, str) else more)])
    if marker := template.before("question").rpartition("\n")[2].strip():
        stop[marker] = (
            None  # the model goes on with a question of its own; some vocabularies have no line ends
        )
    settings |= {**given, "stop": tuple(stop)}
    GenerationConfig.of(settings, "generate")
    return settings


def _prompt(
    loaded: Loaded,
    template: Template,
    text: str,
    question: str | None,
    pairs: Sequence[tuple[str, str]],
    room: int,
) -> tuple[str, bool]:
    """What the model is given, and whether something was left out."""
    values = {"text": text.strip(), "question": (question or "").strip()}
    prompt = template.fill(values).text
    for start in range(len(pairs) + 1):
        lines = [f"{a.strip()} = {b.strip()}" for a, b in pairs[start:]]
        whole = "\n".join([*lines, prompt])
        if len(loaded.tokenizer.encode(whole)) <= room:
            return whole, start > 0
    values, _ = shortened(loaded.tokenizer, template, values, room, ("text",))
    return template.fill(values).text, True
