"""Going on with other text: its unknown part is said, and the vocabulary grows with the tables of the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import polyseme
from polyseme import Budget, PretrainRequest, RunDirectory, pretrain
from polyseme.data.prepare import prepare
from polyseme.errors import ConfigError, RunError
from polyseme.formats.registry import export_model, import_model
from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.text.extending import extended, made_of
from polyseme.text.tokenizers import Tokenizer
from polyseme.train.growing import grown

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "data.sequence_length": 16,
    "train.batch_size": 4,
    "train.heldout_tokens": 300,
    "train.precision": "float32",
    "text.valid_share": 0.2,
    "text.documents": "line",
    "tokenizer.vocab_size": 150,
}
OTHER = [f"ο ποταμός sees {n} tokamaks and the tokamak" for n in range(200)]


def request(corpus: Path, output: Path, model: str = "modernbert", **changes: Any) -> PretrainRequest:
    asked = PretrainRequest(
        model=model, corpus=[str(corpus)], output=output, budget=Budget(steps=2), settings=SIZES, threads=1
    )
    return replace(asked, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old.txt and other.txt, and a run on the first."""
    folder = tmp_path_factory.mktemp("growing")
    (folder / "old.txt").write_text("\n".join(f"the old cat sees {n} birds" for n in range(300)))
    (folder / "other.txt").write_text("\n".join(OTHER), "utf-8")
    pretrain(request(folder / "old.txt", folder / "run"))
    return folder


def test_what_became_unknown_is_said_and_what_helps(folder: Path, tmp_path: Path) -> None:
    run = pretrain(request(folder / "other.txt", tmp_path / "run", init=str(folder / "run")))
    (note,) = [note for note in run.meta["notes"] if "became [UNK]" in note]
    share = run.meta["corpus"]["splits"]["train"]["unknown"] / run.meta["corpus"]["splits"]["train"]["tokens"]
    assert f"{share:.2%}" in note
    assert "--extend-vocabulary" in note
    same = pretrain(request(folder / "old.txt", tmp_path / "same", init=str(folder / "run")))
    assert not any("[UNK]" in note for note in same.meta.get("notes", []))


def test_tables_and_biases_grow(folder: Path, tmp_path: Path) -> None:
    asked = request(folder / "other.txt", tmp_path / "run", init=str(folder / "run"), extend_vocabulary=40)
    run = pretrain(asked)
    old, new = (Tokenizer.from_file(r / "tokenizer.json") for r in (folder / "run", run.path))
    n = new.vocab_size - old.vocab_size
    assert 0 < n <= 40
    assert run.meta["extended_vocabulary"] == {"entries": n, "from": str(folder / "run"), "imported": False}
    assert any(f"extended by {n} entries" in note for note in run.meta["notes"])
    assert run.meta["corpus"]["splits"]["train"]["unknown"] == 0
    assert run.meta["recipe"]["model"]["vocab_size"] == new.vocab_size
    before, _ = RunDirectory.open(folder / "run").weights()
    after, _ = run.weights()
    larger = grown(before, after, old, new)
    pieces = made_of(old, new)
    for name in ("encoder.word_embeddings.weight", "heads.masked_lm.decoder.bias"):
        assert len(larger[name]) == len(before[name]) + n == len(after[name])
        assert torch.equal(larger[name][: old.vocab_size], before[name])
        place = new.id("tokamak")
        assert place is not None
        mean = before[name][pieces[place - old.vocab_size]].mean(0)
        assert torch.equal(larger[name][place], mean)
    others = {name for name in before if larger[name] is not before[name]}
    assert others == {"encoder.word_embeddings.weight", "heads.masked_lm.decoder.bias"}
    assert polyseme.fill(polyseme.load(run.path), "ο [MASK] sees", top=1)
    again = pretrain(replace(asked, resume=True))
    assert again.meta["files"] == run.meta["files"]
    with pytest.raises(RunError, match="another extended vocabulary"):
        pretrain(replace(asked, extend_vocabulary=41, resume=True))


def test_a_decoder_and_a_table_without_gradients_grow(folder: Path, tmp_path: Path) -> None:
    for model, more in (("gpt", {"tokenizer.kind": "wordpiece"}), ("word2vec", {})):
        settings = SIZES | more if model == "gpt" else {"hidden_size": 8, "text.documents": "line"}
        first = pretrain(request(folder / "old.txt", tmp_path / model, model, settings=settings))
        run = pretrain(
            request(folder / "other.txt", tmp_path / f"{model}-2", model, settings=settings, init=str(first.path),
                    extend_vocabulary=30)
        )  # fmt: skip
        added = run.meta["extended_vocabulary"]["entries"]
        assert (
            run.meta["recipe"]["model"]["vocab_size"] == first.meta["recipe"]["model"]["vocab_size"] + added
        )


def test_a_faithful_import_may_grow_and_this_is_said(folder: Path, tmp_path: Path) -> None:
    export_model(folder / "run", "huggingface", tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "imported")
    run = pretrain(
        request(folder / "other.txt", tmp_path / "run", init=str(tmp_path / "imported"), extend_vocabulary=20,
                settings={k: v for k, v in SIZES.items() if "." in k})
    )  # fmt: skip
    assert any("no longer that of the imported model" in note for note in run.meta["notes"])
    written = export_model(run.path, "huggingface", tmp_path / "again")
    assert any("entries more than that of" in note for note in written.notes)


def test_what_cannot_be_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="for a vocabulary that is there already"):
        request(folder / "other.txt", tmp_path / "run", extend_vocabulary=10)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ConfigError, match="whole number above zero"):
            request(folder / "other.txt", tmp_path / "run", init=str(folder / "run"), extend_vocabulary=wrong)
    prepare(
        [str(folder / "other.txt")],
        tmp_path / "store",
        text=TextConfig(documents="line", valid_share=0.2),
        tokenizer=TokenizerConfig(vocab_size=200),
    )
    with pytest.raises(ConfigError, match="a store has its vocabulary already"):
        pretrain(
            request(tmp_path / "store", tmp_path / "run", init=str(folder / "run"), extend_vocabulary=10)
        )
    bytes_ = pretrain(
        request(folder / "old.txt", tmp_path / "gpt", "gpt", settings=SIZES | {"tokenizer.vocab_size": 330})
    )
    with pytest.raises(ConfigError, match="knows every text"):
        pretrain(
            request(folder / "other.txt", tmp_path / "run", "gpt", init=str(bytes_.path), extend_vocabulary=10,
                    settings={k: v for k, v in SIZES.items() if k.startswith(("text", "data", "train"))})
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_what_has_not_a_row_for_each_token_does_not_grow(folder: Path, tmp_path: Path) -> None:
    settings = {"text.documents": "line"}
    counts = pretrain(request(folder / "old.txt", tmp_path / "counts", "onehot", settings=settings))
    with pytest.raises(ConfigError, match="cannot grow with its vocabulary"):
        pretrain(
            request(folder / "other.txt", tmp_path / "run", "onehot", settings=settings, init=str(counts.path),
                    extend_vocabulary=10)
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
    old = Tokenizer.from_file(folder / "run" / "tokenizer.json")
    new = extended(old, OTHER, 20)
    letters = "encoder.words.characters.character_embeddings.weight"
    with pytest.raises(ConfigError, match="cannot grow with its vocabulary"):
        grown({letters: torch.zeros(24, 3)}, {letters: torch.zeros(27, 3)}, old, new)
