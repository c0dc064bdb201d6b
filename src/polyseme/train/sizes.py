"""How large a model, and how fast it learns: what `train.size = "auto"` chooses from the budget.

A model that is too large for its budget sees too little text; one that is too small has soon learned what it can. A
ladder says from how many tokens on each size is worth its time:

    T(w)    tokens that the budget buys for a model of width w: what was asked for, or, of minutes,
            seconds / t(w) with t(w) = layers (a + b w²), measured at two of the widths
    D       U + U R (1 - e^{-(T / U - 1) / R}) from the second pass on, R = 15: T tokens of a text that has U of its own
    size    the largest one that has D(T(w)) >= its tokens

The learning rate falls with the width: the recipe's times the recipe's width / w.

Source:  Hoffmann et al. (2022), "Training Compute-Optimal Large Language Models", section 3: parameters grow with
         tokens; Muennighoff et al. (2023), "Scaling Data-Constrained Language Models", equation 5: what repeated text
         is worth; Yang et al. (2022), "Tensor Programs V": the rate by width. The ladder was measured:
         docs/decisions/0051-sizes-from-the-budget.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from polyseme.core.reporter import Reporter
from polyseme.core.types import Batch
from polyseme.data.store import PreparedCorpus
from polyseme.errors import ConfigError
from polyseme.kernels.products import through
from polyseme.train import distributed
from polyseme.train.build import (
    build_encoder,
    build_loader,
    build_objectives,
    corpus_learner,
    special_ids,
    unigram_counts,
)
from polyseme.train.gradient import GradientLearner
from polyseme.train.parallel import pieces
from polyseme.train.recipe import Recipe
from polyseme.train.request import Budget, PretrainRequest
from polyseme.train.run import RunDirectory

__all__ = ["LADDER", "Size", "check_has_sizes", "chosen_size", "sized", "worth"]


@dataclass(frozen=True, slots=True)
class Size:
    """A rung of the ladder.

    Args:
        width: hidden_size; the other sizes of a layer keep their proportion to it.
        layers: how many.
        tokens: fewest tokens of which it makes more than the rung below does in the same time.
    """

    width: int
    layers: int
    tokens: float


LADDER = (
    Size(128, 4, 0),
    Size(192, 4, 1.2e6),
    Size(256, 4, 3e6),
    Size(384, 4, 40e6),
    Size(512, 6, 120e6),
    Size(768, 12, 400e6),
)
"""What 128 numbers gain over 256, and where they lose, was measured; beyond 256, tokens grow as parameters do."""


MEASURED = (LADDER[0], LADDER[1])
_TRIES = 2
_REPEATS = 15.0
"""R: how many passes more are worth anything."""

_NEIGHBOURS = 4
"""Heads that a model keeps which begin by looking at neighbours: two on either side."""

_TRAINING = 0.9
"""Share of a budget in minutes that is left by evaluations and saves."""


def sized(
    recipe: Recipe,
    request: PretrainRequest,
    run: RunDirectory,
    corpus: PreparedCorpus,
    knowledge: Mapping[str, Any],
    device: torch.device,
    reporter: Reporter,
) -> Recipe:
    """The recipe with the sizes that its budget asks for, where they are to be chosen and the run has none yet.

    What was chosen, and why, is reported and kept as "sizes" in run.json.
    """
    if recipe.section("train").size != "auto":
        return recipe
    minutes = request.budget.minutes
    # on all ranks, as an update is theirs together; the first one's measurement holds
    speed = _speed(recipe, corpus, knowledge, request.seed, device) if minutes is not None else None

    given = {key if "." in key else f"model.{key}" for key in request.settings}

    def choose() -> dict[str, Any]:
        buys = partial(_tokens, request.budget, recipe, corpus, speed)
        size = chosen_size(buys, corpus.train.n_tokens)
        tokens = buys(size)
        passes = tokens / max(1, corpus.train.n_tokens)
        values = {key: value for key, value in values_for(recipe, size).items() if key not in given}
        told = {"budget": str(request.budget), "tokens": int(tokens), "passes": float(f"{passes:.3g}")}
        run.save_meta(sizes={**told, "chosen": values})
        reporter.note(_why(request.budget, tokens, passes, values))
        return values

    recipe = recipe.with_section("train", size="given")
    return with_values(recipe, distributed.on_rank_0(choose))


def chosen_size(buys: Callable[[Size], float], unique: int) -> Size:
    """The largest size of the ladder that gets the tokens for which it is worth its time.

    Args:
        buys: tokens that the budget buys for a size.
        unique: tokens of the text.

    Example:
        >>> (
        ...     chosen_size(lambda size: 1e6, unique=10**7).width,
        ...     chosen_size(lambda size: 1e9, unique=10**9).width,
        ... )
        (128, 768)
    """
    return [size for size in LADDER if worth(buys(size), unique) >= size.tokens][-1]


def worth(tokens: float, unique: float) -> float:
    """How many tokens of fresh text so many tokens of a text are worth that has `unique` of its own.

    Example:
        >>> worth(3e6, 5e6), round(worth(20e6, 5e6) / 1e6, 1), round(worth(1e12, 5e6) / 1e6, 1)
        (3000000.0, 18.6, 80.0)
    """
    if tokens <= unique:
        return tokens
    return unique * (1.0 + _REPEATS * (1.0 - math.exp(-(tokens / unique - 1.0) / _REPEATS)))


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with values by section and key; those of a section come together, as they must fit each other."""
    for section in dict.fromkeys(key.partition(".")[0] for key in values):
        own = {key.partition(".")[2]: v for key, v in values.items() if key.startswith(f"{section}.")}
        recipe = recipe.with_section(section, **own)
    return recipe


