r"""Zero-shot tasks: a run that was never trained for them scores texts or continues them.

A template is a text with places to fill:

    "{text} It was {label}."                 English
    "《{text}》这篇评论的态度是{label}。"        Chinese: nothing is put between the parts
    "{{not a place}} {text}"                 doubled braces stand for themselves

Choose: which label does the model find most probable in its place of a template?

    s_k = Σ log p(t)          over the tokens t that the choice k brings in                     sum
    s_k = s_k / tokens        the mean: long choices are not punished                           mean
    s_k = s_k - s_k(neutral)  less the same sum where a text without content takes its place    pmi
    p_k = softmax(s)_k

A decoder is asked for the label and what the template has after it, given what stands before; that is read once for
all choices. Tokens are counted from the first that any choice changes, so that every choice answers for the same
characters. A masked model is asked for each token of the label, all others given (a cloze); ELMo for the label's tokens
from either side.

Reply: texts that a decoder goes on with, as GPT-2 was used.

    summary     "{text}\nTL;DR:"                  100 tokens, top-k 2; the first three sentences of them
    answer      "{text}\n\nQ: {question}\nA:"     greedy, to the end of the line
    translate   "a = b\n … {text} ="               greedy, after pairs of sentences; the first sentence

If a prompt is too long, the beginning of the text or the first pairs are left out, never the question. The reply does
not push the prompt out of the model's window, unless it is longer than half of the window.

Last words, as LAMBADA asks: a text without its last word is continued greedily; right is what writes exactly that word
and then goes on with another. Words end at white space, and punctuation around them does not count; Chinese words end
where the segmenter ends them.

Source:  decoders: Radford et al. (2019), sections 3 and 3.3 to 3.8; mean: Brown et al. (2020), section 2.4; pmi:
Holtzman et al. (2021), section 3, with an empty text, and Zhao et al. (2021), section 4, with another. Masked models:
Schick and Schütze (2021), section 3.1. Last words: Paperno et al. (2016). Departures: labels of several tokens are
scored by pseudo-log-likelihood (Salazar et al. 2020); a document and its question are set apart by an empty line;
--from and --to may name the languages, as one more pair in front of the others; of last words, no filter against those
that cannot end a sentence.
"""

from __future__ import annotations

import re
import string
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from polyseme.core.arrays import Float64Array
from polyseme.errors import ConfigError, InputError
from polyseme.infer.continuation import Generation, Step
from polyseme.infer.generate import GenerationConfig, TextStream, decoder_head, generate, generate_stream
from polyseme.infer.inputs import one_of
from polyseme.infer.likelihood import Part
from polyseme.infer.loaded import Loaded
from polyseme.infer.score import kind_of, log_likelihoods, prefix_of
from polyseme.text.sentences import sentence_spans
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.tokens import Tokens
from polyseme.text.words import has_cjk, token_spans

__all__ = [
    "Chooser",
    "Filled",
    "LastWord",
    "Normalize",
    "Reply",
    "ReplyStream",
    "Task",
    "Template",
    "first_sentences",
    "last_words",
    "reply",
    "reply_stream",
    "shortened",
]

Normalize = Literal["sum", "mean", "pmi"]
Task = Literal["summary", "answer", "translate"]

TEXTS_AT_ONCE = 256
NEW_TOKENS = 10
"""Longest last word in tokens, with the beginning of the next."""

_EXAMPLE = '"{text} It was {label}."'
_AROUND = re.compile(r"^\W+|\W+$")


class Filled(NamedTuple):
    """A text whose places are filled.

    Args:
        text: without white space in front.
        spans: [start, end) of the first place of each name.
    """

    text: str
    spans: dict[str, tuple[int, int]]


