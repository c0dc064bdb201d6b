"""What the methods give for imported models, against the program the models come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers as hf
import torch
import transformers

import polyseme
from foreign import TEXTS
from polyseme.formats.registry import import_model
from polyseme.sklearn import Embedder

SOME = ["It was a good day", "", "今天天气很好, naïve café 😀", "The file is read line by line. " * 20, "a"]


def gpt2(folder: Path) -> None:
    """A GPT-2 with random weights and a vocabulary of its own: nothing stands before or behind a text."""
    backend = hf.ByteLevelBPETokenizer(add_prefix_space=False)
    backend.train_from_iterator(TEXTS, vocab_size=330, special_tokens=["<|endoftext|>"], show_progress=False)
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"}'
    )
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=backend.get_vocab_size(), n_embd=32, n_layer=2, n_head=2, n_positions=48,
        bos_token_id=0, eos_token_id=0, initializer_range=0.4,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).eval().save_pretrained(folder)


@pytest.mark.filterwarnings("ignore:.*longer than the .* tokens that are read")
def test_states_of_a_decoder_that_reads_texts_as_they_are(tmp_path: Path) -> None:
    gpt2(tmp_path / "theirs")
    import_model(tmp_path / "theirs", tmp_path / "run")
    ours = polyseme.load(tmp_path / "run")
    theirs = transformers.GPT2Model.from_pretrained(tmp_path / "theirs").eval()
    for separators in (False, True):
        for one in ours.encode(SOME, separators=separators):
            assert len(one) == min(48, len(ours.tokenizer.encode(one.text)))
            assert one.layers.shape == (3, len(one), 32)
            if not len(one):
                continue
            with torch.no_grad():
                states = theirs(torch.from_numpy(one.ids)[None], output_hidden_states=True).hidden_states
            np.testing.assert_allclose(one.layers, torch.cat(states).numpy(), atol=2e-5)
    assert {"generate", "score", "neighbours"} < set(ours.abilities)
    assert "fill" not in ours.abilities
    assert ours.embed(SOME, "last").shape == (5, 32)
    assert Embedder(tmp_path / "run", pool="last").fit_transform(SOME).shape == (5, 32)


def test_states_and_vectors_of_real_weights(real_weights: Path, tmp_path: Path) -> None:
    import_model(real_weights, tmp_path / "run")
    ours = polyseme.load(tmp_path / "run")
    theirs = transformers.AutoModel.from_pretrained(real_weights).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(real_weights)
    for one in ours.encode(SOME, separators=True):
        inputs = tokenizer(one.text, return_tensors="pt", truncation=True, max_length=512)
        assert one.ids.tolist() == inputs["input_ids"][0].tolist()
        with torch.no_grad():
            states = theirs(**inputs, output_hidden_states=True).hidden_states
        np.testing.assert_allclose(one.layers, torch.cat(states).numpy(), atol=1e-5)
    cosines = ours.similarity(["a dog barks", "北京"], ["the puppy is loud", "stock prices fell"])
    assert cosines[0, 0] > cosines[0, 1] + 0.2
    vectors = Embedder(tmp_path / "run").fit_transform(SOME)
    np.testing.assert_allclose(vectors, ours.embed(SOME), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)  # as the model was made
