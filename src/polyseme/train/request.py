"""The requests: the budget of a run, and the arguments of `pretrain` and `finetune`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.core.counts import read_count
from polyseme.core.paths import names_of, path_of
from polyseme.core.ranks import WAYS, Parallel
from polyseme.errors import ConfigError
from polyseme.train.milestones import read_milestones

if TYPE_CHECKING:
    from polyseme.text.labelled.opening import ReadOptions

__all__ = ["Budget", "FinetuneRequest", "PretrainRequest"]

_UNITS = {"min": "minutes", "epoch": "epochs", "token": "tokens", "step": "steps", "word": "words"}
_NUMBER_AND_UNIT = re.compile(rf"([\d._e+]+\s*[kmg]?)\s*(?:({'|'.join(_UNITS)})(?:ute)?s?)?")


@dataclass(frozen=True, slots=True)
class Budget:
    """Exactly one of minutes, epochs, tokens, steps or words.

    Args:
        minutes: wall-clock time of training, evaluations and saves included.
        epochs: passes over the training text.
        tokens: tokens seen in training, padding excluded.
        steps: updates.
        words: words seen in training, counted where the tokenizer begins one; seen again they count again.
    Raises:  ConfigError: none or several given, or a number that is not above zero.
    """

    minutes: float | None = None
    epochs: float | None = None
    tokens: int | None = None
    steps: int | None = None
    words: int | None = None

    def __post_init__(self) -> None:
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        if len(given) != 1:
            raise ConfigError(
                "a run has exactly one budget",
                got=", ".join(given) or "none",
                expected="one of --minutes, --epochs, --tokens, --steps, --words",
            )
        ((name, value),) = given.items()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"the budget --{name} must be a number", got=repr(value))
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"the budget --{name} must be above zero", got=value)

    @classmethod
    def read(cls, value: Budget | str | float, option: str) -> Budget:
        """A budget as one value: 5 or "5 minutes", "200steps", "3 epochs", "1M tokens", "50k words".

        Args:
            option: what it was given as, for the error.
        Raises:  ConfigError: it is none.

        Example:
            >>> str(Budget.read("1.5", "--adapt")), str(Budget.read("2k steps", "--adapt"))
            ('1.5 minutes', '2000 steps')
        """
        if isinstance(value, Budget):
            return value
        typed = _NUMBER_AND_UNIT.fullmatch(str(value).strip().lower())
        try:
            if typed is None:
                raise ValueError
            number, name = typed[1], _UNITS[typed[2] or "min"]
            amount: Any = float(number) if name in ("minutes", "epochs") else read_count(number)
            return cls(**{name: amount})
        except ValueError:
            raise ConfigError(
                f"{option} is a number of minutes, or of epochs, tokens, steps or words",
                got=repr(value),
                fix=f"{option} 5, {option} 10epochs or {option} 200steps",
            ) from None

    @property
    def is_time(self) -> bool:
        """Whether the budget is in minutes, so that its progress depends on the machine."""
        return self.minutes is not None

    def progress(
        self, *, step: int, tokens: int, seconds: float, steps_per_epoch: float, words: float = 0.0
    ) -> float:
        """Share of the budget that is spent, 0 … 1."""
        if self.minutes is not None:
            spent = seconds / (60 * self.minutes)
        elif self.tokens is not None:
            spent = tokens / self.tokens
        elif self.words is not None:
            spent = words / self.words
        elif self.steps is not None:
            spent = step / self.steps
        else:
            assert self.epochs is not None
            spent = step / max(1, math.ceil(self.epochs * steps_per_epoch))
        return min(1.0, spent)

    def __str__(self) -> str:
        ((name, value),) = ((f.name, v) for f in fields(self) if (v := getattr(self, f.name)) is not None)
        return f"{value:.15g} {name}"


@dataclass(frozen=True, kw_only=True)
class PretrainRequest:
    """The arguments of `polyseme pretrain`.

    Args:
        model: registry key of the model.
        corpus: files, folders, globs, built-in names, or one prepared store; a single one need not be in a list.
        output: the run directory to make. All paths may be strings.
        budget: when to end.
        milestones: numbers of words at which weights are kept (train/milestones.py): "babylm", "1M,2M" or a list.
        recipe: a recipe's name or TOML file; None = the model's own.
        settings: from --set.
        seed: decides order, masks, initial weights.
        tokenizer: a run or tokenizer.json whose vocabulary is shared.
        init: a run whose weights, model sizes and vocabulary are the start.
        extend_vocabulary: with init: at most so many new entries for what the text has and the vocabulary lacks.
        valid: held-out text; none = a share of the documents.
        lexicon: files and folders of words, phrases and entities, for objectives that read them.
        resume: go on with `output`, or begin where there is nothing yet.
        parallel: how several ranks divide the work: "ddp" or "fsdp" (train/parallel.py).
        threads: CPU threads; None = torch's choice.
        device: auto, cpu, cuda.
    """

    model: str
    corpus: Sequence[str]
    output: Path
    budget: Budget
    milestones: str | Sequence[int] = ()
    recipe: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    tokenizer: str | None = None
    init: str | None = None
    extend_vocabulary: int | None = None
    valid: Sequence[str] = ()
    lexicon: Sequence[str] = ()
    resume: bool = False
    parallel: Parallel = "ddp"
    threads: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.parallel not in WAYS:
            raise ConfigError(
                "there is no such way to train in parallel", got=self.parallel, expected=" or ".join(WAYS)
            )
        for name in ("corpus", "valid", "lexicon"):
            object.__setattr__(self, name, names_of(getattr(self, name), name))
        object.__setattr__(self, "output", path_of(self.output, "output"))
        self._check_extension()
        numbers = read_milestones(self.milestones, self.budget.words) if self.milestones else ()
        object.__setattr__(self, "milestones", numbers)
        for name in ("tokenizer", "init", "recipe"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, names_of(getattr(self, name), name)[0])

    def _check_extension(self) -> None:
        n: Any = self.extend_vocabulary
        if n is None:
            return
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ConfigError(
                "the number of new entries must be a whole number above zero",
                got=repr(n),
                fix="--extend-vocabulary 1000",
            )
        if self.init is None:
            raise ConfigError(
                "--extend-vocabulary is for a vocabulary that is there already",
                got="no --init",
                fix="--init RUN, or --set tokenizer.vocab_size=N for a new one",
            )


@dataclass(frozen=True, kw_only=True)
class FinetuneRequest:
    """The arguments of `polyseme finetune`.

    Args:
        task: registry key: classify, pair, tag, qa.
        run: the pretrained or imported run.
        train, dev: labelled files; without dev a share of train is held out.
        output: the run directory to make. All paths may be strings.
        feature_based: freeze the encoder; learn the layer mix and a small head.
        from_scratch: random weights in place of the run's, to measure the effect of pretraining.
        adapt: go on pretraining on the texts of `train` before the head is learned: minutes, a `Budget`, or as
            "10epochs", "200steps" (train/task_adaptive.py).
        adapt_on: with adapt: files of other text that is learned from beside them.
        epochs, batch_size, learning_rate, max_length: None = what suits the run and the files.
        examples, dev_examples: use at most this many of each file, always the same random ones; None = all.
        settings: from --set.
        columns: our names of columns to those of the files.
        encoding: of the files; "auto" to detect it.
        separator: what stands between the fields of tables; "auto" = as the files show.
        seed: decides the head's first weights, order and dropout.
        resume: go on with `output`.
        threads: CPU threads; None = torch's choice.
        device: auto, cpu, cuda.
    """

    task: str
    run: str | Path
    train: str | Path
    output: Path
    dev: str | Path | None = None
    feature_based: bool = False
    from_scratch: bool = False
    adapt: Budget | str | float | None = None
    adapt_on: Sequence[str] = ()
    epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    max_length: int | None = None
    examples: int | None = None
    dev_examples: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    encoding: str = "auto"
    separator: str = "auto"
    seed: int = 1
    resume: bool = False
    threads: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("run", "train", "dev", "output"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, path_of(getattr(self, name), name))
        object.__setattr__(self, "adapt_on", names_of(self.adapt_on, "adapt_on"))
        if self.adapt is not None:
            object.__setattr__(self, "adapt", Budget.read(self.adapt, "--adapt"))
        elif self.adapt_on:
            raise ConfigError(
                "--adapt-on says on which texts to go on pretraining, and not for how long", fix="--adapt 5"
            )

    @property
    def reading(self) -> ReadOptions:
        """How the files are read."""
        from polyseme.text.labelled.opening import ReadOptions

        return ReadOptions(self.columns, self.encoding, self.separator)
