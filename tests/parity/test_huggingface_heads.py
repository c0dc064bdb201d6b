"""Heads of tasks leave for transformers' classes and come back: equal logits and labels there, the same bits here."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import polyseme
from foreign import gpt2_like, random_imported, small_tokenizer
from polyseme.data.labelled import ExampleLoader
from polyseme.errors import CheckpointError, ConfigError
from polyseme.formats.registry import export_model, import_model
from polyseme.formats.runs import write_run
from polyseme.infer.predict import Predictor
from polyseme.text.labelled.records import QuestionRecord, TagRecord, TextRecord
from polyseme.train.adaptation import outputs_of
from polyseme.train.finetune import finetune
from polyseme.train.gradient import read_layers
from polyseme.train.request import FinetuneRequest
from polyseme.train.run import RunDirectory
from trained import make_run

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
AUTO = {
    "classify": "AutoModelForSequenceClassification",
    "pair": "AutoModelForSequenceClassification",
    "tag": "AutoModelForTokenClassification",
    "qa": "AutoModelForQuestionAnswering",
}
POOLS = {"bert": "cls", "ernie": "cls", "modernbert": "mean", "gpt": "last", "qwen3": "last"}
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("bert", "classify", {}, {}),
    ("bert", "classify", {"kind": "several", "labels": ("only",)}, {}),
    ("bert", "pair", {"kind": "number", "labels": ()}, {}),
    ("bert", "tag", {}, {}),
    ("bert", "qa", {}, {}),
    ("ernie", "classify", {"kind": "number", "labels": ()}, {"use_task_id": True}),
    ("ernie", "pair", {"labels": ("0", "1")}, {}),
    ("ernie", "tag", {}, {}),
    ("ernie", "qa", {}, {}),
    ("modernbert", "classify", {"weights": (0.5, 2.0, 1.0)}, {"kind": "byte-bpe"}),
    ("modernbert", "classify", {"pool": "cls", "kind": "several"}, {}),
    ("modernbert", "pair", {}, {"norm_bias": True, "classifier_bias": True}),
    ("modernbert", "tag", {}, {"classifier_bias": True}),
    ("modernbert", "qa", {}, {}),
    ("gpt", "classify", {}, {"kind": "byte-bpe"}),
    ("gpt", "pair", {}, {}),
    ("gpt", "tag", {}, {}),
    ("gpt", "qa", {}, {"kind": "unigram"}),
    ("qwen3", "classify", {"kind": "several"}, {"kind": "byte-bpe"}),
    ("qwen3", "pair", {"kind": "number", "labels": ()}, {"tie_word_embeddings": False}),
    ("qwen3", "tag", {}, {}),
    ("qwen3", "qa", {}, {"tie_word_embeddings": False}),
]
TEXTS = ["It was a good café day.", "今天天气很好", "The file is read, line by line!"]
SECONDS = ["the weather", "我们去公园", "It was fine. It was read."]


def section_of(name: str, task: str, **changes: Any) -> dict[str, Any]:
    if task == "tag":
        return {"labels": ("O", "B-X", "I-X", "B-Y"), "max_length": 48, **changes}
    if task == "qa":
        return {"max_length": 60, "unanswerable": True, "rules": "squad-2.0", **changes}
    text = {"kind": "single", "labels": ("bad", "fair", "good"), "pool": POOLS[name], "max_length": 40}
    return {**text, **changes}


def random_run(
    folder: Path, name: str, task: str, section: dict[str, Any] | None = None, **changes: Any
) -> RunDirectory:
    sections = {task: section_of(name, task, **(section or {}))}
    imported = random_imported(name, [task], sections=sections, **changes)
    if task == "qa":
        imported.decoding["threshold"] = 0.25
    return write_run(imported, folder)


def records_of(task: str) -> list[Any]:
    if task == "qa":
        return [QuestionRecord(str(i), a, b) for i, (a, b) in enumerate(zip(SECONDS, TEXTS, strict=True))]
    if task == "tag":
        ends = [len(TEXTS[0].split()[0]), 2, 8]
        return [
            TagRecord(str(i), text, ((0, end), (end, len(text))))
            for i, (text, end) in enumerate(zip(TEXTS, ends, strict=True))
        ]
    seconds = SECONDS if task == "pair" else [None] * len(TEXTS)
    return [TextRecord(str(i), a, b) for i, (a, b) in enumerate(zip(TEXTS, seconds, strict=True))]


def scores_of(predictor: Predictor, records: list[Any]) -> tuple[Any, list[Any]]:
    """The examples, and what the run's head says of them."""
    loaded, task = predictor.loaded, predictor.task
    data = task.encode(records, loaded.tokenizer, loaded.encoder)
    task.use(data)
    loader = ExampleLoader(data.examples, [task], loaded.special, None, None, loaded.tokenizer.vocab_size)
    encode = partial(read_layers, loaded.encoder, [predictor.head])
    return data, outputs_of(task, loader, encode, predictor.head, torch.device("cpu"))[0]


