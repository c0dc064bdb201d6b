"""What objectives learn from the corpus before training, kept with the run.

RUN/OBJECTIVE.tsv     the knowledge itself: learned once, used again at every resume and by `polyseme mask`
run.json              "knowledge": {OBJECTIVE: {sha256, and what the objective reports}}, "lexicon": its fingerprint
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from polyseme.core import registry
from polyseme.core.files import sha256_of, write_atomic
from polyseme.core.reporter import Reporter
from polyseme.core.shell import typed
from polyseme.data.store import PreparedCorpus
from polyseme.errors import CheckpointError, ConfigError
from polyseme.text.lexicon import Entry
from polyseme.text.tokenizers import Tokenizer
from polyseme.train import distributed
from polyseme.train.recipe import Recipe
from polyseme.train.run import RunDirectory


def readers(recipe: Recipe) -> dict[str, Any]:
    """The entries of a recipe's objectives that read the corpus beforehand."""
    entries = {name: registry.learned(name) for name in recipe.objectives}
    return {name: entry for name, entry in entries.items() if entry.read is not None}


def check_lexicon_is_used(recipe: Recipe, lexicon: Sequence[object]) -> None:
    """Raises:  ConfigError: a lexicon is given, and no objective of the recipe reads one."""
    if lexicon and not readers(recipe):
        raise ConfigError(
            "a lexicon is of no use here",
            got=f"{recipe.architecture} with {', '.join(recipe.objectives)}",
            fix="polyseme pretrain ernie … --lexicon FILE, or leave --lexicon out",
        )


def learn_or_load(
    recipe: Recipe, run: RunDirectory, corpus: PreparedCorpus, lexicon: Sequence[Entry], reporter: Reporter
) -> dict[str, Any]:
    """The knowledge of every objective that needs any, by the objective's name.

    Knowledge that the run holds is used again. Deleted knowledge is learned again, and must come out the same.

    Raises:  CheckpointError: the knowledge is gone and cannot be learned again.
    """

    def learn() -> None:
        for name, reader in readers(recipe).items():
            known = run.meta.get("knowledge", {}).get(name)
            if known is not None and _digest(run, name) == known["sha256"]:
                continue
            reporter.stage("reading", 0, None)
            knowledge = reader.read(recipe.section(name), corpus.train, corpus.tokenizer, lexicon)
            data = knowledge.as_bytes()
            sha256 = hashlib.sha256(data).hexdigest()
            if known is not None and sha256 != known["sha256"]:
                raise _lost(run, name)
            write_atomic(run.path / f"{name}.tsv", data)
            reporter.note(knowledge.summary())
            entry = {name: {"sha256": sha256, **knowledge.report()}}
            run.save_meta(knowledge=run.meta.get("knowledge", {}) | entry)

    distributed.on_rank_0(learn)
    return {
        name: reader.parse((run.path / f"{name}.tsv").read_bytes(), corpus.tokenizer)
        for name, reader in readers(recipe).items()
    }


def load_knowledge(recipe: Recipe, run: RunDirectory, tokenizer: Tokenizer) -> dict[str, Any]:
    """The knowledge that a finished run holds.

    Raises:  CheckpointError: it is missing or altered.
    """
    knowledge = {}
    for name, reader in readers(recipe).items():
        if _digest(run, name) != run.meta.get("knowledge", {}).get(name, {}).get("sha256"):
            raise _lost(run, name)
        knowledge[name] = reader.parse((run.path / f"{name}.tsv").read_bytes(), tokenizer)
    return knowledge


def _digest(run: RunDirectory, name: str) -> str:
    file = run.path / f"{name}.tsv"
    return sha256_of(file) if file.is_file() else "none"


def _lost(run: RunDirectory, name: str) -> CheckpointError:
    return CheckpointError(
        f"what {name} learned from the corpus is missing or altered",
        where=run.path / f"{name}.tsv",
        fix=f"copy the file back, or --init {typed(run.path)} -o NEW to train on with units learned anew",
    )
