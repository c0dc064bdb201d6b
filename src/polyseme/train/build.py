"""From a recipe to the parts of a run: encoder, objectives, heads, batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from polyseme.core import registry
from polyseme.core.protocols import Encoder, SolvedHead
from polyseme.core.reporter import Reporter
from polyseme.core.rng import Random
from polyseme.data.examples import DocumentChunks, ExampleSource, SpecialTokens
from polyseme.data.loader import Loader, Turns, special_tokens
from polyseme.data.packing import RowPlan
from polyseme.data.store import ShardedStore, TokenStore
from polyseme.data.windows import ShardedRows
from polyseme.errors import CheckpointError, ConfigError, CorpusError
from polyseme.text.tokenizers import ABSENT, Tokenizer
from polyseme.train.neighbours import check_can_start_at_neighbours
from polyseme.train.recipe import Recipe, from_dict
from polyseme.train.run import RunDirectory, check_finite


def special_ids(tokenizer: Tokenizer) -> SpecialTokens:
    """The ids of a tokenizer's special tokens, as data/ wants them."""
    t = tokenizer
    return special_tokens(t.vocab_size, t.pad_id, t.cls_id, t.sep_id, t.mask_id, t.special_ids)


def build_encoder(recipe: Recipe, tokenizer: Tokenizer) -> Any:
    """The recipe's encoder with fresh weights. It receives the spelling of its tokens if it needs it."""
    encoder = registry.models.load(recipe.architecture).build(recipe.section("model"))
    if hasattr(encoder, "read_vocabulary"):
        encoder.read_vocabulary([tokenizer.token(i) for i in range(tokenizer.vocab_size)])
    return encoder


def while_learning(recipe: Recipe) -> Recipe:
    """The recipe with the dropout that its objectives ask of the model while it learns; it keeps its own."""
    asked = max((getattr(recipe.section(name), "dropout", 0.0) for name in recipe.objectives), default=0.0)
    model = recipe.section("model")
    lower = {
        name: asked for name in type(model).model_fields if "dropout" in name and getattr(model, name) < asked
    }
    return recipe.with_model(**lower) if lower else recipe


def corpus_learner(recipe: Recipe) -> Any | None:
    """The learner class that the recipe's objective defines, if any, else None.

    Raises:  ConfigError: such an objective is combined with another one, or with an unsuitable model.
    """
    learned = [name for name in recipe.objectives if registry.learned(name).learner is not None]
    if learned and len(recipe.objectives) > 1:
        raise ConfigError(
            f"{learned[0]} is learned alone",
            got=", ".join(recipe.objectives),
            fix=f"--set objectives={learned[0]}",
        )
    usual = registry.models.load(recipe.architecture).objectives
    if learned and learned[0] not in usual:
        raise ConfigError(
            f"{learned[0]} cannot train {recipe.architecture}",
            expected=f"an objective for {recipe.architecture}",
            fix=f"--set objectives={','.join(usual)}",
        )
    return registry.objectives.load(learned[0]).learner if learned else None


def check_objectives(recipe: Recipe, fresh: bool = True) -> None:
    """Check, before anything is read or built, that the recipe's objectives can train its model.

    Args:
        fresh: the weights do not come from another run, so that `train.embedding_start` and `attention_start` apply.
    Raises:  ConfigError: they cannot be combined, or need a model with another attention context.
    """
    if corpus_learner(recipe) is not None:
        return
    encoder = registry.models.load(recipe.architecture).build
    entries = {name: registry.learned(name) for name in recipe.objectives}
    for entry in entries.values():
        if entry.check is not None and hasattr(encoder, "reach"):  # it need not be a class
            entry.check(encoder)
    for role, what in (
        ("draws", "need examples of different kinds"),
        ("hides", "hide tokens from each other"),
    ):
        several = [name for name, entry in entries.items() if getattr(entry.build, role, False)]
        if len(several) > 1:
            compatible = [name for name in recipe.objectives if name not in several[1:]]
            raise ConfigError(
                f"two objectives {what}",
                got=" and ".join(several),
                fix=f"--set objectives={','.join(compatible)}",
            )
    if fresh and all(entry.goes_on for entry in entries.values()):
        raise ConfigError(
            f"{recipe.objectives[0]} goes on from weights that have learned words",
            got="random weights",
            fix=f"polyseme pretrain {recipe.architecture} TEXT -o RUN first, then --init RUN",
        )
    if fresh and recipe.section("train").embedding_start == "bigram":
        _check_can_start_as_bigram_model(recipe)
    if fresh and recipe.section("train").attention_start == "neighbours":
        check_can_start_at_neighbours(encoder)