def inputs_of(folder: Path, records: list[Any]) -> Any:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    first = [getattr(r, "question", None) or r.text for r in records]
    second = [getattr(r, "context", None) or getattr(r, "text_b", None) for r in records]
    texts = (first,) if second[0] is None else (first, second)
    if tokenizer.pad_token is None:
        assert len(records) == 1
        return tokenizer(*texts, return_tensors="pt")
    return tokenizer(*texts, padding=True, return_tensors="pt")


def load_theirs(task: str, folder: Path) -> Any:
    model, report = getattr(transformers, AUTO[task]).from_pretrained(folder, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


def compare(predictor: Predictor, theirs: Any, folder: Path, records: list[Any], types: bool) -> None:
    """The same tokens, the same types, the same scores."""
    data, ours = scores_of(predictor, records)
    inputs = inputs_of(folder, records)
    with torch.no_grad():
        found = theirs(**inputs)
    for i, (example, scores) in enumerate(zip(data.examples, ours, strict=True)):
        length = int(inputs["attention_mask"][i].sum())
        assert inputs["input_ids"][i, :length].tolist() == list(example.ids)
        assert ("token_type_ids" in inputs) == types
        if types:
            assert inputs["token_type_ids"][i, :length].tolist() == list(example.type)
        if predictor.name == "qa":
            reference = torch.stack([found.start_logits[i, :length], found.end_logits[i, :length]], 1)
        elif predictor.name == "tag":
            reference = found.logits[i, data.places[i].tolist()]
        else:
            reference = found.logits[i]
        assert np.abs(scores - reference.numpy()).max() <= TOLERANCE


@pytest.mark.parametrize(("name", "task", "section", "changes"), CASES)
def test_a_head_leaves_and_comes_back(
    name: str, task: str, section: dict[str, Any], changes: dict[str, Any], tmp_path: Path
) -> None:
    run = random_run(tmp_path / "run", name, task, section, **changes)
    written = export_model(tmp_path / "run", "huggingface", tmp_path / "theirs")
    assert sorted(written.files) == sorted(p.name for p in written.path.iterdir())
    ours, theirs = Predictor(polyseme.load(tmp_path / "run")), load_theirs(task, tmp_path / "theirs")
    records, types = records_of(task), name in ("bert", "ernie")
    compare(ours, theirs, tmp_path / "theirs", records, types)
    if task != "qa":
        labels = ours.config.labels or ("value",)
        assert theirs.config.id2label == dict(enumerate(labels))
        assert theirs.config.label2id == {label: i for i, label in enumerate(labels)}

    again = import_model(tmp_path / "theirs", tmp_path / "again")
    before, after = run.weights()[0], again.weights()[0]
    if task in ("tag", "qa"):
        left = {k for k in before if k.startswith("encoder.pool.")}
        assert bool(left) == any("pooler" in note for note in written.notes)
        before = {k: v for k, v in before.items() if k not in left}
        run.meta["recipe"]["model"].update({"add_pooling_layer": False} if left else {})
    assert after.keys() == before.keys()
    assert all(torch.equal(after[k], before[k]) for k in before)
    assert again.meta["recipe"] == run.meta["recipe"]
    assert again.meta.get("decoding") == run.meta.get("decoding")
    back = Predictor(polyseme.load(tmp_path / "again"))
    assert back.predict_all(records) == ours.predict_all(records)

    # what transformers itself saves, without a word of ours
    theirs.config.__dict__.pop("polyseme")
    theirs.save_pretrained(tmp_path / "saved")
    for file in (tmp_path / "theirs").glob("*token*"):
        (tmp_path / "saved" / file.name).write_bytes(file.read_bytes())
    saved = import_model(tmp_path / "saved", tmp_path / "from-saved", task=task)
    assert saved.meta["recipe"]["objectives"] == [task]
    if task == "tag":  # only config.json of an export has them
        before["heads.tag.place.weight"].zero_()
    assert all(torch.equal(saved.weights()[0][k], before[k]) for k in before)
    compare(Predictor(polyseme.load(tmp_path / "from-saved")), theirs, tmp_path / "saved", records, types)


def trained(folder: Path, model: str, task: str, lines: list[str], **changes: Any) -> Path:
    """A tiny run, adapted to a file."""
    run = make_run(folder / "pretrained", model)
    suffix = {"tag": "conll"}.get(task, "tsv")
    (folder / f"train.{suffix}").write_text("\n".join(lines) + "\n")
    finetune(
        FinetuneRequest(
            task=task, run=run, train=folder / f"train.{suffix}", dev=folder / f"train.{suffix}",
            output=folder / "run", epochs=2, learning_rate=2e-3, **changes,
        )
    )  # fmt: skip
    return folder / "run"


@pytest.mark.parametrize("model", ["bert", "gpt"])
def test_pipelines_say_what_predict_says_of_texts(model: str, tmp_path: Path) -> None:
    words = ["good", "bad", "small"]
    lines = [f"the {a} {b} likes the river\t{a}" for a in words for b in ("cat", "dog", "bird")] * 4
    run = trained(tmp_path, model, "classify", ["text\tlabel", *lines])
    export_model(run, "huggingface", tmp_path / "theirs")
    pipe = transformers.pipeline("text-classification", str(tmp_path / "theirs"))
    texts = ["a good day", "the bad old dog", "bird", "the cat sees a small river " * 3]
    theirs = pipe(texts, top_k=None, batch_size=3)
    ours = Predictor(polyseme.load(run)).predict_all([TextRecord("", text) for text in texts])
    for said, found in zip(ours, theirs, strict=True):
        assert found[0]["label"] == said["label"]
        assert {one["label"]: one["score"] for one in found} == pytest.approx(said["probabilities"], abs=1e-5)


def test_pipelines_say_what_predict_says_of_two_texts(tmp_path: Path) -> None:
    lines = [
        f"the {a} cat\ta {b} day\t{'same' if a == b else 'other'}"
        for a in ("good", "bad", "old") for b in ("good", "bad", "old")
    ] * 4  # fmt: skip
    run = trained(tmp_path, "bert", "pair", ["text\ttext_b\tlabel", *lines])
    export_model(run, "huggingface", tmp_path / "theirs")
    pipe = transformers.pipeline("text-classification", str(tmp_path / "theirs"))
    pairs = [("the good dog", "a good river"), ("the bird likes the old river", "day")]
    ours = Predictor(polyseme.load(run)).predict_all([TextRecord("", a, b) for a, b in pairs])
    for (a, b), said in zip(pairs, ours, strict=True):
        found = pipe({"text": a, "text_pair": b}, top_k=None)
        assert {one["label"]: one["score"] for one in found} == pytest.approx(said["probabilities"], abs=1e-5)


@pytest.mark.parametrize("model", ["bert", "gpt"])
def test_pipelines_say_what_predict_says_of_tokens(model: str, tmp_path: Path) -> None:
    kinds = {"the": "DET", "a": "DET", "likes": "VERB", "sees": "VERB", "good": "ADJ", "bad": "ADJ"}
    texts = [
        f"the {a} {b} likes a {c}" for a in ("good", "bad") for b in ("cat", "dog") for c in ("day", "bird")
    ]
    lines = [
        line for text in texts * 4 for line in [*(f"{w}\t{kinds.get(w, 'NOUN')}" for w in text.split()), ""]
    ]
    run = trained(tmp_path, model, "tag", lines)
    export_model(run, "huggingface", tmp_path / "theirs")
    pipe = transformers.pipeline("token-classification", str(tmp_path / "theirs"), ignore_labels=[])
    for text in ["the good bird sees a catdog", "unheard days likes"]:
        ends = np.cumsum([len(word) + 1 for word in text.split()]).tolist()
        tokens = tuple((end - len(word) - 1, end - 1) for word, end in zip(text.split(), ends, strict=True))
        (said,) = Predictor(polyseme.load(run)).predict_all([TagRecord("", text, tokens)])
        theirs = {one["start"]: one for one in pipe(text)}
        for token in said["tokens"]:
            found = theirs[token["start"]]
            assert found["entity"] == token["tag"]
            assert found["score"] == pytest.approx(token["probability"], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "task", "section", "message"),
    [
        ("bert", "classify", {"mix": True}, "mix of all layers"),
        ("modernbert", "qa", {"lstm": 8}, "an LSTM"),
        ("gpt", "tag", {"hidden": 8}, "a hidden layer"),
        ("ernie", "tag", {"crf": True}, "a CRF"),
        ("bert", "classify", {"pool": "mean"}, "pool = 'mean'"),
        ("modernbert", "pair", {"pool": "max"}, "pool = 'max'"),
        ("qwen3", "pair", {"pool": "pair", "hidden": 0}, "pool = 'pair'"),
    ],
)
def test_what_transformers_cannot_hold_is_said(
    name: str, task: str, section: dict[str, Any], message: str, tmp_path: Path
) -> None:
    random_run(tmp_path / "run", name, task, section)
    with pytest.raises(ConfigError, match=message) as error:
        export_model(tmp_path / "run", "huggingface", tmp_path / "theirs")
    assert "polyseme predict" in str(error.value.fix)
    assert not (tmp_path / "theirs").exists()
    written = export_model(tmp_path / "run", "sentence-transformers", tmp_path / "vectors")
    assert any(task in note for note in written.notes)  # the encoder alone


