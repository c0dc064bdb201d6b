"""gensim reads what we write, and we read what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.formats.runs import Imported, write_run
from polyseme.formats.static import export_word2vec
from polyseme.formats.word_vectors import import_word_vectors, tokenizer_of
from polyseme.infer.model import load
from polyseme.infer.neighbours import neighbours

gensim = pytest.importorskip("gensim.models")

WORDS = [f"w{i}" for i in range(200)] + ["new_york", "u.s.", "北京"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ["new", "york", *WORDS]
    table = torch.randn(5 + len(words), 24, generator=torch.Generator().manual_seed(3))
    imported = Imported(
        architecture="word2vec",
        model={"vocab_size": len(table), "hidden_size": 24},
        objectives=[],
        tensors={"encoder.word_embeddings.weight": table},
        tokenizer=tokenizer_of(words),
        source={"path": "made up"},
    )
    return write_run(imported, tmp_path_factory.mktemp("static") / "run").path


@pytest.mark.parametrize("name", ["v.txt", "v.bin", "v.txt.gz", "v.bin.gz"])
def test_gensim_finds_the_same_neighbours_in_what_we_write(run: Path, name: str, tmp_path: Path) -> None:
    export_word2vec(run, tmp_path / name)
    theirs = gensim.KeyedVectors.load_word2vec_format(str(tmp_path / name), binary=".bin" in name)
    loaded = load(run)
    assert theirs.index_to_key == ["new", "york", *WORDS]
    assert np.array_equal(theirs.vectors, loaded.encoder.word_embeddings.weight[5:].detach().numpy())
    for word in ("w3", "u.s.", "北京"):
        ours = neighbours(loaded, word, top=10)
        expected = theirs.most_similar(word, topn=10)
        assert [n["word"].replace(" ", "_") for n in ours] == [w for w, _ in expected]
        assert np.allclose([n["similarity"] for n in ours], [s for _, s in expected], atol=1e-6)


@pytest.mark.parametrize("name", ["v.txt", "v.bin", "v.txt.gz"])
@pytest.mark.parametrize("header", [True, False])
def test_we_read_what_gensim_writes(name: str, header: bool, tmp_path: Path) -> None:
    if not header and ".bin" in name:
        pytest.skip("binary files always have a first line")
    vectors = np.random.default_rng(4).standard_normal((len(WORDS), 24)).astype(np.float32)
    theirs = gensim.KeyedVectors(24)
    theirs.add_vectors(WORDS, vectors)
    theirs.save_word2vec_format(str(tmp_path / name), binary=".bin" in name, write_header=header)
    imported = import_word_vectors(tmp_path / name)
    assert imported.source["kind"] == (
        "GloVe text" if not header else "word2vec binary" if ".bin" in name else "word2vec text"
    )
    assert np.array_equal(imported.tensors["encoder.word_embeddings.weight"][5:].numpy(), vectors)
    assert [imported.tokenizer.token(i) for i in range(5, imported.tokenizer.vocab_size)] == WORDS
