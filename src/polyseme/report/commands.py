"""What to type to make things again: runs, adaptations, studies."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.core.shell import command
from polyseme.study.distil import DISTILLED
from polyseme.study.grid import settings_of
from polyseme.study.probing.targets import ProbeConfig
from polyseme.train.recipe import SIZES, resolve
from polyseme.train.run import RunDirectory

__all__ = ["finetune_command", "pretrain_command", "probe_commands", "run_command", "study_commands"]


def run_command(run: RunDirectory) -> str | None:
    """What made a run: `polyseme import`, `distil`, `finetune` or `pretrain`; None where run.json does not say."""
    meta = run.meta
    if "imported" in meta and meta["imported"].get("kind") == DISTILLED:
        return command(*DISTILLED.split(), meta["imported"]["path"], "-o", run.path)
    if "imported" in meta:
        return command("polyseme", "import", meta["imported"].get("path", "DIR"), "-o", run.path)
    if "adapted" in meta:
        adapted = meta["adapted"]
        words = [
            "polyseme",
            "finetune",
            adapted["task"],
            adapted["from"],
            "--train",
            adapted["train"]["path"],
        ]
        if (further := adapted.get("pretraining")) is not None:
            words += ["--adapt", further["budget"].replace(" ", "")]
            words += [word for file in further["adapt_on"] for word in ("--adapt-on", file)]
        ways = {"feature_based": "--feature-based", "from_scratch": "--from-scratch"}
        return command(*words, *(flag for key, flag in ways.items() if adapted[key]), "-o", run.path)
    return pretrain_command(meta, run.path)


def pretrain_command(meta: Mapping[str, Any], path: Path) -> str | None:
    """The `polyseme pretrain` that a run was asked for with; None where run.json does not say.

    What differs from the model's own recipe stands as --set.
    """
    asked = meta.get("asked")
    if not asked or "recipe" not in asked:
        return None
    recipe = asked["recipe"]
    words: list[object] = ["polyseme", "pretrain", recipe["architecture"]]
    words += (meta.get("corpus") or {}).get("sources") or ["CORPUS"]
    words += ["-o", path]
    amount, _, unit = str(asked["budget"]).partition(" ")
    words += [f"--{unit if unit.endswith('s') else unit + 's'}", amount.replace(",", "")]
    if asked.get("extended vocabulary"):
        words += ["--extend-vocabulary", asked["extended vocabulary"]]
    if asked.get("milestones"):
        words += ["--milestones", asked["milestones"]]
    if asked.get("seed", 1) != 1:
        words += ["--seed", asked["seed"]]
    for option in ("tokenizer", "init"):
        if asked.get(option):
            words += [f"--{option}", asked[option]]
    for file in (meta.get("corpus") or {}).get("valid_files") or []:
        words += ["--valid", file]
    for key, value in _differences(recipe):
        words += ["--set", f"{key}={value}"]
    return command(*words)


def _differences(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, value) as --set writes them, of what the model's own recipe does not say."""
    own = resolve(recipe["architecture"], None, {"objectives": list(recipe["objectives"])}).as_dict()
    found = []
    if list(recipe["objectives"]) != list(resolve(recipe["architecture"]).objectives):
        found.append(("objectives", ",".join(recipe["objectives"])))
    for section, values in recipe.items():
        if not isinstance(values, dict):
            continue
        for name, value in values.items():
            if value is None or json.dumps(value) == json.dumps(own.get(section, {}).get(name)):
                continue
            written = value if isinstance(value, str) else json.dumps(value)
            found.append((name if section == "model" else f"{section}.{name}", written))
    if any(name in SIZES for name, _ in found):  # a size that --set names says so by itself
        found = [one for one in found if one != ("train.size", "given")]
    return found


