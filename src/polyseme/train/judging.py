"""On which text a run is judged: held-out text, or, where there is too little of it, the text that trained it.

Ten sentences train every model, but say nothing about it. Such figures are kept and marked, and choose no weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from polyseme.core.reporter import Reporter
from polyseme.core.types import Batch
from polyseme.data.loader import heldout_batches
from polyseme.data.prepare import MINIMUM_VALID_TOKENS
from polyseme.data.store import PreparedCorpus, TokenStore
from polyseme.errors import CorpusError
from polyseme.train import distributed
from polyseme.train.building import build_loader, heldout_recipe, impossible, special_ids
from polyseme.train.recipe import Recipe
from polyseme.train.run import RunDirectory

T = TypeVar("T")
HELDOUT_SEED = 0
PIECE = 512
"""Tokens of a batch where evaluations have to fit into a budget in minutes."""


class Judged(NamedTuple):
    """What a run is judged on.

    Args:
        text: "held-out" or "training".
        documents, tokens: how much of it there is.
        meaningless: its figures say nothing about other text.
        left_out: objectives for which it has no example, though the training text has.
    """

    text: str
    documents: int
    tokens: int
    meaningless: bool
    left_out: tuple[str, ...] = ()

    @property
    def note(self) -> str | None:
        """What a reader of the figures has to know, where there is something."""
        if self.text == "training":
            return (
                "no text could be held out to judge by: losses are of the training text itself, they mean nothing for"
                " other text, and the last weights are kept"
            )
        if self.meaningless:
            return (
                f"{self.tokens:,} held-out tokens are too few for figures that mean anything ({MINIMUM_VALID_TOKENS}"
                " or more do): the last weights are kept, not the best"
            )
        return None


def judged_by(corpus: PreparedCorpus, make: Callable[[TokenStore], T]) -> tuple[T, Judged]:
    """What `make` makes of the held-out text, or of the training text where it can make nothing of a small one.

    Raises:  CorpusError: it can make nothing of the training text, either, or of much held-out text.
    """
    if corpus.valid.n_tokens:
        try:
            made = make(corpus.valid)
            return made, _judged("held-out", corpus.valid, not corpus.heldout_suffices)
        except NothingToPredict:
            pass
        except CorpusError:
            if corpus.heldout_suffices:
                raise
    return make(corpus.train), _judged("training", corpus.train, True)


def _judged(text: str, store: TokenStore, meaningless: bool) -> Judged:
    return Judged(text, store.n_documents, store.n_tokens, meaningless)


class NothingToPredict(CorpusError):
    """A split in which no objective finds anything to predict, such as one of unknown tokens alone."""


def batches_to_judge(corpus: PreparedCorpus, recipe: Recipe, small: bool) -> tuple[list[Batch], Judged]:
    """The fixed batches of every evaluation, and of what they are.

    Args:
        small: batches of few tokens, so that some of them can stand for all.
    Raises:  CorpusError: there is nothing to predict in any text.
    """
    special, data, train = special_ids(corpus.tokenizer), recipe.section("data"), recipe.section("train")
    rows = min(train.rows, max(1, PIECE // data.row)) if small else train.rows

    def make(store: TokenStore) -> tuple[list[Batch], tuple[str, ...]]:
        judge = heldout_recipe(recipe)
        missing = impossible(judge, store, special)
        if missing and len(missing) < len(judge.objectives):
            judge = judge.without(*missing)
        loader = build_loader(store, judge, special, HELDOUT_SEED)
        batches = heldout_batches(loader, rows, train.heldout_tokens, data.row)
        first = judge.objectives[0]
        if not any(len(batch.targets[first].labels) for batch in batches):
            raise NothingToPredict(
                "no token of the text can be predicted",
                got=f"{store.n_tokens:,} tokens, none of them known to the vocabulary",
                fix="text that the vocabulary knows, or a vocabulary made from this text",
            )
        return batches, tuple(missing)

    (batches, left_out), judged = judged_by(corpus, make)
    return batches, judged._replace(left_out=left_out)


def keep_judged(run: RunDirectory, judged: Judged, reporter: Reporter) -> None:
    """Write into run.json on what the run is judged, and say what has to be known about it."""
    if distributed.rank() > 0:
        return
    changes: dict[str, Any] = {"judged_on": judged._asdict() | {"left_out": [*judged.left_out]}}
    notes = run.meta.get("notes", [])
    said = [
        f"{name} is not judged: the held-out text of {judged.documents} document(s) has no example;"
        " --set text.valid_share=0.2 holds out more"
        for name in judged.left_out
    ]
    new = [note for note in [*said, *filter(None, [judged.note])] if note not in notes]
    for note in new:
        reporter.note(note)
    if new:
        changes["notes"] = [*notes, *new]
    run.save_meta(**changes)


def possible(recipe: Recipe, corpus: PreparedCorpus, asked: bool) -> tuple[Recipe, list[str]]:
    """The recipe without those of its objectives for which the text has no example, and a note on each.

    Args:
        asked: the user chose the objectives, so that leaving one out is not for us to do.
    Raises:  CorpusError: an objective that was asked for, or every one, has no example.
    """
    missing = impossible(recipe, corpus.train, special_ids(corpus.tokenizer))
    for error in missing.values():
        if asked or len(missing) == len(recipe.objectives):
            raise error
    notes = [f"{name} is left out: {error.what} ({error.got})" for name, error in missing.items()]
    return recipe.without(*missing) if missing else recipe, notes
