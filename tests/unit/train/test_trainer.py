"""The loop around a learner whose held-out loss is scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from decoding import make_tokenizer
from polyseme.core.reporter import NullReporter
from polyseme.core.sharing import Pace
from polyseme.core.types import Batch
from polyseme.errors import CorpusError, Interrupted, TrainingError
from polyseme.train import trainer as module
from polyseme.train.build import special_ids
from polyseme.train.config import TrainConfig
from polyseme.train.heldout import above_word_frequency
from polyseme.train.request import Budget
from polyseme.train.run import RunDirectory, read_tensors
from polyseme.train.trainer import Trainer
from small import make_encoder, make_learner, make_objectives

NOTHING = torch.zeros(1, 4, dtype=torch.long)
BATCH = Batch(NOTHING, NOTHING + 1, NOTHING, NOTHING, NOTHING[0, :1])


class Scripted:
    """Its one weight counts the updates; its held-out loss is lowest after five of them."""

    def __init__(self) -> None:
        self.weight = 0.0
        self.stop_at: int | None = None

    def step(self, batches: Any, progress: float) -> dict[str, float]:
        self.weight += 1
        return {"loss": 1.0, "lr": 0.1, "grad_norm": 1.0}

    def evaluate(self, batches: Any) -> dict[str, float]:
        return {"x_loss": abs(self.weight - 5), "x_baseline": 9.0}

    def weights(self) -> dict[str, torch.Tensor]:
        return {"encoder.w": torch.tensor([self.weight])}

    def state_dict(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        return self.weights(), {}

    def load_state_dict(self, tensors: Mapping[str, torch.Tensor], extra: Mapping[str, Any]) -> None:
        self.weight = float(tensors["encoder.w"])


def make(folder: Path, budget: Budget, **config: Any) -> Trainer:
    run = (
        RunDirectory.open(folder)
        if (folder / "run.json").exists()
        else RunDirectory.create(folder, {"model": "x"})
    )

    def stream(row: int, progress: Callable[[int], float]) -> Iterator[Batch]:
        while True:
            yield BATCH

    settings = {"batch_size": 2, "micro_batch_size": 1, "evaluations": 20, "save_minutes": 60.0} | config
    return Trainer(Scripted(), stream, [], run, budget, TrainConfig(**settings), 10.0, 4.0, NullReporter())


def published(folder: Path) -> float:
    return float(read_tensors(folder / "model.safetensors")["w"])


def train_until(trainer: Any, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until a signal asks to stop at a step."""

    class StopAt(module.SignalRequests):
        @property  # type: ignore[override]
        def stop(self) -> bool:
            return bool(trainer.counters.step >= step)

        @stop.setter
        def stop(self, value: bool) -> None:
            pass

    with monkeypatch.context() as patch:
        patch.setattr(module, "SignalRequests", StopAt)
        with pytest.raises(Interrupted):
            trainer.train()


@pytest.mark.parametrize("stop", [1, 4, 5, 6, 12])
def test_the_best_weights_survive_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    budget = Budget(steps=20)
    make(tmp_path / "straight", budget).train()
    assert published(tmp_path / "straight") == 5

    first = make(tmp_path / "stopped", budget)

    train_until(first, stop, monkeypatch)
    second = make(tmp_path / "stopped", budget)
    second.resume()
    assert second.counters.step == stop
    second.train()
    assert published(tmp_path / "stopped") == 5
    assert second.run.meta["published_step"] == 5


def test_what_a_later_stage_teaches_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out text is asked for what the first stage teaches, and would choose that stage's weights."""
    monkeypatch.setattr(Scripted, "stages", [0.5], raising=False)
    trainer = make(tmp_path / "run", Budget(steps=20))
    trainer.train()
    assert trainer.counters.best_step == 20
    assert published(tmp_path / "run") == 20
    monkeypatch.setattr(Scripted, "stages", [], raising=False)
    make(tmp_path / "other", Budget(steps=20)).train()
    assert published(tmp_path / "other") == 5


def test_patience_waits_for_all_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "stages", [0.5], raising=False)
    trainer = make(tmp_path / "run", Budget(steps=40), evaluations=40, patience=4)
    trainer.train()
    assert trainer.counters.step == 40


