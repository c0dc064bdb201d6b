"""Senses against plain loops, scikit-learn and vectors whose accuracy is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, silhouette_samples

from polyseme.core.rng import Random
from polyseme.errors import ConfigError, CorpusError, InputError
from polyseme.infer.model import Model, load
from polyseme.study.sense_clusters import (
    check_map,
    components,
    distinctive,
    drawn,
    k_means,
    snippet,
    suggest,
    turned_maps,
    use_map,
)
from polyseme.study.sense_scores import chosen_layers, folds_of, judge, majority, silhouettes, transfer
from polyseme.study.sense_words import Word, balanced, randomised
from polyseme.study.senses import senses
from polyseme.study.stats import UseResampler, mean
from polyseme.study.uses import distinct_vectors, unit, use_vectors
from polyseme.tasks.metrics.intervals import wilson
from polyseme.text.config import TokenizerConfig
from polyseme.text.labelled.senses import Use
from polyseme.text.training import train_tokenizer
from polyseme.train.build import build_encoder
from polyseme.train.recipe import from_dict
from polyseme.train.run import RunDirectory
from vector_runs import random_run


def example(n: int = 60, width: int = 5, kinds: int = 3) -> tuple[Any, Any, Any]:
    """Vectors, senses of which 0 is the most frequent, and folds."""
    random = np.random.default_rng(0)
    gold = np.sort(random.choice(kinds, n, p=[0.6, 0.3, 0.1][:kinds] if kinds == 3 else None))
    vectors = unit(random.normal(size=(n, width)) + 0.8 * np.eye(kinds, width)[gold])
    return vectors, gold, folds_of([str(i) for i in range(n)], gold, 6, seed=1)


def plainly(vectors: Any, gold: Any, seen: Any, i: int) -> int:
    """The sense of the nearest of some uses."""
    return int(gold[max(seen, key=lambda j: vectors[i] @ vectors[j])])


def by_centroid(vectors: Any, gold: Any, seen: Any, i: int) -> int:
    kinds = sorted({int(gold[j]) for j in seen})
    centre = {k: np.mean([vectors[j] for j in seen if gold[j] == k], axis=0) for k in kinds}
    return max(kinds, key=lambda k: vectors[i] @ centre[k] / np.linalg.norm(centre[k]))


@pytest.mark.parametrize(("method", "plain"), [("nearest", plainly), ("centroid", by_centroid)])
def test_predictions_are_those_of_plain_loops(method: str, plain: Any) -> None:
    vectors, gold, fold = example()
    found = judge(vectors, gold, fold)[method]
    n, k = len(gold), int(fold.max()) + 1
    assert k == 6
    said = [plain(vectors, gold, [j for j in range(n) if fold[j] != fold[i]], i) for i in range(n)]
    assert found.predicted.tolist() == said
    for f in range(k):
        right = [
            plain(vectors, gold, [j for j in range(n) if fold[j] not in (f, fold[i])], i) == gold[i]
            for i in range(n)
            if fold[i] != f
        ]
        assert found.inner[f] == pytest.approx(np.mean(right))
    train = [i for i in range(n) if fold[i] != 0]
    test = [i for i in range(n) if fold[i] == 0]
    moved = transfer(vectors[train], gold[train], vectors[test], method, 3)
    assert moved.tolist() == [plain(vectors, gold, train, i) for i in test]


def test_folds_are_stratified_keep_groups_together_and_do_not_change() -> None:
    gold = np.array([0] * 40 + [1] * 20 + [2] * 3)
    groups = [f"text {i // 2}" for i in range(63)]
    fold = folds_of(groups, gold, 10, seed=4)
    assert fold.tolist() == folds_of(groups, gold, 10, seed=4).tolist()
    assert fold.tolist() != folds_of(groups, gold, 10, seed=5).tolist()
    assert all(fold[i] == fold[i + 1] for i in range(0, 62, 2))
    assert np.bincount(fold[gold == 0]).tolist() == [4] * 10
    assert np.bincount(fold[gold == 1], minlength=10).max() <= 4
    assert len(set(fold[gold == 2])) == 2
    assert sorted(set(folds_of(["a", "b", "c"], np.array([0, 0, 1]), 10, 0))) == [0, 1, 2]


def test_a_use_is_no_neighbour_of_the_same_text() -> None:
    """Two senses in the same repeated text: its copy would be the nearest, and is not looked at."""
    vectors = unit(np.array([[1, 0.01], [1, 0.0], [0.0, 1], [0.01, 1], [0.9, 0.1], [0.1, 0.9]]))
    gold = np.array([1, 1, 0, 0, 0, 1])
    alone = folds_of(list("abcdef"), gold, 6, 0)
    grouped = folds_of(list("aaccef"), gold, 6, 0)
    assert judge(vectors, gold, alone)["nearest"].predicted[:4].tolist() == [1, 1, 0, 0]
    assert judge(vectors, gold, grouped)["nearest"].predicted[:4].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("method", ["nearest", "centroid"])
def test_equal_vectors_say_the_most_frequent_sense(method: str) -> None:
    gold = np.array([0] * 30 + [1] * 12 + [2] * 4)
    fold = folds_of(list(map(str, range(46))), gold, 10, 0)
    vectors = unit(np.ones((46, 8)))
    assert judge(vectors, gold, fold)[method].predicted.tolist() == [0] * 46
    assert judge(vectors, gold, fold, one_dot=True)[method].predicted.tolist() == [0] * 46


def test_the_best_layer_is_chosen_without_the_fold_it_is_reported_on() -> None:
    vectors, gold, fold = example()
    random = np.random.default_rng(5)
    noise = [unit(random.normal(size=vectors.shape)) for _ in range(3)]
    clear = unit(random.normal(size=vectors.shape) + 5 * np.eye(3, 5)[gold])
    layers = [judge(layer, gold, fold)["nearest"] for layer in (*noise, clear)]
    predicted, places = chosen_layers(layers, fold)
    assert places.tolist() == [3] * 6
    assert predicted.tolist() == layers[3].predicted.tolist()
    # of layers of noise the nested figure is no better than one of them, while their maximum flatters
    many = [judge(unit(random.normal(size=(60, 3))), gold, fold)["nearest"] for _ in range(40)]
    nested = (chosen_layers(many, fold)[0] == gold).mean()
    highest = max((one.predicted == gold).mean() for one in many)
    assert nested < highest


def test_figures_are_those_of_scikit_learn_and_draws_are_paired() -> None:
    _, gold, _ = example()
    random = np.random.default_rng(2)
    said = np.where(random.random(60) < 0.7, gold, random.integers(0, 3, 60))
    draws = UseResampler(gold, 3, 300, 0, "test")
    figures = draws.figures(said)
    assert figures["accuracy"].value == pytest.approx((said == gold).mean())
    assert figures["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(gold, said))
    assert figures["macro_f1"].value == pytest.approx(f1_score(gold, said, average="macro"))
    accuracy = figures["accuracy"].document()
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert accuracy["n"] == 60
    low, high = wilson(int((said == gold).sum()), 60)
    assert accuracy["low"] == pytest.approx(low, abs=0.04)
    assert accuracy["high"] == pytest.approx(high, abs=0.04)
    again = UseResampler(gold, 3, 300, 0, "test").figures(said)["accuracy"]
    assert again.over(figures["accuracy"])["low"] == again.over(figures["accuracy"])["high"] == 0.0
    whole = mean([figures["accuracy"], figures["macro_f1"]])
    assert whole.value == pytest.approx((figures["accuracy"].value + figures["macro_f1"].value) / 2)


@pytest.mark.parametrize("said", [0, 1])
def test_all_right_and_all_wrong_are_not_certain(said: int) -> None:
    gold = np.zeros(12, np.int64)
    found = UseResampler(gold, 2, 100, 0, "uses").figures(np.full(12, said))["accuracy"]
    low, high = wilson(12 * (1 - said), 12)
    assert found.document() == {"value": 1.0 - said, "low": low, "high": high, "n": 12}
    assert mean([found]).document() == found.document()
    assert found.over(found)["value"] == 0.0


def test_silhouettes_are_those_of_scikit_learn() -> None:
    vectors, gold, _ = example()
    assert silhouettes(vectors, gold) == pytest.approx(
        silhouette_samples(vectors, gold, metric="cosine"), abs=1e-5
    )
    assert silhouettes(unit(np.ones((6, 3))), np.array([0, 0, 0, 1, 1, 1])).tolist() == [0.0] * 6


def test_forms_of_a_word_have_a_baseline_of_their_own() -> None:
    gold = np.array([0] * 20 + [1] * 10)
    forms = np.array([0] * 18 + [1] * 2 + [1] * 10)
    fold = folds_of(list(map(str, range(30))), gold, 5, 0)
    assert majority(forms, gold, fold).tolist() == [0] * 18 + [1] * 12


def test_dots_are_seen_in_the_vectors() -> None:
    random = np.random.default_rng(0)
    kinds = random.normal(size=(2, 6)).astype(np.float32)
    forms = np.array([0, 1, 0, 1, 0, 2])
    noise = 1e-6 * random.normal(size=(6, 6)).astype(np.float32)
    assert distinct_vectors(kinds[[0, 1, 0, 1, 0, 1]] + noise, forms) == 2
    assert distinct_vectors(kinds[[0] * 6] + noise, forms) == 1
    assert distinct_vectors(random.normal(size=(6, 6)).astype(np.float32), forms) is None
    assert distinct_vectors(random.normal(size=(3, 6)).astype(np.float32), np.arange(3)) is None


# --- uses in runs ---------------------------------------------------------------------------------


def uses_of_cat(n: int = 24) -> list[Use]:
    """Uses of cat: on a mat, or seen by a dog; a third of them the latter."""
    found = []
    for i in range(n):
        text, sense = (
            (f"{i} the cat sat on the mat", "mat") if i % 3 else (f"{i} the old dog sees the cat", "dog")
        )
        start = text.index("cat")
        found.append(Use(str(i), text, start, start + 3, sense, "cat", "test" if i % 4 == 0 else "train"))
    return found


@pytest.mark.parametrize("name", ["word2vec", "onehot"])
def test_a_static_run_is_one_dot_at_its_ceiling(name: str, tmp_path: Path) -> None:
    found = senses(random_run(tmp_path, name), uses_of_cat(), resamples=200)
    (run,) = found.runs
    (word,) = found.words
    assert run["static"]
    assert run["words"][0]["layers"][0]["dots"] == 1
    assert word["ceiling"]["value"] == pytest.approx(16 / 24)
    for method in ("nearest", "centroid"):
        best = run["words"][0]["best"][method]
        assert best["accuracy"]["value"] == pytest.approx(16 / 24)
        assert best["over_ceiling"]["value"] == 0.0
        assert best["balanced_accuracy"]["value"] == 0.5
    assert set(run["words"][0]["map"]["x"]) == {0.0}
    assert "by_form" not in word


def test_forms_that_differ_are_told_apart_from_context(tmp_path: Path) -> None:
    uses = [Use(str(i), f"{i} the {form}", len(str(i)) + 5, len(str(i)) + 8, form, "cat") for i in range(20)
            for form in ["cat" if i % 2 else "dog"]]  # fmt: skip
    found = senses(random_run(tmp_path, "word2vec"), uses, resamples=200)
    assert found.runs[0]["static"]
    assert found.runs[0]["words"][0]["layers"][0]["dots"] == 2
    assert found.words[0]["by_form"]["value"] == 1.0
    assert found.runs[0]["words"][0]["best"]["nearest"]["accuracy"]["value"] == 1.0
    assert found.runs[0]["words"][0]["best"]["nearest"]["over_forms"]["value"] == 0.0


def test_contextual_runs_beat_the_ceiling_and_are_compared_in_pairs(tmp_path: Path) -> None:
    runs = [random_run(tmp_path, "bert"), random_run(tmp_path, "onehot")]
    found = senses(runs, uses_of_cat(), resamples=200)
    document = found.document()
    bert = document["runs"][0]
    assert not bert["static"]
    assert bert["layers"] == [0, 1, 2]
    assert bert["words"][0]["best"]["nearest"]["accuracy"]["value"] == 1.0
    assert bert["words"][0]["best"]["nearest"]["over_ceiling"]["low"] > 0
    assert bert["mean"]["best"]["nearest"]["accuracy"]["value"] == 1.0
    assert sum(bert["words"][0]["best"]["nearest"]["layers"].values()) == document["words"][0]["folds"]
    test = bert["words"][0]["test"]
    assert (test["train"], test["nearest"]["accuracy"]["n"], test["repeated_texts"]) == (18, 6, 0)
    assert test["nearest"]["accuracy"]["value"] == 1.0
    over = document["differences"]
    assert [(one["first"], one["second"], one["word"]) for one in over] == [
        ("bert", "onehot", ""),
        ("bert", "onehot", "cat"),
    ]
    assert over[0]["value"] == pytest.approx(1 - 16 / 24)
    assert over[0]["p_randomisation"] == over[1]["p_randomisation"] < 0.05
    mean_over = bert["mean"]["best"]["nearest"]["over_ceiling"]
    assert mean_over["p_randomisation"] == over[0]["p_randomisation"]
    assert senses(runs, uses_of_cat(), resamples=200).document()["runs"][0]["words"] == bert["words"]


def test_few_uses_prove_little() -> None:
    """Four of four against none of four: one sign in eight is as lopsided, whatever draws of them say."""
    right, wrong = np.ones(4, bool), np.zeros(4, bool)
    assert randomised([(right, wrong)], 0)["p_randomisation"] == pytest.approx(2 / 2**4, abs=0.02)
    assert randomised([(right, wrong)] * 2, 0)["p_randomisation"] == pytest.approx(2 / 2**8, abs=0.005)
    assert randomised([(right, right)], 0)["p_randomisation"] == 1.0


def test_every_layer_is_its_own_encoding(tmp_path: Path) -> None:
    """By one pass for all layers and texts, the same as text by text with `encode`."""
    loaded = random_run(tmp_path, "bert")
    uses = uses_of_cat(6)
    found = use_vectors(loaded, uses)
    for i, use in enumerate(uses):
        encoded = loaded.encode(use.text)
        inside = [t for t, (a, b) in enumerate(encoded.offsets) if a < use.end and b > use.start]
        assert inside
        assert found.vectors[:, i] == pytest.approx(encoded.layers[:, inside].mean(1), abs=1e-5)
    assert use_vectors(loaded, uses, layers=-1).vectors[0] == pytest.approx(found.vectors[-1], abs=1e-6)
    assert (found.untokenized, found.cut) == (0, 0)


@pytest.mark.parametrize("name", ["bert", "gpt"])
@pytest.mark.parametrize("place", ["early", "middle", "late"])
def test_a_long_text_is_cut_to_a_window_around_the_use(name: str, place: str, tmp_path: Path) -> None:
    loaded = random_run(tmp_path, name)
    before, after = {"early": (2, 200), "middle": (100, 100), "late": (200, 2)}[place]
    text = "the old dog sees " * before + "cat " + "on the small mat " * after
    start = 17 * before
    use = Use("1", text, start, start + 3, None, "cat")
    found = use_vectors(loaded, [use, uses_of_cat(1)[0]])
    assert found.cut == 1
    tokens, room = loaded.tokenizer.encode(text), loaded.max_content
    (at,) = [i for i, (a, b) in enumerate(tokens.offsets) if a < use.end and b > use.start]
    low = (
        max(0, at + 1 - room)
        if name == "gpt"
        else min(max(0, (2 * at + 1 - room) // 2), len(tokens.ids) - room)
    )
    assert low <= at < low + room
    with torch.inference_mode():
        layers = loaded.encoder.encode(loaded.batch([tokens.ids[low : low + room]]), keep="all").layers
    expected = np.stack([layer[0, loaded.prefix_length + at - low].numpy() for layer in layers])
    assert found.vectors[:, 0] == pytest.approx(expected, abs=1e-5)


def test_a_use_without_a_token_is_told(tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "bert")
    found = use_vectors(loaded, [Use("1", "the  cat", 3, 5, None, " ")])
    assert found.untokenized == 1
    assert not found.vectors.any()


def test_vectors_of_texts_and_of_both_are_means_of_the_same_tokens(tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "bert")
    uses = uses_of_cat(6)
    word, text, both = (use_vectors(loaded, uses, scope=of).vectors for of in ("word", "text", "both"))
    for i, use in enumerate(uses):
        encoded = loaded.encode(use.text)
        own = [t for t, (a, b) in enumerate(encoded.offsets) if a < b]
        assert text[:, i] == pytest.approx(encoded.layers[:, own].mean(1), abs=1e-5)
    for place in range(len(both)):
        parts = [unit(word[place]), unit(text[place])]
        assert both[place] == pytest.approx(np.concatenate(parts, 1), abs=1e-6)


@pytest.mark.parametrize("name", ["onehot", "word2vec"])
def test_the_text_of_a_static_run_tells_its_uses_apart(name: str, tmp_path: Path) -> None:
    loaded = random_run(tmp_path, name)
    found = senses(loaded, uses_of_cat(), of="text", resamples=200)
    assert not found.runs[0]["static"]
    assert found.runs[0]["words"][0]["best"]["nearest"]["accuracy"]["value"] == 1.0
    assert found.settings["of"] == "text"
    assert any("whole text" in note for note in found.notes)
    both = use_vectors(loaded, uses_of_cat(6), scope="both").vectors[0]
    assert np.linalg.norm(both, axis=1) == pytest.approx(2**0.5, abs=1e-6)


def test_uses_that_are_unknown_to_the_run_are_told(tmp_path: Path) -> None:
    uses = [Use(str(i), f"{i} a zebra", 4, 9, "ab"[i % 2], "zebra") for i in range(8)]
    for name, unknown in (("word2vec", 8), ("elmo", 0)):  # ELMo reads the letters
        study = senses(random_run(tmp_path, name), [*uses, *uses_of_cat()], resamples=50)
        assert any(
            "unknown to the run" in note and f" {unknown} uses" in note for note in study.notes
        ) == bool(unknown)


# --- one vector a word of static runs --------------------------------------------------------------


APPLES = [
    "苹果公司发布手机",
    "苹果很甜",
    "他吃苹果",
    "苹果手机很贵",
    "买苹果",
    "甜苹果",
    "苹果公司很大",
    "红苹果",
]


def a_static_run(folder: Path, name: str, texts: list[str], **tokenizer: Any) -> Model:
    """A run of a static model with random vectors, whose tokenizer was learned from texts."""
    config = TokenizerConfig(kind="words", vocab_size=None, min_count=1, **tokenizer)
    trained = train_tokenizer(texts * 5, config, 10_000)
    fields = {"vocab_size": trained.vocab_size} | ({"hidden_size": 16} if name == "word2vec" else {})
    recipe = from_dict({"architecture": name, "objectives": [], "model": fields})
    torch.manual_seed(0)
    encoder = build_encoder(recipe, trained)
    for parameter in encoder.parameters():
        parameter.data.add_(torch.randn(parameter.shape))
    run = RunDirectory.create(
        folder / name, {"model": name, "status": "finished", "recipe": recipe.as_dict()}
    )
    trained.save(run.path / "tokenizer.json")
    run.publish({f"encoder.{k}": p.detach() for k, p in encoder.named_parameters()})
    return load(run.path)


def uses_in(texts: list[str], word: str, sense: Any) -> list[Use]:
    """A use a text, numbered so that none is repeated."""
    found = []
    for i, text in enumerate(texts):
        at = text.index(word)
        found.append(Use(str(i), text, at, at + len(word), sense(text), word))
    return found


@pytest.mark.parametrize("name", ["word2vec", "onehot"])
def test_a_longer_word_of_the_segmenter_tells_a_static_run_nothing(name: str, tmp_path: Path) -> None:
    """苹果公司 is one word to the segmenter: its vector for 苹果 would know the sense, which no static one can."""
    texts = [f"{text}{i}" for i in range(3) for text in APPLES]
    loaded = a_static_run(tmp_path, name, texts)
    longer = [t for t in texts if "苹果" not in {t[a:b] for a, b in loaded.tokenizer.encode(t).offsets}]
    assert 0 < len(longer) < len(texts)  # the segmenter makes longer words of some of them
    uses = uses_in(texts, "苹果", lambda text: "company" if text in longer else "fruit")
    found = senses(loaded, uses, resamples=100)
    (entry,), (word,) = found.runs[0]["words"], found.words
    assert found.runs[0]["static"]
    assert entry["layers"][0]["dots"] == 1
    best = entry["best"]["nearest"]
    assert best["accuracy"]["value"] == word["ceiling"]["value"]
    assert sum(entry["within"].values()) == len(longer)
    assert any(
        f"{len(longer)} of {len(texts)} uses stand inside a longer word" in note for note in found.notes
    )
    read = use_vectors(loaded, uses)
    own = loaded.encode("苹果").layers[-1].mean(0)
    if name == "word2vec":
        assert read.vectors[0] == pytest.approx(np.tile(own, (len(uses), 1)), abs=1e-6)


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        (["he lives in New York now", "York is old", "the old York", "New York is big"], "York"),
        (["a well-known man", "he is known", "known to all", "well-known in town"], "known"),
        (["the bank's door", "the bank is here", "a bank", "its bank's name"], "bank"),
        (["中国人民银行很大", "他去银行", "银行关门", "中国银行在这里"], "银行"),
    ],
)
def test_words_inside_others_have_one_vector_each(texts: list[str], word: str, tmp_path: Path) -> None:
    """Phrases, hyphens, possessives, compounds: of whatever the tokenizer makes one token."""
    more = [f"{i} {text}" for i in range(6) for text in texts]
    loaded = a_static_run(tmp_path, "word2vec", more, phrases=1)
    uses = uses_in(more, word, lambda text: "ab"[more.index(text) % 2])
    assert distinct_vectors(use_vectors(loaded, uses).vectors[0], np.zeros(len(uses), np.int64)) == 1


@pytest.mark.parametrize("name", ["bert", "elmo"])
def test_contextual_runs_read_the_tokens_of_the_text(name: str, tmp_path: Path) -> None:
    loaded = random_run(tmp_path, name)
    read = use_vectors(loaded, uses_of_cat(8))
    assert not read.within
    assert distinct_vectors(read.vectors[-1], read.tokens) is None


def test_a_static_run_whose_word_has_two_forms_is_told_of_both(tmp_path: Path) -> None:
    uses = [Use(str(i), f"{i} the {form}", len(str(i)) + 5, len(str(i)) + 8, form, "cat") for i in range(20)
            for form in ["cat" if i % 2 else "dog"]]  # fmt: skip
    found = senses(random_run(tmp_path, "word2vec"), uses, resamples=50)
    assert any(
        "written in several ways (dog 10, cat 10)" in n or "(cat 10, dog 10)" in n for n in found.notes
    )


# --- senses of which one has nearly all uses -------------------------------------------------------


def skewed_uses(common: int = 44, rare: int = 6) -> list[Use]:
    found = []
    for i in range(common + rare):
        text, sense = (
            (f"{i} the cat sat on the mat", "mat") if i < common else (f"{i} old dog sees the cat", "dog")
        )
        start = text.index("cat")
        found.append(Use(str(i), text, start, start + 3, sense, "cat"))
    return found


def test_balanced_accuracy_is_the_headline_where_one_sense_has_nearly_all_uses(tmp_path: Path) -> None:
    runs = [random_run(tmp_path, "bert"), random_run(tmp_path, "word2vec")]
    found = senses(runs, skewed_uses(), resamples=400)
    (word,) = found.words
    assert word["headline"] == found.mean["headline"] == "balanced_accuracy"
    assert word["gold"] == [0] * 44 + [1] * 6
    bert, static = (run["words"][0]["best"]["nearest"]["headline"] for run in found.runs)
    assert (bert["figure"], bert["value"], bert["ceiling"]) == ("balanced_accuracy", 1.0, 0.5)
    assert bert["over"]["value"] == pytest.approx(0.5)
    # six right signs in a row: 2 / 2⁶ of the swaps are as lopsided, the weights of both senses being exact
    assert bert["over"]["p_randomisation"] == pytest.approx(2 / 2**6, abs=0.02)
    assert (static["value"], static["over"]["value"]) == (0.5, 0.0)
    assert static["over"]["p_randomisation"] == 1.0
    assert [(one["word"], one["figure"]) for one in found.differences] == [
        ("", "balanced_accuracy"),
        ("cat", "balanced_accuracy"),
    ]
    assert found.differences[1]["value"] == pytest.approx(0.5)
    assert any(
        "88.0 % of the uses have one sense (mat)" in note and "--balance" in note for note in found.notes
    )
    even = senses(runs[0], uses_of_cat(), resamples=50)
    assert even.words[0]["headline"] == "accuracy"
    assert "gold" not in even.words[0]
    best = even.runs[0]["words"][0]["best"]["nearest"]
    assert best["headline"]["value"] == best["accuracy"]["value"]
    assert best["headline"]["over"] == best["over_ceiling"]


def test_a_comparison_stands_by_balanced_accuracy_too(tmp_path: Path) -> None:
    """From kept answers the same difference as with both runs at hand; chance is the most frequent sense's."""
    from polyseme.study.standings import senses_standings

    runs = {name: random_run(tmp_path, name) for name in ("bert", "word2vec")}
    documents = {name: senses(run, skewed_uses(), resamples=200).document() for name, run in runs.items()}
    rows = senses_standings(documents)
    assert (rows["bert"]["value"], rows["word2vec"]["value"]) == (1.0, 0.5)
    assert rows["word2vec"]["difference"]["value"] == pytest.approx(0.5)
    assert rows["bert"]["best"]
    assert rows["bert"]["stands_out"] == rows["word2vec"]["below"]
    alone = senses_standings({"word2vec": documents["word2vec"]})
    assert (alone["word2vec"]["best"], alone["word2vec"]["stands_out"]) == (True, False)


