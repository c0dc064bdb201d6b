"""Settings of a fine-tune that reach the encoder and the trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polyseme.train.finetune import finetune
from polyseme.train.request import FinetuneRequest
from polyseme.train.trainer import Trainer
from trained import make_run


def test_dropout_that_is_set_reaches_the_encoder_and_evaluations_are_as_many_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_run(tmp_path / "base", hidden_dropout_prob=0.0)
    table = tmp_path / "train.tsv"
    table.write_text("text\tlabel\n" + "the cat sees a bird\tgood\na bad old dog\tbad\n" * 20)
    seen: list[Any] = []

    class Watched(Trainer):
        def train(self) -> dict[str, Any]:
            seen.append(self.learner.inner.encoder)  # type: ignore[attr-defined]
            return super().train()

    monkeypatch.setattr("polyseme.train.finetune.Trainer", Watched)
    run = finetune(
        FinetuneRequest(
            task="classify",
            run=base,
            train=table,
            dev=table,
            output=tmp_path / "run",
            epochs=3,
            batch_size=8,
            settings={"model.hidden_dropout_prob": 0.3, "train.evaluations": 2},
        )
    )
    assert seen[0].dropout.p == 0.3
    assert {block.dropout.p for block in seen[0].blocks} == {0.3}
    judged = [record["step"] for record in run.metrics() if "heldout_loss" in record]
    assert len(judged) == 2
    assert judged == [8, 15]