def test_a_learner_says_when_its_objectives_go_on() -> None:
    special = special_ids(make_tokenizer())

    def learner(**config: Any) -> Any:
        objectives = make_objectives(("knowledge_masking", "next_sentence"), special, **config)
        return make_learner(make_encoder("ernie"), objectives)

    assert learner().stages == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert learner(phrases_from=0.0, entities_from=0.0).stages == []
    assert make_learner(make_encoder("bert"), make_objectives(("masked_lm",), special)).stages == []


@pytest.mark.parametrize("stop", [4, 6, 7, 8])
def test_patience_is_counted_on_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    straight = make(tmp_path / "straight", Budget(steps=40), evaluations=40, patience=4)
    straight.train()
    assert straight.counters.step == 9  # best after five, then four that are worse
    first = make(tmp_path / "stopped", Budget(steps=40), evaluations=40, patience=4)

    train_until(first, stop, monkeypatch)
    second = make(tmp_path / "stopped", Budget(steps=40), evaluations=40, patience=4)
    second.resume()
    assert second.counters.stale == max(0, stop - 5)
    second.train()
    assert (second.counters.step, second.counters.evaluations) == (9, straight.counters.evaluations)
    assert published(tmp_path / "stopped") == published(tmp_path / "straight") == 5


class Waking(Scripted):
    """Its figure is zero until update 12 and 0.1 from then on; its loss falls until update `lowest`."""

    lowest = 30

    def evaluate(self, batches: Any) -> dict[str, float]:
        figure = 0.1 if self.weight >= 12 else 0.0
        return {"x_loss": abs(self.weight - self.lowest), "x_baseline": 9.0, "criterion": -figure}


@pytest.mark.parametrize(("lowest", "end"), [(30, 15), (6, 9)])
def test_patience_waits_while_nothing_is_found_and_the_loss_falls(
    tmp_path: Path, lowest: int, end: int
) -> None:
    trainer = make(tmp_path / "run", Budget(steps=40), evaluations=40, patience=3)
    trainer.learner = Waking()
    trainer.learner.lowest = lowest
    trainer.train()
    assert trainer.counters.step == end  # three after the first find, or after the lowest loss without any
    assert trainer.counters.best_loss == (-0.1 if lowest == 30 else 0.0)
    assert published(tmp_path / "run") == end  # of equal ones the last


def test_keep_last(tmp_path: Path) -> None:
    make(tmp_path / "run", Budget(steps=20), keep="last").train()
    assert published(tmp_path / "run") == 20


@pytest.mark.parametrize(
    ("budget", "steps"), [(Budget(steps=7), 7), (Budget(tokens=80), 10), (Budget(epochs=0.5), 5)]
)
def test_budgets_end_where_they_say(tmp_path: Path, budget: Budget, steps: int) -> None:
    trainer = make(tmp_path / "run", budget, keep="last")
    trainer.train()
    assert trainer.counters.step == steps
    assert trainer.counters.row == 2 * steps
    assert trainer.counters.tokens == 8 * steps


def test_a_time_budget_ends(tmp_path: Path) -> None:
    trainer = make(tmp_path / "run", Budget(minutes=0.005))
    trainer.train()
    assert 0.3 <= trainer.counters.seconds < 5


def test_a_time_budget_ends_when_the_text_was_read_often_enough(tmp_path: Path) -> None:
    trainer = make(tmp_path / "run", Budget(minutes=5), most_epochs=0.7)
    trainer.train()
    assert trainer.counters.step == 7


def test_other_budgets_are_taken_at_their_word(tmp_path: Path) -> None:
    trainer = make(tmp_path / "run", Budget(epochs=2), most_epochs=0.7)
    trainer.train()
    assert trainer.counters.step == 20


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_figures_that_are_no_numbers_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    trainer = make(tmp_path / "run", Budget(steps=20))
    evaluate = Scripted.evaluate

    def astray(self: Scripted, batches: Any) -> dict[str, float]:
        return evaluate(self, batches) | ({"x_loss": value} if self.weight > 7 else {})

    monkeypatch.setattr(Scripted, "evaluate", astray)
    with pytest.raises(TrainingError, match="x_loss on held-out examples is not a finite number") as caught:
        trainer.train()
    assert "after 8 updates" in str(caught.value.got)


