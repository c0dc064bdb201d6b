"""What a page of a comparison says of a run beside what was measured: how it was made, how to make it again."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.report.run_summary import summarize
from polyseme.train.recipe import resolve
from polyseme.train.run import RunDirectory

__all__ = ["finetune_command", "line", "pretrain_command", "run_facts"]

_KEPT = (
    "model",
    "status",
    "parameters",
    "vocab_size",
    "steps",
    "tokens_seen",
    "seconds",
    "tokens_per_second",
    "peak_memory_bytes",
    "heldout_loss",
    "unigram_loss",
    "perplexity",
    "bits_per_character",
    "budget",
    "vocabulary",
    "imported",
    "judged_on",
)


def run_facts(run: RunDirectory) -> dict[str, Any]:
    """JSON-able: what `polyseme inspect` says in short, and sources, bytes, objectives, tokenizer, curve, commands.

    bytes are those of the weights, the heads and the tokenizer; resume/ and store/ can be deleted. The tokenizer is a
    fingerprint: losses of runs with the same one, and the same objectives, can be compared. The curve is of the
    held-out loss: [{"seconds", "tokens", "loss"}].
    """
    summary, meta = summarize(run), run.meta
    corpus = summary["corpus"]
    found = {name: summary.get(name) for name in _KEPT}
    found["objectives"] = list((meta.get("recipe") or {}).get("objectives") or [])
    found["corpus"] = {name: corpus[name] for name in ("language", "fingerprint", "documents", "words")}
    found["sources"] = [str(source) for source in (meta.get("corpus") or {}).get("sources") or []]
    found["tokenizer"] = ((meta.get("corpus") or {}).get("tokenizer") or {}).get("fingerprint")
    found["task"] = summary.get("task")
    found["versions"] = dict(meta.get("versions") or {})
    found["bytes"] = _bytes(run.path)
    found["curve"] = [
        {"seconds": record["seconds"], "tokens": record.get("tokens"), "loss": record["heldout_loss"]}
        for record in run.metrics()
        if record.get("heldout_loss") is not None and "seconds" in record
    ]
    found["command"] = _command(run)
    return found


def _bytes(folder: Path) -> int:
    files = [folder / "model.safetensors", folder / "tokenizer.json", *folder.glob("heads/*.safetensors")]
    return sum(file.stat().st_size for file in files if file.is_file())


def _command(run: RunDirectory) -> str | None:
    meta = run.meta
    if "imported" in meta:
        return line("polyseme", "import", meta["imported"].get("path", "DIR"), "-o", run.path)
    if "adapted" in meta:
        adapted = meta["adapted"]
        words = [
            "polyseme",
            "finetune",
            adapted["task"],
            adapted["from"],
            "--train",
            adapted["train"]["file"],
        ]
        ways = {"feature_based": "--feature-based", "from_scratch": "--from-scratch"}
        return line(*words, *(flag for key, flag in ways.items() if adapted[key]), "-o", run.path)
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
    if asked.get("seed", 1) != 1:
        words += ["--seed", asked["seed"]]
    for option in ("tokenizer", "init"):
        if asked.get(option):
            words += [f"--{option}", asked[option]]
    for file in (meta.get("corpus") or {}).get("valid_files") or []:
        words += ["--valid", file]
    for key, value in _differences(recipe):
        words += ["--set", f"{key}={value}"]
    return line(*words)


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
    return found


def finetune_command(task: Mapping[str, Any], run: str, seed: int, output: str) -> str:
    """The `polyseme finetune` of one cell.

    Args:
        task: as `study.standings.standings` writes it.
        run: the run's folder.
    """
    spec, way = task["spec"], task["way"]
    words: list[object] = ["polyseme", "finetune", spec["task"], run]
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
    for key, value in spec["settings"].items():
        words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return line(*words, "--seed", seed, "-o", output)


def line(*words: object) -> str:
    """A command that can be pasted into a shell; paths are written short."""
    return shlex.join(os.path.normpath(word) if isinstance(word, Path) else str(word) for word in words)
