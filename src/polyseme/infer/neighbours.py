"""The words nearest to a word, alone or in a sentence, and how often they occur in the training text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import torch
from torch import Tensor, nn

from polyseme.core.arrays import IntArray
from polyseme.core.result import Result
from polyseme.data.store import PreparedCorpus
from polyseme.errors import CheckpointError, ConfigError, InputError, RunError
from polyseme.infer.inputs import at_least_one, check_loaded, one_text, texts_of
from polyseme.infer.loaded import Loaded, word_ids, words_of
from polyseme.text.clean import replace_surrogates
from polyseme.text.labelled.senses import occurrences

__all__ = ["RARE", "Neighbours", "count_of", "neighbours", "vector_by_letters", "word_counts"]

RARE = 20
"""With fewer uses than this, a vector depends more on the few texts around them than on the word."""


class Neighbours(Result, list[dict[str, Any]]):
    """The nearest words of a word, best first: a list of {"word", "similarity", "count"}, and a result.

    Args:
        rows: the list.
        run: whose vectors.
        word, context: what was asked.
        occurs: how often the word itself occurs in the training text; None where it is not known.
        notes: what a person should know.
    """

    kind = "neighbours"

    def __init__(
        self,
        rows: Iterable[dict[str, Any]] = (),
        run: str = "",
        word: str = "",
        context: str | None = None,
        occurs: int | None = None,
    ) -> None:
        list.__init__(self, rows)
        self.run, self.word, self.context, self.occurs = run, word, context, occurs
        self.notes = list[str]()
        if occurs is not None and occurs < RARE:
            self.notes.append(f"{word} occurs {occurs:,} times in the training text: its vector says little")
        if any(row.get("count", RARE) < RARE for row in self):
            self.notes.append(
                f"rare: fewer than {RARE} times in the training text, too few for a vector to be trusted"
            )

    def document(self) -> Neighbours:
        """The list itself, JSON-able."""
        return self

    def headline(self) -> str:
        """The word, and the run."""
        where = f" in {self.context[:40]!r}" if self.context else ""
        return f"{self.word}{where}, {Path(self.run).name}"

    def rows(self) -> list[dict[str, Any]]:
        """A row a neighbour; rare where its count is below `RARE`, None where counts are not known."""
        return [
            {
                "word": row["word"],
                "similarity": row["similarity"],
                "count": row.get("count"),
                "rare": row["count"] < RARE if "count" in row else None,
            }
            for row in self
        ]


@overload
def neighbours(  # type: ignore[overload-overlap]
    loaded: Loaded,
    words: str,
    context: str | None = None,
    top: int = 10,
    *,
    start: int | None = None,
    plus: str | None = None,
    minus: str | None = None,
) -> Neighbours: ...
@overload
def neighbours(
    loaded: Loaded,
    words: Iterable[str],
    context: str | None = None,
    top: int = 10,
    *,
    start: int | None = None,
    plus: str | None = None,
    minus: str | None = None,
) -> list[Neighbours]: ...
def neighbours(
    loaded: Loaded,
    words: str | Iterable[str],
    context: str | None = None,
    top: int = 10,
    *,
    start: int | None = None,
    plus: str | None = None,
    minus: str | None = None,
) -> Neighbours | list[Neighbours]:
    """The words nearest to words by cosine.

    Without a context, by the input embeddings. With one, the word's hidden state in that sentence is compared, through
    the masked-LM head, with the output embeddings: the words that could stand there in that sense. An encoder with an
    answer of its own, such as word classes, gives that instead of cosines. An encoder that reads letters, such as elmo,
    has a vector for a word that is not in the vocabulary, too.

    Args:
        loaded: a run.
        words: one or several; each a word or phrase (new york, new_york): of several pieces, their mean is taken.
        context: a text that holds the word.
        top: how many.
        start: the character of the context at which the word stands; None = where it first stands as a whole word.
        plus, minus: words whose vectors, of length one, are added to the word's and taken away: with both, an analogy,
            minus is to the word as plus is to the answers (3CosAdd of Mikolov, Yih and Zweig 2013). They are no answers
            themselves.
    Returns, for a word, [{"word", "similarity", "count"}], best first, the word itself and mere pieces left out; it
    shows itself as a table, and as a page in a notebook.
    "count" is how often it occurs in the training text, and absent where that is not there any more; for word classes
    also "path".
    Raises:  InputError: not text; the word is not in the context, or not in the vocabulary of an encoder that reads no
                 letters.  ConfigError: a context is given and the run has no masked-LM head; words are to be
                 added beside a context, or in a run of classes; top is no count.
    """
    check_loaded(loaded)
    several, single = texts_of(words, "words")
    context = None if context is None else one_text(context, "context")
    at_least_one("top", top)
    terms = {"plus": (1.0, plus), "minus": (-1.0, minus)}
    added = [(sign, one_text(term, name)) for name, (sign, term) in terms.items() if term is not None]
    if added and (context is not None or hasattr(loaded.encoder, "neighbours")):
        raise ConfigError(
            "words are added to the vector of a word by itself",
            got="a context" if context is not None else f"{loaded.recipe.architecture}, which has classes",
            fix="leave the context out" if context is not None else "a run with vectors, such as word2vec",
        )
    path = replace_surrogates(str(loaded.run.path))
    answers = [
        Neighbours(
            _neighbours(loaded, word, context, top, start, added), path, word, context, count_of(loaded, word)
        )
        for word in several
    ]
    return answers[0] if single else answers


@torch.no_grad()
def _neighbours(
    loaded: Loaded,
    word: str,
    context: str | None,
    top: int,
    start: int | None,
    added: Sequence[tuple[float, str]],
) -> list[dict[str, Any]]:
    ids = _known(loaded, word, reads=context is None)
    if context is None and hasattr(loaded.encoder, "neighbours"):
        if len(ids) > 1:
            raise InputError("not a single word of the vocabulary", got=word, fix="one word at a time")
        answer = loaded.encoder.neighbours(ids[0], top)
        return [{"word": loaded.tokenizer.display(i).strip(), **facts} for i, facts in answer]
    if context is not None:
        target = _in_context(loaded, word, context, start)
    else:
        target = _alone(loaded, word, ids)
    if added:
        target = nn.functional.normalize(target, dim=0)
    for sign, other in added:
        others = _known(loaded, other)
        target = target + sign * nn.functional.normalize(_alone(loaded, other, others), dim=0)
        ids = [*ids, *others]
    similarity = loaded.word_vectors @ nn.functional.normalize(target, dim=0)
    hidden = loaded.special.special | loaded.tokenizer.continues
    similarity[torch.from_numpy(np.flatnonzero(hidden))] = -2.0
    similarity[torch.tensor(ids, dtype=torch.long)] = -2.0
    counts = word_counts(loaded)
    asked = {each.casefold() for each in (word, *(other for _, other in added))}
    nearest: dict[str, dict[str, Any]] = {}
    for i in similarity.argsort(descending=True).tolist():
        shown = loaded.tokenizer.display(i).strip()
        if similarity[i] <= -2.0 or len(nearest) == top:
            break
        if shown.casefold() not in asked:
            # an imported table may have more rows than there are tokens
            known = {} if counts is None or i >= len(counts) else {"count": int(counts[i])}
            nearest.setdefault(shown, {"word": shown, "similarity": float(similarity[i]), **known})
    return list(nearest.values())


def _known(loaded: Loaded, word: str, reads: bool = True) -> list[int]:
    """A word's pieces; none where an encoder reads the word by its letters.

    Args:
        reads: whether letters will do.
    Raises:  InputError: the vocabulary does not know it.
    """
    ids = word_ids(loaded.tokenizer, word)
    if not ids and not (reads and loaded.reads_letters and word.strip()):
        raise InputError("the word is not in the vocabulary", got=word, fix=_near(loaded, word))
    return ids


def _alone(loaded: Loaded, word: str, ids: list[int]) -> Tensor:
    """The vector of a word by itself."""
    return loaded.word_vectors[ids].mean(0) if ids else vector_by_letters(loaded, word)


def word_counts(loaded: Loaded) -> IntArray | None:
    """Counts in the training text, of the store that the run keeps or was trained from; None where it is gone.

    Shapes:  -> (vocab_size,)
    """
    store, size = loaded.run.store, loaded.tokenizer.vocab_size
    if store is None:
        return None
    try:
        counts = np.asarray(PreparedCorpus.open(store).train.counts, np.int64)
    except (OSError, CheckpointError, RunError):
        return None
    return None if len(counts) > size else np.pad(counts, (0, size - len(counts)))


def count_of(loaded: Loaded, word: str) -> int | None:
    """How often a word occurs in the training text; None where it is not known, or the word is several pieces."""
    counts, ids = word_counts(loaded), word_ids(loaded.tokenizer, word)
    return None if counts is None or len(ids) != 1 else int(counts[ids[0]])


def _near(loaded: Loaded, word: str) -> str:
    """Advice for an unknown word: words of the vocabulary with a similar spelling, if there are any."""
    hidden = loaded.special.special | loaded.tokenizer.continues
    words = [loaded.tokenizer.display(i).strip() for i in np.flatnonzero(~hidden).tolist()]
    near = difflib.get_close_matches(word.casefold(), words, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else "a word that the training text holds"


@torch.no_grad()
def vector_by_letters(loaded: Loaded, word: str) -> Tensor:
    """The input vector of a word as it is spelled; of several words, their mean.  Shapes: -> as `word_vectors`' rows"""
    tokens = loaded.tokenizer.encode(word)
    batch = loaded.batch([tokens.ids], [words_of(word, tokens)])
    inputs = loaded.encoder.encode(batch, keep="all").layers[0][0, 1:-1, : loaded.word_vectors.size(1)]
    return nn.functional.normalize(inputs, dim=1).mean(0).cpu()


