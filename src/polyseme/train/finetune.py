"""Adapting a run to a task from one call: labelled files in, run directory out. The table of contents of a fine-tune.

run + labelled files ─► records ─► label set ─► examples ─► batches
                                                               │
run directory ◄─ checkpoints, weights, results ◄─ trainer ◄─ learner (encoder, head, optimiser), judged on dev
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch

from polyseme.core import registry
from polyseme.core.protocols import Encoder
from polyseme.core.ranks import declared
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.rng import Random
from polyseme.core.types import Batch, Encoding
from polyseme.data.labelled import ExampleLoader
from polyseme.errors import RunError
from polyseme.kernels.products import through
from polyseme.kernels.trained_rows import train_rows
from polyseme.text.labelled.records import Problems
from polyseme.text.tokenizers import Tokenizer
from polyseme.train import card
from polyseme.train.adaptation import Evaluator, KnownLayers, TaskLearner
from polyseme.train.build import build_encoder, put_weights, special_ids
from polyseme.train.config import TrainConfig
from polyseme.train.examples import facts_of, read_examples
from polyseme.train.gradient import GradientLearner, read_layers
from polyseme.train.machine import resolve_device, resolve_numbers, use_threads
from polyseme.train.opening import begin_or_go_on, check_same_request, forgotten_if_it_fails
from polyseme.train.parallel import pieces
from polyseme.train.recipe import Recipe, adapted, from_dict
from polyseme.train.request import Budget, FinetuneRequest
from polyseme.train.run import RunDirectory
from polyseme.train.schedule import whole_rate
from polyseme.train.signals import check, interruptible
from polyseme.train.solved import SolvedLearner
from polyseme.train.task_adaptive import asked_of, check_goes_on, gone_on
from polyseme.train.trainer import Trainer

__all__ = ["finetune"]

WHOLE_TEXT = 1 << 20
"""Tokens of a text that n-grams are counted in: all of them."""
KNOWN_LAYERS_BYTES = 2 << 30
"""Memory for a frozen encoder's hidden states; if they need more, they are computed again in every epoch."""


def finetune(request: FinetuneRequest, reporter: Reporter | None = None) -> RunDirectory:
    """Train a task on top of a run.

    Args:
        request: what to do.
        reporter: receives the progress.
    Returns the new run; `meta["results"]["dev"]` are the figures of its weights on dev.
    Raises:  ConfigError, CorpusError, RunError: the request is wrong; nothing was changed.
             Interrupted: a signal asked to stop; everything is saved.
             StorageError, CheckpointError, TrainingError: as they say.

    Example:
        run = finetune(FinetuneRequest(task="classify", run="runs/bert", train="train.tsv", dev="dev.tsv",
                                       output=Path("runs/sentiment")))
    """
    _one_process()
    with interruptible(request.output) as requests, closing(reporter or NullReporter()) as reporter:
        device = resolve_device(request.device)
        use_threads(request.threads)
        registry.tasks.load(request.task)
        start = RunDirectory.open(request.run)
        tokenizer = Tokenizer.from_file(start.path / "tokenizer.json")
        base = from_dict(start.meta["recipe"])
        if request.adapt is not None:
            check_goes_on(request, start, base)
        encoder = build_encoder(base, tokenizer)
        recipe = _recipe(request, base, encoder)
        if recipe.section("model") != base.section("model"):  # another dropout
            encoder = build_encoder(recipe, tokenizer)
        problems = Problems()
        train, dev = read_examples(request, recipe, problems)
        task_class = registry.tasks.load(request.task).build
        learned = task_class.learn(recipe.section(request.task), train, encoder)
        recipe = recipe.with_section(request.task, **learned.model_dump())
        recipe = _with_evaluations(recipe, request, len(train), len(dev))
        numbers = resolve_numbers(recipe.section("train"), device)
        recipe = recipe.with_section("train", precision=numbers["precision"])
        facts = facts_of(request, recipe, train, dev, problems)
        if _penalties(request, recipe):
            device = torch.device("cpu")
            facts["notes"] += _without_meaning(request)
        for note in facts["notes"]:
            reporter.note(note)
        if request.from_scratch:
            torch.manual_seed(request.seed)
            encoder = build_encoder(recipe, tokenizer)
        elif request.adapt is None:
            put_weights(encoder, start, reporter)
        with _opened(request, recipe, base, numbers["products"], start, facts, reporter) as (run, resumed):
            if resumed and run.meta["status"] == "finished" and "dev" in run.meta["results"]:
                return run
            if request.adapt is not None:
                adapted_run = gone_on(request, run, resumed, start, base, (train, dev), reporter)
                put_weights(encoder, adapted_run, reporter)
            products = run.meta["recipe"]["train"].get("products", "torch")  # older runs: there was no choice
            with through(products):
                began = time.perf_counter()
                with forgotten_if_it_fails(run, resumed or request.adapt is not None):
                    trainer, learner = _build(
                        request, recipe, run, encoder, tokenizer, (train, dev), device, reporter
                    )
                    check(requests)
                trainer.counters.seconds += time.perf_counter() - began
                if resumed:
                    trainer.resume()
                trainer.train()
                _finish(run, learner, tokenizer, device)
                return run