def test_the_randomisation_of_balanced_accuracy_counts_senses_alike() -> None:
    """Worth: right answers to a sense with k of n uses add n / (senses · k), the mean of recalls."""
    gold = np.array([0] * 8 + [1] * 2)
    right = np.array([1] * 6 + [0] * 2 + [1, 0], bool)
    word = Word("w", [], [], {"senses": [{"sense": "a", "uses": 8}, {"sense": "b", "uses": 2}]}, gold, gold)
    assert (right * word.worth("balanced_accuracy")).mean() == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert (right * word.worth("accuracy")).mean() == pytest.approx(0.7)


def test_balance_draws_equal_numbers_by_the_seed(tmp_path: Path) -> None:
    uses = [*skewed_uses(), *uses_of_cat(0)]
    kept, counts = balanced(uses, seed=3)
    assert counts == {"cat": {"each": 6, "senses": 2, "left_out": 38}}
    assert [sum(use.sense == sense for use in kept) for sense in ("mat", "dog")] == [6, 6]
    assert kept == balanced(uses, seed=3)[0]
    assert kept != balanced(uses, seed=4)[0]
    assert [uses.index(use) for use in kept] == sorted(uses.index(use) for use in kept)
    assert len(balanced(uses, limit=7)[0]) == 6
    found = senses(random_run(tmp_path, "word2vec"), uses, balance=True, resamples=50)
    assert found.words[0]["headline"] == "accuracy"
    assert found.words[0]["ceiling"]["value"] == 0.5
    assert found.settings["balance"] is True
    assert any("6 uses of each of 2 senses are drawn by the seed, 38 are left out" in n for n in found.notes)
    with pytest.raises(ConfigError, match="no senses"):
        balanced([Use("1", "a cat", 2, 5, None, "cat")])


