from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from adapting import start_run
from polyseme.errors import ConfigError
from polyseme.infer.model import load
from polyseme.study.probe import ProbeConfig, ProbeTask, probe
from polyseme.study.probing.numbers import beats_baseline
from polyseme.study.probing.training import random_encoder

QUICK = ProbeConfig(projection=8, hidden=8, batch_size=16, epochs=2, seeds=2, resamples=50)
DETERMINERS, ADJECTIVES, NOUNS = (
    ["the", "a"],
    ["old", "small", "good"],
    ["cat", "dog", "bird", "river", "day"],
)


def write_treebank(path: Path, n: int = 60) -> Path:
    """Sentences of a determiner, an adjective, a noun and a verb, as CoNLL-U."""
    rng = np.random.default_rng(0)
    blocks = []
    for _ in range(n):
        words = [
            (rng.choice(DETERMINERS), "DET", 3, "det"),
            (rng.choice(ADJECTIVES), "ADJ", 3, "amod"),
            (rng.choice(NOUNS), "NOUN", 4, "nsubj"),
            (rng.choice(["sees", "likes"]), "VERB", 0, "root"),
        ]
        lines = [
            f"{i}\t{w}\t_\t{pos}\t_\t_\t{head}\t{rel}\t_\t_" for i, (w, pos, head, rel) in enumerate(words, 1)
        ]
        blocks.append("\n".join(lines) + "\n")
    path.write_text("\n".join(blocks), "utf-8")
    return path


def test_a_study_says_everything(tmp_path: Path) -> None:
    run, file = start_run(tmp_path / "run"), str(write_treebank(tmp_path / "a.conllu"))
    tasks = {"POS": ProbeTask(train=file), "arcs": ProbeTask(task="dependencies", train=file, test=file)}
    found = probe(run, tasks, config=QUICK).document()
    json.dumps(found, allow_nan=False)
    assert list(found["tasks"]) == ["POS", "arcs"]
    pos, arcs = found["tasks"].values()
    assert (pos["task"], arcs["task"]) == ("pos", "dependencies")
    assert (pos["spans"], arcs["spans"]) == (1, 2)
    assert pos["labels"] == ["ADJ", "DET", "NOUN", "VERB"]
    assert arcs["counts"]["test"] == {"texts": 60, "targets": 180, "left_out": {}}
    for task in (pos, arcs):
        assert beats_baseline(task) == (task["over_most_frequent"]["value"] > 0)
        assert beats_baseline(task) == (task["mix"]["centre_of_gravity"]["value"] is not None)
        assert len(task["mix"]["weights"]) == found["layers"] == 3
        assert sum(one["value"] for one in task["mix"]["weights"]) == pytest.approx(1.0)
        assert 0 <= (task["mix"]["centre_of_gravity"]["value"] or 0) <= 2
        assert len(task["cumulative"]["scores"]) == 3
        assert len(task["cumulative"]["differences"]) == 2
        assert set(task["controls"]) == set(task["above"]) == {"layer_0", "random_encoder", "random_labels"}
        # the probe of layers 0 … L is that of all layers, and that of layer 0 the control
        assert task["cumulative"]["scores"][-1]["value"] == task["score"]["value"]
        assert task["cumulative"]["scores"][0]["value"] == task["controls"]["layer_0"]["score"]["value"]
        layer_0 = task["controls"]["layer_0"]
        assert layer_0["difference"]["value"] == pytest.approx(
            task["score"]["value"] - layer_0["score"]["value"]
        )
        assert task["cache"]["passes"] == 1
        assert task["training"]["full"]["probes"] == 2
        assert task["training"]["cumulative"]["probes"] == 4
    assert pos["most_frequent"]["value"] == pytest.approx(0.25)
    assert any("no dev and no test file" in note for note in found["notes"])


def test_a_probe_that_learned_nothing_names_no_layer(tmp_path: Path) -> None:
    """Labels that nothing foretells: a probe says hardly any, and always the most frequent is better."""
    rng = np.random.default_rng(1)
    lines = []
    for _ in range(60):
        kinds = rng.choice(["ADV", "DET", "NOUN", "VERB"], 4, p=[0.4, 0.2, 0.2, 0.2])
        words = rng.choice(["cat", "dog", "old", "small", "the", "river"], 4)
        for i, (word, kind) in enumerate(zip(words, kinds, strict=True), 1):
            lines.append(f"{i}\t{word}\t_\t{kind}\t_\t_\t0\troot\t_\t_")
        lines.append("")
    (tmp_path / "a.conllu").write_text("\n".join(lines) + "\n", "utf-8")
    found = probe(
        start_run(tmp_path / "run"), {"POS": ProbeTask(train=str(tmp_path / "a.conllu"))}, config=QUICK
    )
    document = found.document()
    json.dumps(document, allow_nan=False)
    pos = document["tasks"]["POS"]
    assert not beats_baseline(pos)
    assert pos["over_most_frequent"]["value"] < 0
    mix, cumulative = pos["mix"], pos["cumulative"]
    for one in (mix["centre_of_gravity"], cumulative["expected_layer"], cumulative["expected_layer_clipped"]):
        assert (one["value"], one["low"], one["high"]) == (None, None, None)
    assert cumulative["expected_layer"]["seeds"]["n"] == 0
    assert len(mix["weights"]) == 3  # what was measured stays
    assert any("is not above always saying the most frequent label" in note for note in document["notes"])