def test_no_pooler_and_vectors_of_places(tmp_path: Path) -> None:
    random_run(tmp_path / "bare", "bert", "classify", add_pooling_layer=False)
    with pytest.raises(ConfigError, match="without a pooler"):
        export_model(tmp_path / "bare", "huggingface", tmp_path / "never")
    imported = random_imported("gpt", ["tag"], sections={"tag": section_of("gpt", "tag")})
    write_run(imported, tmp_path / "run")
    notes = export_model(tmp_path / "run", "huggingface", tmp_path / "theirs").notes
    assert any("share a token" in note for note in notes)
    theirs = tmp_path / "theirs"
    for number, place in enumerate(([[1, 2]] * 4, [["x"] * 4] * 4, {"a": 1}, [[0.5] * 4] * 5)):
        own = json.loads((theirs / "config.json").read_text())["polyseme"] | {"place": place}
        again = import_model(changed(theirs, tmp_path / f"p{number}", polyseme=own), tmp_path / f"r{number}")
        assert not again.weights()[0]["heads.tag.place.weight"].any()
    assert any("legal sequences" in note for note in notes)


def changed(folder: Path, target: Path, **changes: Any) -> Path:
    """The same directory without polyseme's own field, with other fields; ... takes one away."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    config = json.loads((target / "config.json").read_text()) | {"polyseme": ..., **changes}
    (target / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))
    return target


def test_directories_of_others(tmp_path: Path) -> None:
    """What config.json says, and what it leaves to the reader."""
    random_run(tmp_path / "run", "modernbert", "classify")
    theirs = export_model(tmp_path / "run", "huggingface", tmp_path / "theirs").path
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "plain": ({"id2label": ..., "label2id": ..., "problem_type": ..., "classifier_pooling": ...},
                  {"labels": ["LABEL_0", "LABEL_1", "LABEL_2"], "kind": "single", "pool": "cls", "max_length": 64}),
        "several": ({"problem_type": "multi_label_classification"}, {"kind": "several", "pool": "mean"}),
        "inference": ({"id2label": {"0": "entailment", "1": "neutral", "2": "contradiction"}},
                      {"labels": ["entailment", "neutral", "contradiction"]}),
        "cross": ({"sentence_transformers": {"version": "5"}}, {"labels": ["bad", "fair", "good"]}),
    }  # fmt: skip
    for case, (changes, expected) in cases.items():
        run = import_model(changed(theirs, tmp_path / case, **changes), tmp_path / f"{case}-run")
        task = "pair" if case in ("inference", "cross") else "classify"
        assert run.meta["recipe"]["objectives"] == [task]
        assert run.meta["recipe"][task] | expected == run.meta["recipe"][task]
        other = {"pair": "classify", "classify": "pair"}[task]
        assert any(f"--task {other}" in note for note in run.meta["imported"]["notes"])
        assert Predictor(polyseme.load(run.path)).predict_all(records_of(task))
    several = import_model(
        changed(theirs, tmp_path / "numbers", problem_type="regression"), tmp_path / "encoder"
    )
    assert several.meta["recipe"]["objectives"] == []
    assert "classifier.weight" in several.meta["imported"]["left_out"]
    for field, value in {
        "id2label": {"0": "a"},
        "problem_type": "ranking",
        "classifier_pooling": "max",
    }.items():
        with pytest.raises(ConfigError, match=field):
            import_model(changed(theirs, tmp_path / f"bad-{field}", **{field: value}), tmp_path / "never")
    for number, labels in enumerate(
        (["a", "b", "c"], {"0": "a", "1": "a", "2": "b"}, {"a": "x", "b": "y", "c": "z"})
    ):
        with pytest.raises(ConfigError, match="id2label"):
            import_model(changed(theirs, tmp_path / f"labels-{number}", id2label=labels), tmp_path / "never")
    with pytest.raises(ConfigError, match="no head for tag"):
        import_model(theirs, tmp_path / "never", task="tag")
    damaged = changed(theirs, tmp_path / "damaged")
    tensors = load_file(damaged / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if k != "classifier.bias"}, damaged / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"classifier\.bias"):
        import_model(damaged, tmp_path / "never")
    save_file({**tensors, "score.weight": torch.zeros(1)}, damaged / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"score\.weight"):
        import_model(damaged, tmp_path / "never")


def test_a_gpt2_without_separators(tmp_path: Path) -> None:
    """A text ends with its last token; the vocabulary's only special token stands between two, and fills rows."""
    gpt2_like(tmp_path / "lm")
    size = json.loads((tmp_path / "lm" / "config.json").read_text())["vocab_size"]
    config = transformers.GPT2Config.from_pretrained(tmp_path / "lm", num_labels=2, pad_token_id=size - 1)
    torch.manual_seed(0)
    theirs = transformers.GPT2ForSequenceClassification(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / "theirs" / name).write_bytes((tmp_path / "lm" / name).read_bytes())
    run = import_model(tmp_path / "theirs", tmp_path / "run")
    assert run.meta["recipe"]["objectives"] == ["classify"]
    assert run.meta["recipe"]["classify"]["labels"] == ["LABEL_0", "LABEL_1"]
    ours = Predictor(polyseme.load(tmp_path / "run"))
    data, scores = scores_of(ours, records_of("classify"))
    for example, found in zip(data.examples, scores, strict=True):
        with torch.no_grad():
            assert (
                np.abs(theirs(torch.tensor(example.ids)[None]).logits[0].numpy() - found).max() <= TOLERANCE
            )
    for task in ("classify", "pair"):
        import_model(tmp_path / "theirs", tmp_path / task, task=task)
        export_model(tmp_path / task, "huggingface", tmp_path / f"{task}-back")
        back = load_theirs(task, tmp_path / f"{task}-back")
        assert back.config.pad_token_id == size - 1
        predictor = Predictor(polyseme.load(tmp_path / task))
        compare(predictor, back, tmp_path / f"{task}-back", records_of(task), types=False)