def _in_context(loaded: Loaded, word: str, context: str, start: int | None) -> Tensor:
    head = cast(nn.Module, loaded.masked_lm_head)  # its own map to the space of its output vectors
    if start is None:
        # not `casefold().find`: ß folds to two letters, and places behind it would be others
        part = [match.span() for match in re.finditer(re.escape(word), context, re.IGNORECASE)]
        at = [*occurrences(context, word), *part, (-1, -1)][0][0]
    else:
        there = start >= 0 and context[start : start + len(word)].casefold() == word.casefold()
        at = start if there else -1
    if at < 0:
        raise InputError(
            "the word is not in the context", got=context, expected=f"a text that holds {word!r}"
        )
    tokens = loaded.tokenizer.encode(context)
    inside = [i for i, (start, end) in enumerate(tokens.offsets) if start < at + len(word) and end > at]
    batch = loaded.batch([tokens.ids], [words_of(context, tokens)])
    places = torch.tensor(inside, device=loaded.device) + loaded.prefix_length
    states = loaded.encoder.encode(batch).at(places)
    try:
        nearby: Tensor = head(states).cpu()
    except NotImplementedError:
        raise ConfigError(
            "the run's head has no vectors to compare a context with",
            got=type(head).__name__,
            expected="a head that maps hidden states to where its words' vectors lie, as BERT's",
            fix="leave the context out",
        ) from None
    return nearby.mean(0)