def _one_process() -> None:
    """Raises:  RunError: torchrun started several."""
    if declared()[1] > 1:
        raise RunError(
            "finetune is done by one process",
            got=f"{declared()[1]} ranks",
            fix="the same command without torchrun",
        )


def _recipe(request: FinetuneRequest, base: Recipe, encoder: Encoder) -> Recipe:
    """The task's recipe with defaults that suit the encoder and how it is used."""
    width = int(encoder.config.hidden_size)
    static = encoder.reach == "none"
    recurrent = getattr(encoder, "two_way", False)
    if request.feature_based or (static and not any(p.requires_grad for p in encoder.parameters())):
        rate = 3e-2 if hasattr(encoder, "active") else 1e-3
        train: dict[str, Any] = {
            "frozen": True,
            "learning_rate": rate,
            "warmup": 0.0,
            "patience": 10,
            "weight_decay": 0.0,
        }
    elif static or recurrent:
        train = {"learning_rate": 1e-3, "warmup": 0.1, "patience": 5}
    else:
        train = {"learning_rate": whole_rate(width), "warmup": 0.1}
    train |= {"batch_size": 32, "spike_factor": 0.0}
    task: dict[str, Any] = {"mix": True} if request.feature_based else {}
    if request.settings.get(f"{request.task}.ngrams"):
        train["precision"], task["max_length"] = "float32", WHOLE_TEXT
    train |= {k: v for k in ("batch_size", "learning_rate") if (v := getattr(request, k)) is not None}
    if request.max_length is not None:
        task["max_length"] = request.max_length
    return adapted(base, request.task, {"train": train, request.task: task}, request.settings)


def _with_evaluations(recipe: Recipe, request: FinetuneRequest, n: int, dev: int) -> Recipe:
    """How often to evaluate on dev: after every epoch, or twice where there are few; less often where dev is large."""
    if penalties := _penalties(request, recipe):
        after_each = 2 * len(penalties)  # whatever is rounded
        return recipe.with_section("train", evaluations=after_each, patience=None)
    if "train.evaluations" in request.settings:
        return recipe
    epochs = _epochs(request, recipe, n)
    evaluations = epochs * (2 if epochs <= 5 else 1)
    affordable = max(3.0, epochs * n / max(1, dev))  # evaluating an example costs a third of training on it
    return recipe.with_section("train", evaluations=max(1, min(100, math.ceil(min(evaluations, affordable)))))


def _epochs(request: FinetuneRequest, recipe: Recipe, n: int) -> float:
    """Passes over the training examples: few examples get more epochs, not a higher rate (Mosbach et al. 2021)."""
    if request.epochs is not None:
        return request.epochs
    train = recipe.section("train")
    least, updates, most = (3, 2000, 100) if train.frozen else (3, 600, 20)
    return float(max(least, min(most, math.ceil(updates * train.batch_size / max(1, n)))))


