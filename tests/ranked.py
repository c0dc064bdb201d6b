"""What each rank of test_ranks.py computes, alone or in a process beside others."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from polyseme.core.rng import Random
from polyseme.core.types import Batch, Targets
from polyseme.data.examples import DocumentChunks
from polyseme.data.loader import Loader, Turns, special_tokens
from polyseme.data.packing import RowPlan
from polyseme.data.store import StoreWriter, TokenStore
from polyseme.train import checkpoint, distributed
from polyseme.train.config import TrainConfig
from polyseme.train.gradient import GradientLearner
from polyseme.train.parallel import cut, pieces
from small import VOCABULARY, make_encoder, make_learner, make_objectives

ROWS, LENGTH, STEPS = 6, 24, 3
# an epsilon above the noise of gradients that are zero: AdamW would make steps of it
CONFIG: dict[str, Any] = {"batch_size": ROWS, "epsilon": 1e-3}
CASES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "pieces": ("bert", ("masked_lm", "next_sentence"), {"micro_batch_size": 2}),
    "turns": ("bert", ("hybrid",), {}),
    "muon": ("modernbert", ("masked_lm",), {"optimizer": "muon"}),
    "sampled": ("elmo", ("bidirectional_lm",), {}),
    "hollow": ("bert", ("masked_lm",), {}),
}
"""By name: a model, its objectives, and settings. In "hollow" rank 0 alone finds something to predict."""


def a_store(folder: Path) -> TokenStore:
    """Documents of different lengths, so that ranks have different numbers of predictions."""
    with StoreWriter(folder, VOCABULARY) as writer:
        for document in range(12):
            n = 8 + document
            tokens = 5 + (7 * document + 3 * np.arange(2 * n)) % (VOCABULARY - 5)
            writer.add_documents(tokens, np.ones(2 * n, np.uint8), np.full(2, n), np.array([2]))
    return TokenStore.open(folder)


def made(case: str, store: TokenStore) -> tuple[GradientLearner, Loader | Turns, TrainConfig]:
    model, names, settings = CASES[case]
    special = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])
    objectives = make_objectives(names, special)
    learner = make_learner(make_encoder(model), objectives, **CONFIG, **settings)
    torch.manual_seed(distributed.rank())

    def loader(some: Sequence[Any]) -> Loader:
        drawing = [o for o in some if o.draws]
        source = drawing[0].examples(store, LENGTH) if drawing else DocumentChunks(store, LENGTH, special)
        plan = RowPlan(source.lengths, LENGTH, Random(1, "order"))
        return Loader(source, plan, some, LENGTH, special)

    if hasattr(objectives[0], "parts"):
        first, second = (loader([part]) for part in objectives[0].parts)
        return learner, Turns(first, second, objectives[0].shares[1], ROWS), learner.config
    return learner, loader(objectives), learner.config


def learned(
    case: str, parallel: Any, folder: Path, first: int = 0, last: int = STEPS, of: int = 1
) -> list[float]:
    """Losses of updates first … last - 1; goes on from a checkpoint in `folder`, and leaves one there, and weights.

    Args:
        of: how many ranks there are in all, for the case in which one of them finds nothing.
    """
    learner, loader, config = made(case, a_store(folder / f"store-{distributed.size()}-{distributed.rank()}"))
    if first:
        saved, _ = checkpoint.newest(folder / f"{case}-{first}")
        assert saved is not None
        learner.load_state_dict(saved.tensors, saved.state["learner"])
    learner.spread(parallel)
    mine = pieces(config)
    if case == "hollow" and distributed.size() == 1:
        mine = cut(ROWS, ROWS, 0, of)
    stream = loader.stream(count(first * ROWS, ROWS), mine, lambda row: 0.0)
    losses = []
    for step in range(first, last):
        batches = list(islice(stream, len(mine)))
        if case == "hollow" and distributed.rank() > 0:
            batches = [without_targets(batch) for batch in batches]
        losses.append(learner.step(batches, step / STEPS)["loss"])
    evaluated = learner.evaluate([loader.batch(0, 3)])
    weights, (tensors, state) = learner.weights(), learner.state_dict()
    if distributed.rank() == 0:
        save_file(weights, folder / f"{case}-{parallel}-{distributed.size()}-{first}-{last}.safetensors")
        saved = checkpoint.Checkpoint(tensors, None, {"step": last, "learner": state})
        checkpoint.save(folder / f"{case}-{last}", saved)
    return [*losses, *evaluated.values()]


def without_targets(batch: Batch) -> Batch:
    none = {name: Targets(t.positions[:0], t.labels[:0]) for name, t in batch.targets.items()}
    return replace(batch, targets=none)


def weights_of(case: str, parallel: str, folder: Path, size: int, first: int = 0, last: int = STEPS) -> Any:
    return load_file(folder / f"{case}-{parallel}-{size}-{first}-{last}.safetensors")


def one(rank: int, size: int, port: int, jobs: list[list[Any]], folder: str) -> None:
    """A rank: its share of each job; rank 0 leaves the results as JSON."""
    names = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()})
    torch.set_num_threads(1)
    distributed.start(torch.device("cpu"))
    found = [learned(case, parallel, Path(folder), *more) for case, parallel, *more in jobs]
    if rank == 0:
        Path(folder, "found.json").write_text(json.dumps(found))
    distributed.stop()
    sys.stdout.flush()


def together(size: int, jobs: list[list[Any]], folder: Path) -> list[list[float]]:
    """What so many ranks find, each in a process of its own."""
    from forked import _START

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [_START.Process(target=one, args=(r, size, port, jobs, str(folder))) for r in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * size
    return list(json.loads((folder / "found.json").read_text()))


def alone(case: str, folder: Path, of: int = 1) -> list[float]:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        result = learned(case, "ddp", Path(place), of=of)
        weights_of(case, "ddp", Path(place), 1)
        Path(place, f"{case}-ddp-1-0-{STEPS}.safetensors").rename(folder / f"{case}-alone-{of}.safetensors")
        shutil.copytree(Path(place, f"{case}-{STEPS}"), folder / f"{case}-alone-{of}", dirs_exist_ok=True)
    return result