def _check_can_start_as_bigram_model(recipe: Recipe) -> None:
    first = recipe.objectives[0]
    decodes = registry.learned(first).predicts == "next"
    tied = getattr(recipe.section("model"), "tie_word_embeddings", True)
    if not decodes or tied:
        raise ConfigError(
            "only a decoder with an output layer of its own can start as a bigram model",
            got=f"{recipe.architecture} trained with {first}"
            + (", its output layer tied to its embeddings" if decodes else ""),
            fix="--set tie_word_embeddings=false where the model has it, or --set train.embedding_start=cooccurrence",
        )


def build_objectives(
    recipe: Recipe, special: SpecialTokens, seed: int, knowledge: Mapping[str, Any] | None = None
) -> list[Any]:
    """The objectives of a recipe, in its order; none where an objective defines its own learner.

    Args:
        knowledge: what objectives learned from the corpus beforehand (train/knowledge.py), by objective.
    """
    entries = {name: registry.learned(name) for name in recipe.objectives}
    objectives = [
        entry.build(recipe.section(name), special, seed)
        for name, entry in entries.items()
        if entry.build is not None
    ]
    for objective in objectives:
        if knowledge and objective.name in knowledge:
            objective.use(knowledge[objective.name])
    return objectives


def parts_of(objectives: Sequence[Any]) -> list[Any]:
    """The objectives, and in the place of one with parts these; see `Objective`."""
    return [part for objective in objectives for part in getattr(objective, "parts", (objective,))]


def unigram_counts(objectives: Sequence[Any], store: TokenStore) -> Tensor:
    """How often each vocabulary entry occurs, or how often it is predicted where an objective adds something to the
    text.

    Shapes:  -> (vocab_size,)
    """
    counts = [o.counts(store) for o in objectives if hasattr(o, "counts")]
    return torch.from_numpy(counts[0] if counts else store.counts.copy())


def build_heads(recipe: Recipe, encoder: Encoder, special: SpecialTokens) -> nn.ModuleDict:
    """The heads of every objective, to load weights into."""
    heads = nn.ModuleDict({o.name: o.build_head(encoder) for o in build_objectives(recipe, special, 0)})
    for name in recipe.objectives:
        entry = registry.learned(name)
        if entry.head is not None:
            heads[name] = entry.head(encoder)
    return heads


def build_loader(
    store: TokenStore,
    recipe: Recipe,
    special: SpecialTokens,
    seed: int,
    knowledge: Mapping[str, Any] | None = None,
) -> Loader | Turns:
    """Examples, rows and targets of one split.

    Raises:  CorpusError: there is no example.   ConfigError: the vocabulary lacks a special token that the objectives
             need.
    """
    data = recipe.section("data")
    objectives = build_objectives(recipe, special, seed, knowledge)
    _check_roles(objectives, special)
    for place, whole in enumerate(objectives):
        if hasattr(whole, "parts"):  # at most one, as it draws
            first, second = (
                _loader(store, data, [*objectives[:place], part, *objectives[place + 1 :]], special, seed)
                for part in whole.parts
            )
            return Turns(first, second, whole.shares[1], recipe.section("train").batch_size)
    others = [o for o in objectives if not o.draws]
    share = min((getattr(o, "share", 1.0) for o in objectives if o.draws), default=1.0)
    if share < 1 and others:  # the others learn from stretches of text in the batches between
        first, second = (_loader(store, data, each, special, seed) for each in (others, objectives))
        return Turns(first, second, share, recipe.section("train").batch_size)
    return _loader(store, data, objectives, special, seed)