def _penalties(request: FinetuneRequest, recipe: Recipe) -> Sequence[float]:
    """Under which penalties the head is solved for; none where gradients train it."""
    task = registry.tasks.load(request.task).build(recipe.section(request.task))
    return getattr(task, "penalties", ())


def _without_meaning(request: FinetuneRequest) -> list[str]:
    """A note where options were given that only training by gradients has."""
    named = {
        "--epochs": request.epochs,
        "--batch-size": request.batch_size,
        "--learning-rate": request.learning_rate,
        "--device": None if request.device in ("auto", "cpu") else request.device,
    }
    given = [f"{name} {value}" for name, value in named.items() if value is not None]
    given += [key for key in request.settings if key.startswith("train.")]
    return [f"the head is solved for, on the CPU, so this means nothing: {', '.join(given)}"] if given else []


@contextmanager
def _opened(
    request: FinetuneRequest,
    recipe: Recipe,
    base: Recipe,
    products: str,
    start: RunDirectory,
    facts: Mapping[str, Any],
    reporter: Reporter,
) -> Iterator[tuple[RunDirectory, bool]]:
    """A run directory, locked for this process, and whether it is resumed rather than new.

    Args:
        base: of the run that it starts from.
        products: the library of products of a new run.
    Raises:  RunError: the folder is not empty; with --resume: the request or a file has changed.
    """
    penalties = _penalties(request, recipe)
    asked = {
        "recipe": recipe.as_dict(),
        "seed": request.seed,
        "budget": f"{len(penalties)} penalties"
        if penalties
        else f"{_epochs(request, recipe, facts['train']['examples']):g} epochs",
        "start": None if request.from_scratch else start.meta.get("files"),
        "train": facts["train"]["sha256"],
        "dev": facts["dev"]["sha256"],
        "columns": facts["columns"],
        **request.reading.recorded,
        "examples": [request.examples, request.dev_examples],
        **asked_of(request, base),
    }
    meta = {
        "model": start.meta["model"],
        "status": "training",
        "asked": asked,
        "recipe": recipe.with_section("train", products=products).as_dict(),
        "adapted": {
            "task": request.task,
            "from": str(start.path),
            "from_scratch": request.from_scratch,
            "feature_based": request.feature_based,
            **facts,
        },
        **{k: start.meta[k] for k in ("embedding",) if k in start.meta},
    }

    def same(run: RunDirectory) -> None:
        if "adapted" not in run.meta:
            raise RunError(
                "not a run that finetune began", where=request.output, fix="polyseme pretrain … --resume"
            )
        check_same_request(run, asked)

    with ExitStack() as stack:
        resumed = begin_or_go_on(request.output, request.resume, meta, same, reporter, stack)
        run = RunDirectory.open(request.output)
        if not (run.path / "tokenizer.json").is_file():
            Tokenizer.from_file(start.path / "tokenizer.json").save(run.path / "tokenizer.json")
        yield run, resumed


