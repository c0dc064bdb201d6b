"""The four ways to use BERT: a class of a text, a tag of each word, a relation of two texts, an answer in a passage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polyseme.core.shell import command
from polyseme.lecture.chapter import Chapter, Found, figure
from polyseme.lecture.material import Labelled, labelled
from polyseme.lecture.room import Room
from polyseme.report.charts import Axis, Series, dots
from polyseme.report.language import Speaker
from polyseme.report.parts import Figure, Part, Table
from polyseme.study.evaluate import evaluate
from polyseme.train.finetune import finetune
from polyseme.train.request import FinetuneRequest
from polyseme.train.run import RunDirectory

__all__ = ["adapted", "first_of"]

_EPOCHS = {"classify": 4, "tag": 4, "pair": 4, "qa": 3}
_KINDS = {
    "classify": "one text to a class",
    "tag": "every word to a tag",
    "pair": "two texts to a relation",
    "qa": "a question to a place in a passage",
}


def adapted(room: Room, task: Labelled) -> Path:
    """The run of BERT that has learned a task; made where it is not there yet.

    Raises:  as `finetune`.
    """
    room.run("bert")
    output = room.folder / "runs" / f"bert-{task.name}"
    if (output / "run.json").is_file() and RunDirectory.open(output).meta.get("status") == "finished":
        return output
    request = FinetuneRequest(
        task=task.task,
        run=room.path("bert"),
        train=task.train,
        dev=task.test,
        output=output,
        epochs=_EPOCHS[task.task],
        seed=room.seed,
        threads=room.threads,
        resume=True,
    )
    finetune(request, room.reporter)
    return output


def first_of(room: Room) -> dict[str, Labelled]:
    """A file of each of the four tasks: the user's where there is one, else the first that the text gives."""
    files: dict[str, Labelled] = {}
    for one in labelled(room):
        files.setdefault(one.task, one)
    return files


def _measure(room: Room) -> dict[str, Any]:
    figures, rows, commands = [], [], []
    say = Speaker(room.lang)
    mark = "，" if room.lang == "zh" else ", "
    for task, file in first_of(room).items():
        run = adapted(room, file)
        results = RunDirectory.open(run).meta["results"]
        ((name, chance),) = list((results.get("dev_chance") or {}).items())[:1] or [(None, None)]
        if file.test is not None:
            found = evaluate(run, file.test, seed=room.seed, reporter=room.reporter).figures
        else:
            found = results["dev"]
        metric = name if name in found else next(iter(found))
        value = {key: found[metric][key] for key in ("value", "low", "high", "n")}
        least = None if chance is None else float(chance)
        figures.append(
            figure(
                _KINDS[task], value, of=f"{file.shown}{mark}{say.metric(metric)}", against=least, percent=True
            )
        )
        rows.append(
            {
                "task": task,
                "name": file.shown,
                "metric": say.metric(metric),
                "given": file.given,
                **value,
                "chance": least,
            }
        )
        words = [*(["--dev", file.test] if file.test else []), "--epochs", _EPOCHS[task], "-o", run]
        commands.append(
            command("polyseme", "finetune", task, room.path("bert"), "--train", file.train, *words)
        )
    return {"commands": commands, "figures": figures, "rows": rows}


def _parts(found: Found, say: Speaker) -> list[Part]:
    bert, chance = "BERT", say("without reading")
    rows = []
    for one in found["rows"]:
        label = f"{one['task']}: {one['name']}"
        rows.append({"task": label, "of": bert, **{key: one[key] for key in ("value", "low", "high")}})
        if one["chance"] is not None:
            limits = dict.fromkeys(("value", "low", "high"), one["chance"])
            rows.append({"task": label, "of": chance, **limits})
    labels = [f"{one['task']}: {one['name']}" for one in found["rows"]]
    chart = dots(
        rows, Axis("task"), Axis("value", "", ".0%", (0.0, 1.0)), labels, Series("of", [bert, chance])
    )
    table = [
        [
            one["task"],
            say(_KINDS[one["task"]]),
            one["name"],
            say("people") if one["given"] else say("the text itself"),
            one["metric"],
        ]
        for one in found["rows"]
    ]
    return [
        Figure(
            "tasks",
            chart,
            say(
                "Figures on examples that were not learned from, and what always saying the same would give; 95 % "
                "intervals."
            ),
            say("Dots of the figure of every task"),
        ),
        Table(
            [say("task"), say("what it is"), say("file"), say("labels by"), say("figure")],
            table,
            left=range(5),
        ),
    ]


ENTRY = Chapter(
    order=100,
    runs=("bert",),
    title="Four ways to use BERT",
    claim="The vector of [CLS] to a class, every token to a slot, two sentences to entailment, two numbers to an "
    "answer: one pretrained model and a small layer on top learn them all.",
    holds="All four are learned, from some hundreds to some thousands of examples each.",
    fails="Not every one of the four is learned from so few examples by a model of this size.",
    takes="With 110 million parameters a few thousand examples are enough for each.",
    measure=_measure,
    parts=_parts,
)
