"""ELMo's layers are mixed for each task in its own way: "I want them all"."""

from __future__ import annotations

from typing import Any

import numpy as np

from polyseme.core.shell import command
from polyseme.lecture.chapter import Chapter, Found, figure
from polyseme.lecture.material import Labelled, labelled
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, Series, bars
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table
from polyseme.study.probing.numbers import centre_of_gravity, of_seeds
from polyseme.tasks.metrics.intervals import measured
from polyseme.train.finetune import finetune
from polyseme.train.request import FinetuneRequest
from polyseme.train.run import RunDirectory

_SEEDS, _EXAMPLES, _EPOCHS = 3, 300, 10
_RATE = 0.02
"""Of the mix and the small head: at the usual 0.001 a hundred updates hardly move the weights from equal shares."""


def _measure(room: Room) -> dict[str, Any]:
    room.run("elmo")
    tasks = [one for one in labelled(room) if one.task != "qa"]
    room.texts.enough(tasks, 3, "tasks")
    mixes: list[dict[str, Any]] = []
    for number, task in enumerate(tasks):
        room.reporter.stage("mixing layers", number, len(tasks))
        shares = [_mix(room, task, room.seed + seed) for seed in range(_SEEDS)]
        mixes.append(
            {
                "task": task.shown,
                "given": task.given,
                "kind": task.task,
                "weights": [of_seeds(list(layer)) for layer in zip(*shares, strict=True)],
                "centre": of_seeds([centre_of_gravity(one) for one in shares]),
            }
        )
    difference, p = _apart([one["centre"]["values"] for one in mixes])
    name = "layers between the centres of the two tasks that differ most"
    figures = [figure(name, difference, holds=p < 0.05)]
    figures += [figure("centre of gravity of the mix", one["centre"], of=one["task"]) for one in mixes]
    first = tasks[0]
    words = ["finetune", first.task, room.path("elmo"), "--train", first.train]
    return {
        "commands": [
            command(
                "polyseme",
                *words,
                "-o",
                "RUN2",
                "--feature-based",
                "--learning-rate",
                _RATE,
                "--seeds",
                _SEEDS,
            )
        ],
        "figures": figures,
        "mixes": mixes,
        "p": p,
    }


def _mix(room: Room, task: Labelled, seed: int) -> list[float]:
    """The weights of the layers that a task learns with a frozen encoder."""
    output = room.folder / "runs" / f"elmo-{task.name}-{seed}"
    done = (output / "run.json").is_file() and RunDirectory.open(output).meta.get("status") == "finished"
    if not done:
        finetune(
            FinetuneRequest(
                task=task.task,
                run=room.path("elmo"),
                train=task.train,
                dev=task.test,
                output=output,
                feature_based=True,
                epochs=_EPOCHS,
                learning_rate=_RATE,
                examples=room.scaled(_EXAMPLES, 40),
                seed=seed,
                threads=room.threads,
                resume=True,
            ),
            room.reporter,
        )
    weights: list[float] = RunDirectory.open(output).meta["results"]["mix"]["weights"]
    return weights


def _apart(centres: list[list[float]]) -> tuple[dict[str, Any], float]:
    """The largest difference of two tasks' mean centres with its interval, and p of an analysis of variance over seeds.

    The interval is Student's, with Bonferroni's correction for the pairs among which the largest was taken.
    """
    from scipy.stats import f_oneway, t

    values = np.array(centres)  # (tasks, seeds)
    tasks, seeds = values.shape
    p = (
        float(f_oneway(*values).pvalue)
        if values.var(1).max() > 0
        else 0.0
        if values.mean(1).std() > 0
        else 1.0
    )
    means = values.mean(1)
    low, high = int(means.argmin()), int(means.argmax())
    error = float(np.sqrt(values.var(1, ddof=1).mean() * 2 / seeds))
    pairs = tasks * (tasks - 1) / 2
    reach = float(t.ppf(1 - 0.025 / pairs, tasks * (seeds - 1))) * error
    value = float(means[high] - means[low])
    return measured(value, (value - reach, value + reach), tasks * seeds), p


def _parts(found: Found, say: Speaker) -> list[Part]:
    layers = len(found["mixes"][0]["weights"])
    names = [say("layer {layer}", layer=layer) for layer in range(layers)]
    rows = [
        {"task": mix["task"], "layer": names[layer], **{key: weight[key] for key in ("value", "low", "high")}}
        for mix in found["mixes"]
        for layer, weight in enumerate(mix["weights"])
    ]
    chart = bars(rows, Axis("task"), Axis("value", say("weight"), ".3f"), by=Series("layer", names))
    table = [
        [
            mix["task"],
            mix["kind"],
            say("people") if mix["given"] else say("the text itself"),
            f"{mix['centre']['value']:.2f}",
        ]
        for mix in found["mixes"]
    ]
    p = "< 0.001" if found["p"] < 0.001 else f"{found['p']:.3f}"
    return [
        Figure(
            "mixes",
            chart,
            say(
                "The share of every layer in what a task reads, learned with a frozen encoder; lines are 95 % "
                "intervals over seeds."
            ),
            say("Bars of the weights of the layers by task"),
        ),
        Table(
            [say("task"), say("kind"), say("labels by"), say("centre of gravity")],
            table,
            say("Analysis of variance of the centres over seeds: p {p}.", p=p),
            left=(0, 1, 2),
        ),
    ]


ENTRY = Chapter(
    order=60,
    runs=("elmo",),
    title="A mix of layers for each task",
    claim="Which layer is the best vector of a word? “I want them all”: each task learns how much of every "
    "layer it reads.",
    holds="Tasks mix the layers differently, more than seeds do.",
    fails="The mixes of tasks do not differ more than those of seeds.",
    takes="ELMo's tasks differed with 93 million parameters; where layers know the same, there is nothing to choose.",
    measure=_measure,
    parts=_parts,
)
