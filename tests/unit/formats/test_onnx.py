"""Every neural model is exported to ONNX, and onnxruntime computes the same; what would differ is not kept."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers as hf
import torch

from exported import run_of
from foreign import random_imported
from polyseme.core import registry
from polyseme.errors import CheckpointError, ConfigError, StorageError
from polyseme.formats import onnx
from polyseme.formats.registry import export_model
from polyseme.formats.runs import Imported, write_run
from polyseme.infer.model import load
from polyseme.infer.predict import Predictor
from polyseme.layers.lstm import Weights, lstm, lstm_scanned
from polyseme.tasks.heads import TokenScores
from polyseme.text.labelled.records import TextRecord
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


TASKS: list[tuple[str, str, dict[str, Any]]] = [
    ("bert", "classify", {"pool": "cls", "kind": "single", "labels": ("a", "b", "c")}),
    ("ernie", "classify", {"pool": "max", "kind": "single", "labels": ("a", "b", "c"), "hidden": 6}),
    ("modernbert", "pair", {"pool": "mean", "kind": "number"}),
    ("modernbert", "tag", {"labels": ("O", "B-X", "I-X"), "crf": True}),
    ("gpt", "classify", {"pool": "last", "kind": "several", "labels": ("a", "b")}),
    ("qwen3", "qa", {}),
    ("elmo", "pair", {"pool": "pair", "kind": "single", "labels": ("a", "b"), "mix": True}),
    ("gpt", "tag", {"labels": ("A", "B"), "mix": True, "hidden": 5}),
    ("word2vec", "classify", {"pool": "mean", "kind": "single", "labels": ("a", "b")}),
    ("word2vec", "pair", {"pool": "pair", "kind": "single", "labels": ("a", "b")}),
]


def task_run(folder: Path, name: str, task: str, section: dict[str, Any]) -> Path:
    layers = 2 if name == "modernbert" else 1
    imported = random_imported(name, [task], "words", sections={task: section}, num_hidden_layers=layers)
    return write_run(imported, folder).path


@pytest.mark.parametrize(("name", "task", "section"), TASKS)
def test_heads_of_tasks_by_rows(name: str, task: str, section: dict[str, Any], tmp_path: Path) -> None:
    """What goes to ONNX, as a function of whole rows, is what the head itself says."""
    opened = onnx.open_run(task_run(tmp_path / "run", name, task, section))
    for shape in ((3, 17), (1, 1), (2, 4)):
        inputs = onnx.run_inputs(opened, *shape)
        wanted = onnx._computed(opened, inputs)["logits"]
        assert wanted.shape[:-1] == (shape[:1] if task in ("classify", "pair") else shape)
        with torch.no_grad():
            found = onnx.Exported(onnx.open_run(opened.run.path))(**inputs)["logits"]
        real = torch.ones(shape[0], dtype=torch.bool) if wanted.ndim == 2 else inputs["attention_mask"] > 0
        assert (found - wanted)[real].abs().max() <= 1e-5
        assert wanted[real].numel() < 2 or float(wanted[real].std()) > 1e-3  # it depends on the text


@pytest.mark.parametrize("case", [0, 7, 8])
def test_heads_of_tasks(case: int, tmp_path: Path) -> None:
    name, task, section = TASKS[case]
    run = task_run(tmp_path / "run", name, task, section)
    export_model(run, "onnx", tmp_path / "out")
    file = str(tmp_path / "out" / "model.onnx")
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == ["last_hidden_state", "logits"]
    opened = onnx.open_run(run)
    inputs = onnx.run_inputs(opened, 3, 17, seed=4)
    assert onnx._difference(session, inputs, onnx._computed(opened, inputs)) <= 1e-4


def test_two_texts_through_onnx_are_what_predict_says(tmp_path: Path) -> None:
    section = {"pool": "pair", "kind": "single", "labels": ("a", "b"), "mix": True}
    imported = random_imported("gpt", ["pair"], sections={"pair": section}, num_hidden_layers=1)
    run = write_run(imported, tmp_path / "run").path
    export_model(run, "onnx", tmp_path / "out")
    tokenizer = hf.Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    encoded = tokenizer.encode("It was a good day.", "今天天气 the file")
    file = str(tmp_path / "out" / "model.onnx")
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    inputs = {
        "input_ids": [encoded.ids],
        "attention_mask": [encoded.attention_mask],
        "token_type_ids": [encoded.type_ids],
    }
    (logits,) = session.run(["logits"], {k: np.array(v, np.int64) for k, v in inputs.items()})
    p = np.exp(logits[0]) / np.exp(logits[0]).sum()
    record = TextRecord("", "It was a good day.", "今天天气 the file")
    (said,) = Predictor(load(run)).predict_all([record])
    assert dict(zip("ab", p.tolist(), strict=True)) == pytest.approx(said["probabilities"], abs=1e-5)


def test_an_lstm_in_a_head_is_refused(tmp_path: Path) -> None:
    section = {"labels": ("A", "B"), "lstm": 4}
    run = write_run(random_imported("bert", ["tag"], sections={"tag": section}), tmp_path / "run").path
    with pytest.raises(ConfigError, match="LSTM"):
        export_model(run, "onnx", tmp_path / "out")


def test_a_head_without_a_form_of_whole_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = task_run(tmp_path / "run", "gpt", "tag", {"labels": ("A", "B")})
    monkeypatch.delattr(TokenScores, "dense")
    with pytest.raises(ConfigError, match="no form that ONNX holds") as caught:
        export_model(run, "onnx", tmp_path / "out")
    assert "predict" in str(caught.value.fix)
    assert not (tmp_path / "out").exists()


def test_a_model_that_torch_cannot_export_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of("word2vec", tmp_path / "run")
    truly = onnx.Exported.forward

    def forward(self: onnx.Exported, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        if int(input_ids.sum()) > 0:  # a step that depends on the values
            return truly(self, input_ids, attention_mask)
        return {}

    monkeypatch.setattr(onnx.Exported, "forward", forward)
    with pytest.raises(ConfigError, match="torch cannot export this model"):
        export_model(run, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_no_fault_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(onnx, "_write", write)
    with pytest.raises(StorageError, match="could not save"):
        export_model(run_of("word2vec", tmp_path / "run"), "onnx", tmp_path / "out")


def test_all_neural_models_are_tested() -> None:
    dense = {n for n in registry.models.names() if not hasattr(registry.models.load(n).build, "active")}
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
    weights = Weights(
        torch.randn(d, 4 * m, n),
        torch.randn(d, 4 * m, p),
        torch.randn(d, 4 * m),
        torch.randn(d, p, m),
    )
    x = torch.randn(d, steps, b, n)

    class Recurrence(torch.nn.Module):
        def forward(self, x: torch.Tensor, begins: torch.Tensor) -> torch.Tensor:
            return lstm_scanned(x, begins, weights, 0.4, 0.3)

    program = torch.export.export(Recurrence(), (x, begins))
    assert torch.allclose(program.module()(x, begins), lstm.plain(x, begins, weights, 0.4, 0.3), atol=1e-6)