def _tokens(
    budget: Budget, recipe: Recipe, corpus: PreparedCorpus, speed: Callable[[Size], float] | None, size: Size
) -> float:
    """Tokens that a budget buys for a model of this size."""
    unique = corpus.train.n_tokens
    if budget.minutes is not None:
        assert speed is not None
        return _TRAINING * 60 * budget.minutes * speed(size)
    if budget.tokens is not None:
        return budget.tokens
    if budget.words is not None:
        return budget.words * unique / max(1, int(corpus.meta["splits"]["train"]["words"]))
    if budget.epochs is not None:
        return budget.epochs * unique
    assert budget.steps is not None
    train, data = recipe.section("train"), recipe.section("data")
    return float(budget.steps * train.batch_size * data.row)


def values_for(recipe: Recipe, size: Size) -> dict[str, Any]:
    """What the recipe gets for a size, by section and key."""
    model, train = recipe.section("model"), recipe.section("train")
    fields = set(type(model).model_fields)
    usual = {key: getattr(model, key) for key in fields}
    width = size.width
    if "num_attention_heads" in fields:
        head = max(1, usual["hidden_size"] // usual["num_attention_heads"])
        heads = max(1, width // head)
        if train.attention_start == "neighbours":  # every head has one of them
            heads = max(heads, min(usual["num_attention_heads"], _NEIGHBOURS))
        while width % (2 * heads):
            heads -= 1
        sizes = {"hidden_size": width, "num_hidden_layers": size.layers, "num_attention_heads": heads}
        if usual.get("num_key_value_heads") is not None:
            share = usual["num_attention_heads"] // usual["num_key_value_heads"]
            sizes["num_key_value_heads"] = heads // share if heads % share == 0 else heads
    else:  # an LSTM in both directions: each has half of the width
        width *= 2
        sizes = {"hidden_size": width}
    if "intermediate_size" in fields:
        sizes["intermediate_size"] = round(usual["intermediate_size"] * width / usual["hidden_size"])
    rate = train.learning_rate * usual["hidden_size"] / width
    chosen = {f"model.{key}": value for key, value in sizes.items()}
    chosen["train.learning_rate"] = float(f"{rate:.3g}")
    return chosen


def _why(budget: Budget, tokens: float, passes: float, values: Mapping[str, Any]) -> str:
    """One line for a person: what was chosen for what, and what to type for the same again."""
    settings = " ".join(f"--set {key.removeprefix('model.')}={value}" for key, value in values.items())
    about = "about " if budget.is_time else ""
    seen = f"{about}{tokens / 1e6:.2g} M tokens, {passes:.2g} passes over the text"
    return f"sizes for {budget} ({seen}): {settings}"


def check_has_sizes(recipe: Recipe) -> None:
    """Raises:  ConfigError: sizes are to be chosen, and the model has no width that could be."""
    if recipe.section("train").size != "auto":
        return
    if corpus_learner(recipe) is None and "hidden_size" in type(recipe.section("model")).model_fields:
        return
    raise ConfigError(
        f"{recipe.architecture} has no sizes that could be chosen",
        got="train.size=auto",
        expected="a model that learns by gradients and has a hidden_size",
        fix="--set train.size=given",
    )


def _speed(
    recipe: Recipe, corpus: PreparedCorpus, knowledge: Mapping[str, Any], seed: int, device: torch.device
) -> Callable[[Size], float]:
    """Tokens a second, of all ranks, for any size: updates at two sizes are measured, in about a second."""
    special = special_ids(corpus.tokenizer)
    loader = build_loader(corpus.train, recipe, special, seed, knowledge)
    batch = loader.batch(*pieces(recipe.section("train"))[0])
    small, large = MEASURED
    a, b = (
        distributed.from_rank_0(
            _seconds(with_values(recipe, values_for(recipe, size)), corpus, batch, seed, device)
        )
        for size in MEASURED
    )
    slope = max(0.0, b / large.layers - a / small.layers) / (large.width**2 - small.width**2)
    start = max(1e-12, a / small.layers - slope * small.width**2)

    def speed(size: Size) -> float:
        return distributed.size() / (size.layers * (start + slope * size.width**2))

    return speed


def _seconds(recipe: Recipe, corpus: PreparedCorpus, batch: Batch, seed: int, device: torch.device) -> float:
    """Seconds a token of one rank: the best of a few updates of a model that is then forgotten."""
    train = recipe.section("train").model_copy(update={"compile": False})
    objectives = build_objectives(recipe, special_ids(corpus.tokenizer), seed)
    best = math.inf
    with through(train.products):
        learner = GradientLearner(
            build_encoder(recipe, corpus.tokenizer),
            objectives,
            train,
            device,
            unigram_counts(objectives, corpus.train),
            seed,
        )
        learner.step([batch], 0.0)  # the first one also warms up
        for _ in range(_TRIES):
            began = time.perf_counter()
            learner.step([batch], 0.0)
            best = min(best, time.perf_counter() - began)
    return best / max(1, batch.n_tokens)
