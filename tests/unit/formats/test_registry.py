"""What is said of a source or an output that cannot be: which it is, and what to type instead."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from exported import run_of
from polyseme.errors import (
    CheckpointError,
    ConfigError,
    InputError,
    PolysemeError,
    RunError,
    StorageError,
)
from polyseme.formats.registry import export_model, import_model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(run_of("word2vec", tmp_path_factory.mktemp("runs") / "word2vec"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "a model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "vocab.txt").write_text("[PAD]")
    return folder


@pytest.mark.parametrize("name", ["config.json", "vocab.txt"])
def test_a_file_of_a_model_names_its_folder(model: Path, name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one file alone is no model") as caught:
        import_model(model / name, tmp_path / "run")
    assert caught.value.fix == f"polyseme import '{model}' -o RUN"


@pytest.mark.parametrize(
    ("name", "what"),
    [("model.onnx", "an ONNX file"), ("pytorch_model.bin", "a pickle"), ("tf.h5", "an HDF5")],
)
def test_a_folder_of_other_weights_names_them(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.npy").write_bytes(b"not weights of a model")
    (tmp_path / "theirs" / name).write_bytes(b"anything")
    with pytest.raises(CheckpointError, match=f"{what}.* is not read") as caught:
        import_model(tmp_path / "theirs", tmp_path / "run")
    assert caught.value.where == tmp_path / "theirs" / name


class KeyedVectors:
    """Pickled under gensim's name, as its own `save` does."""

    __module__ = "gensim.models.keyedvectors"


def test_a_pickle_of_gensim_is_refused_with_gensims_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = pytest.importorskip("gensim.models.keyedvectors")
    monkeypatch.setattr(module, "KeyedVectors", KeyedVectors)
    (tmp_path / "vectors.kv").write_bytes(pickle.dumps(KeyedVectors()))
    with pytest.raises(CheckpointError, match="a pickle of gensim is not read") as caught:
        import_model(tmp_path / "vectors.kv", tmp_path / "run")
    assert "save_word2vec_format" in str(caught.value.fix)


@pytest.mark.parametrize("format", ["huggingface", "sentence-transformers"])
def test_a_format_that_is_named_finds_its_files_missing(format: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="no such file"):
        import_model(tmp_path / "empty", tmp_path / "run", format)