# --- groups ---------------------------------------------------------------------------------------


def blobs(sizes: list[int], apart: float, width: int = 24) -> Any:
    random = np.random.default_rng(1)
    centres = random.normal(size=(len(sizes), width))
    centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
    parts = [c + random.normal(size=(n, width)) * 0.3 for c, n in zip(centres, sizes, strict=True)]
    return unit(np.concatenate(parts) + 3 * np.ones(width)), np.repeat(np.arange(len(sizes)), sizes)


@pytest.mark.parametrize("sizes", [[80, 60], [60, 50, 40], [50, 40, 40, 30]])
def test_the_number_of_groups_is_found(sizes: list[int]) -> None:
    vectors, gold = blobs(sizes, 4.0)
    found = suggest(vectors, seed=0)
    assert found.groups == len(sizes)
    assert np.bincount(found.assigned).tolist() == sorted(sizes, reverse=True)
    assert all(len(set(found.assigned[gold == k])) == 1 for k in range(len(sizes)))
    assert suggest(vectors, seed=0).table == found.table


@pytest.mark.parametrize("spread", [1.0, 6.0], ids=["round", "long"])
def test_one_cloud_is_one_group(spread: float) -> None:
    random = np.random.default_rng(7)
    scale = np.ones(24)
    scale[0] = spread
    found = suggest(unit(random.normal(size=(150, 24)) * 0.3 * scale + 3), seed=0)
    assert found.groups == 1
    assert set(found.assigned.tolist()) == {0}
    assert max(one["silhouette"] for one in found.table) > 0.02  # which alone would have said two or more


