"""Edge probing: what a frozen encoder knows about spans of a text, and in which of its layers.

labelled files ─► targets ─► hidden states of all layers, kept by one pass ─► probes
                                                                               │
    a probe of all layers     its mixing weights: centre of gravity, divergence from uniform
    probes of layers 0 … l    cumulative scores: what each layer adds, the expected layer
    controls                  layer 0 alone, an encoder with random weights, random labels

Papers: Tenney et al. (2019a), "What do you learn from context? Probing for sentence structure in contextualized word
representations"; Tenney et al. (2019b), "BERT rediscovers the classical NLP pipeline".
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polyseme.core.arrays import BoolArray
from polyseme.core.paths import PathLike, Paths, names_of, path_of
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.result import Result
from polyseme.errors import ConfigError, InputError
from polyseme.infer.hidden import packed
from polyseme.infer.loaded import Loaded
from polyseme.study import Run, opened, reading
from polyseme.study.probing.cache import States, cached
from polyseme.study.probing.numbers import (
    beats_baseline,
    centre_of_gravity,
    difference,
    divergence,
    of_seeds,
    score,
    scores_of_layers,
    withheld,
)
from polyseme.study.probing.targets import (
    PARTS,
    ProbeConfig,
    ProbeTask,
    Targets,
    aligned,
    random_labels,
    read_parts,
    read_probes,
    tasks_of_files,
)
from polyseme.study.probing.training import Trained, most_frequent, random_encoder, train_probe
from polyseme.text.clean import replace_surrogates
from polyseme.text.labelled.records import Problems
from polyseme.train.machine import peak_memory_bytes

__all__ = ["ProbeConfig", "ProbeTask", "Probing", "probe"]


@dataclass(frozen=True, eq=False, repr=False)
class Probing(Result):
    """What `probe` found.

    Args:
        run, model: what was probed.
        layers: how many, the embedding layer among them.
        settings: how probes are made and learned.
        tasks: by name; see `document`.
        notes: what a person should know.
        seconds, peak_memory_bytes: of the whole study.
    """

    kind = "probe"

    run: str
    model: str
    layers: int
    settings: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    notes: list[str]
    seconds: float
    peak_memory_bytes: int

    def document(self) -> dict[str, Any]:
        """Everything, JSON-able; figures are {"value", "low", "high", "n"} and more.

        Each task has "task", "files", "spans", "labels", "counts", "score" (micro-F1), "by_text" (of each seed and test
        text: labels predicted rightly, predicted, gold), "accuracy", "most_frequent", "over_most_frequent" (the paired
        difference; if it is not above 0, the figures of the layers are None), "mix" {"weights", "gamma",
        "centre_of_gravity", "divergence"} and "cumulative" {"scores", "differences", "expected_layer",
        "expected_layer_clipped"}, None for one layer; "controls" {"layer_0", "random_encoder", "random_labels"}, each
        with "score" and "difference", "above" all of them; "cache", "training".
        """
        return {
            "run": self.run,
            "model": self.model,
            "layers": self.layers,
            "settings": self.settings,
            "tasks": self.tasks,
            "notes": self.notes,
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
        }

    def headline(self) -> str:
        """The run and its layers."""
        return f"{Path(self.run).name} ({self.model}), {self.layers} layers; micro-F1"

    def rows(self) -> list[dict[str, Any]]:
        """A row a task: the score, that of always predicting the most frequent label, and the figures of the layers."""
        return [
            {
                "task": name,
                **{key: task["score"][key] for key in ("value", "low", "high")},
                "most_frequent": task["most_frequent"]["value"],
                "centre_of_gravity": _value(task["mix"], "centre_of_gravity"),
                "expected_layer": _value(task["cumulative"], "expected_layer"),
                **{key: control["score"]["value"] for key, control in task["controls"].items()},
            }
            for name, task in self.tasks.items()
        ]


def _value(figures: Mapping[str, Any] | None, name: str) -> float | None:
    return None if figures is None else figures[name]["value"]


def probe(
    run: Run,
    files: Paths | Mapping[str, ProbeTask],
    *,
    task: str = "auto",
    dev: PathLike | None = None,
    test: PathLike | None = None,
    column: str | None = None,
    encoding: str = "auto",
    examples: int | None = None,
    max_length: int | None = None,
    seeds: int | None = None,
    seed: int | None = None,
    epochs: int | None = None,
    controls: bool | None = None,
    cumulative: bool | None = None,
    cache: float | None = None,
    config: ProbeConfig | None = None,
    reporter: Reporter | None = None,
) -> Probing:
    """Probe a run on one task or several.

    Args:
        run: any run; its encoder is not changed.
        files: labelled files to learn from, a task each; a .toml file with [tasks.NAME]; or tasks by the names that
            reports give them.
        task, dev, test, column, encoding: of labelled files, see `ProbeTask`.
        examples, max_length, seeds, seed, epochs, controls, cumulative: see `ProbeConfig`; None = as it says.
        cache: GiB of hidden states that may be in memory; beyond, they go into a temporary file.
        config: all of these settings in one object.
        reporter: receives the progress.
    Raises:  ConfigError, CorpusError: a task's files are not what they should be; StorageError: no room for hidden
             states beyond the budget.

    Example:
        result = probe("runs/bert", "train.conllu", task="pos", test="test.conllu")
        result.tasks["pos"]["mix"]["centre_of_gravity"]
    """
    began = time.perf_counter()
    if cache is not None and not (math.isfinite(cache) and cache >= 0):
        raise ConfigError("--cache is a number of GiB", got=cache, expected="0 or more")
    options = {
        "examples": examples,
        "max_length": max_length,
        "seeds": seeds,
        "seed": seed,
        "epochs": epochs,
        "controls": controls,
        "cumulative": cumulative,
        "cache_bytes": None if cache is None else int(cache * (1 << 30)),
    }
    changes = {name: value for name, value in options.items() if value is not None}
    if isinstance(files, Mapping):
        tasks = dict(files)
    else:
        names = [path_of(name) for name in names_of(files)]
        if not names:
            raise InputError("no labelled file given", fix="polyseme probe RUN FILE")
        if names[0].suffix.lower() == ".toml":
            if len(names) > 1 or task != "auto" or dev or test or column or encoding != "auto":
                raise ConfigError(
                    "a .toml file says by itself what is probed",
                    got="other files, or --task, --dev, --test, --column or --encoding beside it",
                )
            tasks, file_config = read_probes(names[0], changes)
            config = config or file_config
        else:
            tasks = tasks_of_files(names, task, dev, test, column, reading(encoding=encoding).encoding)
    if not tasks:
        raise InputError("nothing to probe for: no task is named", fix="polyseme probe RUN FILE")
    config = ProbeConfig.of({**(config.model_dump() if config else {}), **changes}, "polyseme probe")
    loaded, reporter = opened(run), reporter or NullReporter()
    layers = int(loaded.encoder.config.num_hidden_layers) + 1
    max_content = _max_content(loaded, config)
    documents: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    if layers == 1:
        notes.append("the encoder has one layer: there is nothing to mix or to add layer by layer")
    for name, spec in tasks.items():
        task_study = _Task(loaded, name, spec, config, reporter, max_content)
        documents[name] = task_study.study()
        notes += [f"{name}: {note}" for note in task_study.notes]
    return Probing(
        run=replace_surrogates(str(loaded.run.path)),
        model=loaded.recipe.architecture,
        layers=layers,
        settings=config.model_dump(),
        tasks=documents,
        notes=notes,
        seconds=time.perf_counter() - began,
        peak_memory_bytes=peak_memory_bytes(),
    )


def _max_content(loaded: Loaded, config: ProbeConfig) -> int:
    if config.max_length is None:
        return loaded.max_content
    edges = sum(loaded.separator_counts)
    if config.max_length <= edges:
        raise ConfigError(
            "no such length",
            got=f"max_length {config.max_length}",
            expected=f"at least {edges + 1}, separators among them",
        )
    return min(loaded.max_content, config.max_length - edges)


@dataclass
class _Runs:
    """The probes of a task, one a seed, of each kind.

    Args:
        full: all layers.
        upto: upto[l] has the probes of the layers 0 … l; the last are those of all layers. Empty if not asked for.
        layer_0, labels, encoder: the controls.
    """

    full: list[Trained] = field(default_factory=list)
    upto: list[list[Trained]] = field(default_factory=list)
    layer_0: list[Trained] = field(default_factory=list)
    labels: list[Trained] = field(default_factory=list)
    encoder: list[Trained] = field(default_factory=list)


class _Task:
    """One task of a study."""

    def __init__(
        self,
        loaded: Loaded,
        name: str,
        spec: ProbeTask,
        config: ProbeConfig,
        reporter: Reporter,
        max_content: int,
    ) -> None:
        self._loaded, self._name, self._spec = loaded, name, spec
        self._config, self._reporter, self._max_content = config, reporter, max_content
        self.notes: list[str] = []
        self._runs = _Runs()
        self._done, self._total = 0, 0

    def study(self) -> dict[str, Any]:
        """Everything about the task, JSON-able."""
        began, config, problems = time.perf_counter(), self._config, Problems()
        self._reporter.stage(f"reading {self._name}", 0, None)
        task, records, notes = read_parts(self._spec, config.examples, problems)
        self.notes += [*notes, *problems.summary()]
        targets = aligned(records, self._loaded.tokenizer, self._max_content, self._spec.train)
        self.notes += _left_out(targets)
        random = random_encoder(self._loaded, config.seed) if config.controls else None
        if config.controls and random is None:
            self.notes.append("the encoder has no weights: a random one is the same")
        seeds = range(config.seed, config.seed + config.seeds)
        layers = int(self._loaded.encoder.config.num_hidden_layers) + 1
        extra_probes = layers - 1 if config.cumulative else int(config.controls and layers > 1)
        self._total = len(seeds) * (1 + extra_probes + config.controls + (random is not None))
        with self._cached(self._loaded, targets) as states:
            self._main(states, targets, seeds)
            cache = states.facts
        if random is not None:
            with self._cached(random, targets) as states:
                self._runs.encoder = [self._probe(states, targets, seed) for seed in seeds]
        document = {
            "task": task,
            "files": {name: getattr(self._spec, name) for name in PARTS},
            "column": self._spec.column,
            "examples": self._spec.examples if self._spec.examples is not None else config.examples,
            "spans": 1 if targets.parts["train"].second is None else 2,
            "labels": list(targets.labels),
            "counts": {name: _counts(records[name], targets, name) for name in PARTS},
            **self._figures(targets),
            "cache": cache,
        }
        document["training"] = self._training() | {"seconds_of_task": time.perf_counter() - began}
        return document

    def _cached(self, loaded: Loaded, targets: Targets) -> Any:
        c = self._config
        quick = replace(loaded, encoder=packed(loaded.encoder))  # twice as fast, equal within rounding
        return cached(quick, targets.texts, targets.rows, c.cache_bytes, c.stored, reporter=self._reporter)

    def _main(self, states: States, targets: Targets, seeds: Sequence[int]) -> None:
        """All probes that read the run's own hidden states."""
        runs, config = self._runs, self._config
        runs.full = [self._probe(states, targets, seed) for seed in seeds]
        if states.layers > 1 and config.cumulative:
            below = [
                [self._probe(states, targets, seed, layers=n) for seed in seeds]
                for n in range(1, states.layers)
            ]
            runs.upto = [*below, runs.full]
        if not config.controls:
            return
        if states.layers > 1:
            runs.layer_0 = (
                runs.upto[0] if runs.upto else [self._probe(states, targets, seed, 1) for seed in seeds]
            )
        for seed in seeds:
            gold = random_labels(targets.parts, seed)
            runs.labels.append(self._probe(states, targets, seed, gold=gold))

    def _probe(
        self,
        states: States,
        targets: Targets,
        seed: int,
        layers: int | None = None,
        gold: dict[str, BoolArray] | None = None,
    ) -> Trained:
        self._reporter.stage(f"probing {self._name}", self._done, self._total)
        self._done += 1
        return train_probe(states, targets.parts, targets.single, self._config, seed, layers, gold)

    def _figures(self, targets: Targets) -> dict[str, Any]:
        runs, rounds = self._runs, self._config.resamples
        train, test = targets.parts["train"], targets.parts["test"]
        accuracies = [run.accuracy for run in runs.full if run.accuracy is not None]
        controls = self._controls(rounds)
        baseline = most_frequent(train.gold, test)
        document: dict[str, Any] = {
            "metric": "micro_f1",
            "score": score([run.f1 for run in runs.full], rounds),
            "by_text": [run.f1.counts.astype(int).tolist() for run in runs.full],
            "accuracy": score(accuracies, rounds) if accuracies else None,
            "most_frequent": score([baseline], rounds),
            "over_most_frequent": difference([run.f1 for run in runs.full], [baseline], rounds),
            "mix": _mix(runs.full),
            "cumulative": (
                scores_of_layers([[run.f1 for run in probes] for probes in runs.upto], rounds)
                if runs.upto
                else None
            ),
            "controls": controls,
            "above": {name: control["difference"]["above"] for name, control in controls.items()},
        }
        if not beats_baseline(document):
            withheld(document["mix"], document["cumulative"])
        self._say_baseline(document)
        return document

    def _say_baseline(self, document: dict[str, Any]) -> None:
        """Add a note if the probe is not, or not significantly, above always predicting the most frequent label."""
        of, least = (f"{100 * document[key]['value']:.1f} %" for key in ("score", "most_frequent"))
        sides = f"({of}) {{}} always saying the most frequent label ({least})"
        if not beats_baseline(document):
            layers = ": no layer is named" if document["mix"] else ""
            self.notes.append(f"the probe {sides.format('is not above')}{layers}")
        elif not document["over_most_frequent"]["above"]:
            layers = ": what it says of layers may be luck" if document["mix"] else ""
            self.notes.append(f"the probe {sides.format('is not surely above')}{layers}")

    def _controls(self, rounds: int) -> dict[str, Any]:
        """Scores of the controls, and the difference of the probe of all layers from each, on the same texts."""
        runs = self._runs
        main = [run.f1 for run in runs.full]
        scores = {}
        for name, probes in (
            ("layer_0", runs.layer_0),
            ("random_encoder", runs.encoder),
            ("random_labels", runs.labels),
        ):
            if probes:
                theirs = [run.f1 for run in probes]
                scores[name] = {
                    "score": score(theirs, rounds),
                    "difference": difference(main, theirs, rounds),
                }
        return scores

    def _training(self) -> dict[str, Any]:
        """The cost of training: probes, epochs, seconds."""
        r = self._runs
        kinds = {"full": r.full, "random_labels": r.labels, "random_encoder": r.encoder}
        if r.upto:
            kinds["cumulative"] = [run for probes in r.upto[:-1] for run in probes]
        elif r.layer_0:
            kinds["layer_0"] = r.layer_0
        return {
            name: {
                "probes": len(probes),
                "epochs": [run.epochs for run in probes],
                "seconds": sum(run.seconds for run in probes),
            }
            for name, probes in kinds.items()
            if probes
        }


def _mix(runs: Sequence[Trained]) -> dict[str, Any] | None:
    """The mixing weights over the seeds; None where there is one layer."""
    shares = [run.shares for run in runs]
    if len(shares[0]) == 1:
        return None
    return {
        "weights": [of_seeds([weights[layer] for weights in shares]) for layer in range(len(shares[0]))],
        "gamma": of_seeds([run.gamma for run in runs]),
        "centre_of_gravity": of_seeds([centre_of_gravity(weights) for weights in shares]),
        "divergence": of_seeds([divergence(weights) for weights in shares]),
    }


def _counts(records: Sequence[Any], targets: Targets, name: str) -> dict[str, Any]:
    part = targets.parts[name]
    return {"texts": len(records), "targets": len(part), "left_out": part.left_out}


def _left_out(targets: Targets) -> list[str]:
    words = {"beyond": "lie beyond what the model reads", "no_token": "lie on no token"}
    return [
        f"{n:,} targets of {name} {words[why]}: left out"
        for name, part in targets.parts.items()
        for why, n in part.left_out.items()
    ]
