"""The one loop: batches in, updates out, with a clock, a budget, evaluations, checkpoints and resume.

    while the budget lasts:  learner.step(batches) → log → evaluate? → save? → signals?

The trainer knows the time and the disk; what an update is belongs to the learner.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from polyseme.core.counts import short_count
from polyseme.core.entries import FREQUENCY
from polyseme.core.protocols import Learner
from polyseme.core.reporter import Reporter
from polyseme.core.sharing import Pace, Sharing
from polyseme.core.shell import typed
from polyseme.core.types import Batch
from polyseme.errors import CheckpointError, CorpusError, Interrupted, TrainingError
from polyseme.train import checkpoint, distributed, milestones
from polyseme.train.config import TrainConfig
from polyseme.train.heldout import heldout_figures
from polyseme.train.machine import peak_memory_bytes
from polyseme.train.parallel import pieces
from polyseme.train.request import Budget
from polyseme.train.run import RunDirectory
from polyseme.train.signals import SignalRequests
from polyseme.train.tensorboard import EventFiles

EVALUATION_SHARE = 0.05
"""Share of a time budget that the evaluations between the first and the last may take."""

ONE_EVALUATION = 0.015
"""Share of a time budget that each of them may take; held-out text is cut to what fits. All take less than a tenth."""

WHOLE_EVALUATION = 0.1
"""Share of a time budget that the final evaluation on all of the held-out text may add at the end."""

_OF_A_PART = ("share", "parts", "judged_tokens")


@dataclass(slots=True)
class Counters:
    """Where a run is. Everything random is a function of these and the seed.

    Args:
        step: updates made or skipped.
        row: rows given to the learners of all ranks so far.
        tokens: tokens seen, padding excluded.
        words: words of the text seen.
        seconds: wall-clock time of training, summed over the first start and all resumptions.
        evaluations: held-out evaluations made or skipped.
        evaluating: seconds that they took.
        judged: how many held-out batches an evaluation uses, spread evenly over all; None = all.
        metrics_bytes: length of metrics.jsonl.
        best_loss, best_step: the lowest held-out loss (for tasks: criterion) so far, and its step.
        stale: evaluations in a row without progress; `patience` ends training when there are too many.
    """

    step: int = 0
    row: int = 0
    tokens: int = 0
    words: int = 0
    seconds: float = 0.0
    evaluations: int = 0
    evaluating: float = 0.0
    judged: int | None = None
    metrics_bytes: int = 0
    best_loss: float | None = None
    best_step: int = 0
    stale: int = 0


class Trainer:
    """Drives one learner through one budget.

    Args:
        learner: makes the updates.
        stream: (row, progress by row) -> endless batches for this rank's forward passes, from an update's first row on.
        heldout: the fixed batches of every evaluation.
        run: where everything is written.
        budget: when to end.
        config: section [train].
        steps_per_epoch: updates that visit every row once.
        tokens_per_row: tokens of a row on average, padding excluded.
        reporter: receives the progress.
        startup_seconds: time that the initialisation took; counts as training time.
        meaningless: the held-out figures predict nothing; the last weights count as the best.
        cuts_heldout: evaluations may use a part of the held-out batches, where a time budget does not allow all.
        pace: chooses the number of threads, where it may.
        words_per_token: of the training text; a learner without batches sees words in proportion to tokens.
        keep_at: milestones: numbers of words at which the weights are kept, in order.
        alone: of the objective's entry: what gives the loss that the reporter is told beside the held-out one.
    """

    def __init__(
        self,
        learner: Learner,
        stream: Callable[[int, Callable[[int], float]], Iterator[Batch]],
        heldout: list[Batch],
        run: RunDirectory,
        budget: Budget,
        config: TrainConfig,
        steps_per_epoch: float,
        tokens_per_row: float,
        reporter: Reporter,
        startup_seconds: float = 0.0,
        meaningless: bool = False,
        cuts_heldout: bool = False,
        pace: Pace | None = None,
        words_per_token: float = 1.0,
        keep_at: Sequence[int] = (),
        alone: str = FREQUENCY,
    ) -> None:
        self.alone = alone
        self.words_per_token, self.keep_at = words_per_token, tuple(keep_at)
        self.meaningless, self.cuts_heldout = meaningless, cuts_heldout
        self.learner, self.stream, self.heldout, self.run = learner, stream, heldout, run
        self.budget, self.config, self.reporter = budget, config, reporter
        self.steps_per_epoch, self.tokens_per_row = steps_per_epoch, tokens_per_row
        self.pace = pace or Pace(1, lambda threads: None)
        self.counters = Counters(seconds=distributed.from_rank_0(startup_seconds))
        self.results: dict[str, Any] = {}
        self._best: dict[str, Tensor] | None = None
        self._is_rank_0 = distributed.rank() == 0
        self._events: EventFiles | None = None
        self._saved_at = self.counters.seconds
        self._passes_per_step = len(pieces(config))
        self._began = replace(self.counters)
        self._part_seconds = math.inf  # seconds per held-out batch in the newest evaluation

    def resume(self) -> None:
        """Go back to the newest whole checkpoint, if there is one; rank 0 says which it is."""
        folder = self.run.path / "resume"
        newest: checkpoint.Checkpoint | None = None

        def choose() -> tuple[int | None, list[str]]:
            nonlocal newest
            newest, problems = checkpoint.newest(folder)
            return None if newest is None else int(newest.state["step"]), problems

        step, problems = distributed.on_rank_0(choose)
        for problem in problems:
            self.reporter.note(f"{problem}; trying the one before")
        if step is not None and newest is None:
            newest = checkpoint.load(checkpoint.place(folder, step))
        if newest is None:
            if problems or self.run.meta.get("files"):
                raise CheckpointError(
                    "no whole checkpoint to go on from",
                    where=self.run.path / "resume",
                    fix=f"--init {typed(self.run.path)} -o NEW trains on from its weights, with a new optimiser",
                )
            return
        self.learner.load_state_dict(newest.tensors, newest.state["learner"])
        self.counters = Counters(**newest.state["counters"])
        self.results = newest.state["results"]
        self._best = newest.best
        if (
            newest.best is None and self.counters.best_step == self.counters.step
        ):  # the current weights are the best
            self._best = {k: v for k, v in newest.tensors.items() if k.startswith(("encoder.", "heads."))}
        if self._best is not None:  # a checkpoint does not hold the weights of a frozen encoder
            self._best = {k: v for k, v in self.learner.weights().items() if k in self._fixed()} | self._best
        self.reporter.note(f"going on from step {self.counters.step:,}")

    def train(self) -> dict[str, Any]:
        """Train until the budget is spent; returns the results, which are also in run.json.

        Raises:  Interrupted: a signal asked to stop; everything is saved.
                 TrainingError: gradients stay non-finite, or held-out figures are.   StorageError: a save failed.
        """
        self._truncate_metrics()
        self._began = replace(self.counters)
        clock = _Clock(self.counters.seconds)
        self._saved_at = self.counters.seconds
        if "heldout_share" in self.results:
            self._keep_share()  # run.json was written anew
        with (
            SignalRequests() as signals,
            Sharing(),
            closing(self.pace),
            EventFiles(self.run.path, self.counters.step)
            if self.config.tensorboard and self._is_rank_0
            else nullcontext() as self._events,
            _Closing(self.stream(self.counters.row, self._progress_at)) as batches,
        ):
            if self.counters.step == 0 and self.counters.evaluations == 0:
                if getattr(self.learner, "judged_at_start", True):
                    self.reporter.stage("evaluating", 0, None)
                    self._fit_evaluations()
                    self._evaluate()
                    if self.budget.is_time:
                        self.counters.evaluating += (
                            distributed.from_rank_0(clock.seconds()) - self.counters.seconds
                        )
                else:
                    self.counters.evaluations = 1
            while self._progress() < 1.0:
                started = time.perf_counter()
                micro_batches = [next(batches) for _ in range(self._passes_per_step)]
                metrics = dict(self.learner.step(micro_batches, self._progress()))
                words = sum(getattr(b, "n_words", 0) for b in micro_batches)
                seen = distributed.sum_numbers([sum(b.n_tokens for b in micro_batches), words])
                tokens = int(seen[0])
                self.counters.step += 1
                self.counters.row += self.config.batch_size
                self.counters.tokens += tokens
                counted = hasattr(micro_batches[0], "n_words")
                words_before = self.counters.words
                self.counters.words = (
                    words_before + int(seen[1])
                    if counted
                    else round(self.counters.tokens * self.words_per_token)
                )
                self.counters.seconds = distributed.from_rank_0(clock.seconds())
                evaluating, took = self.counters.evaluating, time.perf_counter() - started
                self._log(metrics | {"tokens_per_second": tokens / took})
                self.pace.step(tokens, took)
                for number in self.keep_at:
                    if words_before < number <= self.counters.words:
                        self._keep_milestone(number)
                if self._evaluation_is_due():
                    self._evaluate()
                    self.counters.evaluating += (
                        distributed.from_rank_0(clock.seconds()) - self.counters.seconds
                    )
                    self.counters.seconds += self.counters.evaluating - evaluating
                requests = distributed.sum_numbers([float(signals.stop), float(signals.save)])
                stop, asked_to_save = requests[0] > 0, requests[1] > 0
                due = self.counters.seconds - self._saved_at > 60 * self.config.save_minutes
                if stop or due or asked_to_save:
                    self.save("stopped" if stop else "training")
                    signals.save = False
                if stop:
                    raise Interrupted(
                        f"stopped at step {self.counters.step:,}; everything is saved",
                        where=self.run.path,
                        fix="the same command with --resume goes on exactly here",
                    )
            if self._passes() >= 1.0:
                self.reporter.note(f"the text was read {self.config.most_epochs:g} times (train.most_epochs)")
            self._tell_missed_milestones()
            self.save("finished")
            if "heldout_share" in self.results and self._judge_all():
                self.counters.seconds = distributed.from_rank_0(clock.seconds())
                self.save("finished")
        return self.results

    def _progress(self) -> float:
        if getattr(self.learner, "finished", False) or self._has_stalled():
            return 1.0
        spent = self.budget.progress(
            step=self.counters.step,
            tokens=self.counters.tokens,
            seconds=self.counters.seconds,
            steps_per_epoch=self.steps_per_epoch,
            words=self.counters.words,
        )
        return max(spent, self._passes())

    def _has_stalled(self) -> bool:
        if getattr(self.learner, "stages", ()):  # no better at the first, it still has to see the others
            return False
        return self.config.patience is not None and self.counters.stale >= self.config.patience

    def _passes(self) -> float:
        """Share of `train.most_epochs` that is used up; 0 where the budget is not in minutes."""
        if not self.budget.is_time or self.config.most_epochs is None:
            return 0.0
        passes = Budget(epochs=self.config.most_epochs)
        return passes.progress(
            step=self.counters.step, tokens=0, seconds=0.0, steps_per_epoch=self.steps_per_epoch
        )

    def _evaluation_is_due(self) -> bool:
        progress = self._progress()
        if progress >= 1.0:
            return True
        if progress * self.config.evaluations < max(
            1, self.counters.evaluations
        ):  # the first is at the start, if any
            return False
        # a budget in minutes is for training: on slow machines evaluations are fewer
        return not self.budget.is_time or self.counters.evaluating <= EVALUATION_SHARE * self.counters.seconds

    def _fit_evaluations(self) -> None:
        """Cut the held-out text of all evaluations of this run to what a budget in minutes can afford.

        The time is measured on the first batch, and measured again if the first was slow: a first call includes warming
        up.
        """
        n = len(self.heldout)
        if not (self.budget.is_time and self.cuts_heldout) or self.counters.judged is not None or n < 2:
            return
        assert self.budget.minutes is not None
        room = ONE_EVALUATION * 60 * self.budget.minutes
        seconds = math.inf
        for _ in range(2):
            started = time.perf_counter()
            self.learner.evaluate(self.heldout[:1])
            seconds = distributed.from_rank_0(min(seconds, time.perf_counter() - started))
            if seconds * n <= room:
                break
        fits = max(1, min(n, int(room / max(seconds, 1e-9))))
        self.counters.judged = fits
        if self.counters.judged < n:
            self._keep_share()
            self.reporter.note(
                f"{self.counters.judged} of {n} parts of the held-out text are judged while it trains, always the same:"
                f" all of them would take {seconds * n:.1f} s each time, of {60 * self.budget.minutes:.0f} s"
            )

    def _evaluation_batches(self) -> list[Batch]:
        """The held-out batches of every evaluation: all, or a part spread evenly."""
        n, parts = len(self.heldout), self.counters.judged
        if parts is None or parts >= n:
            return self.heldout
        return [self.heldout[i * n // parts] for i in range(parts)]

    def _judge_all(self) -> bool:
        """Evaluate the published weights on all of the held-out text, where the time allows it.

        The result chooses no weights: it is computed on more text than earlier evaluations, so it is not compared with
        them.

        Returns whether it did; otherwise run.json says how much of the text its figures cover.
        """
        assert self.budget.minutes is not None
        n, room = len(self.heldout), WHOLE_EVALUATION * 60 * self.budget.minutes
        seconds = distributed.from_rank_0(self._part_seconds * n)
        if seconds > room:
            if math.isfinite(seconds):  # infinite: this process has made no evaluation
                self._note_share(seconds, room)
            return False
        self.reporter.stage("evaluating", 0, None)
        best = (
            self._best
            if self.config.keep == "best" and self.counters.best_step != self.counters.step
            else None
        )
        load: Any = getattr(self.learner, "load_weights", None)
        if best is None or load is None:
            scores = self._scores(self.heldout)
        else:
            current = self.learner.weights()
            load(best)
            scores = self._scores(self.heldout)
            load(current)
        self._check_finite(scores)
        scores.pop("criterion", None)
        self._take(scores)
        del self.results["heldout_share"]
        if self._is_rank_0:
            judged = self.run.meta.get("judged_on", {})
            self.run.save_meta(judged_on={k: v for k, v in judged.items() if k not in _OF_A_PART})
        return True

    def _keep_share(self) -> None:
        """Write into run.json how much of the held-out text the figures cover."""
        if not self._is_rank_0:
            return
        parts = self._evaluation_batches()
        share = {
            "share": len(parts) / len(self.heldout),
            "parts": len(parts),
            "judged_tokens": sum(part.n_tokens for part in parts),
        }
        self.run.save_meta(judged_on={**self.run.meta.get("judged_on", {}), **share})

    def _note_share(self, seconds: float, room: float) -> None:
        """Write into run.json why its figures cover only a part."""
        note = (
            f"the held-out figures are of {self.counters.judged} of {len(self.heldout)} parts of the held-out text: all"
            f" of them would have taken {seconds:.1f} s more, of which the budget allows {room:.1f} s"
        )
        if self._is_rank_0:
            self.run.add_notes([note], self.reporter)

    def _progress_at(self, row: int) -> float:
        """Progress at a row. Except for a time budget it depends on the row alone, so it is the same after a resume."""
        if self.budget.is_time:
            return self._progress()
        further = (row - self._began.row) // self.config.batch_size
        tokens = row * self.tokens_per_row
        return self.budget.progress(
            step=self._began.step + further,
            tokens=int(tokens),
            seconds=0.0,
            steps_per_epoch=self.steps_per_epoch,
            words=tokens * self.words_per_token,
        )

    def _log(self, metrics: dict[str, float]) -> None:
        if not self._is_rank_0:
            return
        record = self._where() | {k: float(f"{v:.6g}") for k, v in metrics.items()}
        self._append(record)
        progress = self._progress()
        eta = self.counters.seconds / progress * (1 - progress) if progress else 0.0
        newest = {k: v for k, v in self.results.items() if k in ("heldout_loss", "unigram_loss")}
        self.reporter.log({**record, "eta_seconds": eta, **newest})

    def _where(self) -> dict[str, float | int | str]:
        """The fields with which every line of metrics.jsonl begins."""
        return {
            "step": self.counters.step,
            "tokens": self.counters.tokens,
            "seconds": round(self.counters.seconds, 3),
            "progress": round(self._progress(), 6),
        }

    def _scores(self, batches: list[Batch]) -> dict[str, float]:
        """Held-out metrics as rank 0 finds them: processors may differ in last digits, decisions must not."""
        scores = dict(self.learner.evaluate(batches))
        return distributed.on_rank_0(lambda: scores)

    def _evaluate(self) -> None:
        started = time.perf_counter()
        scores = self._scores(self._evaluation_batches())
        self._part_seconds = (time.perf_counter() - started) / max(1, len(self._evaluation_batches()))
        self._check_finite(scores)
        self.counters.evaluations = int(self._progress() * self.config.evaluations) + 1
        # a task may choose its best weights by another figure than the loss
        criterion = scores.pop("criterion", None)
        total = sum(v for k, v in scores.items() if k.endswith("_loss")) if criterion is None else criterion
        names = [k.removesuffix("_loss") for k in scores if k.endswith("_loss")]
        if not names:
            raise CorpusError(
                "nothing of the held-out text can be predicted",
                where=self.run.path,
                fix="other held-out text, or a vocabulary made from this text",
            )
        main = names[0]
        before = self.results.get("heldout_loss", math.inf)
        # a figure of zero (no entity found yet) says nothing: until it rises, a falling loss counts as progress
        starts_to_learn = criterion == 0.0 and scores[f"{main}_loss"] < before
        self._take(scores)
        if len(self._evaluation_batches()) < len(self.heldout):
            self.results["heldout_share"] = len(self._evaluation_batches()) / len(self.heldout)
        best = None if self._in_later_stage() else self.counters.best_loss
        if best is None or self.meaningless or total <= best:
            better = best is None or total < best
            self.counters.stale = 0 if better or starts_to_learn else self.counters.stale + 1
            self.counters.best_loss, self.counters.best_step = total, self.counters.step
            self._best = self.learner.weights()
        else:
            self.counters.stale += 1
        if self._is_rank_0:
            flat = {f"heldout_{k}": float(f"{v:.6g}") for k, v in scores.items()}
            losses = {"heldout_loss": scores[f"{main}_loss"], "unigram_loss": scores[f"{main}_baseline"]}
            record = self._where() | losses | flat
            self._append(record)
            self.reporter.log(record | {"alone": self.alone})

    def _in_later_stage(self) -> bool:
        """Whether the learner now teaches what held-out text is not asked for: its newest weights are the best."""
        return any(start <= self._progress() for start in getattr(self.learner, "stages", ()))

    def _take(self, scores: dict[str, float]) -> None:
        """Store the scores of an evaluation as the run's results."""
        main = next(k.removesuffix("_loss") for k in scores if k.endswith("_loss"))
        self.results |= {
            "heldout_loss": scores[f"{main}_loss"],
            "unigram_loss": scores[f"{main}_baseline"],
            "heldout": scores,
        }
        if blocks := getattr(self.learner, "heldout_blocks", None):
            documents = self.run.meta.get("judged_on", {}).get("documents")
            self.results |= heldout_figures(blocks, getattr(self.learner, "of_examples", ()), documents)

    def _check_finite(self, scores: Mapping[str, float]) -> None:
        """Raises:  TrainingError: a score is NaN or infinite: the weights have diverged and will not recover."""
        for name, value in scores.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{name} on held-out examples is not a finite number",
                    got=f"{value} after {self.counters.step:,} updates",
                    where=self.run.path,
                    fix="a lower train.learning_rate, with another -o; a save from before is as it was",
                )

    def _keep_milestone(self, number: int) -> None:
        """Keep the current weights beside the run's own."""
        gathered = self.learner.weights() if self._gathers else None

        def write() -> None:
            counters = self.counters
            where = {"words": counters.words, "step": counters.step, "tokens": counters.tokens}
            weights = self.learner.weights() if gathered is None else gathered
            milestones.keep(self.run, number, weights, **where, seconds=round(counters.seconds, 3))

        distributed.on_rank_0(write)
        self.reporter.note(
            f"{short_count(number)} words: weights kept in {self.run.path / milestones.FOLDER}"
        )

    def _tell_missed_milestones(self) -> None:
        missed = [short_count(number) for number in self.keep_at if number > self.counters.words]
        if missed and self._is_rank_0:
            note = (
                f"not reached within {self.budget}, which were {self.counters.words:,} words: the milestones "
                f"{', '.join(missed)}"
            )
            self.run.add_notes([note], self.reporter)

    def save(self, status: str) -> None:
        """Write a checkpoint, then publish the weights and run.json."""
        self._saved_at = self.counters.seconds
        self.results |= {
            "steps": self.counters.step,
            "tokens_seen": self.counters.tokens,
            "words_seen": self.counters.words,
            "seconds": round(self.counters.seconds, 3),
            "tokens_per_second": round(self.counters.tokens / max(self.counters.seconds, 1e-9), 1),
            "peak_memory_bytes": peak_memory_bytes(),
            "best_step": self.counters.best_step,
            "best_loss": self.counters.best_loss,
        }
        gathered = self.learner.state_dict() if self._gathers else None
        distributed.on_rank_0(
            lambda: self._write(status, *(self.learner.state_dict() if gathered is None else gathered))
        )

    @property
    def _gathers(self) -> bool:
        """Whether all ranks have to ask for the weights."""
        return bool(getattr(self.learner, "held_in_parts", False))

    def _write(self, status: str, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        current = {k: v for k, v in tensors.items() if k.startswith(("encoder.", "heads."))}
        best = (
            self._best if self._best is not None and self.counters.best_step != self.counters.step else None
        )
        state = {
            "step": self.counters.step,
            "learner": extra,
            "counters": asdict(self.counters),
            "results": self.results,
        }
        trainable, best_trainable = (
            None if weights is None else {k: v for k, v in weights.items() if k not in self._fixed()}
            for weights in (tensors, best)
        )
        assert trainable is not None
        checkpoint.save(self.run.path / "resume", checkpoint.Checkpoint(trainable, best_trainable, state))
        use_best = self.config.keep == "best" and best is not None
        published = best if use_best and best is not None else current
        files = getattr(self.learner, "files", None)
        self.run.publish(
            published,
            files(published) if files is not None else None,
            status=status,
            results=self.results,
            published_step=self.counters.best_step if use_best else self.counters.step,
        )

    def _fixed(self) -> frozenset[str]:
        """Weights that training never changes."""
        fixed: frozenset[str] = getattr(self.learner, "fixed", frozenset())
        return fixed

    def _append(self, record: Mapping[str, float | int | str]) -> None:
        line = json.dumps(record).encode() + b"\n"
        with (self.run.path / "metrics.jsonl").open("ab") as file:
            file.write(line)
        self.counters.metrics_bytes += len(line)
        if self._events is not None:
            self._events.write(record)

    def _truncate_metrics(self) -> None:
        """Cut off the lines written after the checkpoint: those updates will be made again."""
        if self._is_rank_0:
            with (self.run.path / "metrics.jsonl").open("ab") as file:
                file.truncate(self.counters.metrics_bytes)


class _Clock:
    """Seconds of training: those of this process added to those before."""

    def __init__(self, before: float) -> None:
        self._start = time.perf_counter() - before

    def seconds(self) -> float:
        return time.perf_counter() - self._start


class _Closing:
    """Closes a generator of batches at the end, so that its threads end too."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches

    def __enter__(self) -> Iterator[Batch]:
        return self._batches

    def __exit__(self, *error: object) -> None:
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()
