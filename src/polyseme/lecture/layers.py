"""What each layer learned: probes of every layer, against controls."""

from __future__ import annotations

from typing import Any

from polyseme.core.shell import command
from polyseme.lecture.chapter import Chapter, Found, figure
from polyseme.lecture.material import spans_of
from polyseme.lecture.room import Room
from polyseme.report.language import Speaker
from polyseme.report.parts import Part
from polyseme.report.probe import control_parts, layer_parts
from polyseme.study.probe import ProbeTask, probe

_SEEDS, _EXAMPLES, _EPOCHS = 2, 900, 12
_KNOWN = "known beyond an encoder of random weights and the most frequent label"


def _measure(room: Room) -> dict[str, Any]:
    files = spans_of(room)
    tasks = {
        name: ProbeTask(train=str(train))
        if test is None
        else ProbeTask(train=str(train), test=str(test), task="ner")
        for name, (train, test) in files.items()
    }
    result = probe(
        room.run("bert"),
        tasks,
        examples=room.scaled(_EXAMPLES, 40),
        seeds=_SEEDS,
        seed=room.seed,
        epochs=_EPOCHS,
        reporter=room.reporter,
    )
    figures = []
    for name, task in result.tasks.items():
        # the strongest of those that know nothing: where a random encoder learns nothing, one label is more than that
        control = task["controls"].get("random_encoder") or task["controls"]["random_labels"]
        least = min(control["difference"], task["over_most_frequent"], key=lambda one: float(one["low"]))
        figures.append(figure(_KNOWN, least, of=name, against=0.0, percent=True))
        if task["cumulative"] and least["low"] > 0:
            layer = task["cumulative"]["expected_layer_clipped"]
            figures.append(figure("expected layer, losses as 0", layer, of=name))
    document = result.document()
    for task in document["tasks"].values():
        task.pop("by_text", None)
    train = next(iter(files.values()))[0]
    return {
        "commands": [command("polyseme", "probe", room.path("bert"), train)],
        "figures": figures,
        "probe": document,
    }


def _parts(found: Found, say: Speaker) -> list[Part]:
    return [*layer_parts(found["probe"], say), *control_parts(found["probe"], say)]


ENTRY = Chapter(
    order=130,
    runs=("bert",),
    title="What each layer learned",
    claim="BERT does the classical pipeline again: what is near the surface is known in low layers, what needs the "
    "whole sentence in high ones. A probe of every layer says in which one a task is solved.",
    holds="On every task the layers know more than an encoder of random weights, and than the most frequent label.",
    fails="Not on every task the layers know more than an encoder of random weights, and than the most frequent label.",
    takes="Tenney et al. (2019) saw the order of tasks with 24 layers; four layers have little room for one.",
    measure=_measure,
    parts=_parts,
)
