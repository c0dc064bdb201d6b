"""The model card of a run: README.md with the YAML head that model hubs read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyseme.core import registry
from polyseme.core.entries import VECTORS
from polyseme.core.files import write_atomic
from polyseme.train.heldout import part_evaluated
from polyseme.train.run import RunDirectory


def use_of(recipe: Mapping[str, Any]) -> tuple[str, str]:
    """The pipeline tag of model hubs for what a recipe trains, and the command that shows it."""
    uses = [registry.learned(name).use for name in recipe["objectives"]] or [VECTORS]
    return next((use for use in uses if use != VECTORS), VECTORS)


def has_neighbours(recipe: Mapping[str, Any]) -> bool:
    """Whether a run's words have nearest neighbours: a model that only counts words has none."""
    return not recipe["objectives"] or any(registry.learned(name).neighbours for name in recipe["objectives"])


def head(meta: Mapping[str, Any], language: str | None = None, purpose: str = "") -> str:
    """The beginning of every card: the YAML that model hubs read, and the title."""
    recipe = meta["recipe"]
    spoken = f"language: {language}\n" if language else ""
    return f"""---
{spoken}library_name: polyseme
pipeline_tag: {use_of(recipe)[0]}
tags:
- {recipe["architecture"]}
- polyseme
---

# {recipe["architecture"]}{purpose}, {meta["parameters"]:,} parameters
"""


def write(run: RunDirectory) -> None:
    """Write README.md from run.json."""
    write_atomic(run.path / "README.md", text(run.meta).encode("utf-8", "backslashreplace"))


def text(meta: dict[str, Any]) -> str:
    """The card as Markdown; every figure comes from run.json."""
    if "adapted" in meta:
        return _adapted(meta)
    results, corpus = meta["results"], meta["corpus"]
    splits = corpus["splits"]
    language = corpus.get("language", "en")
    heldout = "\n".join(f"| {name} | {value:.4f} |" for name, value in results["heldout"].items())
    recipe = meta["recipe"]
    use = use_of(recipe)[1]
    neighbours = "polyseme neighbours RUN WORD\n" if has_neighbours(recipe) else ""
    return f"""{head(meta, language)}
Pretrained with polyseme {meta["versions"]["polyseme"]} on {splits["train"]["documents"]:,} documents
({splits["train"]["words"]:,} words, {splits["train"]["tokens"]:,} tokens; corpus fingerprint
`{corpus["fingerprint"]}`), objectives {", ".join(recipe["objectives"])}.

{results["steps"]:,} updates, {results["tokens_seen"]:,} tokens seen in {results["seconds"] / 60:.1f} minutes
({results["tokens_per_second"]:,.0f} tokens/s), precision {recipe["train"]["precision"]}.

## {_judged_on(meta)}
`baseline` is the loss of predicting from frequency alone.

| measure | value |
|---|---|
{heldout}

## Use

```console
polyseme {use}
{neighbours}polyseme inspect RUN
```
"""


def _judged_on(meta: Mapping[str, Any]) -> str:
    """The title above the losses and the text that they were computed on; a warning where they mean nothing."""
    judged = meta.get("judged_on") or {}
    documents = meta["corpus"]["splits"]["valid"]["documents"]
    if judged.get("text") == "training":
        return """Training text

No text was held out: these losses are of the text that was trained on, and mean nothing for other text."""
    part = part_evaluated(judged)
    of_part = f", of {part} of that text" if part else ""
    section = f"""Held-out text

{documents:,} documents that were not trained on; losses in nats per prediction{of_part}."""
    if judged.get("meaningless"):
        section += (
            f"\nWith {judged['tokens']:,} tokens they are too few: the figures mean nothing for other text."
        )
    return section


def _adapted(meta: dict[str, Any]) -> str:
    """The card of a run that was adapted to a task."""
    adapted, recipe, results = meta["adapted"], meta["recipe"], meta["results"]
    use = use_of(recipe)[1]
    dev = {name: "—" if value is None else f"{value:.4f}" for name, value in results["dev"].items()}
    figures = "\n".join(f"| {name} | {value} |" for name, value in dev.items())
    start = "random weights" if adapted["from_scratch"] else f"the run `{Path(adapted['from']).name}`"
    if (further := adapted.get("pretraining")) is not None:
        start += f", pretrained further on {further['texts']:,} texts of the task ({further['budget']})"
    how = "frozen, with a learned mix of its layers" if adapted["feature_based"] else "trained as a whole"
    return f"""{head(meta, purpose=f" for {adapted['task']}")}
Adapted with polyseme {meta["versions"]["polyseme"]} from {start}; the encoder was {how}.
{adapted["train"]["examples"]:,} training examples, {results["steps"]:,} updates in {results["seconds"] / 60:.1f}
minutes.

## Dev examples

{adapted["dev"]["examples"]:,} examples that were not trained on; they chose the weights that were kept.

| measure | value |
|---|---|
{figures}

## Use

```console
polyseme {use}
polyseme evaluate RUN FILE
polyseme inspect RUN
```
"""