def test_a_study_is_a_function_of_its_seed(tmp_path: Path) -> None:
    run = load(start_run(tmp_path / "run"))
    task = {"POS": ProbeTask(train=str(write_treebank(tmp_path / "a.conllu")))}
    first, second = (probe(run, task, config=QUICK).document()["tasks"]["POS"] for _ in range(2))
    other = probe(run, task, config=QUICK.model_copy(update={"seed": 9})).document()["tasks"]["POS"]
    for key in ("score", "mix", "cumulative", "controls"):
        assert first[key] == second[key]
    assert first["mix"] != other["mix"]


def test_numbers_in_a_file_change_little(tmp_path: Path) -> None:
    run = load(start_run(tmp_path / "run"))
    task = {"POS": ProbeTask(train=str(write_treebank(tmp_path / "a.conllu")))}
    few = QUICK.model_copy(update={"controls": False, "cumulative": False})
    memory = probe(run, task, config=few).document()["tasks"]["POS"]
    file = probe(run, task, config=few.model_copy(update={"cache_bytes": 0})).document()["tasks"]["POS"]
    exact = few.model_copy(update={"cache_bytes": 0, "stored": "float32"})
    assert (memory["cache"]["place"], file["cache"]["place"]) == ("memory", "file")
    assert file["mix"]["centre_of_gravity"]["value"] == pytest.approx(
        memory["mix"]["centre_of_gravity"]["value"], abs=1e-3
    )
    assert probe(run, task, config=exact).document()["tasks"]["POS"]["mix"] == memory["mix"]
    assert memory["controls"] == {}
    assert memory["cumulative"] is None


@pytest.mark.parametrize("model", ["onehot", "word-classes", "word2vec"])
def test_static_models_have_a_score_and_nothing_to_mix(tmp_path: Path, model: str) -> None:
    run = start_run(tmp_path / "run", model)
    task = {"POS": ProbeTask(train=str(write_treebank(tmp_path / "a.conllu")))}
    longer = QUICK.model_copy(update={"epochs": 15, "learning_rate": 0.02, "patience": 15})
    found = probe(run, task, config=longer).document()
    pos = found["tasks"]["POS"]
    assert found["layers"] == 1
    assert pos["mix"] is None
    assert pos["cumulative"] is None
    assert "layer_0" not in pos["controls"]
    assert ("random_encoder" in pos["controls"]) == (model != "onehot")
    assert any("one layer" in note for note in found["notes"])
    if model != "word-classes":  # its random classes put words of several kinds together
        assert pos["score"]["value"] > 0.9


@pytest.mark.parametrize("model", ["elmo", "gpt"])
def test_other_families_are_probed_in_all_their_layers(tmp_path: Path, model: str) -> None:
    run = start_run(tmp_path / "run", model)
    task = {"POS": ProbeTask(train=str(write_treebank(tmp_path / "a.conllu", 30)))}
    found = probe(run, task, config=QUICK.model_copy(update={"seeds": 1})).document()
    pos = found["tasks"]["POS"]
    assert len(pos["cumulative"]["scores"]) == found["layers"] == 3
    assert pos["mix"]["centre_of_gravity"]["low"] is None  # one seed says nothing of seeds
    assert pos["score"]["low"] <= pos["score"]["value"] <= pos["score"]["high"]


def test_long_texts_are_cut_and_counted(tmp_path: Path) -> None:
    run = start_run(tmp_path / "run")
    task = {"POS": ProbeTask(train=str(write_treebank(tmp_path / "a.conllu")))}
    found = probe(run, task, config=QUICK.model_copy(update={"max_length": 5, "seeds": 1})).document()
    counts = found["tasks"]["POS"]["counts"]["train"]
    assert counts["left_out"]["beyond"] >= counts["texts"]  # three tokens are read of four words
    assert counts["targets"] + counts["left_out"]["beyond"] == 4 * counts["texts"]
    assert any("lie beyond what the model reads" in note for note in found["notes"])
    with pytest.raises(ConfigError, match="no such length"):
        probe(run, task, config=QUICK.model_copy(update={"max_length": 2}))


def test_a_random_encoder_has_the_same_shape_and_other_weights(tmp_path: Path) -> None:
    loaded = load(start_run(tmp_path / "run"))
    random, again = random_encoder(loaded, 1), random_encoder(loaded, 1)
    other = random_encoder(loaded, 2)
    assert random is not None
    assert again is not None
    assert other is not None
    assert random.tokenizer is loaded.tokenizer
    assert not random.encoder.training
    mine, theirs = loaded.encoder.state_dict(), random.encoder.state_dict()
    assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in theirs.items()}
    key = max(mine, key=lambda name: mine[name].numel())
    assert not torch.equal(mine[key], theirs[key])
    assert torch.equal(theirs[key], again.encoder.state_dict()[key])
    assert not torch.equal(theirs[key], other.encoder.state_dict()[key])
