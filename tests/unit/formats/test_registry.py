"""What is said of a source or an output that cannot be: which it is, and what to type instead."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from exported import run_of
from polyseme.errors import CheckpointError, ConfigError, InputError, RunError, StorageError
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