@pytest.mark.parametrize("format", ["projector", "word2vec"])
def test_no_output_goes_below_a_file(run: Path, format: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError):
        export_model(run, format, tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_export_writes_over_nothing(run: Path, tmp_path: Path) -> None:
    weights = (run / "model.safetensors").read_bytes()
    for output in (run / "model.safetensors", run / "run.json"):
        with pytest.raises(RunError, match="is there already"):
            export_model(run, "word2vec", output)
    with pytest.raises(RunError, match="the output is a folder"):
        export_model(run, "word2vec", tmp_path)
    assert (run / "model.safetensors").read_bytes() == weights
    written = export_model(run, "word2vec", tmp_path / "new" / "folder" / "vectors.txt")
    assert written.path.is_file()


@pytest.mark.parametrize("given", [None, 3, b"folder"])
def test_what_is_no_path_is_refused(run: Path, given: Any, tmp_path: Path) -> None:
    calls = (
        lambda: import_model(given, tmp_path / "run"),
        lambda: import_model(tmp_path, given),
        lambda: export_model(given, "word2vec", tmp_path / "v"),
        lambda: export_model(run, "word2vec", given),
    )
    for call in calls:
        with pytest.raises(InputError, match="must be a string or a Path"):
            call()
    with pytest.raises(ConfigError, match="unknown format"):
        export_model(run, given, tmp_path / "v")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 400\n"
FASTTEXT = bytes.fromhex("ba164f2f0c000000") + b"\0" * 64


def tar(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return gzip.compress(
        stream.getvalue(), mtime=0
    )  # the same bytes whenever: they are part of a test's name


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("cc.en.300.bin", FASTTEXT, "a fastText model is not read(.|\\n)*load_facebook_vectors"),
        ("cc.en.300.bin.gz", gzip.compress(FASTTEXT, mtime=0), "a fastText model is not read"),
        ("lid.176.ftz", FASTTEXT, "a fastText model is not read(.|\\n)*quantised"),
        ("a.vec", POINTER, "a pointer of git-lfs(.|\\n)*git lfs pull"),
        ("a.safetensors", POINTER, "a pointer of git-lfs"),
        ("a.vec", b"", "an empty file"),
        ("a.bin", b"", "an empty file"),
        ("a.vec.gz", gzip.compress(b"", mtime=0), "an empty file"),
        ("a.vec", b"<!DOCTYPE html>\n<html>", "a web page"),
        ("a.tar.gz", tar("a.txt"), "an archive is not read"),
        ("a.vec.zst", b"\x28\xb5\x2f\xfd and so on", "an archive is not read"),
        ("elmo_weights.hdf5", b"\x89HDF\r\n\x1a\n and so on", "ELMo's weights"),
        ("a.gguf", b"GGUF and so on", "a GGUF file"),
        ("kv.vectors.npy", b"\x93NUMPY and so on", "a part of what gensim saved"),
        ("bert_model.ckpt.index", b"x", "a TensorFlow checkpoint"),
        ("odd.bin", b"neither this nor that", "not a model in a format that is read"),
    ],
)
def test_an_error_names_the_true_cause(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PolysemeError) as caught:
        import_model(tmp_path / name, tmp_path / "run")
    assert re.search(message, str(caught.value))


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "tokenizer.json", "model.safetensors"])
def test_a_pointer_in_place_of_any_file_is_told(name: str, tmp_path: Path) -> None:
    run = run_of("bert", tmp_path / "bert")
    export_model(run, "huggingface", tmp_path / "model")
    if name == "vocab.txt":
        (tmp_path / "model" / "tokenizer.json").unlink()
    (tmp_path / "model" / name).write_bytes(POINTER)
    with pytest.raises(CheckpointError, match="a pointer of git-lfs") as caught:
        import_model(tmp_path / "model", tmp_path / "run")
    assert caught.value.where == tmp_path / "model" / name


@pytest.mark.parametrize(
    ("source", "fix"),
    [
        (
            "bert-base-uncased",
            "hf download bert-base-uncased --local-dir bert-base-uncased && polyseme import ",
        ),
        (
            "google-bert/bert-base-chinese",
            "hf download google-bert/bert-base-chinese --local-dir bert-base-chinese",
        ),
        ("https://huggingface.co/a/b", "hf download a/b --local-dir b && polyseme import b -o "),
        ("https://huggingface.co/a/b/resolve/main/model.safetensors", "hf download a/b --local-dir b"),
        ("https://example.org/a.zip", "download it, and name the file here"),
    ],
)
def test_a_model_elsewhere_is_fetched_first(source: str, fix: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is nothing to import") as caught:
        import_model(source, tmp_path / "run")
    assert str(caught.value.fix).startswith(fix)
    assert caught.value.where == source


def test_a_name_that_is_mistyped_or_lies_deeper(run: Path, tmp_path: Path) -> None:
    inside = tmp_path / "models--a--b" / "snapshots" / "abc"
    inside.mkdir(parents=True)
    (inside / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="lies deeper") as deeper:
        import_model(tmp_path / "models--a--b", tmp_path / "run")
    assert deeper.value.fix == f"polyseme import {inside} -o RUN"
    with pytest.raises(RunError) as caught:
        import_model(tmp_path / "models--a-b", tmp_path / "run")
    assert f"polyseme import {tmp_path / 'models--a--b'} -o" in str(caught.value.fix)


def test_adapters_and_shards_are_told(tmp_path: Path) -> None:
    for name in ("peft", "shard", "noindex", "broken"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "peft" / "adapter_config.json").write_text("{}")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (tmp_path / "shard" / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "noindex" / "model-00001-of-00002.safetensors").write_bytes(b"x")
    (tmp_path / "broken" / "model.safetensors").symlink_to("gone")
    for name, message in {
        "peft": "an adapter is not read",
        "shard": "a shard that the index names is not there",
        "noindex": "the index of the shards is not there",
        "broken": "a link leads to a file that is not there",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            import_model(tmp_path / name, tmp_path / "run")
    (tmp_path / "peft" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="an adapter is not read"):
        import_model(tmp_path / "peft", tmp_path / "run")