def _build(
    request: FinetuneRequest,
    recipe: Recipe,
    run: RunDirectory,
    encoder: Encoder,
    tokenizer: Tokenizer,
    records: tuple[Sequence[Any], Sequence[Any]],
    device: torch.device,
    reporter: Reporter,
) -> tuple[Trainer, TaskLearner]:
    """Encoder, head, learner, batches and the trainer that drives them, at step 0."""
    train, special = recipe.section("train"), special_ids(tokenizer)
    reporter.stage("preparing", 0, None)
    loaders, datas, tasks = [], [], []
    for part, random in zip(records, (Random(request.seed, "order"), None), strict=True):
        task = registry.tasks.load(request.task).build(recipe.section(request.task), special, request.seed)
        data = task.encode(part, tokenizer, encoder)
        task.use(data)
        spelled = data.unknown if getattr(encoder, "open_vocabulary", False) else None
        loaders.append(ExampleLoader(data.examples, [task], special, random, spelled, tokenizer.vocab_size))
        datas.append(data)
        tasks.append(task)
    if datas[0].cut:
        reporter.note(
            f"{len(datas[0].cut):,} of {len(records[0]):,} training texts are longer than "
            f"{min(recipe.section(request.task).max_length, encoder.max_length)} tokens: cut, or read in windows"
        )
    torch.manual_seed(request.seed)
    n = len(loaders[0])
    inner: GradientLearner | SolvedLearner
    stream: Any  # what the learner's steps take
    encode = None
    if penalties := _penalties(request, recipe):
        inner = SolvedLearner(encoder, tasks[0], datas[0], train)
        head = inner.heads[request.task]
        stream, steps_per_epoch, budget = inner.stream, 1.0, Budget(steps=len(penalties))
    else:
        if not train.frozen:
            train_rows(encoder, _looked_up(datas[0].examples, tokenizer))
        inner = GradientLearner(encoder, [tasks[0]], train, device, torch.zeros(0), request.seed)
        head = inner.heads[request.task]
        encode = _reader(inner, [head], loaders, device, reporter) if train.frozen else None
        if encode is not None:
            inner.know(encode[0])
        stream, steps_per_epoch = partial(_stream, loaders[0], train), n / train.batch_size
        budget = Budget(epochs=_epochs(request, recipe, len(records[0])))
    evaluator = Evaluator(
        tasks[1], datas[1], loaders[1], encode[1] if encode else partial(read_layers, encoder, [head])
    )
    learner = TaskLearner(inner, evaluator)
    run.save_meta(parameters=inner.n_parameters, trained_parameters=inner.n_trained)
    return (
        Trainer(
            learner,
            stream,
            [],
            run,
            budget,
            train,
            steps_per_epoch=steps_per_epoch,
            tokens_per_row=float(loaders[0].lengths.mean()),
            reporter=reporter,
            alone=registry.learned(recipe.objectives[0]).alone,
        ),
        learner,
    )


def _looked_up(examples: Sequence[Any], tokenizer: Tokenizer) -> torch.Tensor:
    """Every id that training on these examples looks up.  Shapes: -> (n,)"""
    looked_up = np.zeros(tokenizer.vocab_size, np.bool_)
    looked_up[list(tokenizer.special_ids)] = True
    for example in examples:
        looked_up[example.ids] = True
    return torch.from_numpy(np.flatnonzero(looked_up))


def _reader(
    inner: GradientLearner,
    heads: Sequence[torch.nn.Module],
    loaders: Sequence[ExampleLoader],
    device: torch.device,
    reporter: Reporter,
) -> list[Callable[[Batch], Encoding]] | None:
    """Hidden states of a frozen encoder, computed once where they fit into memory."""
    if all(getattr(head, "reads", "at") == "none" for head in heads):
        return None
    if sum(KnownLayers.size(inner.encoder, heads, loader) for loader in loaders) > KNOWN_LAYERS_BYTES:
        return None
    reporter.stage("encoding", 0, None)
    inner.encoder.eval()
    return [KnownLayers(inner.encoder, heads, loader, device) for loader in loaders]


def _stream(
    loader: ExampleLoader, train: TrainConfig, row: int, progress: Callable[[int], float]
) -> Iterator[Batch]:
    return loader.stream(count(row, train.batch_size), pieces(train), progress)


def _finish(run: RunDirectory, learner: TaskLearner, tokenizer: Tokenizer, device: torch.device) -> None:
    """Evaluate the weights that were kept, and store what was tuned for them."""
    weights, _ = run.weights()
    learner.inner.load_weights(weights)
    learner.inner.encoder.eval()
    figures, decoding = learner.evaluator.final(learner.head, device)
    results = run.meta["results"] | figures
    if isinstance(learner.inner, SolvedLearner):
        results |= learner.inner.told(run.meta["published_step"], tokenizer.display)
    mix = getattr(getattr(learner.head, "features", None), "mix", None)
    if mix is not None:
        results["mix"] = {"weights": mix.shares, "gamma": float(mix.gamma.detach())}
    run.save_meta(results=results, decoding=decoding)
    card.write(run)
