"""What a chapter works with: the text, runs that are trained when they are first asked for, sizes from the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from polyseme.core.reporter import NullReporter, Reporter
from polyseme.errors import ConfigError
from polyseme.infer.loaded import Loaded
from polyseme.infer.model import load
from polyseme.lecture.texts import Texts
from polyseme.report.commands import run_command
from polyseme.text.config import TextConfig
from polyseme.train.pretrain import pretrain
from polyseme.train.request import Budget, PretrainRequest
from polyseme.train.run import RunDirectory

__all__ = ["MINUTES", "MODELS", "Room"]

MINUTES = 25.0
"""Of the whole lecture on two cores, where nobody says."""
MODELS = {
    "onehot": None,
    "word-classes": 0.02,
    "word2vec": 0.04,
    "elmo": 0.17,
    "bert": 0.30,
    "ernie": 0.03,
    "gpt": 0.20,
}
"""Runs that the lecture trains, and each one's share of the minutes; None: one pass over the text. The rest of the
minutes is for what is measured."""
_SETTINGS: dict[str, dict[str, Any]] = {
    "word-classes": {"num_classes": 80},
    "bert": {"next_sentence.share": 0.5},
}
"""So few classes that frequent words share them: Brown's clustering gives each of the most frequent words one first.
Of bert's batches half are pairs: a quarter, as usual, are too few of a short text to learn which sentence follows."""
_LEAST = 0.02
"""Minutes of one run at least."""


@dataclass(kw_only=True)
class Room:
    """The material of a lecture.

    Args:
        folder: where everything is kept.
        corpus: the text, as a corpus for pretraining is given.
        lang: its language, and that of the page.
        minutes: of the whole lecture.
        word: the user's own word, for its senses.
        uses: a file of its labelled uses.
        tasks: the user's own labelled files: (task, file).
        runs: the user's own runs, in place of those that would be trained.
        settings: of runs, by model; for tests.
        seed: number behind every random choice.
        threads: processor threads.
        reporter: told about progress.
    """

    folder: Path
    corpus: Sequence[str]
    lang: Literal["en", "zh"] = "en"
    minutes: float = MINUTES
    word: str | None = None
    uses: Path | None = None
    tasks: Sequence[tuple[str, Path]] = ()
    runs: Sequence[Path] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 1
    threads: int | None = None
    reporter: Reporter = field(default_factory=NullReporter)

    def __post_init__(self) -> None:
        self._loaded: dict[str, Loaded] = {}
        self._paths = {name: self.folder / "runs" / name for name in MODELS}
        for path in self.runs:
            model = str(RunDirectory.open(path).meta.get("model", "")).replace("_", "-")
            if model not in MODELS:
                raise ConfigError(
                    "the lecture has no place for this run",
                    got=model,
                    expected=f"a run of {', '.join(MODELS)}",
                    where=path,
                    fix="leave --run out: what is needed is trained",
                )
            self._paths[model] = Path(path)

    @cached_property
    def texts(self) -> Texts:
        """The text as sentences and words."""
        self.reporter.stage("reading the text", 0, None)
        share = self.settings.get("text", {}).get("text.valid_share")
        given = {} if share is None else {"valid_share": share}
        return Texts(
            self.corpus, self.lang, TextConfig.of({"language": self.lang, **given}, "text"), self.seed
        )

    def scaled(self, most: int, least: int = 8) -> int:
        """A number of examples that suits the minutes: all of them from half the usual budget on."""
        return max(min(least, most), min(most, round(most * self.minutes / (0.5 * MINUTES))))

    def path(self, model: str) -> Path:
        """The folder of a run, trained or not."""
        return self._paths[model]

    def run(self, model: str) -> Loaded:
        """A run in memory, trained where it is not there yet.

        Raises:  as `pretrain`.
        """
        if model not in self._loaded:
            if not self.is_trained(model):
                pretrain(self._request(model), self.reporter)
            self._loaded[model] = load(self.path(model))
        return self._loaded[model]

    def is_trained(self, model: str) -> bool:
        """Whether a run is there and done."""
        path = self.path(model)
        if not (path / "run.json").is_file():
            return False
        return (
            path not in (self.folder / "runs" / model,)
            or RunDirectory.open(path).meta.get("status") == "finished"
        )

    def budget(self, model: str) -> Budget:
        """What is spent on a run."""
        share = MODELS[model]
        return Budget(epochs=1) if share is None else Budget(minutes=max(_LEAST, share * self.minutes))

    def _request(self, model: str) -> PretrainRequest:
        settings = {
            "text.language": self.lang,
            **_SETTINGS.get(model, {}),
            **self.settings.get("text", {}),
            **self.settings.get(model, {}),
        }
        budget = settings.pop("budget", None) or self.budget(model)
        return PretrainRequest(
            model=model,
            corpus=list(self.corpus),
            output=self.path(model),
            budget=budget,
            settings=settings,
            seed=self.seed,
            threads=self.threads,
            resume=True,
        )

    def training_commands(self) -> list[str]:
        """What to type for the runs that are there, as each says itself."""
        runs = [RunDirectory.open(self.path(model)) for model in MODELS if self.is_trained(model)]
        return [line for run in runs if (line := run_command(run)) is not None]

    def identity(self, model: str) -> Any:
        """What tells a trained run from another one: the digests of its files."""
        if not (self.path(model) / "run.json").is_file():
            return None
        return RunDirectory.open(self.path(model)).meta.get("files")

    def file(self, name: str) -> Path:
        """Where a file that the lecture makes lies."""
        return self.folder / "files" / name
