"""Does a text follow another? The next-sentence head, which was trained to tell, is asked.

    p(B follows A) = softmax(W · pooled + b)_0        objectives/next_sentence.py; class 0 = B follows A

In training half of the second texts came from other documents, so half is the border between yes and no, and what is
told apart is what documents differ in: topics, or, where most documents are single lines, these from running text
(docs/LOG.md). Too long a pair keeps the end of A and the beginning of B, which meet; longer than the pairs that it was
trained on (data.sequence_length), the head says the same of all of them, though the model reads more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import nn

from polyseme.core.result import Result
from polyseme.data.examples import Example
from polyseme.data.loader import collate, to_batch
from polyseme.data.wrapping import Wrapper, shares
from polyseme.errors import ConfigError, InputError
from polyseme.infer.hidden import by_length, packed
from polyseme.infer.inputs import Truncated, check_loaded, texts_of, warn_of_cut
from polyseme.infer.loaded import Loaded

__all__ = ["Following", "follows"]


@dataclass(frozen=True, eq=False, repr=False)
class Following(Result):
    """Whether a text follows another: `follows`.

    Args:
        text, text_b: the first and the second.
        probability: that the second follows the first.
    """

    kind = "follows"
    notes = ()

    text: str
    text_b: str
    probability: float

    def __bool__(self) -> bool:
        return self.probability > 0.5

    def document(self) -> dict[str, Any]:
        """{"text", "text_b", "follows": its probability}"""
        return {"text": self.text, "text_b": self.text_b, "follows": self.probability}

    def headline(self) -> str:
        """Yes or no, and the second text."""
        answer = "yes" if self else "no"
        return f"{answer}, {self.probability:.3f}: {self.text_b[:40]!r} after {self.text[-40:]!r}"

    def rows(self) -> list[dict[str, Any]]:
        """The one pair."""
        return [self.document()]


@overload
def follows(loaded: Loaded, texts: str, texts_b: str) -> Following: ...  # type: ignore[overload-overlap]
@overload
def follows(loaded: Loaded, texts: Sequence[str], texts_b: Sequence[str]) -> list[Following]: ...
def follows(
    loaded: Loaded, texts: str | Iterable[str], texts_b: str | Iterable[str]
) -> Following | list[Following]:
    """How probable it is that the second text goes on where the first ends, and is not from elsewhere.

    Args:
        loaded: a run trained with next_sentence: bert, or ernie, or an imported one.
        texts: A, one or several.
        texts_b: B, as many.
    Returns a `Following` for one pair, true where B follows; a list for several.
    Raises:  InputError: not text, or not as many.  ConfigError: the run has no head that tells.

    Example:
        follows(load("runs/bert"), "It rained all day.", "They stayed at home.").probability
    """
    check_loaded(loaded)
    first, single = texts_of(texts)
    second, single_b = texts_of(texts_b, "texts_b")
    if single != single_b:
        raise InputError(
            "every first text needs a second",
            got="a text and a list of texts" if single else "a list of texts and a text",
            fix="two texts, or two lists",
        )
    if len(first) != len(second):
        raise InputError(
            "every first text needs a second",
            got=f"{len(first):,} and {len(second):,}",
            fix="as many of both",
        )
    for text in (*first, *second):
        if not text.strip():
            raise InputError(
                "an empty text follows nothing, and nothing follows it", got=repr(text), fix="give two texts"
            )
    probabilities = _probabilities(loaded, first, second)
    answers = [Following(*row) for row in zip(first, second, probabilities, strict=True)]
    return answers[0] if single else answers


def next_sentence_head(loaded: Loaded) -> nn.Module:
    """Raises:  ConfigError: the run has none; the error says what it can do."""
    if "next_sentence" in loaded.heads:
        return loaded.heads["next_sentence"]
    other = "polyseme score RUN FILE --context TEXT says how probable texts are after another, or "
    raise ConfigError(
        "this run was not trained to say whether a text follows another",
        got=f"{loaded.recipe.architecture}, trained with {', '.join(loaded.recipe.objectives)}",
        expected="a run trained with next_sentence, as bert is",
        where=loaded.run.path,
        fix=(other if loaded.predicting else "") + "polyseme pretrain bert CORPUS -o RUN",
    )


def _longest(loaded: Loaded) -> int:
    """Tokens of the longest pair that the head knows, separators included."""
    longest = int(loaded.encoder.max_length)
    if "imported" in loaded.run.meta:
        return longest
    return min(longest, int(loaded.recipe.section("data").sequence_length))


@torch.inference_mode()
def _probabilities(loaded: Loaded, first: Sequence[str], second: Sequence[str]) -> list[float]:
    """P of every pair, read in batches of nearly equal length."""
    head, encoder = next_sentence_head(loaded), packed(loaded.encoder)
    wrapper = Wrapper.of(loaded.tokenizer)
    max_content = _longest(loaded) - wrapper.added(True)
    examples, cut = [], Truncated()
    ids = zip(*map(loaded.tokenizer.encode_ids, (first, second)), strict=True)
    for number, (a, b) in enumerate(ids):
        keep_a, keep_b = shares(len(a), len(b), max_content)
        cut.add([len(a) + len(b)], max_content, number)
        wrapped = wrapper.wrap(a[len(a) - keep_a :], b[:keep_b])
        examples.append(Example(wrapped.ids, wrapped.type, wrapped.text >= 0))
    warn_of_cut(cut, len(first), max_content, stacklevel=4)
    found = [0.0] * len(examples)
    for numbers in by_length([len(example.ids) for example in examples]):
        longest = max(len(examples[i].ids) for i in numbers)
        batch = loaded.placed(
            to_batch(collate([[examples[i]] for i in numbers], longest, loaded.special), [])
        )
        logits = head(encoder.encode(batch, at=batch.first).at(batch.first))
        for i, p in zip(numbers, torch.softmax(logits.double(), 1)[:, 0].tolist(), strict=True):
            found[i] = p
    return found
