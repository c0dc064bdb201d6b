"""Weights kept on the way: which numbers, that they are those of a run that stops there, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import polyseme
from polyseme import Budget, PretrainRequest, RunDirectory, pretrain
from polyseme.errors import ConfigError, Interrupted, RunError
from polyseme.formats.registry import export_model
from polyseme.report.run_summary import summarize, summary_text
from polyseme.train import checkpoint, trainer
from polyseme.train.milestones import BABYLM, read_milestones

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "data.sequence_length": 16,
    "train.batch_size": 4,
    "train.heldout_tokens": 300,
    "train.precision": "float32",
    "train.warmup": 0.1,
    "text.valid_share": 0.2,
    "text.documents": "line",
    "tokenizer.vocab_size": 330,
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("texts") / "text.txt"
    path.write_text("\n".join(f"the old cat sees {n} birds and the river" for n in range(300)))
    return str(path)


def request(texts: str, output: Path, model: str = "gpt", **changes: Any) -> PretrainRequest:
    asked = PretrainRequest(
        model=model, corpus=[texts], output=output, budget=Budget(words=2000), settings=SIZES, threads=1
    )
    return replace(asked, **changes)


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Ask to stop at this update, as a signal does."""
    made: list[int] = []
    step = trainer.Trainer._log

    def log(self: Any, metrics: Any) -> None:
        step(self, metrics)
        made.append(self.counters.step)

    class Stop(trainer.SignalRequests):
        @property  # type: ignore[override]
        def stop(self) -> bool:
            return bool(made) and made[-1] == steps

        @stop.setter
        def stop(self, value: bool) -> None:
            pass

    monkeypatch.setattr(trainer.Trainer, "_log", log)
    monkeypatch.setattr(trainer, "SignalRequests", Stop)


def test_numbers() -> None:
    assert BABYLM[:10] == tuple(n * 10**6 for n in (*range(1, 10), 10))
    assert BABYLM[9:19] == tuple(n * 10**7 for n in (*range(1, 10), 10))
    assert BABYLM[-1] == 10**9
    assert read_milestones("babylm", 15_000_000)[-1] == 10_000_000
    assert read_milestones("1k,100_000, 1.5k", None) == (1000, 1500, 100_000)
    assert read_milestones([3, 1, "2", 3], 3) == (1, 2, 3)


@pytest.mark.parametrize("wrong", ["1M,x", "0", "-5", "1.5", ",", [True], [0.5]])
def test_numbers_that_are_none(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"a milestone is a number of words|no milestone is named"):
        read_milestones(wrong, None)


def test_beyond_the_budget(texts: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="beyond the budget") as error:
        request(texts, tmp_path / "run", milestones="1k,3k,2M")
    assert error.value.got == "3k, 2M"
    assert error.value.fix == "--words 2M, or --milestones 1k"
    with pytest.raises(ConfigError, match="babylm's first milestone is beyond the budget"):
        request(texts, tmp_path / "run", milestones="babylm")
    with pytest.raises(ConfigError, match="beyond the budget") as error:  # known when the text is
        pretrain(request(texts, tmp_path / "run", budget=Budget(epochs=1), milestones=[10**6]))
    epochs = int(str(error.value.fix).split()[1].rstrip(","))
    words = int(str(error.value.expected).split()[2].replace(",", ""))  # of a pass
    assert (epochs - 1) * words < 10**6 <= epochs * words
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="learn by gradients"):
        pretrain(request(texts, tmp_path / "run", "word2vec", milestones=[100], settings={"hidden_size": 8}))


