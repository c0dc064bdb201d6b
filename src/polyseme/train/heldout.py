"""The text that a run is evaluated on, the confidence intervals of its figures, and how they compare to a baseline.

It is held-out text, or, where there is too little of it, the training text itself. Figures on training text are kept
and marked, and choose no weights. Intervals come from the sums over blocks of held-out text, which evaluation computes
anyway:

    loss = Σ_b s_b / Σ_b n_b
    deviation² = B / (B - 1) · Σ_b (s_b - loss · n_b)² / (Σ_b n_b)²
    interval: loss ± t_{0.975, B - 1} · deviation

Tokens of one text are not independent of each other, so what is drawn is a block of text and no token: B blocks, s_b
nats, n_b predictions. Blocks of a few documents are of one topic each, and differ less than other text would: there
is no interval then. Accuracies of whole examples, such as of next sentences, have Wilson's interval.

Source:  Cochran (1977), section 6.3, for the deviation of a ratio of sums; Student (1908); Wilson (1927).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from polyseme.core import registry
from polyseme.core.entries import FREQUENCY
from polyseme.core.reporter import Reporter
from polyseme.core.types import Batch
from polyseme.data.examples import SpecialTokens
from polyseme.data.loader import heldout_batches
from polyseme.data.prepare import MINIMUM_VALID_TOKENS
from polyseme.data.store import PreparedCorpus, TokenStore, shards_of
from polyseme.errors import CorpusError
from polyseme.tasks.metrics.intervals import measured, wilson
from polyseme.train import distributed
from polyseme.train.build import build_loader, build_objectives, special_ids
from polyseme.train.recipe import Recipe
from polyseme.train.run import RunDirectory

T = TypeVar("T")
HELDOUT_SEED = 0
PIECE = 512
"""Tokens per batch where evaluations must fit into a time budget."""


class EvaluationText(NamedTuple):
    """The text that a run is evaluated on.

    Args:
        text: "held-out" or "training".
        documents, tokens: how much of it there is.
        meaningless: its figures do not predict those on other text.
        left_out: objectives for which it has no example, though the training text has.
    """

    text: str
    documents: int
    tokens: int
    meaningless: bool
    left_out: tuple[str, ...] = ()

    @property
    def note(self) -> str | None:
        """A warning for readers of the figures, where there is one."""
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


def on_heldout_or_training(
    corpus: PreparedCorpus, make: Callable[[TokenStore], T]
) -> tuple[T, EvaluationText]:
    """The result of `make` on the held-out text, or on the training text where a small held-out text gives nothing.

    Raises:  CorpusError: `make` gets nothing from the training text either, or nothing from a large held-out text.
    """
    if corpus.valid.n_tokens:
        try:
            examples = make(corpus.valid)
            return examples, _text_of("held-out", corpus.valid, not corpus.heldout_suffices)
        except NothingToPredict:
            pass
        except CorpusError:
            if corpus.heldout_suffices:
                raise
    return make(corpus.train), _text_of("training", corpus.train, True)


def _text_of(text: str, store: TokenStore, meaningless: bool) -> EvaluationText:
    return EvaluationText(text, store.n_documents, store.n_tokens, meaningless)


class NothingToPredict(CorpusError):
    """A split in which no objective finds anything to predict, such as one of unknown tokens alone."""


def evaluation_batches(
    corpus: PreparedCorpus, recipe: Recipe, small: bool
) -> tuple[list[Batch], EvaluationText]:
    """The fixed batches of every evaluation, and the text that they come from.

    Args:
        small: batches of few tokens, so that a part of them can represent all.
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
        main = next(iter(registry.learned(first).parts), first)
        if not any(main in batch.targets and len(batch.targets[main].labels) for batch in batches):
            raise NothingToPredict(
                "no token of the text can be predicted",
                got=f"{store.n_tokens:,} tokens, none of them known to the vocabulary",
                fix="text that the vocabulary knows, or a vocabulary made from this text",
            )
        return batches, tuple(missing)

    (batches, left_out), judged = on_heldout_or_training(corpus, make)
    return batches, judged._replace(left_out=left_out)


def keep_evaluation_text(run: RunDirectory, judged: EvaluationText, reporter: Reporter) -> None:
    """Write into run.json what the run is evaluated on, and report its warning."""
    if distributed.rank() > 0:
        return
    run.save_meta(judged_on=judged._asdict() | {"left_out": [*judged.left_out]})
    left_out = [
        f"{name} is not judged: the held-out text of {judged.documents} document(s) has no example;"
        " --set text.valid_share=0.2 holds out more"
        for name in judged.left_out
    ]
    run.add_notes([*left_out, judged.note], reporter)


def possible(recipe: Recipe, corpus: PreparedCorpus, asked: bool) -> tuple[Recipe, list[str]]:
    """The recipe without the objectives for which the text has no example, and a note on each.

    Args:
        asked: the user chose the objectives, so none may be left out.
    Raises:  CorpusError: an objective that was asked for, or every one, has no example.
    """
    missing = impossible(recipe, corpus.train, special_ids(corpus.tokenizer))
    for error in missing.values():
        if asked or len(missing) == len(recipe.objectives):
            raise error
    notes = [f"{name} is left out: {error.what} ({error.got})" for name, error in missing.items()]
    return recipe.without(*missing) if missing else recipe, notes