def _loader(
    store: TokenStore, data: Any, objectives: Sequence[Any], special: SpecialTokens, seed: int
) -> Loader:
    drawing = [o for o in objectives if o.draws]  # at most one, see check_objectives

    def examples(part: TokenStore) -> ExampleSource:
        source: ExampleSource = (
            drawing[0].examples(part, data.sequence_length)
            if drawing
            else DocumentChunks(part, data.sequence_length, special)
        )
        if not len(source.lengths):
            raise CorpusError("the corpus holds no text to learn from", fix="more text, or --valid FILE")
        return source

    order = Random(seed, "order")
    if isinstance(store, ShardedStore):
        rows = ShardedRows(store, examples, data.sequence_length, data.row, order)
        return Loader(rows, rows, objectives, data.row, special)
    source = examples(store)
    return Loader(source, RowPlan(source.lengths, data.row, order), objectives, data.row, special)


def _check_roles(objectives: Sequence[Any], special: SpecialTokens) -> None:
    """Raises:  ConfigError: an imported vocabulary has no token for the beginning, the end, or the mask."""
    needed = {"cls": special.cls, "sep": special.sep}
    if any(getattr(objective, "hides", False) for objective in objectives):
        needed["mask"] = special.mask
    for role, id in needed.items():
        if id == ABSENT:
            raise ConfigError(
                f"the vocabulary has no {role} token, which {objectives[0].name} needs",
                expected=f"a token [{role.upper()}]",
                fix="another objective, or another tokenizer",
            )


def weights_of(run: RunDirectory, reporter: Reporter) -> dict[str, Tensor]:
    """A run's weights, with a note where they come from an older checkpoint."""
    weights, warning = run.weights()
    if warning:
        reporter.note(warning)
    return weights


def put_weights(encoder: Encoder, run: RunDirectory, reporter: Reporter) -> None:
    """Load the encoder weights of a run.

    Raises:  CheckpointError: the run has none, they belong to another encoder, or they are not all finite.
    """
    weights = weights_of(run, reporter)
    encoder_weights = {k.removeprefix("encoder."): v for k, v in weights.items() if k.startswith("encoder.")}
    check_finite(encoder_weights, run.path)
    try:
        encoder.load_state_dict(encoder_weights)
    except RuntimeError as error:
        why = str(error).split("\n")[-1].strip()
        raise CheckpointError("weights of another model", got=why, where=run.path) from None


def rebuild(run: RunDirectory, weights: Mapping[str, Tensor]) -> tuple[Recipe, Tokenizer, Any, nn.ModuleDict]:
    """A run's recipe, tokenizer, encoder and heads, with its weights in place and in evaluation mode.

    Args:
        weights: "encoder.…" and "heads.NAME.…", as `RunDirectory.weights` gives them.
    Raises:  CheckpointError: the tokenizer is missing; a tensor is missing, unknown, of another shape, or not all
             numbers.
    """
    recipe = from_dict(run.meta["recipe"])
    try:
        tokenizer = Tokenizer.from_file(run.path / "tokenizer.json")
    except FileNotFoundError:
        raise CheckpointError("the run's tokenizer is missing", where=run.path / "tokenizer.json") from None
    encoder = build_encoder(recipe, tokenizer)
    heads = build_heads(recipe, encoder, special_ids(tokenizer))
    for name, module in heads.items():
        if hasattr(module, "take_shapes"):
            own = f"heads.{name}."
            cast(SolvedHead, module).take_shapes(
                {k.removeprefix(own): w for k, w in weights.items() if k.startswith(own)}
            )
    parameters = {f"encoder.{name}": p for name, p in encoder.named_parameters()}
    parameters |= {f"heads.{name}": p for name, p in heads.named_parameters()}
    for name in [*parameters, *weights]:
        if name not in weights or name not in parameters:
            raise CheckpointError(
                f"a{' missing' if name in parameters else 'n unknown'} tensor", got=name, where=run.path
            )
        if parameters[name].shape != weights[name].shape:
            raise CheckpointError(
                f"tensor {name} has another shape",
                got=tuple(weights[name].shape),
                expected=tuple(parameters[name].shape),
                where=run.path,
            )
    check_finite(weights, run.path)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    trained = run.meta.get("trained_length")
    if trained and getattr(encoder, "learned_positions", False) and encoder.reach == "left":
        # a decoder would write on into positions that no example reached, whose vectors mean nothing
        encoder.max_length = min(encoder.max_length, int(trained))
    encoder.eval()
    heads.eval()
    return recipe, tokenizer, encoder, heads
