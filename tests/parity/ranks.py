"""One rank of test_ranks.py: its share of an update; prints the loss and a digest of the weights."""

from __future__ import annotations

import json
import sys

import torch

from polyseme.core.types import Batch
from polyseme.data.examples import Example
from polyseme.data.loader import collate, special_tokens, to_batch
from polyseme.train import distributed
from small import VOCABULARY, make_encoder, make_learner, make_objectives


def batches() -> list[Batch]:
    special = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])
    objectives = make_objectives(("masked_lm",), special)
    made = []
    for seed, length in enumerate((32, 20, 27, 9)):  # different numbers of predictions on different ranks
        ids = torch.randint(5, VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed)).numpy()
        ids[0], ids[-1] = 2, 3
        example = Example(ids, 0 * ids, ids > 0)
        made.append(to_batch(collate([[example]], 32, special), objectives))
    return made


def main() -> None:
    torch.set_num_threads(1)
    distributed.start(torch.device("cpu"))
    special = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])
    learner = make_learner(make_encoder("modernbert"), make_objectives(("masked_lm",), special))
    mine = batches()[distributed.rank() :: distributed.size()]
    for step in range(3):
        metrics = learner.step(mine, step / 3)
    if distributed.rank() == 0:
        weights = {k: v.double().sum().item() for k, v in learner.weights().items()}
        json.dump({"loss": metrics["loss"], "norm": metrics["grad_norm"], "weights": weights}, sys.stdout)
    distributed.stop()


if __name__ == "__main__":
    main()