def test_every_update_is_told_to_the_pace_and_the_end_gives_threads_back(tmp_path: Path) -> None:
    used: list[int] = []

    class Counted(Pace):
        steps = 0

        def step(self, amount: float, seconds: float) -> None:
            assert amount > 0
            assert seconds > 0
            self.steps += 1
            if self.steps == 3:
                self._change(1)

    trainer = make(tmp_path / "run", Budget(steps=7))
    trainer.pace = pace = Counted(2, used.append)
    trainer.train()
    assert pace.steps == 7
    assert used == [1, 2]


# Evaluations within a budget in minutes


class Slow(Scripted):
    """An update takes a second of a clock of its own, a held-out batch `each`."""

    def __init__(self, clock: list[float], each: float) -> None:
        super().__init__()
        self.clock, self.each = clock, each
        self.judged: list[list[Any]] = []

    def step(self, batches: Any, progress: float) -> dict[str, float]:
        self.clock[0] += 1.0
        return super().step(batches, progress)

    def evaluate(self, batches: Any) -> dict[str, float]:
        self.clock[0] += self.each * len(batches)
        self.judged.append(list(batches))
        return {"x_loss": 20.0 / (1.0 + self.weight), "x_baseline": 9.0}


class Part(str):
    """A held-out batch."""

    n_tokens = 512


class Told(NullReporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def slow(
    folder: Path, monkeypatch: pytest.MonkeyPatch, budget: Budget, each: float, cuts: bool = True, n: int = 32
) -> tuple[Trainer, Slow, list[float], Told]:
    clock, told = [0.0], Told()
    # of the trainer alone: a thread that looks at the cores reads the clock, too
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    trainer = make(folder, budget)
    learner = trainer.learner = Slow(clock, each)
    trainer.heldout, trainer.cuts_heldout, trainer.reporter = (
        [Part(f"part {i}") for i in range(n)],
        cuts,
        told,
    )
    return trainer, learner, clock, told


@pytest.mark.parametrize("each", [0.001, 0.1, 1.92, 20.0])
def test_evaluations_take_a_tenth_of_the_minutes_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each: float
) -> None:
    """64 parts of 1.92 s are those of a first evaluation that took 2:03 of 2:30; one of 20 s cannot be cut further."""
    trainer, learner, clock, told = slow(tmp_path / "run", monkeypatch, Budget(minutes=2.5), each, n=64)
    trainer.train()
    quick = 64 * each <= module.ONE_EVALUATION * 150
    evaluations = learner.judged[1 if quick else 2 :]  # after those that measure how long a part takes
    whole = not quick and 64 * each <= module.WHOLE_EVALUATION * 150
    if whole:
        assert len(evaluations.pop()) == 64  # what is published is judged on all parts where that fits
    assert len(evaluations) >= 2
    assert all(batches == evaluations[0] for batches in evaluations)  # the figures of a run can be compared
    if each < 20:
        assert each * sum(map(len, learner.judged)) <= (0.1 + module.WHOLE_EVALUATION * whole) * 150
    assert trainer.counters.step >= (135 if each < 20 else 85)
    assert clock[0] <= 150 + 1 + max(each, module.ONE_EVALUATION * 150) + (64 * each if whole else 0)
    assert quick == (len(evaluations[0]) == 64) == (not told.notes)
    share = None if quick or whole else len(evaluations[0]) / 64
    assert trainer.results.get("heldout_share") == share
    kept = RunDirectory.open(tmp_path / "run").meta
    assert kept["results"].get("heldout_share") == share
    assert kept.get("judged_on", {}).get("share") == share
    assert any("parts of the held-out text" in note for note in kept.get("notes", [])) == (share is not None)


def test_parts_are_spread_over_the_held_out_text_and_kept_for_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, learner, _, _ = slow(tmp_path / "run", monkeypatch, Budget(minutes=2.5), 0.5)
    train_until(trainer, 5, monkeypatch)
    assert learner.judged[-1] == ["part 0", "part 8", "part 16", "part 24"]
    again, other, _, _ = slow(tmp_path / "run", monkeypatch, Budget(minutes=2.5), 0.001)
    again.resume()
    again.train()
    assert other.judged[-2] == learner.judged[-1]
    assert len(other.judged[-1]) == 32  # the last one is of all parts, as it fits


