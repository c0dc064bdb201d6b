"""Every model with every task, frozen and whole: it learns, examples are apart, and a saved run is the same."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapting import MODELS, TASKS, adapt, start_run, write_examples
from polyseme import load
from polyseme.core import registry
from polyseme.data.labelled import ExampleLoader
from polyseme.infer.model import Model
from polyseme.infer.predict import Predictor, gold_records
from polyseme.text.labelled.records import Problems
from polyseme.train.adaptation import outputs_of
from polyseme.train.config import TrainConfig
from polyseme.train.gradient import GradientLearner, read_layers

WAYS: dict[str, dict[str, Any]] = {
    "whole": {},
    "frozen": {"mix": True},
    "lstm": {"mix": True, "lstm": 6},
    "hidden": {"hidden": 6},
}
CASES = [
    pytest.param(model, task, way, id=f"{model}-{task}-{way}")
    for model in MODELS
    for task in TASKS
    for way in WAYS
    if way in ("whole", "frozen") or model in ("bert", "onehot")
]
TOKENS_READ_ALONE = ("encoder.pool.", "encoder.pooler.")


@pytest.fixture(scope="session")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("starts")
    return {model: start_run(folder / model, model) for model in MODELS}


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("examples")
    return {task: write_examples(folder / task, task) for task in TASKS}


class Adapted:
    """A fresh task on a run, in memory, with weights that are not near zero."""

    def __init__(self, model: Model, name: str, file: Path, way: str) -> None:
        module = registry.tasks.load(name)
        config = module.config(dropout=0.0, initializer_range=0.5, **WAYS[way])
        records = list(module.build.read(file, config, {}, Problems()))
        config = module.build.learn(config, records, model.encoder)
        self.task = module.build(config, model.special, 0)
        self.data = self.task.encode(records, model.tokenizer, model.encoder)
        self.task.use(self.data)
        train = TrainConfig(precision="float32", frozen=way in ("frozen", "lstm"), weight_decay=0.0)
        torch.manual_seed(2)
        self.learner = GradientLearner(
            model.encoder, [self.task], train, torch.device("cpu"), torch.zeros(0), 1
        )
        self.head: Any = self.learner.heads[name]
        with torch.no_grad():  # tables and vectors that begin at zero would hide what they read
            for p in self.head.parameters():
                p += 0.3 * torch.randn(p.shape)
        spelled = self.data.unknown if getattr(model.encoder, "open_vocabulary", False) else None
        self.loader = ExampleLoader(
            self.data.examples, [self.task], model.special, None, spelled, model.tokenizer.vocab_size
        )

    @torch.no_grad()
    def outputs(self, numbers: list[int]) -> dict[int, torch.Tensor]:
        """What the head says of some examples, read as one batch."""
        self.learner.encoder.eval()
        self.head.eval()
        batch = self.loader.of(numbers)
        said = self.task.outputs(self.learner.encoding(batch), self.head, batch)
        assert batch.numbers is not None
        return {n: torch.from_numpy(x) for n, x in zip(batch.numbers.tolist(), said, strict=True)}


@pytest.fixture(scope="session")
def adapted(starts: dict[str, Path], examples: dict[str, Path]) -> Any:
    return cache(lambda model, task, way: Adapted(load(starts[model]), task, examples[task], way))


@pytest.mark.parametrize(("model", "task", "way"), CASES)
def test_a_batch_equals_its_examples_alone(adapted: Any, model: str, task: str, way: str) -> None:
    it = adapted(model, task, way)
    together = it.outputs(list(range(len(it.loader))))
    assert len(it.loader.of(list(together)).ids) < len(together)  # some rows hold several
    for number, mine in together.items():
        alone = it.outputs([number])[number]
        torch.testing.assert_close(mine, alone, atol=1e-5, rtol=1e-4)
    assert max(float(x.abs().max()) for x in together.values()) > 1e-3


@pytest.mark.parametrize(("model", "task", "way"), CASES)
def test_an_example_leaves_its_neighbours_alone(adapted: Any, model: str, task: str, way: str) -> None:
    it = adapted(model, task, way)
    numbers = list(range(len(it.loader)))
    before = it.outputs(numbers)
    changed = it.data.examples[0]
    it.data.examples[0] = changed._replace(
        ids=np.where(changed.ids < 5, changed.ids, 5 + (changed.ids - 4) % 14)
    )
    after = it.outputs(numbers)
    it.data.examples[0] = changed
    assert not torch.equal(before[0], after[0])
    for number in numbers[1:]:
        assert torch.equal(before[number], after[number])


@pytest.mark.parametrize(("model", "task", "way"), CASES)
def test_what_is_trained_gets_a_gradient_and_what_is_frozen_none(
    adapted: Any, model: str, task: str, way: str
) -> None:
    it = adapted(model, task, way)
    batch = it.loader.of(list(range(len(it.loader))))
    it.learner.encoder.train(way in ("whole", "hidden"))
    loss, count = it.task.loss(it.learner.encoding(batch), it.head, batch)
    assert count > 0
    loss.backward()
    silent = [name for name, p in it.learner._trained.items() if p.grad is None or not p.grad.any()]
    pooled = getattr(it.task.config, "pool", None) == "cls" and not it.task.config.lstm
    silent = [name for name in silent if pooled or not name.startswith(TOKENS_READ_ALONE)]
    silent = [name for name in silent if not name.endswith(".place.weight")]  # words that share a token
    if it.learner.encoder.config.num_hidden_layers == 0:  # the share of the only layer is one
        silent = [name for name in silent if not name.endswith(".mix.weights")]
    assert silent == []
    trained = {id(p) for p in it.learner._trained.values()}
    rest = [p for p in it.learner._parameters.values() if id(p) not in trained]
    assert all(p.grad is None for p in rest)
    if way in ("frozen", "lstm"):
        assert not any(name.startswith("encoder.") for name in it.learner._trained)


@pytest.mark.parametrize(
    ("model", "task", "way"),
    [  # both ways with every model and with every task
        (model, task, ("whole", "frozen")[(i + j) % 2])
        for i, model in enumerate(MODELS)
        for j, task in enumerate(TASKS)
    ],
)
def test_learns_eight_examples_and_is_the_same_when_loaded(
    starts: dict[str, Path], examples: dict[str, Path], tmp_path: Path, model: str, task: str, way: str
) -> None:
    sharp = (
        0.3
        if model in ("onehot", "word-classes")
        else 0.05
        if way == "frozen" or model == "word2vec"
        else 1e-2
    )
    run = adapt(
        task, starts[model], examples[task], tmp_path / "run", feature_based=way == "frozen",
        epochs=80 if way == "frozen" else 30, batch_size=8, learning_rate=sharp,
    )  # fmt: skip
    dev = dict(run.meta["results"]["dev"])
    loss = dev.pop("loss")
    assert next(iter(dev.values())) == 1.0
    assert loss < 0.3 * run.meta["results"]["heldout"][f"{task}_baseline"]
    assert ("mix" in run.meta["results"]) == (way == "frozen" and model not in ("onehot", "word-classes"))

    predictor = Predictor(load(run.path))
    records = gold_records(predictor.read(examples[task]), examples[task])
    said = list(predictor.predict(records))
    figures = predictor.task.measures(records, said)
    assert {name: float(m.value) for name, m in figures.items()} == dev
    assert not any(predictor.task.wrong(r, p) for r, p in zip(records, said, strict=True))
    again = Predictor(load(run.path))
    assert list(again.predict(records)) == said
    data = again.task.encode(records, again.loaded.tokenizer, again.loaded.encoder)
    again.task.use(data)
    spelled = data.unknown if getattr(again.loaded.encoder, "open_vocabulary", False) else None
    loader = ExampleLoader(
        data.examples, [again.task], again.loaded.special, None, spelled, again.loaded.tokenizer.vocab_size
    )
    encode = partial(read_layers, again.loaded.encoder, [again.head])
    _, same = outputs_of(again.task, loader, encode, again.head, torch.device("cpu"))
    assert same == pytest.approx(loss, rel=1e-4, abs=1e-6)