def test_points_that_are_few_make_no_more_groups_than_there_are() -> None:
    random = np.random.default_rng(0)
    few = unit(random.normal(size=(3, 8)))[np.arange(60) % 3]
    found = suggest(few, 0)
    assert found.groups <= 3
    assert np.bincount(found.assigned, minlength=found.groups).min() > 0


def test_nothing_is_suggested_of_equal_vectors_or_too_few() -> None:
    assert suggest(unit(np.ones((50, 4))), 0).groups == 1
    assert suggest(unit(np.random.default_rng(0).normal(size=(6, 4))), 0).groups == 1


def test_k_means_finds_blobs_and_components_keep_distances() -> None:
    vectors, gold = blobs([30, 20], 4.0)
    points, shares = components(vectors, 24)
    assert shares.sum() == pytest.approx(1.0)
    apart = np.linalg.norm(vectors[:5, None] - vectors[None, :5], axis=2)
    assert np.linalg.norm(points[:5, None] - points[None, :5], axis=2) == pytest.approx(apart, abs=1e-4)
    few, _ = components(vectors[:10], 24)
    assert np.linalg.norm(few[0] - few[9]) == pytest.approx(np.linalg.norm(vectors[0] - vectors[9]), abs=1e-4)
    assigned, centres = k_means(points, 2, Random(0, "test"), 1)
    assert len(set(zip(assigned.tolist(), gold.tolist(), strict=True))) == 2
    assert centres[assigned[0]] == pytest.approx(points[:30].mean(0), abs=1e-6)


