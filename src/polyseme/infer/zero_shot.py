"""The methods of a run that put tasks to it which it was never trained for.

choose      one of several labels, by likelihood      infer/choose.py
summarize   "TL;DR:"                                  infer/prompts.py
answer      "Q: … A:"                                 infer/prompts.py
translate   "a = b"                                   infer/prompts.py
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast, overload

from polyseme.infer.inputs import texts_of

if TYPE_CHECKING:
    from polyseme.infer.choose import FloatArray, Normalize
    from polyseme.infer.load import Loaded
    from polyseme.infer.prompts import Task

__all__ = ["ZeroShot"]


class ZeroShot:
    """A part of `Loaded`'s methods; see the head of this file."""

    def choose(
        self,
        texts: str | Iterable[str],
        choices: Sequence[str],
        template: str,
        texts_b: str | Iterable[str] | None = None,
        normalize: Normalize = "sum",
        neutral: str = "",
    ) -> FloatArray:
        """How probable each choice is in its place of a template: classification without training.

        Args:
            texts: one or several; what is longer than the model reads loses its beginning.
            choices: words for {label}, two at least.
            template: such as "{text} It was {label}."; doubled braces stand for themselves.
            texts_b: second texts, for a template with {text_b}.
            normalize: "sum" of the log-likelihoods of a choice's tokens, their "mean", or "pmi": the sum less what it
                is for a text without content.
            neutral: that text; "" leaves the place empty, others say "N/A".
        Shapes:  N texts, K choices -> (N, K), rows sum to 1; one text -> (K,)
        Raises:  InputError: not text, or a choice that the vocabulary does not know.
                 ConfigError: the template is wrong, or the run gives texts no probability.

        Example:
            model.choose(["I slept."], ["bad", "good"], "{text} It was {label}.")
        """
        from polyseme.infer.choose import Chooser

        some, single = texts_of(texts)
        more = None if texts_b is None else texts_of(texts_b, "texts_b")[0]
        chooser = Chooser(cast("Loaded", self), choices, template, normalize, neutral)
        found = chooser.probabilities(some, more)
        return cast("FloatArray", found[0]) if single else found

    @overload
    def summarize(self, texts: str, template: str | None = None, **options: Any) -> str: ...
    @overload
    def summarize(self, texts: Iterable[str], template: str | None = None, **options: Any) -> list[str]: ...
    def summarize(
        self, texts: str | Iterable[str], template: str | None = None, **options: Any
    ) -> str | list[str]:
        r"""What a decoder writes after "TL;DR:": the first three sentences of 100 tokens, sampled with top-k 2.

        Args:
            texts: one or several; their beginnings are left out where they are too long.
            template: another prompt than "{text}\nTL;DR:".
            options: the fields of `GenerationConfig`.
        Raises:  InputError: not text.  ConfigError: the run cannot generate, or an option is wrong.
        """
        return self._reply("summary", texts, template=template, **options)

    @overload
    def answer(self, texts: str, question: str, template: str | None = None, **options: Any) -> str: ...
    @overload
    def answer(
        self, texts: Iterable[str], question: str, template: str | None = None, **options: Any
    ) -> list[str]: ...
    def answer(
        self, texts: str | Iterable[str], question: str, template: str | None = None, **options: Any
    ) -> str | list[str]:
        r"""What a decoder writes after a text, "Q: question" and "A:", to the end of the line; greedy.

        Args:
            texts: one or several; their beginnings are left out where they are too long, the question never.
            question: about each of them.
            template: another prompt than "{text}\n\nQ: {question}\nA:".
            options: the fields of `GenerationConfig`.
        Raises:  InputError: not text, or the question alone is too long.
                 ConfigError: the run cannot generate, or an option is wrong.
        """
        return self._reply("answer", texts, question=question, template=template, **options)

    @overload
    def translate(
        self,
        texts: str,
        examples: Sequence[tuple[str, str]] = (),
        source: str | None = None,
        target: str | None = None,
        **options: Any,
    ) -> str: ...
    @overload
    def translate(
        self,
        texts: Iterable[str],
        examples: Sequence[tuple[str, str]] = (),
        source: str | None = None,
        target: str | None = None,
        **options: Any,
    ) -> list[str]: ...
    def translate(
        self,
        texts: str | Iterable[str],
        examples: Sequence[tuple[str, str]] = (),
        source: str | None = None,
        target: str | None = None,
        **options: Any,
    ) -> str | list[str]:
        """What a decoder writes after "text =", to the first sentence's end; greedy.

        Args:
            texts: one or several sentences.
            examples: pairs of a sentence and its translation, shown before as "sentence = translation".
            source, target: names of the languages, shown first as one more pair.
            options: the fields of `GenerationConfig`, and `template`, another prompt than "{text} =".
        Raises:  InputError: not text.  ConfigError: the run cannot generate, or an option is wrong.
        """
        return self._reply("translate", texts, examples=examples, source=source, target=target, **options)

    def _reply(self, task: Task, texts: str | Iterable[str], **options: Any) -> str | list[str]:
        from polyseme.infer.prompts import reply

        some, single = texts_of(texts)
        found = [one.text for one in reply(cast("Loaded", self), task, some, **options)]
        return found[0] if single else found