def test_a_foreign_head_for_questions(tmp_path: Path) -> None:
    tokenizer = small_tokenizer()
    config = transformers.BertConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=40, max_position_embeddings=40,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.BertForQuestionAnswering(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    tokenizer.save(tmp_path / "theirs" / "tokenizer.json")
    run = import_model(tmp_path / "theirs", tmp_path / "run")
    assert run.meta["recipe"]["qa"]["max_length"] == 40
    predictor = Predictor(polyseme.load(tmp_path / "run"))
    data, scores = scores_of(predictor, records_of("qa"))
    for example, found in zip(data.examples, scores, strict=True):
        with torch.no_grad():
            reference = theirs(
                torch.tensor(example.ids)[None], token_type_ids=torch.tensor(example.type)[None]
            )
        assert np.abs(found[:, 0] - reference.start_logits[0].numpy()).max() <= TOLERANCE
        assert np.abs(found[:, 1] - reference.end_logits[0].numpy()).max() <= TOLERANCE
    for said, record in zip(predictor.predict_all(records_of("qa")), records_of("qa"), strict=True):
        assert said["answer"] == record.context[said["start"] : said["end"]]
        assert "no_answer_score" not in said
    none = Predictor(polyseme.load(tmp_path / "run"), threshold=-1e9).predict_all(records_of("qa"))
    assert {said["answer"] for said in none} == {""}
    some = Predictor(polyseme.load(tmp_path / "run"), threshold=1e9).predict_all(records_of("qa"))
    assert [said["answer"] for said in some] == [
        said["answer"] for said in predictor.predict_all(records_of("qa"))
    ]
