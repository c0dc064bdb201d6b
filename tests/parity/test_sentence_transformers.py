"""Directories of sentence-transformers, both ways: equal vectors; what cannot be honoured is refused by name."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.cli import main
from polyseme.errors import CheckpointError, ConfigError
from polyseme.formats.registry import export_model, import_model
from polyseme.infer.embed import Pooling, embed
from polyseme.infer.model import load
from small import is_gradient
from vector_runs import TEXTS, random_run

# long texts are among those of every test here
pytestmark = pytest.mark.filterwarnings("ignore:.* longer than the .* tokens that are read")

ENCODERS = ["bert", "ernie", "modernbert", "gpt"]
ODD = [
    "\U0001f600 the cat",
    "e\u0301t\u00e9 \u00df \u0130",
    "[MASK",
    "a\u200bb \ufeff \x07 c",
    "猫" * 80,
    "cat " * 90,
    " \u3000 ",
]
ALL = [*TEXTS, *ODD]
MODELS = "sentence_transformers.models."
PROMPT_FILE = "config_sentence_transformers.json"


def encoder_of(folder: Path) -> Any:
    """The peer is loaded here: ten seconds that only the process needs which runs these tests."""
    return pytest.importorskip("sentence_transformers").SentenceTransformer(str(folder), device="cpu")


def theirs(folder: Path, texts: list[str] = ALL) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = encoder_of(folder)
        return model.encode(texts, show_progress_bar=False)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_export_gives_equal_vectors(name: str, tmp_path: Path) -> None:
    assert is_gradient(name)
    loaded = random_run(tmp_path, name)
    written = export_model(loaded.run.path, "sentence-transformers", tmp_path / "out")
    ours = np.stack(embed(loaded, ALL, Pooling.of(loaded, separators=True)))
    np.testing.assert_allclose(theirs(tmp_path / "out"), ours, atol=1e-5)
    assert any("--separators" in note for note in written.notes)
    back = load(import_model(tmp_path / "out", tmp_path / "back").path)
    assert Pooling.of(back) == Pooling("mean", False, 64, True)
    np.testing.assert_array_equal(np.stack(embed(back, ALL)), ours)
    stored, again = loaded.run.weights()[0], back.run.weights()[0]
    assert {k for k in again if k.startswith("encoder.")} == {k for k in stored if k.startswith("encoder.")}
    assert all(np.array_equal(again[k], stored[k]) for k in again if k in stored)


@pytest.mark.parametrize("pool", ["mean", "cls", "max", "last"])
@pytest.mark.parametrize("normalize", [False, True])
def test_every_pooling_both_ways(pool: str, normalize: bool, tmp_path: Path) -> None:
    own = {"pool": pool, "normalize": normalize, "max_length": 20, "separators": True}
    loaded = random_run(tmp_path, "bert", own)
    written = export_model(loaded.run.path, "sentence-transformers", tmp_path / "out")
    assert not any("--separators" in note for note in written.notes)
    np.testing.assert_allclose(theirs(tmp_path / "out"), np.stack(embed(loaded, ALL)), atol=1e-5)
    back = load(import_model(tmp_path / "out", tmp_path / "back").path)
    assert back.run.meta["embedding"] == own


def saved_by_them(folder: Path, out: Path, pooling: Any, more: list[Any]) -> None:
    """A directory as their own library writes it today."""
    from sentence_transformers import SentenceTransformer, models

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformer = models.Transformer(str(folder), max_seq_length=24)
        pool = models.Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)
        SentenceTransformer(modules=[transformer, pool, *more], device="cpu").save(str(out))


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken", ("mean", "cls"), "weightedmean"])
def test_what_they_write_today(pooling: Any, tmp_path: Path) -> None:
    from sentence_transformers import models

    loaded = random_run(tmp_path, "bert")
    export_model(loaded.run.path, "huggingface", tmp_path / "hf")
    saved_by_them(tmp_path / "hf", tmp_path / "st", pooling, [models.Normalize()])
    if pooling in (("mean", "cls"), "weightedmean"):
        with pytest.raises(ConfigError, match="this pooling cannot be honoured"):
            import_model(tmp_path / "st", tmp_path / "run")
        return
    imported = load(import_model(tmp_path / "st", tmp_path / "run").path)
    assert Pooling.of(imported).max_length == 24
    np.testing.assert_allclose(theirs(tmp_path / "st"), np.stack(embed(imported, ALL)), atol=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("st")
    own = {"pool": "mean", "normalize": True, "max_length": 20, "separators": True}
    run = random_run(place, "bert", own).run.path
    return export_model(run, "sentence-transformers", place / "out").path


CHANGES: list[tuple[str, Any, type[Exception], str]] = [
    (
        "modules.json",
        [{"path": "", "type": f"{MODELS}Transformer"}],
        ConfigError,
        "make no vectors",
    ),
    ("modules.json", {"idx": 0}, CheckpointError, "not a list"),
    ("modules.json", [3], CheckpointError, "not a module"),
    (
        "modules.json",
        [{"path": "../x", "type": f"{MODELS}Transformer"}],
        CheckpointError,
        "outside",
    ),
    ("modules.json", [{"path": "", "type": "elsewhere.Transformer"}], ConfigError, "the module Transformer"),
    (
        "modules.json+",
        {"path": "3_Dense", "type": f"{MODELS}Dense"},
        ConfigError,
        "module Dense",
    ),
    (
        "1_Pooling/config.json",
        {"pooling_mode": "mean", "embedding_dimension": 7},
        CheckpointError,
        "different widths",
    ),
    ("1_Pooling/config.json", {"pooling_mode_mean_sqrt_len_tokens": True}, ConfigError, "mean_sqrt_len"),
    (
        "2_Normalize/config.json",
        {"module_input_name": "token_embeddings"},
        ConfigError,
        "Normalize of something",
    ),
    ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, ConfigError, "fill-mask"),
    ("sentence_bert_config.json", {"max_seq_length": -3}, ConfigError, "no such length"),
    ("config_sentence_transformers.json", {"default_prompt_name": "query"}, ConfigError, "a prompt"),
]


@pytest.mark.parametrize(("name", "document", "error", "what"), CHANGES)
def test_what_cannot_be_honoured(
    folder: Path, tmp_path: Path, name: str, document: Any, error: type[Exception], what: str
) -> None:
    copy = tmp_path / "copy"
    for file in folder.rglob("*"):
        target = copy / file.relative_to(folder)
        if file.is_dir():
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    file = copy / name.rstrip("+")
    if name.endswith("+"):
        document = [*json.loads(file.read_bytes()), document]
    file.write_text(json.dumps(document), "utf-8")
    with pytest.raises(error, match=what) as found:
        import_model(copy, tmp_path / "run")
    if what == "mean_sqrt_len":
        assert "mean_sqrt_len" in str(found.value)
    assert not (tmp_path / "run").exists()


def test_letters_are_made_small_where_the_settings_say_so(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "1_Pooling").mkdir()
    (copy / "2_Normalize").mkdir()
    for file in folder.rglob("*"):
        if file.is_file():
            (copy / file.relative_to(folder)).write_bytes(file.read_bytes())
    spec = json.loads((copy / "tokenizer.json").read_text("utf-8"))
    spec["normalizer"] = {"type": "NFC"}  # capital letters stay, and are unknown
    (copy / "tokenizer.json").write_text(json.dumps(spec), "utf-8")
    texts = ["The Cat", "THE CAT", "the cat"]
    for lower in (False, True):
        (copy / "sentence_bert_config.json").write_text(
            json.dumps({"max_seq_length": 20, "do_lower_case": lower})
        )
        loaded = load(import_model(copy, tmp_path / f"run{lower}").path)
        ours = np.stack(embed(loaded, texts))
        np.testing.assert_allclose(theirs(copy, texts), ours, atol=1e-5)
        assert np.allclose(ours[0], ours[2]) == lower


def test_the_real_thing(real_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """all-MiniLM-L6-v2 with its own weights; bench/embed_vs_sentence_transformers.py has 1,000 texts."""
    run = tmp_path / "minilm"
    assert main(["import", str(real_weights), "-o", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["embedding"] == {
        "pool": "mean", "normalize": True, "max_length": 256, "separators": True,
    }  # fmt: skip
    texts = [*ALL, "word " * 600, "天地玄黄宇宙洪荒" * 60]
    np.testing.assert_allclose(theirs(real_weights, texts), np.stack(embed(load(run), texts)), atol=1e-5)


def changed(folder: Path, out: Path, name: str, **fields: Any) -> Path:
    shutil.copytree(folder, out)
    settings = json.loads((out / name).read_text())
    (out / name).write_text(json.dumps(settings | fields))
    return out


PROMPTS = {
    "truncate_dim": 8,
    "prompts": {"query": "query: ", "document": ""},
    "similarity_fn_name": "dot",
}


@pytest.mark.parametrize("dimensions", [1, 8, 10_000])
def test_truncated_vectors_are_theirs(dimensions: int, folder: Path, tmp_path: Path) -> None:
    there = changed(folder, tmp_path / "st", PROMPT_FILE, truncate_dim=dimensions)
    imported = load(import_model(there, tmp_path / "run").path)
    np.testing.assert_allclose(theirs(there), np.stack(embed(imported, ALL)), atol=1e-5)


def test_what_changes_no_vector_is_kept_for_the_way_back(folder: Path, tmp_path: Path) -> None:
    there = changed(folder, tmp_path / "st", PROMPT_FILE, **PROMPTS)
    pooling = json.loads((there / "1_Pooling/config.json").read_text()) | {"include_prompt": False}
    (there / "1_Pooling/config.json").write_text(json.dumps(pooling))
    run = import_model(there, tmp_path / "run")
    notes = " ".join(run.meta["imported"]["notes"])
    assert "query 'query: '" in notes
    assert "similarity_fn_name 'dot'" in notes
    export_model(run.path, "sentence-transformers", tmp_path / "back")
    named = json.loads((tmp_path / "back" / PROMPT_FILE).read_text())
    assert named == {**PROMPTS, "default_prompt_name": None}
    assert json.loads((tmp_path / "back/1_Pooling/config.json").read_text())["include_prompt"] is False
    np.testing.assert_allclose(theirs(tmp_path / "back"), np.stack(embed(load(run.path), ALL)), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        (
            PROMPT_FILE,
            {"prompts": {"q": "query: "}, "default_prompt_name": "q"},
            "a prompt before every text",
        ),
        (PROMPT_FILE, {"default_prompt_name": "q"}, "a prompt before every text"),
        (PROMPT_FILE, {"truncate_dim": 0}, "truncate_dim 0"),
        (PROMPT_FILE, {"truncate_dim": "8"}, "truncate_dim '8'"),
        (PROMPT_FILE, {"prompts": {"q": 3}}, "prompts are not texts"),
        ("sentence_bert_config.json", {"query_length": 32}, "query_length 32"),
    ],
)
def test_a_setting_that_changes_vectors_is_refused(
    name: str, fields: dict[str, Any], message: str, folder: Path, tmp_path: Path
) -> None:
    there = changed(folder, tmp_path / "st", name, **fields)
    with pytest.raises((ConfigError, CheckpointError)) as caught:
        import_model(there, tmp_path / "run")
    assert message in str(caught.value)


def test_an_empty_default_prompt_changes_nothing(folder: Path, tmp_path: Path) -> None:
    fields = {"prompts": {"document": ""}, "default_prompt_name": "document"}
    there = changed(folder, tmp_path / "st", PROMPT_FILE, **fields)
    imported = load(import_model(there, tmp_path / "run").path)
    np.testing.assert_allclose(theirs(there), np.stack(embed(imported, ALL)), atol=1e-5)


def test_tokens_that_people_added_are_tokens_in_texts(folder: Path, tmp_path: Path) -> None:
    added = ["[QRY]", "<ent>", "[unused7]", "<|x|>"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = encoder_of(folder)
        model[0].tokenizer.add_tokens(added, special_tokens=True)
        model[0].tokenizer.add_tokens(["plainword"])
        model[0].auto_model.resize_token_embeddings(len(model[0].tokenizer))
        model.save(str(tmp_path / "st"))
    run = import_model(tmp_path / "st", tmp_path / "run")
    loaded = load(run.path)
    texts = ["[QRY] the cat", "a <ent>mat</ent> [unused7]", "x<|x|>y [QRY][QRY]", "plainword", "[qry]"]
    np.testing.assert_allclose(theirs(tmp_path / "st", texts), loaded.embed(texts), atol=1e-5)
    assert loaded.encode("[QRY] the cat").tokens[0] == "[QRY]"
    assert "[MASK]" not in loaded.encode("[MASK] the [SEP]").tokens  # as decided: these stay letters
    assert any("[QRY] <ent> [unused7] <|x|>" in note for note in run.meta["imported"]["notes"])
    export_model(run.path, "sentence-transformers", tmp_path / "back")
    np.testing.assert_allclose(theirs(tmp_path / "back", texts), loaded.embed(texts), atol=1e-5)