def test_distinctive_words_are_those_of_the_group() -> None:
    texts = ["we pay the bank money now"] * 6 + ["we see the bank of water now"] * 6
    places = [(text.index("bank"), text.index("bank") + 4) for text in texts]
    first, second = distinctive(texts, places, np.array([0] * 6 + [1] * 6), 2)
    assert set(first) == {"pay", "money"}
    assert set(second) == {"see", "of", "water"}


def test_unlabelled_uses_are_clustered(tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "bert")
    uses = [Use(u.id, u.text, u.start, u.end, None, "cat") for u in uses_of_cat(36)]
    found = senses(loaded, uses)
    entry = found.runs[0]["words"][0]
    assert not found.labelled
    assert entry["layer"] == 2
    assert entry["layers"][0]["groups"] == len(entry["groups"]) == 2
    assert [group["uses"] for group in entry["groups"]] == [24, 12]
    assert {"sat", "mat"} <= set(entry["groups"][0]["words"])
    assert "dog" in entry["groups"][1]["typical"][0]["before"]
    assert len(entry["map"]["group"]) == len(entry["map"]["x"]) == 36
    static = senses(random_run(tmp_path, "word2vec"), uses).runs[0]["words"][0]
    assert static["layers"][0]["groups"] == 1
    assert static["layers"][0]["dots"] == 1