def finetune_command(task: Mapping[str, Any], run: Mapping[str, Any], seed: int, output: str) -> str:
    """The `polyseme finetune` of one cell.

    Args:
        task: as `study.standings.standings` writes it.
        run: its "path" and "model".
    """
    spec, way = task["spec"], task["way"]
    words: list[object] = ["polyseme", "finetune", spec["task"], run["path"]]
    for part in ("train", "dev"):
        if spec[part]:
            words += [f"--{part}", task["files"][part]]
    words += ["--feature-based"] if way.startswith("frozen") else []
    words += ["--from-scratch"] if way.endswith("scratch") else []
    epochs = spec["epochs"]
    if isinstance(epochs, dict):
        epochs = epochs.get(way.removesuffix("-scratch"))
    for option, value in (
        ("--epochs", epochs),
        ("--max-length", spec["max_length"]),
        ("--examples", task["examples"][0] if task["examples"] else None),
    ):
        words += [] if value is None else [option, value]
    if spec["columns"]:
        words += ["--columns", ",".join(f"{ours}={theirs}" for ours, theirs in spec["columns"].items())]
    for option in ("separator", "encoding"):
        words += [f"--{option}", spec[option]] if spec.get(option, "auto") != "auto" else []
    for key, value in settings_of(spec["settings"], way, run["model"]).items():
        words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return command(*words, "--seed", seed, "-o", output)


def probe_commands(document: Mapping[str, Any]) -> list[str]:
    """The `polyseme probe` of each task of a study's document."""
    lines = []
    s, usual = document["settings"], ProbeConfig()
    for task in document["tasks"].values():
        words = ["polyseme", "probe", document["run"], task["files"]["train"], "--task", task["task"]]
        for part in ("dev", "test"):
            if task["files"][part]:
                words += [f"--{part}", task["files"][part]]
        words += ["--seeds", str(s["seeds"])]
        for name in ("seed", "epochs", "max_length"):
            if (value := s.get(name, getattr(usual, name))) != getattr(usual, name):
                words += [f"--{name.replace('_', '-')}", str(value)]
        words += [f"--no-{name}" for name in ("controls", "cumulative") if not s.get(name, True)]
        if examples := task.get("examples", s["examples"]):
            words += ["--examples", str(examples)]
        words += ["--column", task["column"]] if task["column"] else []
        lines.append(command(*words))
    return lines


def study_commands(study: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """The command of each run that was looked into."""
    base = Path(document["settings"]["file"]).parent
    lines = []
    for place, (name, found) in enumerate(study["documents"].items(), 1):
        spec, run = study["spec"], document["runs"][name]["path"]
        if study["kind"] == "probe":
            made = probe_commands(found)
        elif study["kind"] == "senses":
            made = [command(*_senses(spec, run, base))]
        else:
            made = [command(*_pairs(spec, run, base), *_scoring(found))]
        output = f"{study['name'].replace('.', '-')}-{place}"
        lines += [f"{one} -o {output}" for one in made]
    return lines


def _scoring(found: Mapping[str, Any]) -> list[object]:
    """How a masked model was asked about pairs, where it is not the way that needs no word."""
    return ["--scoring", "original"] if found.get("scoring") == "original" else []


def _file(base: Path, name: str) -> str:
    return os.path.normpath(base / name)


def _columns(spec: Mapping[str, Any]) -> list[object]:
    named = ",".join(f"{ours}={theirs}" for ours, theirs in spec["columns"].items())
    return ["--columns", named] if named else []


def _senses(spec: Mapping[str, Any], run: str, base: Path) -> list[object]:
    words: list[object] = ["polyseme", "senses", run, _file(base, spec["file"])]
    for word in spec["words"]:
        words += ["--word", word]
    words += ["--limit", spec["limit"]] if spec["limit"] is not None else []
    words += ["--folds", spec["folds"]] if spec["folds"] != 10 else []
    words += ["--map", spec["map"]] if spec["map"] != "pca" else []
    words += ["--balance"] if spec.get("balance") else []
    return [*words, *_columns(spec)]


def _pairs(spec: Mapping[str, Any], run: str, base: Path) -> list[object]:
    words: list[object] = ["polyseme", "pairs", run, *(_file(base, name) for name in spec["files"])]
    words += ["--limit", spec["limit"]] if spec["limit"] is not None else []
    return [*words, *_columns(spec)]