class Template:
    """A text with places to fill.

    Args:
        source: as a person writes it: {name} is a place, {{ and }} are braces.
        known: names that may occur.
        needed: names that must occur.
        once: names that may occur once only.
    Attributes:
        names: those that occur.
    Raises:  ConfigError: an unknown name, one that is missing or repeated, or a brace that stands alone.
    Example:
        >>> Template("{text} It was {label}.", ["text", "label"]).fill(
        ...     {"text": "Fine.", "label": "good"}
        ... ).text
        'Fine. It was good.'
    """

    def __init__(
        self, source: str, known: Sequence[str], needed: Sequence[str] = (), once: Sequence[str] = ()
    ) -> None:
        places = ", ".join(f"{{{name}}}" for name in known)
        if not isinstance(source, str):
            raise ConfigError("a template must be a string", got=repr(source)[:80], expected=f"with {places}")
        self.source = source
        try:
            parts = list(string.Formatter().parse(source))
        except ValueError:
            raise ConfigError(
                "a brace stands alone in the template",
                got=source,
                expected=f"the places {places}",
                fix="write {{ or }} for a brace itself",
            ) from None
        self._parts: list[tuple[str, str | None]] = []
        for literal, name, form, conversion in parts:
            if name is not None and (name not in known or form or conversion):
                shown = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
                raise ConfigError(
                    f"unknown place {{{shown}}} in the template",
                    got=source,
                    expected=places,
                    fix="write {{ and }} for braces themselves",
                )
            self._parts.append((literal, name))
        names = [name for _, name in self._parts if name is not None]
        self.names = tuple(dict.fromkeys(names))
        for name in needed:
            if name not in names:
                raise ConfigError(f"the template has no {{{name}}}", got=source, expected=f"{places}")
        for name in once:
            if names.count(name) > 1:
                raise ConfigError(f"{{{name}}} may stand in the template once", got=source)

    def fill(self, values: Mapping[str, str]) -> Filled:
        """The text with these values; what is in a value is never read as a place."""
        text, spans = "", dict[str, tuple[int, int]]()
        for literal, name in self._parts:
            text += literal
            if name is not None:
                spans.setdefault(name, (len(text), len(text) + len(values[name])))
                text += values[name]
        bare = text.lstrip()
        gone = len(text) - len(bare)
        return Filled(bare, {name: (max(0, a - gone), max(0, b - gone)) for name, (a, b) in spans.items()})

    def before(self, name: str) -> str:
        """The literal text right before the first place of a name."""
        return next((literal for literal, place in self._parts if place == name), "")


def shortened(
    tokenizer: Tokenizer,
    template: Template,
    values: Mapping[str, str],
    max_content: int,
    names: Sequence[str],
) -> tuple[dict[str, str], bool]:
    """Values with which the filled template has at most `max_content` tokens, and whether something was left out.

    Args:
        values: what to fill in.
        max_content: tokens that the model reads.
        names: values that may lose their beginnings: the first until nothing of it is left, then the next.
    Raises:  InputError: the rest alone is too long.
    """
    kept, cut = dict(values), False
    for name in names:
        while True:
            filled = template.fill(kept)
            offsets = tokenizer.encode(filled.text).offsets
            over = len(offsets) - max_content
            if over <= 0:
                return kept, cut
            if name not in filled.spans or not kept[name]:
                break
            start, end = filled.spans[name]
            inside = [a for a, b in offsets if a >= start and b <= end]
            at = inside[over] if over < len(inside) else end
            kept[name], cut = kept[name][max(1, at - start) :].lstrip(), True
    tokens = len(tokenizer.encode(template.fill(kept).text))
    if tokens <= max_content:
        return kept, cut
    raise InputError(
        "what must not be left out is longer than the model reads",
        got=f"{tokens:,} tokens",
        expected=f"at most {max(max_content, 0):,}",
        fix="a shorter template or question, or a model that reads more",
    )


class _Question(NamedTuple):
    """A text with every choice in its place.

    Args:
        filled: a text a choice.
        tokens: theirs.
    """

    filled: list[Filled]
    tokens: list[Tokens]


