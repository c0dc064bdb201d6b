"""Pretraining from one call: text in, run directory out. This file is the table of contents of a run.

recipe ─► run directory ─► store (text ► documents ► tokens) ─► examples ─► rows ─► batches
                                                                              │
run directory ◄─ checkpoints, weights, results ◄─ trainer ◄─ learner (encoder, heads, optimiser)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor

from polyseme.core import registry
from polyseme.core.protocols import Learner
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.types import Batch
from polyseme.data.loader import BatchSource
from polyseme.data.store import PreparedCorpus
from polyseme.errors import ConfigError, TrainingError
from polyseme.kernels.products import through
from polyseme.text.lexicon import read_lexicon
from polyseme.text.tokenizers import Tokenizer
from polyseme.train import card, checkpoint, distributed
from polyseme.train.build import (
    build_encoder,
    build_loader,
    build_objectives,
    check_objectives,
    corpus_learner,
    special_ids,
    unigram_counts,
    weights_of,
    while_learning,
)
from polyseme.train.config import TrainConfig
from polyseme.train.from_counts import cooccurrence_embeddings, start_as_bigram_model, start_embedding
from polyseme.train.gradient import GradientLearner
from polyseme.train.growing import grown
from polyseme.train.heldout import (
    above_word_frequency,
    evaluation_batches,
    keep_evaluation_text,
    on_heldout_or_training,
    part_evaluated,
    parts_judged,
    possible,
)
from polyseme.train.knowledge import check_lexicon_is_used, learn_or_load
from polyseme.train.machine import pace_of, resolve_device, resolve_numbers, use_threads
from polyseme.train.milestones import check_reachable
from polyseme.train.neighbours import start_at_neighbours
from polyseme.train.opening import as_asked, forgotten_if_it_fails, open_or_prepare, opened_run
from polyseme.train.parallel import pieces
from polyseme.train.recipe import Recipe, from_dict, resolve
from polyseme.train.request import PretrainRequest
from polyseme.train.run import RunDirectory
from polyseme.train.schedule import learning_rate_factor
from polyseme.train.signals import SignalRequests, check, interruptible
from polyseme.train.sizes import check_has_sizes, sized
from polyseme.train.trainer import Trainer

__all__ = ["build_trainer", "pretrain"]

FEW_WORDS = 2_000
"""A text with fewer tokens than this is so small that all its words are frequent."""


def pretrain(request: PretrainRequest, reporter: Reporter | None = None) -> RunDirectory:
    """Train a model on raw text.

    Args:
        request: what to do.
        reporter: receives the progress.
    Returns the run, with its results in `meta["results"]`.
    Raises:  ConfigError, CorpusError, RunError: the request is wrong; nothing was changed.
             Interrupted: a signal asked to stop; everything is saved.
             StorageError, CheckpointError, TrainingError: as they say.

    Example:
        run = pretrain(PretrainRequest(model="modernbert", corpus=["texts/"], output=Path("runs/first"),
                                       budget=Budget(minutes=10)))
    """
    with (
        # outermost: torchrun ends the remaining ranks by a signal, which is no request once they have ended
        distributed.joined(lambda: resolve_device(request.device)) as device,
        interruptible(request.output) as requests,
        closing(reporter or NullReporter()) as reporter,
    ):
        if distributed.rank() > 0:
            reporter = NullReporter()
        return _pretrain(request, reporter, device, requests)


def _pretrain(
    request: PretrainRequest, reporter: Reporter, device: torch.device, requests: SignalRequests
) -> RunDirectory:
    use_threads(request.threads)
    recipe = resolve(request.model, request.recipe, request.settings)
    start = RunDirectory.open(request.init) if request.init else None
    if start is not None:
        recipe = _model_of(start, recipe, request)
    _check_lengths(recipe)
    if distributed.size() > 1 and corpus_learner(recipe) is not None:
        raise ConfigError(
            f"{recipe.architecture} is learned by one process",
            got=f"{distributed.size()} ranks",
            fix="the same command without torchrun",
        )
    pieces(recipe.section("train"))  # there may be too many ranks
    check_objectives(recipe, fresh=start is None)
    check_has_sizes(recipe)
    check_lexicon_is_used(recipe, request.lexicon)
    lexicon = read_lexicon(request.lexicon)
    asked = as_asked(request, recipe, lexicon)
    with opened_run(request, recipe, asked, reporter) as (run, resumed):
        with forgotten_if_it_fails(run, resumed):
            corpus = open_or_prepare(request, recipe, run, reporter)
            recipe = _resolved(run, recipe, corpus, device, start)
            recipe = _trainable(recipe, request, run, corpus, start, reporter)
            knowledge = learn_or_load(recipe, run, corpus, lexicon, reporter)
            recipe = sized(recipe, request, run, corpus, knowledge, device, reporter)
            trainer = build_trainer(request, recipe, run, corpus, knowledge, start, device, reporter)
            check(requests)
        if resumed:
            trainer.resume()
        with _out_of_memory_explained(), through(recipe.section("train").products):
            distributed.wait_for_all()
            if isinstance(trainer.learner, GradientLearner):
                trainer.learner.spread(request.parallel)
            results = trainer.train()
        distributed.on_rank_0(lambda: card.write(run))
        _say_how_it_ended(run, recipe, results, reporter)
        return RunDirectory.open(run.path)


def build_trainer(
    request: PretrainRequest,
    recipe: Recipe,
    run: RunDirectory,
    corpus: PreparedCorpus,
    knowledge: dict[str, Any],
    start: RunDirectory | None,
    device: torch.device,
    reporter: Reporter,
) -> Trainer:
    """Encoder, objectives, learner, batches and the trainer that drives them, at step 0."""
    if corpus_learner(recipe) is not None:
        return _build_corpus_trainer(request, recipe, run, corpus, start, reporter)
    data, train = recipe.section("data"), recipe.section("train")
    special = special_ids(corpus.tokenizer)
    loader = build_loader(corpus.train, recipe, special, request.seed, knowledge)
    heldout, judged = evaluation_batches(corpus, recipe, small=request.budget.is_time)

    began = time.perf_counter()
    torch.manual_seed(request.seed)
    encoder = build_encoder(while_learning(recipe), corpus.tokenizer)
    fresh = start is None and not checkpoint.exists(run.path / "resume")
    from_counts = train.embedding_start != "random" and fresh
    deviation = recipe.section("model").initializer_range if from_counts else 0.0
    if from_counts:
        reporter.stage("counting", 0, None)
        table = encoder.token_embedding().weight
        if not table.requires_grad:
            raise ConfigError(
                "the model has no table of embeddings that could start from co-occurrence",
                fix="--set train.embedding_start=random",
            )
        start_embedding(table, cooccurrence_embeddings(corpus.train, table.size(1), request.seed), deviation)
    if train.attention_start == "neighbours" and fresh:
        start_at_neighbours(encoder)
    # a second set: these compute losses; those of the loader choose the masked tokens, so only they need knowledge
    objectives = build_objectives(recipe, special, request.seed)
    counts = unigram_counts(objectives, corpus.train)
    unused = getattr(recipe.section("model"), "vocab_size", len(counts)) - len(counts)
    counts = torch.nn.functional.pad(counts, (0, max(0, unused)))
    learner = GradientLearner(encoder, objectives, train, device, counts, request.seed)
    if from_counts and train.embedding_start == "bigram":
        start_as_bigram_model(encoder, learner.heads[objectives[0].name], corpus.train, deviation)
    if start is not None:
        learner.load_weights({**learner.weights(), **_start_weights(start, learner, corpus, reporter)})

    _ready_to_train(run, recipe, corpus, learner.n_parameters, _trained_length(recipe, start))
    keep_evaluation_text(run, judged, reporter)
    return Trainer(
        learner,
        partial(_stream, loader, train, data.workers, device),
        heldout,
        run,
        request.budget,
        train,
        steps_per_epoch=loader.n_rows / train.batch_size,
        tokens_per_row=loader.tokens_per_row,
        reporter=reporter,
        startup_seconds=time.perf_counter() - began,
        meaningless=judged.meaningless,
        cuts_heldout=True,
        pace=pace_of(request.threads, request.budget, device, reporter),
        words_per_token=_words_per_token(corpus),
        keep_at=_milestones(request, recipe, corpus),
        alone=registry.learned(recipe.objectives[0]).alone,
    )


def _build_corpus_trainer(
    request: PretrainRequest,
    recipe: Recipe,
    run: RunDirectory,
    corpus: PreparedCorpus,
    start: RunDirectory | None,
    reporter: Reporter,
) -> Trainer:
    """The trainer for a learner that reads the token store itself."""
    began = time.perf_counter()
    train, name = recipe.section("train"), recipe.objectives[0]
    torch.manual_seed(request.seed)
    learner, judged = on_heldout_or_training(
        corpus,
        lambda heldout: corpus_learner(recipe)(  # type: ignore[misc]
            build_encoder(recipe, corpus.tokenizer),
            recipe.section(name),
            train=corpus.train,
            valid=heldout,
            tokenizer=corpus.tokenizer,
            seed=request.seed,
            learning_rate=lambda progress: train.learning_rate * learning_rate_factor(train, progress),
            heldout_tokens=train.heldout_tokens,
            threads=torch.get_num_threads(),
        ),
    )
    if start is not None:
        learner.load_weights(_start_weights(start, learner, corpus, reporter))
    _ready_to_train(run, recipe, corpus, learner.n_parameters)
    keep_evaluation_text(run, judged, reporter)
    return Trainer(
        learner,
        lambda row, progress: learner.stream(row // train.batch_size, progress),
        [],
        run,
        request.budget,
        train,
        steps_per_epoch=learner.steps_per_epoch,
        tokens_per_row=learner.tokens_per_step / train.batch_size,
        reporter=reporter,
        startup_seconds=time.perf_counter() - began,
        meaningless=judged.meaningless,
        words_per_token=_words_per_token(corpus),
        keep_at=_milestones(request, recipe, corpus),
        alone=registry.learned(recipe.objectives[0]).alone,
    )


def _start_weights(
    start: RunDirectory, learner: Learner, corpus: PreparedCorpus, reporter: Reporter
) -> dict[str, Tensor]:
    """The weights that training goes on from, with rows for the entries by which the vocabulary was extended."""
    weights = weights_of(start, reporter)
    old = Tokenizer.from_file(start.path / "tokenizer.json")
    if corpus.tokenizer.vocab_size <= old.vocab_size:
        return weights
    return grown(weights, learner.weights(), old, corpus.tokenizer)


def _words_per_token(corpus: PreparedCorpus) -> float:
    return int(corpus.meta["splits"]["train"]["words"]) / max(1, corpus.train.n_tokens)


def _milestones(request: PretrainRequest, recipe: Recipe, corpus: PreparedCorpus) -> Sequence[int]:
    """The milestones that were asked for.

    Raises:  ConfigError: the model is not learned step by step, or passes over the text end before a milestone.
    """
    numbers = [int(number) for number in request.milestones]
    if numbers and corpus_learner(recipe) is not None:
        raise ConfigError(
            "milestones are of models that learn by gradients",
            got=recipe.architecture,
            fix="leave --milestones out",
        )
    if request.budget.epochs is not None:
        words = request.budget.epochs * corpus.meta["splits"]["train"]["words"]
        check_reachable(numbers, words, request.budget.epochs)
    return numbers


def _trainable(
    recipe: Recipe,
    request: PretrainRequest,
    run: RunDirectory,
    corpus: PreparedCorpus,
    start: RunDirectory | None,
    reporter: Reporter,
) -> Recipe:
    """The recipe without objectives for which the text has no example, where the user did not ask for them, or where
    they are those of the run that training goes on from.

    Raises:  CorpusError: an objective that was asked for, or the only one, has no example.
    """
    if "recipe" in run.meta:
        return recipe
    asked = request.recipe is not None or "objectives" in request.settings
    asked = asked and not (start is not None and start.meta["recipe"]["objectives"] == recipe.objectives)
    if corpus_learner(recipe) is None:
        recipe, notes = possible(recipe, corpus, asked)
    else:
        recipe, notes = _for_few_words(recipe, request, corpus)
    if distributed.rank() == 0:
        run.add_notes(notes, reporter)
    return recipe


def _for_few_words(
    recipe: Recipe, request: PretrainRequest, corpus: PreparedCorpus
) -> tuple[Recipe, list[str]]:
    """word2vec leaves out frequent words; in a very small text every word is frequent, so there it keeps them."""
    (name,) = recipe.objectives
    changes = {
        key: (usual, value)
        for key, value in registry.learned(name).few_words.items()
        if (usual := getattr(recipe.section(name), key)) != value
    }
    asked = request.recipe is not None or any(f"{name}.{key}" in request.settings for key in changes)
    if not changes or asked or corpus.train.n_tokens >= FEW_WORDS:
        return recipe, []
    shown = "; ".join(
        f"{name}.{key}={few:g}; --set {name}.{key}={usual:g} is usual"
        for key, (usual, few) in changes.items()
    )
    note = f"the text is small, and each of its words frequent: none is left out by its frequency ({shown})"
    return recipe.with_section(name, **{key: few for key, (_, few) in changes.items()}), [note]


def _say_how_it_ended(run: RunDirectory, recipe: Recipe, results: dict[str, Any], reporter: Reporter) -> None:
    """Report the loss beside that of word frequency, of an objective with parts each; a note in run.json says where a
    run ends above it.
    """
    loss, frequency = results["heldout_loss"], results["unigram_loss"]
    judged = run.meta.get("judged_on", {})
    where = "training" if judged.get("text") == "training" else "held-out"
    part = part_evaluated(judged)
    of_part = f" of {part} of the {where} text" if part else ""
    alone = registry.learned(recipe.objectives[0]).alone
    reporter.note(f"{where} loss{of_part} {loss:.3f} nats, {alone} {frequency:.3f}")
    if parts := parts_judged(recipe.objectives, results):
        losses = ", ".join(f"{name} {loss:.3f} nats ({other:.3f})" for name, loss, other in parts)
        reporter.note(f"of it, each on what it predicts (from word frequency alone): {losses}")
    if distributed.rank() == 0:
        run.add_notes([above_word_frequency(results, alone)], reporter)


def _trained_length(recipe: Recipe, start: RunDirectory | None) -> int | None:
    """Tokens of the longest examples that the model has seen; None where its training elsewhere is not known."""
    length = int(recipe.section("data").sequence_length)
    if start is None:
        return length
    before = start.meta.get("trained_length")
    return None if before is None else max(int(before), length)


def _ready_to_train(
    run: RunDirectory, recipe: Recipe, corpus: PreparedCorpus, n_parameters: int, length: int | None = None
) -> None:
    if distributed.rank() == 0 and run.meta.get("status") == "preparing":
        corpus.tokenizer.save(run.path / "tokenizer.json")
        # a given store stays where it is: word counts are read from there later
        where: dict[str, Any] = {}
        if corpus.folder != run.path / "store":
            where["store"] = str(corpus.folder.resolve())
        if length is not None:
            where["trained_length"] = length
        run.save_meta(status="training", recipe=recipe.as_dict(), parameters=n_parameters, **where)


def _stream(
    loader: BatchSource,
    train: TrainConfig,
    workers: int,
    device: torch.device,
    row: int,
    progress: Callable[[int], float],
) -> Iterator[Batch]:
    """Batches of this rank, from an update's first row on."""
    finish = Batch.pin if device.type == "cuda" else lambda batch: batch
    updates = count(row, train.batch_size)
    return loader.stream(updates, pieces(train), progress, workers=workers, ahead=workers + 1, finish=finish)