def heldout_recipe(recipe: Recipe) -> Recipe:
    """The recipe that every evaluation uses: 15 % of single tokens, 80/10/10, whatever training uses."""
    for name in recipe.objectives:
        judged = registry.learned(name).judged
        recipe = recipe.with_section(name, **judged) if judged else recipe
    return recipe


def impossible(recipe: Recipe, store: TokenStore, special: SpecialTokens) -> dict[str, CorpusError]:
    """The objectives that find no example in a split, and why."""
    missing = {}
    for objective in build_objectives(recipe, special, 0):
        for shard in shards_of(store) if objective.draws else ():
            try:
                objective.examples(shard, recipe.section("data").sequence_length)
            except CorpusError as error:
                missing[objective.name] = error
            else:
                missing.pop(objective.name, None)
                break  # one shard with an example is enough
    return missing


Blocks = Mapping[str, Sequence[tuple[float, float]]]
"""Sums and counts of every block, by figure: NAME_loss, NAME_accuracy."""

FEWEST_DOCUMENTS = 5
"""Fewest held-out documents for which blocks of them have an interval."""


def loss_interval(blocks: Sequence[tuple[float, float]]) -> dict[str, Any] | None:
    """Student's interval of a mean over blocks: {"low", "high", "blocks", "method"}; None for fewer than two blocks.

    Example:
        >>> loss_interval([(30.0, 10), (20.0, 10), (25.0, 10)])["low"] < 2.5
        True
    """
    known = [(total, count) for total, count in blocks if count]
    if len(known) < 2:
        return None
    from scipy.stats import t

    n, count = len(known), sum(c for _, c in known)
    mean = sum(total for total, _ in known) / count
    squares = sum((total - mean * c) ** 2 for total, c in known)
    reach = float(t.ppf(0.975, n - 1)) * math.sqrt(n / (n - 1) * squares) / count
    return {
        "low": mean - reach,
        "high": mean + reach,
        "blocks": n,
        "method": "Student, blocks of held-out text",
    }


def heldout_figures(
    blocks: Blocks, examples: Sequence[str] = (), documents: int | None = None
) -> dict[str, Any]:
    """The results of an evaluation besides its scores.

    {"heldout_interval": of the first loss, "heldout_accuracy": {NAME: {"value", "low", "high", "n"}}}

    Args:
        blocks: of the evaluation.
        examples: objectives that count whole examples: their accuracies get Wilson's interval, others that of blocks.
        documents: how many the blocks come from; None = not known. Few documents give no interval.
    """
    main = next((sums for name, sums in blocks.items() if name.endswith("_loss")), [])
    accuracies = {}
    enough = documents is None or documents >= FEWEST_DOCUMENTS
    for name, sums in blocks.items():
        right, count = (sum(block[side] for block in sums) for side in (0, 1))
        if not name.endswith("_accuracy") or not count:
            continue
        name = name.removesuffix("_accuracy")
        if name in examples:
            between = wilson(right, int(count))
        else:
            interval = loss_interval(sums) if enough else None
            between = (
                (max(0.0, interval["low"]), min(1.0, interval["high"])) if interval else (math.nan, math.nan)
            )
        accuracies[name] = measured(right / count, between, int(count))
    return {"heldout_interval": loss_interval(main) if enough else None, "heldout_accuracy": accuracies}


SAME = 0.005
"""A loss at most this many nats above that of word frequency counts as equal to it."""


def above_word_frequency(results: Mapping[str, Any], alone: str = FREQUENCY) -> str | None:
    """The note on a run that predicts worse than word frequency alone; None for a better run.

    Args:
        alone: of its objective's entry: what gives the other loss.
    """
    loss, frequency = results.get("heldout_loss"), results.get("unigram_loss")
    if loss is None or frequency is None or loss <= frequency + SAME:
        return None
    other = (
        "word frequency: it has learned less than how often each word occurs"
        if alone == FREQUENCY
        else f"the loss {alone}: it has learned nothing of its objective"
    )
    return (
        f"the run ended {loss - frequency:.3f} nats above {other}, after {results.get('steps', 0):,} updates; "
        "a longer budget or a smaller model helps"
    )


def parts_judged(objectives: Sequence[str], results: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Of objectives that take turns: name, loss and that of word frequency, of each that was judged."""
    scores = results.get("heldout", {})
    return [
        (name, scores[f"{name}_loss"], scores[f"{name}_baseline"])
        for objective in objectives
        if objective in registry.objectives
        for name in registry.objectives.load(objective).parts
        if f"{name}_loss" in scores
    ]


def part_evaluated(judged_on: Mapping[str, Any] | None) -> str | None:
    """The share of the held-out text that the figures cover, such as "57 %"; None where it is all.

    Args:
        judged_on: of run.json.

    Example:
        >>> part_evaluated({"share": 0.571})
        '57 %'
    """
    share = (judged_on or {}).get("share")
    if share is None or share >= 1.0:
        return None
    return f"{min(99, max(1, round(100 * share)))} %"