class Chooser:
    """Scores the same choices for many texts.

    Args:
        loaded: a run that gives texts probabilities: gpt, qwen3; bert, modernbert, ernie; elmo.
        choices: words that may stand in the place of {label}; two at least.
        template: a text with {text}, {label} and, for pairs of texts, {text_b}.
        normalize: sum, mean or pmi; see the head of this file.
        neutral: the text without content that pmi puts in the place of {text} and {text_b}; "" leaves them out.
    Raises:  ConfigError: the template or the choices are wrong, or the run gives texts no probability.
             InputError: the vocabulary lacks a choice, or reads two of them alike.
    Example:
        chooser = Chooser(load("runs/gpt"), ["bad", "good"], "{text} It was {label}.")
        chooser.probabilities(["I slept."])[0]
    """

    def __init__(
        self,
        loaded: Loaded,
        choices: Sequence[str],
        template: str,
        normalize: Normalize = "sum",
        neutral: str = "",
    ) -> None:
        kind = kind_of(loaded)
        one_of("normalize", normalize, get_args(Normalize))
        self._loaded, self._choices, self._normalize = loaded, _checked(choices), normalize
        self._causal = kind == "log-likelihood"
        try:
            self.template = Template(template, ("text", "text_b", "label"), ("text", "label"), ("label",))
        except ConfigError as error:
            error.fix = error.fix or f"a template such as {_EXAMPLE}"
            raise
        self._max_content = loaded.max_content
        self._check_vocabulary()
        self._neutral: Float64Array | None = None
        if normalize == "pmi":
            self._neutral = self._scores([{"text": neutral, "text_b": neutral}])[0]

    @property
    def paired(self) -> bool:
        """Whether the template takes pairs of texts."""
        return "text_b" in self.template.names

    def scores(self, texts: Sequence[str], texts_b: Sequence[str] | None = None) -> Float64Array:
        """The score s of every text and choice, normalised as asked, in nats.

        Shapes:  N texts, K choices -> (N, K)
        Raises:  ConfigError: second texts are missing, or the template has no place for them.
                 InputError: the template and a choice alone are longer than the model reads.
        """
        if self.paired != (texts_b is not None):
            raise ConfigError(
                "the template has a place {text_b}, but there are no second texts"
                if self.paired
                else "there are second texts, but the template has no place {text_b}",
                got=self.template.source,
            )
        if texts_b is not None and len(texts_b) != len(texts):
            raise ConfigError("texts and second texts must be pairs", got=f"{len(texts)} and {len(texts_b)}")
        rows = [{"text": a, "text_b": b} for a, b in zip(texts, texts_b or [""] * len(texts), strict=True)]
        parts = [np.zeros((0, len(self._choices)))]
        for start in range(0, len(rows), TEXTS_AT_ONCE):
            parts.append(self._scores(rows[start : start + TEXTS_AT_ONCE]))
        scores = np.concatenate(parts)
        return scores if self._neutral is None else scores - self._neutral

    def probabilities(self, texts: Sequence[str], texts_b: Sequence[str] | None = None) -> Float64Array:
        """The share of every choice: (N, K), rows sum to 1."""
        scores = self.scores(texts, texts_b)
        if not len(scores):
            return scores
        shares = np.exp(scores - scores.max(1, keepdims=True))
        result: Float64Array = shares / shares.sum(1, keepdims=True)
        return result

    def _scores(self, rows: Sequence[dict[str, str]]) -> Float64Array:
        """Sums or means over the tokens that count."""
        groups = [self._parts(question) for question in self._questions(rows)]
        sums = np.array(log_likelihoods(self._loaded, groups), np.float64)
        if self._normalize == "mean":
            sums /= np.array([[len(part.counted) for part in group] for group in groups])
        return sums

    def _fill(self, row: dict[str, str]) -> list[Filled]:
        return [self.template.fill({**row, "label": choice}) for choice in self._choices]

    def _questions(self, rows: Sequence[dict[str, str]]) -> list[_Question]:
        """The texts with every choice, none longer than the model reads."""
        encode = self._loaded.tokenizer.encode_batch
        filled = [self._fill(row) for row in rows]
        n = len(self._choices)
        flat = encode([text.text for row in filled for text in row])
        questions = [_Question(row, flat[i * n : (i + 1) * n]) for i, row in enumerate(filled)]
        long = [i for i, q in enumerate(questions) if max(map(len, q.tokens)) > self._max_content]
        for i in long:
            row = rows[i]
            for choice in self._choices:
                values = {**row, "label": choice}
                row, _ = shortened(
                    self._loaded.tokenizer, self.template, values, self._max_content, ("text", "text_b")
                )
            refilled = self._fill(row)
            questions[i] = _Question(refilled, encode([text.text for text in refilled]))
        if long:
            warnings.warn(
                f"{len(long):,} of {len(rows):,} texts are longer than the {self._max_content:,} tokens that the model "
                "reads: their beginnings were left out",
                stacklevel=2,
            )
        return questions

    def _parts(self, question: _Question) -> list[Part]:
        """The tokens of each filled text that count."""
        if self._causal:
            first = min(
                _alike([tokens.ids for tokens in question.tokens]),
                *(_place(f, t)[0] for f, t in zip(question.filled, question.tokens, strict=True)),
            )
            prefix = [*prefix_of(self._loaded)] or (self._loaded.tokenizer.opening([]) if first == 0 else [])
            return [Part([*prefix, *tokens.ids], first + len(prefix)) for tokens in question.tokens]
        prefix = [*prefix_of(self._loaded)]
        places = [_place(f, t) for f, t in zip(question.filled, question.tokens, strict=True)]
        return [
            Part([*prefix, *tokens.ids], first + len(prefix), stop + len(prefix))
            for tokens, (first, stop) in zip(question.tokens, places, strict=True)
        ]

    def _check_vocabulary(self) -> None:
        """Refuse choices that the vocabulary cannot tell apart."""
        unknown, choice_of = self._loaded.tokenizer.unk_id, dict[tuple[int, ...], str]()
        filled = self._fill({"text": "", "text_b": ""})
        encoded = self._loaded.tokenizer.encode_batch([text.text for text in filled])
        for choice, text, tokens in zip(self._choices, filled, encoded, strict=True):
            first, stop = _place(text, tokens)
            choice_ids = tokens.ids[first:stop]
            if not choice_ids or unknown in choice_ids:
                raise InputError(
                    "the run's vocabulary does not know a choice",
                    got=choice,
                    where=self._loaded.run.path,
                    fix="other words for it",
                )
            ids = tuple(tokens.ids)
            if ids in choice_of:
                raise InputError(
                    "the run's vocabulary reads two choices alike",
                    got=f"{choice_of[ids]!r} and {choice!r}",
                    where=self._loaded.run.path,
                    fix="other words for one of them",
                )
            choice_of[ids] = choice


