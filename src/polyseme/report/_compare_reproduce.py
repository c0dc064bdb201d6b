"""The last section of a comparison: the commands that make everything again, the file, versions and the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polyseme.report.commands import finetune_command, study_commands
from polyseme.report.figures import size
from polyseme.report.language import Speaker
from polyseme.report.parts import Commands, Heading, Part, Table

__all__ = ["reproduce_section"]


def reproduce_section(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """How to get the same page, and each figure by itself."""
    settings = document["settings"]
    parts: list[Part] = [say("This page, from the runs as they are; what is kept is not computed again:")]
    parts.append(Commands([document["command"]]))
    parts += [say("The file that says what is compared ({file}):", file=settings["file"])]
    parts.append(Commands(settings["toml"].rstrip("\n").split("\n")))
    parts.append(
        say("The runs, from their texts; settings that are not the model's own recipe's stand as --set:")
    )
    made: list[str] = []
    unknown: list[str] = []
    for name, run in document["runs"].items():
        command = run["facts"]["command"]
        (made if command else unknown).append(command or name)
    parts += [Commands(made)] if made else []
    if unknown:
        parts.append(say("How these were made is not known: {names}.", names=", ".join(unknown)))
    parts += _by_hand(document, say)
    parts += [Heading(say("Versions and machine"), 3), _machine(document, say)]
    return [Heading(say("How to get the same figures")), *parts]


def _by_hand(document: Mapping[str, Any], say: Speaker) -> list[Part]:
    """The commands of single cells and studies."""
    seeds = document["settings"]["seeds"]
    lines = [
        finetune_command(task, document["runs"][name]["path"], seeds[0], f"adapted/{number}-{way}-{place}")
        for number, task in enumerate(document["tasks"], 1)
        for way in [task["way"]]
        for place, name in enumerate(task["rows"], 1)
    ]
    parts: list[Part] = []
    if lines:
        parts.append(
            say(
                "One adaptation by itself, then `polyseme evaluate` on its test file (once with each of the seeds "
                "{seeds}; this page takes at most {dev} dev and {test} test examples, always the same ones):",
                seeds=", ".join(map(str, seeds)),
                dev=f"{document['settings']['dev_examples']:,}",
                test=f"{document['settings']['test_examples']:,}",
            )
        )
        parts.append(Commands(lines))
    studies = [line for study in document["studies"] for line in study_commands(study, document)]
    if studies:
        parts += [say("The other studies by themselves:"), Commands(studies)]
    return parts


def _machine(document: Mapping[str, Any], say: Speaker) -> Table:
    versions, machine = document["versions"], document["machine"]
    rows = [[name, str(value)] for name, value in versions.items()]
    for name, title in (("system", "System"), ("processor", "Processor"), ("cores", "Cores")):
        if machine.get(name) is not None:
            value = machine[name]
            rows.append([say(title), f"{value:g}" if isinstance(value, float) else str(value)])
    if machine.get("memory_bytes"):
        rows.append([say("Memory"), size(machine["memory_bytes"])])
    trained = sorted({versions_of(run["facts"]) for run in document["runs"].values()} - {""})
    if trained:
        rows.append([say("The runs were made with"), "; ".join(trained)])
    return Table([say("What"), say("Value")], rows, left=(0, 1))


def versions_of(facts: Mapping[str, Any]) -> str:
    """The versions that a run was made with, in one line."""
    return ", ".join(f"{name} {version}" for name, version in (facts.get("versions") or {}).items())