def test_weights_equal_those_of_a_run_that_stops_there(
    texts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pretrain(request(texts, tmp_path / "whole", milestones="500,1k,2k"))
    kept = whole.meta["milestones"]
    assert [(entry["words"], entry["path"]) for entry in kept] == [
        (500, "milestones/500"),
        (1000, "milestones/1k"),
        (2000, "milestones/2k"),
    ]
    assert all(entry["words_seen"] >= entry["words"] for entry in kept)
    assert whole.meta["results"]["words_seen"] >= 2000
    entry = kept[1]
    with monkeypatch.context() as patched:
        stop_after(patched, entry["step"])
        with pytest.raises(Interrupted):
            pretrain(request(texts, tmp_path / "stopped"))
    newest, _ = checkpoint.newest(tmp_path / "stopped" / "resume")
    assert newest is not None
    assert newest.state["counters"]["words"] == entry["words_seen"]
    weights, warning = RunDirectory.open(whole.path / entry["path"]).weights()
    assert warning is None
    for name, tensor in weights.items():
        assert torch.equal(tensor, newest.tensors[name]), name
    last, _ = checkpoint.newest(whole.path / "resume")
    assert last is not None
    final, _ = RunDirectory.open(whole.path / "milestones" / "2k").weights()
    assert all(torch.equal(tensor, last.tensors[name]) for name, tensor in final.items())
    assert any(not torch.equal(tensor, weights[name]) for name, tensor in final.items())
    plain = pretrain(request(texts, tmp_path / "plain"))  # keeping weights changes nothing
    assert plain.meta["files"] == whole.meta["files"]


def test_milestones_survive_a_stop_and_are_listed(
    texts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(texts, tmp_path / "run", milestones="500,1k")
    whole = pretrain(replace(asked, output=tmp_path / "whole"))
    step = whole.meta["milestones"][0]["step"]
    with monkeypatch.context() as patched:
        stop_after(patched, step + 1)
        with pytest.raises(Interrupted):
            pretrain(asked)
    assert [entry["words"] for entry in RunDirectory.open(asked.output).meta["milestones"]] == [500]
    with pytest.raises(RunError, match="another milestones"):
        pretrain(replace(asked, milestones=[500], resume=True))
    run = pretrain(replace(asked, resume=True))
    assert run.meta["milestones"] == whole.meta["milestones"]
    for entry in run.meta["milestones"]:
        a, b = (RunDirectory.open(r.path / entry["path"]).meta["files"] for r in (run, whole))
        assert a == b
    summary = summarize(run)
    assert [entry["words"] for entry in summary["milestones"]] == [500, 1000]
    assert "milestones/500, milestones/1k" in summary_text(summary)
    early = run.path / "milestones" / "500"
    assert summarize(RunDirectory.open(early))["steps"] == step
    assert len(polyseme.load(early).score(["the old cat"])) == 1


def test_milestones_that_minutes_do_not_reach_are_told(texts: str, tmp_path: Path) -> None:
    run = pretrain(request(texts, tmp_path / "run", budget=Budget(steps=3), milestones="100,1M"))
    assert [entry["words"] for entry in run.meta["milestones"]] == [100]
    assert any("not reached within 3 steps" in note and "1M" in note for note in run.meta["notes"])


def test_words_seen_again_count_again(texts: str, tmp_path: Path) -> None:
    run = pretrain(request(texts, tmp_path / "run", "bert", budget=Budget(words=6000)))
    train = run.meta["corpus"]["splits"]["train"]["words"]
    assert train < 6000 <= run.meta["results"]["words_seen"] < 6200
    line = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["progress"] == 1.0
    vectors = pretrain(request(texts, tmp_path / "vectors", "word2vec", settings={"hidden_size": 8}))
    assert vectors.meta["results"]["words_seen"] >= 2000


def test_one_epoch_sees_each_word_once(texts: str, tmp_path: Path) -> None:
    run = pretrain(request(texts, tmp_path / "run", budget=Budget(epochs=1)))
    words = run.meta["corpus"]["splits"]["train"]["words"]
    assert run.meta["results"]["words_seen"] == pytest.approx(words, rel=0.05)


def test_the_babylm_export_has_a_folder_for_each(texts: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    run = pretrain(request(texts, tmp_path / "run", milestones="500,1k"))
    written = export_model(run.path, "babylm", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["chck_1k", "chck_500", "main"]
    assert "chck_500/model.safetensors" in written.files
    tables = {
        name: transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out" / name).lm_head.weight
        for name in ("chck_500", "chck_1k", "main")
    }
    assert not torch.equal(tables["chck_500"], tables["chck_1k"])
    ours, _ = run.weights()
    assert torch.equal(tables["main"], ours["encoder.word_embeddings.weight"])
    plain = pretrain(request(texts, tmp_path / "plain", budget=Budget(steps=1)))
    with pytest.raises(ConfigError, match="no milestones") as error:
        export_model(plain.path, "babylm", tmp_path / "none")
    assert "--milestones babylm" in str(error.value.fix)
    assert not (tmp_path / "none").exists()