def _checked(choices: Sequence[str]) -> list[str]:
    """The choices, if there are several different ones."""
    if isinstance(choices, str) or not all(isinstance(choice, str) for choice in choices):
        raise ConfigError(
            "choices must be a list of strings", got=repr(choices)[:80], expected='["bad", "good"]'
        )
    labels = list(choices)
    if len(labels) < 2:
        raise ConfigError("there must be two choices at least", got=", ".join(labels) or "none")
    for choice in labels:
        if not choice.strip():
            raise ConfigError("a choice must not be empty", got=repr(choice))
        if labels.count(choice) > 1:
            raise ConfigError("a choice is there twice", got=choice)
    return labels


def _place(filled: Filled, tokens: Tokens) -> tuple[int, int]:
    """The tokens that hold a part of the label: the first, and the one after the last."""
    start, end = filled.spans["label"]
    first = next((i for i, (_, b) in enumerate(tokens.offsets) if b > start), len(tokens))
    stop = next((i for i in range(first, len(tokens)) if tokens.offsets[i][0] >= end), len(tokens))
    return first, stop


def _alike(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with."""
    n = min(map(len, rows))
    return next((i for i in range(n) if len({row[i] for row in rows}) > 1), n)


class _Form(NamedTuple):
    """How a task is put to a decoder.

    Args:
        template: the prompt.
        names: places of the template, all of them needed.
        options: of generation, where the user says nothing.
        sentences: the number of sentences that are the reply, from the first on; None = all.
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
    """The reply of a decoder to a task.

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
    form, prompts, settings = _put(loaded, task, texts, question, examples, source, target, template, options)
    return [_reply(form, generation) for generation in generate(loaded, prompts, **settings)]


class ReplyStream:
    """A reply as it is written; see `reply_stream`.

    Args:
        form: of the task.
        stream: of the text that it is a part of.
    """

    def __init__(self, form: _Form, stream: TextStream) -> None:
        self._form, self._stream = form, stream

    def steps(self) -> Iterator[Step]:
        """One a token, of all that is generated: which part of it counts is known at the end."""
        return self._stream.steps()

    @property
    def result(self) -> Reply | None:
        """The `Reply`, once the steps are through; None of a stream that was left."""
        return None if self._stream.result is None else _reply(self._form, self._stream.result)


def reply_stream(
    loaded: Loaded,
    task: Task,
    text: str,
    *,
    question: str | None = None,
    examples: Sequence[tuple[str, str]] = (),
    source: str | None = None,
    target: str | None = None,
    template: str | None = None,
    **options: Any,
) -> ReplyStream:
    """`reply` to one text, token by token.

    Raises:  ConfigError, InputError: as `reply` does.
    """
    form, (prompt,), settings = _put(
        loaded, task, [text], question, examples, source, target, template, options
    )
    return ReplyStream(form, generate_stream(loaded, prompt, **settings))


def _put(
    loaded: Loaded,
    task: Task,
    texts: Sequence[str],
    question: str | None,
    examples: Sequence[tuple[str, str]],
    source: str | None,
    target: str | None,
    template: str | None,
    options: Mapping[str, Any],
) -> tuple[_Form, list[str], dict[str, Any]]:
    """The form of a task, the prompts of texts, and what to generate with."""
    one_of("task", task, get_args(Task))
    decoder_head(loaded)
    _check(task, question, examples, source, target)
    form = FORMS[task]
    asked = Template(form.template if template is None else template, form.names, form.names)
    settings = _options(loaded, form, asked, options)
    new = int(settings.get("max_new_tokens", 1))
    most = int(loaded.encoder.max_length)
    max_content = most - loaded.prefix_length - min(new, most // 2)
    pairs = [*([(source, target)] if source and target else []), *examples]
    prompts, cut = [], 0
    for text in texts:
        prompt, was_cut = _prompt(loaded, asked, text, question, pairs, max_content)
        prompts.append(prompt)
        cut += was_cut
    if cut:
        warnings.warn(
            f"{cut:,} of {len(texts):,} prompts are longer than the {max_content:,} tokens that the model reads "
            "beside its reply: what stands first was left out",
            stacklevel=3,
        )
    return form, prompts, settings


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
    """Check the arguments of a task.

    Raises:  ConfigError: something is missing, or does not belong to the task.
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


def _options(loaded: Loaded, form: _Form, template: Template, options: Mapping[str, Any]) -> dict[str, Any]:
    """What to generate with: the task's own options, then those that were given.

    Raises:  ConfigError: an option is unknown or out of range.
    """
    settings: dict[str, Any] = dict(form.options)
    settings["max_new_tokens"] = min(settings["max_new_tokens"], max(1, int(loaded.encoder.max_length) // 2))
    if options.get("beams", 1) != 1:
        for name in ("temperature", "top_k", "top_p"):
            settings.pop(name, None)
    extra = options.get("stop") or ()
    stop = dict.fromkeys([*settings.get("stop", ()), *([extra] if isinstance(extra, str) else extra)])
    if marker := template.before("question").rpartition("\n")[2].strip():
        stop[marker] = (
            None  # the model goes on with a question of its own; some vocabularies have no line ends
        )
    settings |= {**options, "stop": tuple(stop)}
    GenerationConfig.of(settings, "generate")
    return settings


def _prompt(
    loaded: Loaded,
    template: Template,
    text: str,
    question: str | None,
    pairs: Sequence[tuple[str, str]],
    max_content: int,
) -> tuple[str, bool]:
    """The prompt, and whether something was left out of it."""
    values = {"text": text.strip(), "question": (question or "").strip()}
    prompt = template.fill(values).text
    for start in range(len(pairs) + 1):
        lines = [f"{a.strip()} = {b.strip()}" for a, b in pairs[start:]]
        whole = "\n".join([*lines, prompt])
        if len(loaded.tokenizer.encode(whole)) <= max_content:
            return whole, start > 0
    values, _ = shortened(loaded.tokenizer, template, values, max_content, ("text",))
    return template.fill(values).text, True


class LastWord(NamedTuple):
    """The last word of a text, and what the model wrote in its place.

    Args:
        word: "" where the text has no two words.
        found: "" where the model ended the text.
        right: whether both are the same word, as the vocabulary spells it.
    """

    word: str
    found: str
    right: bool


def last_words(loaded: Loaded, texts: Sequence[str]) -> list[LastWord]:
    """What a decoder writes as the last word of every text.

    Args:
        loaded: a run of a decoder (gpt, qwen3 …).
        texts: whole texts; where one is longer than the model reads, its beginning is left out.
    Raises:  ConfigError: the run cannot generate.
    """
    decoder_head(loaded)
    max_content = max(1, int(loaded.encoder.max_length) - loaded.prefix_length - NEW_TOKENS)
    template = Template("{text}", ["text"])
    split = [_last(text.strip()) for text in texts]
    asked = [i for i, (context, word) in enumerate(split) if context and word]
    contexts, cut = [], 0
    for i in asked:
        values, was_cut = shortened(loaded.tokenizer, template, {"text": split[i][0]}, max_content, ("text",))
        contexts.append(values["text"])
        cut += was_cut
    if cut:
        warnings.warn(
            f"{cut:,} of {len(texts):,} texts are longer than the {max_content:,} tokens that the model reads "
            "before the word: their beginnings were left out",
            stacklevel=2,
        )
    results = [LastWord("", "", False)] * len(texts)
    written = generate(loaded, contexts, max_new_tokens=NEW_TOKENS, temperature=0.0)
    for i, generation in zip(asked, written, strict=True):
        word, answer = split[i][1], _first(generation.text.strip())
        results[i] = LastWord(word, answer, _bare(loaded, word) == _bare(loaded, answer))
    return results


def _last(text: str) -> tuple[str, str]:
    """A text without its last word, and that word with the punctuation behind it."""
    written = text.rsplit(maxsplit=1)[-1] if text else ""
    start = len(text) - len(written)
    if has_cjk(written):
        start += _words(written)[-1][0]
    return text[:start].rstrip(), text[start:]


def _first(text: str) -> str:
    """The first word of a text."""
    written = text.split(maxsplit=1)[0] if text else ""
    if has_cjk(written):
        start, end = _words(written)[0]
        return written[start:end]
    return written


def _words(text: str) -> list[tuple[int, int]]:
    """The words of a text written without spaces; punctuation is not a word."""
    return [(start, end) for start, end in token_spans(text) if _AROUND.sub("", text[start:end])]


def _bare(loaded: Loaded, word: str) -> str:
    """A word as the vocabulary spells it, without punctuation around it; a mark stays."""
    plain = loaded.tokenizer.normalise(word)
    return _AROUND.sub("", plain) or plain
