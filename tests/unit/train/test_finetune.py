"""Fine-tuning: what it is told of its files, what it trains, what it keeps."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapting import MODELS, adapt, start_run, write_examples
from polyseme import load
from polyseme.core import registry
from polyseme.core.rng import Random
from polyseme.data.labelled import ExampleLoader
from polyseme.errors import CheckpointError, ConfigError, CorpusError, PolysemeError, RunError
from polyseme.infer.predict import Predictor
from polyseme.text.labelled.records import Problems, QuestionRecord, TextRecord
from polyseme.train.adaptation import KnownLayers, by_length
from polyseme.train.config import TrainConfig
from polyseme.train.examples import _group, _held_out
from polyseme.train.finetune import finetune
from polyseme.train.optim import Optimizers, _depths
from polyseme.train.request import FinetuneRequest
from polyseme.train.run import RunDirectory
from polyseme.train.seeds import finetune_seeds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finetune")


@pytest.fixture(scope="module")
def start(folder: Path) -> Path:
    return start_run(folder / "bert")


@pytest.fixture(scope="module")
def train(folder: Path) -> Path:
    return write_examples(folder / "train", "classify", 40)


def weights(run: RunDirectory | Path) -> dict[str, torch.Tensor]:
    return RunDirectory.open(run if isinstance(run, Path) else run.path).weights()[0]


def test_without_dev_equal_inputs_are_on_one_side(start: Path, tmp_path: Path) -> None:
    rows = [f"the cat {n % 60} is good\t{('good', 'bad')[n % 2]}" for n in range(180)]
    file = tmp_path / "train.tsv"
    file.write_text("\n".join(["text\tlabel", *rows]), "utf-8")
    run = adapt("classify", start, file, tmp_path / "run", dev=None, epochs=1)
    adapted = run.meta["adapted"]
    assert adapted["train"]["examples"] + adapted["dev"]["examples"] == 180
    assert adapted["dev"]["examples"] % 3 == 0
    assert 0 < adapted["dev"]["examples"] < 60
    assert adapted["dev"]["also_in_train"] == 0
    assert any("held out" in note for note in adapted["notes"])


def test_held_out_questions_go_with_their_article() -> None:
    records = [
        QuestionRecord(str(n), f"question {n}", f"passage {n % 40}", (), group=f"article {n % 20}" * (n % 2))
        for n in range(400)
    ]
    sides: dict[str, set[bool]] = {}
    for record in records:
        sides.setdefault(record.group or record.context, set()).add(_held_out(_group(record)))
    assert all(len(side) == 1 for side in sides.values())
    share = np.mean([_held_out(_group(TextRecord(str(n), f"text {n}"))) for n in range(4000)])
    assert share == pytest.approx(0.1, abs=0.02)


def test_examples_in_both_files_and_unknown_labels_are_counted(
    start: Path, train: Path, tmp_path: Path
) -> None:
    lines = train.read_text("utf-8").splitlines()
    dev = tmp_path / "dev.tsv"
    dev.write_text("\n".join([*lines[:4], "a new bird\tstrange", "a new cat\tgood"]) + "\n", "utf-8")
    run = adapt("classify", start, train, tmp_path / "run", dev=dev, epochs=1)
    facts = run.meta["adapted"]["dev"]
    assert facts["also_in_train"] == 3
    assert facts["unknown_labels"] == {"strange": 1}
    notes = "\n".join(run.meta["adapted"]["notes"])
    assert "3 of 5 dev examples are also training examples" in notes
    assert "'strange' (1)" in notes
    assert run.meta["results"]["dev"]["accuracy"] <= 0.8


def test_rows_without_text_or_label_are_counted(start: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    dev = write_examples(tmp_path / "dev", "classify")
    file.write_text("text\tlabel\na cat\tgood\n\tgood\na dog\t\na bird\tbad\n" + "a day\tbad\n" * 4, "utf-8")
    run = adapt("classify", start, file, tmp_path / "run", dev=dev, epochs=1)
    problems = run.meta["adapted"]["problems"]
    assert {kind: problems[kind]["count"] for kind in problems} == {"empty_text": 1, "missing_label": 1}
    assert run.meta["adapted"]["train"]["examples"] == 6


def test_frozen_leaves_the_encoder_and_keeps_the_mix(start: Path, train: Path, tmp_path: Path) -> None:
    run = adapt("classify", start, train, tmp_path / "run", feature_based=True)
    before, after = weights(start), weights(run)
    assert all(torch.equal(before[name], after[name]) for name in before)
    mix = run.meta["results"]["mix"]
    head = torch.softmax(after["heads.classify.features.mix.weights"], 0)
    assert mix["weights"] == pytest.approx(head.tolist())
    assert sum(mix["weights"]) == pytest.approx(1.0)
    assert len(mix["weights"]) == 3
    assert mix["gamma"] != 1.0
    assert run.meta["trained_parameters"] < run.meta["parameters"]


def test_whole_trains_the_encoder_from_scratch_starts_elsewhere(
    start: Path, train: Path, tmp_path: Path
) -> None:
    runs = [
        adapt("classify", start, train, tmp_path / str(n), epochs=1, from_scratch=n > 0, seed=n + 5)
        for n in range(3)
    ]
    every = [weights(start), *(weights(run) for run in runs)]
    name = next(k for k in every[0] if k.endswith("weight") and every[0][k].ndim == 2)
    assert len({tensors[name].numpy().tobytes() for tensors in every}) == 4
    assert [run.meta["adapted"]["from_scratch"] for run in runs] == [False, True, True]


def test_the_same_request_gives_the_same_bits(start: Path, train: Path, tmp_path: Path) -> None:
    a, b, c = (
        weights(adapt("classify", start, train, tmp_path / n, epochs=1, seed=s))
        for n, s in (("a", 1), ("b", 1), ("c", 2))
    )
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_a_chain_is_learned_and_used(start: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.conll"  # a tag follows from the one before alone: the words say nothing
    file.write_text("\n\n".join("\n".join(f"cat {t}" for t in "ABCABC"[n % 3 :][:4]) for n in range(30)))
    settings = {"tag.crf": True, "train.learning_rate": 0.05}
    run = adapt("tag", start, file, tmp_path / "run", settings=settings, epochs=8, learning_rate=None)
    assert set(run.meta["decoding"]["crf"]) == {"start", "transition", "end"}
    transition = np.array(run.meta["decoding"]["crf"]["transition"])
    assert transition.argmax(1).tolist() == [1, 2, 0]
    predictor = Predictor(load(run.path))
    for one in predictor.predict(predictor.read(file)):
        tags = "".join(token["tag"] for token in one["tokens"])
        assert tags in "ABCABCABC"


def test_patience_ends_a_run_that_gets_no_better(start: Path, train: Path, tmp_path: Path) -> None:
    settings = {"train.patience": 2, "train.evaluations": 10, "train.learning_rate": 1e-9}
    run = adapt("classify", start, train, tmp_path / "run", settings=settings, epochs=10, learning_rate=None)
    assert run.meta["results"]["steps"] == 30  # of 100: three evaluations, the last two no better
    assert run.meta["status"] == "finished"


def test_the_best_weights_on_dev_are_kept(start: Path, train: Path, tmp_path: Path) -> None:
    settings = {"train.evaluations": 6, "train.schedule": "constant"}
    run = adapt("classify", start, train, tmp_path / "run", settings=settings, epochs=6, learning_rate=0.02)
    seen = [line["heldout_classify_accuracy"] for line in run.metrics() if "heldout_loss" in line]
    assert len(seen) >= 6
    assert run.meta["results"]["dev"]["accuracy"] == pytest.approx(max(seen))


@pytest.mark.parametrize("optimizer_name", ["adamw", "muon"])
@pytest.mark.parametrize(
    "model", [m for m in MODELS if registry.models.load(m).objectives != ("class_bigram",)]
)
def test_layers_near_the_head_learn_faster(model: str, optimizer_name: Any, tmp_path: Path) -> None:
    loaded = load(start_run(tmp_path / model, model))
    named = {f"encoder.{name}": p for name, p in loaded.encoder.named_parameters()}
    named["heads.classify.weight"] = torch.nn.Parameter(torch.ones(2, 2))
    config = TrainConfig(layer_decay=0.5, precision="float32", optimizer=optimizer_name)
    factors = {
        id(p): group["factor"]
        for optimizer in Optimizers(named, config)._all
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert set(factors) == {id(p) for p in named.values()}
    assert factors[id(named["heads.classify.weight"])] == 1.0
    depths = _depths(named)
    for name, depth in depths.items():
        assert factors[id(named[name])] == 0.5**depth
    layers = {
        int(name.split(".")[2]): d for name, d in depths.items() if name.split(".")[1] in ("blocks", "layers")
    }
    if model not in ("onehot", "word2vec"):
        assert [layers[i] for i in sorted(layers)] == list(range(len(layers), 0, -1))
        assert len(layers) == loaded.encoder.config.num_hidden_layers
    embeddings = [d for name, d in depths.items() if "embedding" in name]
    assert all(d == len(layers) + 1 for d in embeddings)


@pytest.mark.parametrize("reads", ["all", "last", "at"])
@pytest.mark.parametrize("model", ["bert", "elmo", "modernbert", "gpt"])
def test_known_layers_are_the_encoders_own(model: str, reads: str, tmp_path: Path) -> None:
    loaded = load(start_run(tmp_path / model, model))
    module = registry.tasks.load("classify")
    file = write_examples(tmp_path / "a", "classify", 12)
    config = module.config(labels=("bad", "good"), kind="single", pool="mean")
    task = module.build(config)
    records = list(task.read(file, config, {}, Problems()))
    records[3] = TextRecord("x", "an unheard zebra word")  # letters of words outside the vocabulary count too
    data = task.encode(records, loaded.tokenizer, loaded.encoder)
    task.use(data)
    spelled = data.unknown if getattr(loaded.encoder, "open_vocabulary", False) else None
    loader = ExampleLoader(
        data.examples, [task], loaded.special, Random(1, "order"), spelled, loaded.tokenizer.vocab_size
    )
    head = torch.nn.Identity()
    head.reads = reads  # type: ignore[assignment]
    known = KnownLayers(loaded.encoder, [head], loader, torch.device("cpu"))
    for batch in (loader.batch(0, 5), loader.batch(7, 9), loader.of([3])):
        with torch.no_grad():
            own = loaded.encoder.encode(batch, keep="all" if reads == "all" else "last")
        mine = known(batch)
        assert len(mine.layers) == len(own.layers)
        inside = batch.segment != 0
        for a, b in zip(mine.layers, own.layers, strict=True):
            torch.testing.assert_close(a[inside], b[inside], atol=1e-5, rtol=1e-4)


def test_batches_by_length_hold_all_examples_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 90, 200)
    batches = list(by_length(lengths, 100))
    assert Counter(n for batch in batches for n in batch) == Counter(range(200))
    assert all(len(batch) == 1 or lengths[batch].sum() <= 100 for batch in batches)


def test_seeds_are_runs_of_their_own_and_resumed_ones_are_compared(
    start: Path, train: Path, tmp_path: Path
) -> None:
    settings = {"train.evaluations": 1, "classify.dropout": 0.0}
    asked: dict[str, Any] = {
        "task": "classify", "run": start, "train": train, "dev": train, "epochs": 1,
        "output": tmp_path / "run", "settings": settings,
    }  # fmt: skip
    run = finetune_seeds(FinetuneRequest(**asked), 3)
    seeds = run.meta["seeds"]
    assert seeds["numbers"] == [1, 2, 3]
    alone = adapt("classify", start, train, tmp_path / "two", seed=2, epochs=1, batch_size=32, learning_rate=None,
                  settings={"train.warmup": 0.1})  # fmt: skip
    values = seeds["dev"]["accuracy"]["values"]
    assert alone.meta["results"]["dev"]["accuracy"] == values[1]
    assert seeds["dev"]["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert seeds["dev"]["accuracy"]["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert values[seeds["numbers"].index(seeds["best"])] == max(values)
    best = weights(run.path / "seeds" / str(seeds["best"]))
    assert all(torch.equal(best[name], w) for name, w in weights(run).items())

    times = {p: p.stat().st_mtime_ns for p in run.path.glob("seeds/*/model.safetensors")}
    again = finetune_seeds(FinetuneRequest(**asked, resume=True), 3)
    assert again.meta["seeds"] == seeds
    assert {p: p.stat().st_mtime_ns for p in times} == times
    with pytest.raises(RunError, match="not empty"):
        finetune_seeds(FinetuneRequest(**asked), 3)
    other = write_examples(tmp_path / "other", "classify", 40, seed=9)
    with pytest.raises(RunError, match="started with another train"):
        finetune_seeds(FinetuneRequest(**{**asked, "train": other, "dev": train}, resume=True), 3)


def test_dropout_of_the_model_can_be_set(start: Path, train: Path, tmp_path: Path) -> None:
    runs = [
        adapt(
            "classify", start, train, tmp_path / str(rate), epochs=1, settings={"hidden_dropout_prob": rate}
        )
        for rate in (0.0, 0.5)
    ]
    plain, dropped = (weights(run) for run in runs)
    assert not all(torch.equal(plain[name], dropped[name]) for name in plain)
    assert runs[1].meta["recipe"]["model"]["hidden_dropout_prob"] == 0.5


def test_a_run_that_cannot_start_leaves_nothing(start: Path, train: Path, tmp_path: Path) -> None:
    empty = RunDirectory.create(
        tmp_path / "empty", {k: v for k, v in RunDirectory.open(start).meta.items() if k != "files"}
    )
    (empty.path / "tokenizer.json").write_bytes((start / "tokenizer.json").read_bytes())
    with pytest.raises(CheckpointError, match="no weights"):
        adapt("classify", empty.path, train, tmp_path / "run")
    meta = json.loads((start / "run.json").read_bytes())
    meta["recipe"]["model"]["num_hidden_layers"] = 1
    (empty.path / "run.json").write_text(json.dumps(meta))
    (empty.path / "model.safetensors").write_bytes((start / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="another model"):
        adapt("classify", empty.path, train, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"objectives": "masked_lm"}, "the task says"),
        ({"tokenizer.kind": "words"}, "the run fixes"),
        ({"vocab_size": 90}, "the run fixes"),
        ({"hidden_size": 90}, "the run fixes hidden_size"),
        ({"classify.weights": (1.0, 2.0, 3.0)}, "3 weights for 2 labels"),
        ({"classify.pol": "mean"}, "unknown key"),
    ],
)
def test_settings_that_mean_nothing_here(
    start: Path, train: Path, tmp_path: Path, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        adapt("classify", start, train, tmp_path / "run", settings=settings)
    assert says in str(caught.value)
    assert not (tmp_path / "run").exists()


VALUES: tuple[Any, ...] = (
    -1,
    0,
    1,
    3,
    0.5,
    1e9,
    "auto",
    "balanced",
    "",
    True,
    None,
    ["a"],
    ["bad", "good"],
    {},
)


def test_every_setting_with_every_value_works_or_is_refused_by_us(
    start: Path, train: Path, tmp_path: Path
) -> None:
    """Odd values are refused before anything is made, or train."""
    fields = {f"classify.{name}" for name in registry.tasks.load("classify").config.model_fields}
    cases = [(key, value) for key in sorted(fields) for value in VALUES]
    random = np.random.default_rng(5)
    refused = 0
    for n in random.permutation(len(cases))[:60]:
        key, value = cases[n]
        output = tmp_path / str(n)
        if isinstance(value, float) and value > 1e6:
            continue
        try:
            adapt("classify", start, train, output, epochs=0.1, settings={key: value})
        except PolysemeError:
            refused += 1
            assert not output.exists(), (key, value)
    assert refused > 10


def test_too_little_to_hold_anything_out(start: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text("text\tlabel\na cat\tgood\n", "utf-8")
    with pytest.raises(CorpusError, match="too few examples"):
        adapt("classify", start, file, tmp_path / "run", dev=None)


def test_labels_do_not_come_from_the_standard_input(start: Path, train: Path, tmp_path: Path) -> None:
    for files in ({"train": "-", "dev": train}, {"train": train, "dev": "-"}):
        with pytest.raises(ConfigError, match="read from files"):
            finetune(FinetuneRequest(task="classify", run=start, output=tmp_path / "run", **files))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_finetune_takes_the_request_alone(start: Path, train: Path, tmp_path: Path) -> None:
    run = finetune(FinetuneRequest(task="classify", run=str(start), train=str(train), output=tmp_path / "run",
                                   epochs=0.5))  # fmt: skip
    assert run.meta["results"]["dev"]["loss"] > 0
    assert run.meta["adapted"]["task"] == "classify"


def test_a_frozen_run_resumes_without_the_encoder_in_its_checkpoint(
    start: Path, train: Path, tmp_path: Path
) -> None:
    """Bit by bit the same run from a checkpoint that holds the head alone, and the encoder is in model.safetensors."""
    from polyseme.train import checkpoint

    asked: dict[str, Any] = {
        "task": "classify", "run": start, "train": train, "dev": train, "feature_based": True, "epochs": 4,
        "batch_size": 8, "settings": {"train.save_minutes": 1e-6, "train.evaluations": 4, "train.patience": 100},
    }  # fmt: skip
    whole = finetune(FinetuneRequest(**asked, output=tmp_path / "whole"))
    kept = checkpoint.load(max((whole.path / "resume").glob("step-*")))
    assert not any(name.startswith("encoder.") for name in kept.tensors)
    assert any(name.startswith("optimizer.") for name in kept.tensors)
    assert kept.best is None or not any(name.startswith("encoder.") for name in kept.best)
    saved = sum(f.stat().st_size for f in (whole.path / "resume").rglob("*") if f.is_file())
    assert saved < (whole.path / "model.safetensors").stat().st_size
    assert any(name.startswith("encoder.") for name in weights(whole))

    half = finetune(FinetuneRequest(**asked, output=tmp_path / "half"))
    for folder in sorted((half.path / "resume").glob("step-*"))[1:]:
        shutil.rmtree(folder)  # as if it had been killed after the save before the last
    half.save_meta(status="training", results={k: v for k, v in half.meta["results"].items() if k != "dev"})
    again = finetune(FinetuneRequest(**asked, output=tmp_path / "half", resume=True))
    ours, theirs = weights(again), weights(whole)
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for name in ("model.safetensors", "heads/classify.safetensors"):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert again.meta["results"]["dev"] == whole.meta["results"]["dev"]

    (again.path / "heads" / "classify.safetensors").write_bytes(b"cut")
    found, warning = RunDirectory.open(again.path).weights()
    assert warning is not None
    assert set(found) == set(ours)  # the head from the checkpoint, the encoder from its file
    (again.path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError):
        RunDirectory.open(again.path).weights()


def test_figures_on_dev_have_intervals_and_what_no_knowledge_gives(
    start: Path, train: Path, tmp_path: Path
) -> None:
    from polyseme.report.run_summary import summarize, summary_text

    run = adapt("classify", start, train, tmp_path / "run", epochs=1, feature_based=True)
    results = run.meta["results"]
    for name, value in results["dev"].items():
        if name != "loss":
            found = results["dev_intervals"][name]
            assert found["low"] <= value <= found["high"]
            assert found["n"] > 0
    (main,) = results["dev_chance"]
    assert main == next(iter(results["dev"]))
    summary = summarize(run)
    assert f"{results['dev_intervals'][main]['low']:.4f} …" in summary_text(summary)
    bad = summary | {"dev_chance": {main: 1.0}}
    assert "which no knowledge of the text gives: the layer mix is luck" in summary_text(bad)
    assert "is luck" not in summary_text(summary | {"dev_chance": {main: -1.0}})


def test_layer_mixes_over_seeds_have_intervals(start: Path, train: Path, tmp_path: Path) -> None:
    from polyseme.report.run_summary import summarize, summary_text

    asked = FinetuneRequest(task="classify", run=start, train=train, dev=train, epochs=1, output=tmp_path / "run",
                            feature_based=True, settings={"train.evaluations": 1})  # fmt: skip
    seeds = finetune_seeds(asked, 2).meta["seeds"]
    layers = seeds["mix"]["weights"]
    assert sum(one["mean"] for one in layers) == pytest.approx(1.0)
    assert all(one["low"] <= one["mean"] <= one["high"] and len(one["values"]) == 2 for one in layers)
    assert seeds["dev"]["accuracy"]["low"] <= seeds["dev"]["accuracy"]["mean"]
    text = summary_text(summarize(RunDirectory.open(tmp_path / "run")))
    assert f"({layers[0]['low']:.3f} … {layers[0]['high']:.3f})" in text
    assert "means of 2 seeds" in text
