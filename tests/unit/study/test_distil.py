"""A static run of a contextual one: its vectors by hand, its words, what it says, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import polyseme
from polyseme.errors import ConfigError, CorpusError, InputError, RunError
from polyseme.infer.model import Model, load
from polyseme.study.distil import distil as distil_any
from polyseme.study.distil import principal_components, sif_weights, zipf_shares
from polyseme.text.config import TextConfig
from vector_runs import TEXTS, random_run

CORPUS = [text for text in TEXTS if text] * 3


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("distil")
    return {name: random_run(folder, name) for name in ("bert", "gpt", "elmo", "word2vec", "onehot")}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "texts.txt").write_text("\n\n".join(CORPUS), "utf-8")
    return tmp_path / "texts.txt"


def distil(*given: Any, **options: Any) -> Any:
    return distil_any(*given, text=TextConfig(documents="blank"), **options)


def table_of(run: Any) -> np.ndarray:
    return load(run.path).encoder.token_embedding().weight.detach().numpy()


def cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def words_of(loaded: Any) -> list[str]:
    return [loaded.tokenizer.token(i) for i in range(5, loaded.tokenizer.vocab_size)]


def test_components_keep_distances_and_leave_the_first_out() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32) * [9, 5, 3, 1, 1, 1]
    vectors = vectors.astype(np.float32)
    whole, share = principal_components(vectors, 6)
    centred = vectors - vectors.mean(0)
    assert np.allclose(whole @ whole.T, centred @ centred.T, atol=1e-3)
    assert share == pytest.approx(1.0)
    later, less = principal_components(vectors, 2, remove=1)
    assert np.allclose(later, whole[:, 1:3], atol=1e-5)
    variance = whole.var(0)
    assert less == pytest.approx(variance[1:3].sum() / variance.sum(), rel=1e-4)


def test_weights_fall_with_the_share() -> None:
    shares = zipf_shares(3)
    assert np.allclose(shares, np.array([1 / 2, 1 / 3, 1 / 4]) / (1 / 2 + 1 / 3 + 1 / 4))
    assert np.allclose(sif_weights(shares, 0.1), 0.1 / (0.1 + shares))
    assert (sif_weights(shares, 0.0) == 1).all()


@pytest.mark.parametrize("name", ["bert", "gpt", "elmo"])
def test_read_alone_a_word_has_the_vector_of_its_text(
    runs: dict[str, Model], name: str, tmp_path: Path
) -> None:
    loaded = runs[name]
    static = distil(loaded, tmp_path / "static", dimensions=16, sif=0)
    word = loaded.tokenizer.encode("cat").ids
    assert len(word) == 1, "the test needs a word that is one token"
    others = list(range(5, loaded.tokenizer.vocab_size))
    with torch.inference_mode():
        alone = np.stack([loaded.encoder.encode(loaded.batch([[i]])).last[0, 1].numpy() for i in others])
    expected, _ = principal_components(alone, 16)
    assert np.allclose(table_of(static)[5:], expected, atol=1e-4)
    assert not table_of(static)[:5].any()
    assert load(static.path).tokenizer.fingerprint == loaded.tokenizer.fingerprint


def test_weights_lengthen_rare_words(runs: dict[str, Model], tmp_path: Path) -> None:
    plain = table_of(distil(runs["bert"], tmp_path / "plain", sif=0))
    weighted = table_of(distil(runs["bert"], tmp_path / "weighted", sif=1e-2))
    ratio = np.linalg.norm(weighted[5:], axis=1) / np.linalg.norm(plain[5:], axis=1)
    assert np.allclose(ratio, sif_weights(zipf_shares(len(ratio)), 1e-2), atol=1e-4)


@pytest.mark.parametrize("name", ["bert", "elmo", "gpt"])
def test_in_a_corpus_a_word_has_the_mean_over_its_uses(
    runs: dict[str, Model], name: str, texts: Path, tmp_path: Path
) -> None:
    loaded = runs[name]
    static = distil(
        loaded, tmp_path / "static", corpus=texts, words=["cat", "dog", "mat", "old"], sif=0, dimensions=3
    )
    sums: dict[str, list[np.ndarray]] = {word: [] for word in words_of(load(static.path))}
    assert set(sums) == {"cat", "dog", "mat", "old"}
    for text in CORPUS:
        encoded = loaded.encode(text, layers=-1)
        of_text = load(static.path).tokenizer.encode(text)
        for word, (start, end) in zip(of_text.ids, of_text.offsets, strict=True):
            if word >= 5:
                inside = (encoded.offsets[:, 0] < end) & (encoded.offsets[:, 1] > start)
                sums[load(static.path).tokenizer.token(word)].append(encoded.layer(-1)[inside].mean(0))
    expected, _ = principal_components(np.stack([np.mean(uses, axis=0) for uses in sums.values()]), 3)
    assert np.allclose(table_of(static)[5:], expected, atol=1e-4)


def test_the_shares_of_a_corpus_are_counted(runs: dict[str, Model], texts: Path, tmp_path: Path) -> None:
    words = ["cat", "dog", "old"]
    options: dict[str, Any] = {"corpus": texts, "words": words, "dimensions": 2}
    plain, weighted = (table_of(distil(runs["bert"], tmp_path / str(a), sif=a, **options)) for a in (0, 0.1))
    counts = np.array([" ".join(CORPUS).replace(",", " ").split().count(word) for word in words])
    ratio = np.linalg.norm(weighted[5:], axis=1) / np.linalg.norm(plain[5:], axis=1)
    assert np.allclose(ratio, 0.1 / (0.1 + counts / counts.sum()), atol=1e-4)


def test_a_word_without_a_use_is_read_alone_and_said(
    runs: dict[str, Model], texts: Path, tmp_path: Path
) -> None:
    static = distil(
        runs["bert"], tmp_path / "static", corpus=texts, words=["cat", "dog", "catmat"], dimensions=2
    )
    assert table_of(static)[7].any()
    assert "1 words have no use in the corpus" in static.meta["imported"]["notes"][0]


def test_a_budget_of_tokens_is_spread_over_the_corpus(runs: dict[str, Model], tmp_path: Path) -> None:
    lines = ["the cat sat on the mat"] * 50 + ["the dog sees a small cat"] * 50
    (tmp_path / "long.txt").write_text("\n\n".join(lines), "utf-8")
    made = [
        distil(
            runs["bert"],
            tmp_path / str(tokens),
            corpus=tmp_path / "long.txt",
            words=["mat", "dog"],
            dimensions=1,
            tokens=tokens,
        ).meta["imported"]
        for tokens in (None, 100)
    ]
    assert made[0]["tokens_read"] > 500
    assert 80 <= made[1]["tokens_read"] <= 160
    assert not made[1]["notes"], "both words were met, the one at the end, too"


def test_words_of_a_file_and_of_the_corpus(runs: dict[str, Model], texts: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("dog\t12\n\ncat\ncat\nold\n", "utf-8")
    named = load(distil(runs["bert"], tmp_path / "a", words=tmp_path / "words.txt", dimensions=2).path)
    assert words_of(named) == ["dog", "cat", "old"]
    found = load(
        distil(runs["bert"], tmp_path / "b", words="corpus", corpus=texts, min_count=3, dimensions=2).path
    )
    assert {"the", "cat", "dog", "on"} <= set(words_of(found))
    assert words_of(found)[0] == "the"


def test_chinese_words(tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "bert", tokenizer="characters")
    (tmp_path / "zh.txt").write_text("今天很好\n\n天气很好，今天也很好\n", "utf-8")
    static = load(
        distil(loaded, tmp_path / "s", words=["今天", "天气"], corpus=tmp_path / "zh.txt", dimensions=1).path
    )
    assert words_of(static) == ["今天", "天气"]
    assert static.tokenizer.encode("天气很好，今天很好").ids[0] == 6
    assert np.allclose(np.abs(static.embed("今天")), 1.0)


def test_layers_are_chosen_and_averaged(runs: dict[str, Model], tmp_path: Path) -> None:
    tables = {
        str(layer): table_of(distil(runs["bert"], tmp_path / str(layer), layer=layer, sif=0, dimensions=8))
        for layer in (0, -1, "all")
    }
    assert not np.allclose(cosines(tables["0"][5:40]), cosines(tables["-1"][5:40]), atol=1e-3)
    assert not np.allclose(cosines(tables["all"][5:40]), cosines(tables["-1"][5:40]), atol=1e-3)


def test_the_run_says_what_it_is_and_can_be_used(runs: dict[str, Model], tmp_path: Path) -> None:
    static = polyseme.distil(runs["bert"].run.path, tmp_path / "static", dimensions=8)
    made = static.meta["imported"]
    assert (made["kind"], made["model"], made["way"]) == ("polyseme distil", "bert", "alone")
    loaded = polyseme.load(static.path)
    vectors = loaded.embed(["the cat", "the dog", ""])
    assert vectors.shape == (3, 8)
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0], atol=1e-5)
    assert len(loaded.neighbours("cat", top=3)) == 3
    assert "bert" in str(polyseme.inspect(static)) or "distil" in str(polyseme.inspect(static))
    assert json.loads((static.path / "run.json").read_text("utf-8"))["model"] == "word2vec"


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"dimensions": 33}, ConfigError, "fewer dimensions"),
        ({"dimensions": 30, "remove": 3}, ConfigError, "fewer dimensions"),
        ({"dimensions": 0}, ConfigError, "above zero"),
        ({"remove": -1}, ConfigError, "components"),
        ({"remove": 32}, ConfigError, "components"),
        ({"sif": -1.0}, ConfigError, "sif"),
        ({"sif": float("nan")}, ConfigError, "sif"),
        ({"tokens": 0}, ConfigError, "tokens"),
        ({"layer": 7}, ConfigError, "no such layer"),
        ({"words": "corpus"}, ConfigError, "no corpus"),
        ({"words": ["\U0001d54f\U0001d54f"]}, InputError, "knows none"),
        ({"words": []}, InputError, "knows none"),
        ({"words": [1]}, InputError, "strings"),
        ({"words": ["cat", "dog"], "dimensions": 8}, ConfigError, "fewer words than dimensions"),
        ({"words": ["cat", "dog"], "remove": 2}, ConfigError, "fewer words than dimensions"),
        ({"corpus": ["python-docs=1"]}, ConfigError, "takes no shares"),
        ({"words": "missing.txt"}, CorpusError, "no such file"),
        ({"corpus": "missing.txt"}, CorpusError, "missing|nothing|no such"),
    ],
)
def test_bad_input_is_refused(
    runs: dict[str, Model], options: dict[str, Any], error: type[Exception], match: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=match):
        distil(runs["bert"], tmp_path / "static", **options)
    assert not (tmp_path / "static").exists()


@pytest.mark.parametrize("name", ["word2vec", "onehot"])
def test_a_static_run_is_refused(runs: dict[str, Model], name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="static already") as caught:
        distil(runs[name], tmp_path / "static")
    sparse = name == "onehot"  # which has no form as word vectors
    assert ("polyseme embed" if sparse else "polyseme export") in str(caught.value)


def test_few_words_give_few_dimensions(runs: dict[str, Model], tmp_path: Path) -> None:
    static = distil(runs["bert"], tmp_path / "static", words=["cat", "dog", "mat"])
    assert static.meta["recipe"]["model"]["hidden_size"] == 3


def test_a_corpus_without_a_known_word_is_refused(runs: dict[str, Model], tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("on the mat\n", "utf-8")
    with pytest.raises(CorpusError, match="holds none of the words"):
        distil(
            runs["bert"],
            tmp_path / "static",
            corpus=tmp_path / "other.txt",
            words=["cat", "dog"],
            dimensions=1,
        )


def test_a_folder_that_holds_something_is_refused(runs: dict[str, Model], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine", "utf-8")
    with pytest.raises(RunError, match="holds something"):
        distil(runs["bert"], tmp_path)