# --- refusals -------------------------------------------------------------------------------------


def test_what_cannot_be_answered_is_refused(tmp_path: Path) -> None:
    loaded: Model = random_run(tmp_path, "onehot")
    uses = uses_of_cat()
    with pytest.raises(InputError, match="no uses"):
        senses(loaded, [])
    with pytest.raises(InputError, match="no run"):
        senses([], uses)
    with pytest.raises(InputError, match="some uses have a sense"):
        senses(loaded, [*uses, Use("x", "cat", 0, 3, None, "cat")])
    with pytest.raises(CorpusError, match="no word has uses enough"):
        senses(loaded, [use for use in uses if use.sense == "mat"])
    with pytest.raises(ConfigError, match="no such layer"):
        senses(loaded, uses, layer=4)
    with pytest.raises(ConfigError, match="too few folds"):
        senses(loaded, uses, folds=1)
    with pytest.raises(ConfigError, match="no such vectors"):
        senses(loaded, uses, of="sentence")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no such map"):
        check_map("tsne")


def test_axes_that_part_senses_are_learned_from_other_uses_than_those_drawn(tmp_path: Path) -> None:
    """Labels without meaning are parted on the uses the axes were learned from, and not on the others."""
    random = np.random.default_rng(0)
    gold = np.arange(400) % 2
    fit = random.random(400) < 0.5
    noise = random.normal(size=(400, 150))

    def apart(points: dict[str, Any], some: Any) -> float:
        x = np.array(points["x"])[some]
        return float(abs(x[gold[some] == 1].mean() - x[gold[some] == 0].mean()) / x.std())

    found = use_map(unit(noise), "lda", 0, gold, fit)
    assert found["method"] == "lda"
    assert apart(found, fit) > 1.0
    assert apart(found, ~fit) < 0.4
    meant = noise.copy()
    meant[:, 7] += 3 * gold
    assert apart(use_map(unit(meant), "lda", 0, gold, fit), ~fit) > 1.0
    assert set(use_map(unit(np.ones((9, 4))), "lda", 0, gold[:9], fit[:9])["x"]) == {0.0}
    study = senses(random_run(tmp_path, "bert"), uses_of_cat(), map="lda", resamples=100)
    assert 8 <= len(study.words[0]["drawn"]) <= 16
    assert len(study.runs[0]["words"][0]["map"]["x"]) == len(study.words[0]["drawn"])
    with pytest.raises(ConfigError, match="without senses"):
        check_map("lda", labelled=False)


