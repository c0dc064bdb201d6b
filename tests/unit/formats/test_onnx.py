"""Every neural model is exported to ONNX, and onnxruntime computes the same; what would differ is not kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exported import run_of
from polyseme.core import registry
from polyseme.errors import CheckpointError, ConfigError
from polyseme.formats import onnx
from polyseme.formats.imported import Imported, write_run
from polyseme.formats.registry import export_model
from polyseme.layers.recurrent import lstm_plain, lstm_scanned
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import from_words
from small import VOCABULARY, WORDS

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

OUTPUTS = {
    "bert": ["last_hidden_state", "logits", "seq_relationship_logits"],
    "ernie": ["last_hidden_state", "logits", "seq_relationship_logits"],
    "modernbert": ["last_hidden_state", "logits", "seq_relationship_logits"],
    "gpt": ["last_hidden_state", "logits"],
    "qwen3": ["last_hidden_state", "logits"],
    "elmo": ["last_hidden_state", "forward_logits", "backward_logits"],
    "word2vec": ["last_hidden_state"],
}
EXTRA = {"bert": ["token_type_ids"], "ernie": ["token_type_ids"], "elmo": ["spelling"]}


@pytest.mark.parametrize("name", OUTPUTS)
def test_onnxruntime_computes_what_the_run_does(name: str, tmp_path: Path) -> None:
    written = export_model(run_of(name, tmp_path / "run"), "onnx", tmp_path / "out")
    assert list(written.files) == ["model.onnx", "tokenizer.json"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["model.onnx", "tokenizer.json"]
    session = runtime.InferenceSession(
        str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    assert [o.name for o in session.get_outputs()] == OUTPUTS[name]
    assert [i.name for i in session.get_inputs()] == ["input_ids", "attention_mask", *EXTRA.get(name, [])]
    opened = onnx.open_run(tmp_path / "run")
    inputs = onnx.run_inputs(opened, 4, 31, seed=9)  # a shape that the export has not seen
    assert onnx._difference(session, inputs, onnx._computed(opened, inputs)) <= 1e-4
    alone = onnx.run_inputs(opened, 1, 3, seed=8)
    padded = {
        k: torch.nn.functional.pad(v, (0, 6)) if k != "spelling" else v for k, v in alone.items()
    }  # padding changes nothing before it
    long, short = (session.run(None, {k: v.numpy() for k, v in x.items()}) for x in (padded, alone))
    assert np.allclose(long[0][:, :3], short[0], atol=1e-5)


def test_all_neural_models_are_tested() -> None:
    dense = {n for n in registry.models.names() if not hasattr(registry.models.load(n).ENTRY.build, "active")}
    assert dense == set(OUTPUTS)


def test_an_export_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("word2vec", tmp_path / "run")
    truly = onnx._computed

    def otherwise(opened: Any, inputs: Any) -> dict[str, torch.Tensor]:
        return {name: tensor + 2e-4 for name, tensor in truly(opened, inputs).items()}

    monkeypatch.setattr(onnx, "_computed", otherwise)
    with pytest.raises(CheckpointError, match="does not compute what the run does"):
        onnx.export_onnx(run, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_sparse_models_are_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(from_words(WORDS[5:], "words", True))
    imported = Imported("onehot", {"vocab_size": VOCABULARY}, [], {}, tokenizer, {"path": "made up"})
    run = write_run(imported, tmp_path / "run").path
    with pytest.raises(ConfigError, match="not a neural model"):
        onnx.export_onnx(run, tmp_path / "out")


def test_the_recurrence_as_one_operation_is_the_plain_one() -> None:
    torch.manual_seed(0)
    d, steps, b, n, m, p = 2, 5, 3, 4, 6, 3
    begins = torch.rand(d, steps, b) < 0.3
    begins[:, 0] = True
    weights = (
        torch.randn(d, 4 * m, n),
        torch.randn(d, 4 * m, p),
        torch.randn(d, 4 * m),
        torch.randn(d, p, m),
    )
    x = torch.randn(d, steps, b, n)

    class Recurrence(torch.nn.Module):
        def forward(self, x: torch.Tensor, begins: torch.Tensor) -> torch.Tensor:
            return lstm_scanned(x, begins, *weights, 0.4, 0.3)

    program = torch.export.export(Recurrence(), (x, begins))
    assert torch.allclose(program.module()(x, begins), lstm_plain(x, begins, *weights, 0.4, 0.3), atol=1e-6)