class Falling(Slow):
    """Parts of it fall until ten updates were made and rise from there; all of it has other losses."""

    loads = 0

    def evaluate(self, batches: Any) -> dict[str, float]:
        super().evaluate(batches)
        self.heldout_blocks = {"x_loss": [(self.weight, 1.0)] * len(batches)}
        loss = abs(self.weight - 40) if len(batches) < 32 else 1000.0 + self.weight
        return {"x_loss": loss, "x_baseline": 9.0 if len(batches) < 32 else 7.0}

    def load_weights(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.loads += 1
        self.weight = float(tensors["encoder.w"])


def test_parts_choose_the_weights_and_all_of_the_text_judges_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, slow_one, clock, _ = slow(tmp_path / "run", monkeypatch, Budget(minutes=2.5), 0.4)
    learner = trainer.learner = Falling(clock, slow_one.each)
    results = trainer.train()
    best = published(tmp_path / "run")
    assert abs(best - 40) < 20
    assert results["best_loss"] == abs(best - 40)  # of the parts
    assert results["heldout_loss"] == 1000.0 + best  # of all of the text, by the weights that are published
    assert results["unigram_loss"] == 7.0
    assert results["heldout_interval"]["blocks"] == 32
    assert learner.loads == 2
    assert learner.weight == trainer.counters.step  # the run would go on with its newest weights
    assert all(
        record.get("heldout_loss", 0) < 1000 for record in trainer.run.metrics()
    )  # one curve, one text

    again, judge, _, told = slow(tmp_path / "run", monkeypatch, Budget(minutes=2.5), 0.4)
    again.resume()
    assert again.train()["heldout_loss"] == 1000.0 + best
    assert (judge.judged, told.notes) == ([], [f"going on from step {trainer.counters.step}"])


def test_a_part_is_named_as_long_as_figures_are_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, *_ = slow(tmp_path / "run", monkeypatch, Budget(minutes=2.5), 0.5)
    train_until(trainer, 5, monkeypatch)
    share = {"share": 4 / 32, "parts": 4, "judged_tokens": 4 * 512}
    assert RunDirectory.open(tmp_path / "run").meta["judged_on"] == share
    again, *_ = slow(tmp_path / "run", monkeypatch, Budget(minutes=2.5), 0.5)
    again.run.save_meta(judged_on={"text": "held-out"})  # as whoever opens a run writes it anew
    again.resume()
    train_until(again, 6, monkeypatch)
    assert RunDirectory.open(tmp_path / "run").meta["judged_on"] == {"text": "held-out"} | share


def test_progress_ahead_is_that_of_updates_of_several_sizes(tmp_path: Path) -> None:
    """After 10 updates by two ranks one rank makes those of half the rows."""
    trainer = make(tmp_path / "run", Budget(epochs=4.0))  # of 10 updates of 2 rows
    trainer.counters.step, trainer.counters.row = 10, 40
    trainer._began = module.replace(trainer.counters)
    for more in range(12):
        ahead = trainer._progress_at(40 + 2 * more)
        trainer.counters.step, trainer.counters.row = 10 + more, 40 + 2 * more
        assert ahead == trainer._progress()


@pytest.mark.parametrize(("budget", "cuts"), [(Budget(steps=20), True), (Budget(minutes=2.5), False)])
def test_other_evaluations_are_of_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: Budget, cuts: bool
) -> None:
    trainer, learner, _, _ = slow(tmp_path / "run", monkeypatch, budget, 1.0, cuts)
    trainer.train()
    assert {len(batches) for batches in learner.judged} == {32}


def test_figures_that_mean_nothing_choose_no_weights(tmp_path: Path) -> None:
    trainer = make(tmp_path / "run", Budget(steps=20))
    trainer.meaningless = True
    trainer.train()
    assert published(tmp_path / "run") == trainer.run.meta["published_step"] == 20


def test_nothing_to_predict_is_an_error_of_ours(tmp_path: Path) -> None:
    trainer = make(tmp_path / "run", Budget(steps=2))
    trainer.learner.evaluate = lambda batches: {}
    with pytest.raises(CorpusError, match="nothing of the held-out text"):
        trainer.train()


def test_a_run_above_word_frequency_is_told() -> None:
    results = {"heldout_loss": 7.5, "unigram_loss": 7.1, "steps": 1}
    assert "0.400 nats above word frequency" in (above_word_frequency(results) or "")
    assert above_word_frequency(results | {"heldout_loss": 7.101}) is None  # of 1-of-N both are the same
    assert above_word_frequency(results | {"heldout_loss": 6.0}) is None
    assert "0.400 nats above the loss by chance" in (above_word_frequency(results, "by chance") or "")
    assert above_word_frequency({}) is None