def test_axes_that_part_senses_need_two_of_them_in_the_half_they_are_learned_from() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(12, 6)))
    gold = np.array([0] * 11 + [1])
    fit = np.arange(12) % 2 == 0
    assert use_map(vectors, "lda", 0, gold, fit) == use_map(vectors, "pca", 0)
    assert use_map(vectors, "lda", 0, gold, ~fit)["method"] == "lda"


def test_maps_draw_the_same_uses_and_show_them() -> None:
    uses = uses_of_cat()
    assert drawn(uses, 100) == list(range(24))
    some = drawn(uses, 5)
    assert len(some) == 5
    assert {uses[i].text for i in some} == {uses[::-1][i].text for i in drawn(uses[::-1], 5)}
    use = Use("1", "x" * 100 + " the\ncat sat", 105, 108, None, "cat")
    assert snippet(use) == {"before": "…" + "x" * 55 + " the ", "form": "cat", "after": " sat"}


def test_maps_of_layers_are_turned_onto_each_other_and_never_stretched() -> None:
    random = np.random.default_rng(1)
    points = random.normal(size=(40, 2)) * [3, 1]
    turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in (0.3, 2.0, 4.0)]
    turns[1] = turns[1] @ np.diag([1, -1])  # and mirrored
    layers = [points * size @ turn for size, turn in zip((0.5, 1, 2), turns, strict=True)]
    layers.append(np.zeros((40, 2)))  # one vector for all uses
    maps = [{"layer": n, "x": p[:, 0].tolist(), "y": p[:, 1].tolist()} for n, p in enumerate(layers)]
    turned = [np.stack([one["x"], one["y"]], 1) for one in turned_maps(maps, 1)]
    assert np.allclose(turned[1], layers[1], atol=1e-5)
    centred = layers[1] - layers[1].mean(0)
    for number, size in ((0, 0.5), (2, 2.0)):
        assert np.allclose(turned[number] - turned[number].mean(0), size * centred, atol=1e-4)
        assert np.allclose(turned[number].mean(0), layers[1].mean(0), atol=1e-4)
    assert len(np.unique(turned[3], axis=0)) == 1


@pytest.mark.parametrize("labelled", [True, False])
def test_the_maps_of_all_layers_on_demand(labelled: bool, tmp_path: Path) -> None:
    uses = [
        Use(str(i), f"the {what} cat {i}", 5 + len(what), 8 + len(what), what if labelled else None, "cat")
        for i in range(6)
        for what in ("old", "small")
    ]
    run = random_run(tmp_path, "bert")
    (word,) = senses(run, uses, maps=True, folds=2).runs[0]["words"]
    assert [one["layer"] for one in word["maps"]] == [0, 1, 2]
    shown = next(one for one in word["maps"] if one["layer"] == word["map"]["layer"])
    assert (shown["x"], shown["y"]) == (word["map"]["x"], word["map"]["y"])
    dots = [one["dots"] for one in word["maps"]]
    assert [one["dots"] for one in word["layers"]] == (dots if labelled else dots[-1:])
    assert "maps" not in senses(run, uses, folds=2).runs[0]["words"][0]