@contextmanager
def _out_of_memory_explained() -> Iterator[None]:
    """Raises:  TrainingError: an update needs more memory than there is."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise TrainingError(
            "an update needs more memory than there is",
            got=str(error).partition("\n")[0],
            fix="--set train.micro_batch_size with a divisor of train.batch_size, shorter sequences or a smaller model",
        ) from error


def _model_of(start: RunDirectory, recipe: Recipe, request: PretrainRequest) -> Recipe:
    """The recipe with the sizes of the model that training goes on from.

    Raises:  ConfigError: another architecture, or --set asks for other sizes.
    """
    if start.meta["model"] != recipe.architecture:
        raise ConfigError(
            "--init holds another model",
            got=start.meta["model"],
            expected=recipe.architecture,
            where=request.init,
        )
    model = from_dict(start.meta["recipe"]).section("model").model_dump()
    for key, value in request.settings.items():
        if (key, value) == ("train.size", "auto"):
            raise ConfigError(
                "--init fixes the sizes", got="train.size=auto", where="--set", fix="leave it out"
            )
        name = key.removeprefix("model.")
        if name in model and model[name] != value:
            raise ConfigError(
                f"--init fixes {name}", got=value, expected=model[name], where="--set", fix="leave it out"
            )
    return recipe.with_model(**model).with_section("train", size="given")


def _resolved(
    run: RunDirectory,
    recipe: Recipe,
    corpus: PreparedCorpus,
    device: torch.device,
    start: RunDirectory | None,
) -> Recipe:
    """The recipe with the values that only the machine and corpus determine: vocabulary size and numbers.

    The table of an imported model, from which training may `start`, may have more rows than its tokenizer has tokens:
    it stays as it is, or grows by as many rows as the vocabulary has grown.
    """
    if "recipe" in run.meta:
        resolved = from_dict(run.meta["recipe"])
        if resolved.section("train").products == "auto":  # begun before there was a choice
            resolved = resolved.with_section("train", products="torch")
        return resolved
    tokenizer = corpus.tokenizer
    known = {
        "vocab_size": tokenizer.vocab_size,
        "pad_token_id": tokenizer.pad_id,
        "bos_token_id": tokenizer.cls_id,
        "eos_token_id": tokenizer.sep_id,
    }
    if start is not None:
        added = tokenizer.vocab_size - Tokenizer.from_file(start.path / "tokenizer.json").vocab_size
        rows = getattr(recipe.section("model"), "vocab_size", 0)
        known = {"vocab_size": rows + added} if added > 0 else {}
    fields = type(recipe.section("model")).model_fields
    recipe = recipe.with_model(**{name: value for name, value in known.items() if name in fields})
    asked = recipe.section("train")
    # rank 0 measures for all: ranks must not average updates of two number formats
    numbers = distributed.on_rank_0(lambda: resolve_numbers(asked, device))
    if distributed.rank() == 0:
        run.save_meta(corpus=corpus.meta)
    return recipe.with_section("train", **numbers)


def _check_lengths(recipe: Recipe) -> None:
    """Raises:  ConfigError: the examples are longer than the model's positions."""
    length = recipe.section("data").sequence_length
    # some models read any length
    positions = getattr(recipe.section("model"), "max_position_embeddings", length)
    if length > positions:
        raise ConfigError(
            "sequences are longer than the model's positions",
            got=f"data.sequence_length {length}",
            expected=f"at most max_position_embeddings {positions}",
            fix=f"--set max_position_embeddings={length}",
        )
