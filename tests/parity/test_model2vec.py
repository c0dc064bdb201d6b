"""model2vec reads what we write and makes the same vectors; and we read what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.errors import CheckpointError, ConfigError
from polyseme.formats.registry import export_model, import_model
from polyseme.infer.model import Model, load
from polyseme.study.distil import distil
from vector_runs import TEXTS, random_run

ODD = [
    *TEXTS,
    "[MASK] cat [SEP]",
    "Unknown zzz \U0001d54f cat",
    "cat" * 80,
    "the cat " * 700,
    "Ｃat\u200b ﬁn",
]


@pytest.fixture(scope="module", params=["wordpiece", "byte-bpe", "unigram", "characters", "words"])
def static(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model2vec")
    loaded = random_run(folder, "elmo" if request.param == "words" else "bert", tokenizer=request.param)
    return load(distil(loaded, folder / "static", dimensions=12, sif=1e-2).path)


def readable(static: Model) -> list[str]:
    """The texts that other programs cut into the same words."""
    return [text for text in ODD if static.tokenizer.spelling != "words" or text.isascii()]


def test_model2vec_makes_the_same_vectors(static: Model, tmp_path: Path) -> None:
    model2vec = pytest.importorskip("model2vec")
    export_model(static.run.path, "model2vec", tmp_path / "out")
    theirs = model2vec.StaticModel.from_pretrained(tmp_path / "out")
    texts = readable(static)
    assert np.allclose(theirs.encode(texts), static.embed(texts), atol=1e-6)


def test_a_folder_comes_back_as_the_same_run(static: Model, tmp_path: Path) -> None:
    written = export_model(static.run.path, "model2vec", tmp_path / "out")
    assert all((tmp_path / "out" / name).is_file() for name in written.files)
    again = load(import_model(tmp_path / "out", tmp_path / "run").path)
    texts = readable(static)
    assert np.allclose(again.embed(texts), static.embed(texts), atol=1e-6)


def test_we_read_what_model2vec_writes(static: Model, tmp_path: Path) -> None:
    model2vec = pytest.importorskip("model2vec")
    export_model(static.run.path, "model2vec", tmp_path / "out")
    theirs = model2vec.StaticModel.from_pretrained(
        tmp_path / "out", vocabulary_quantization=8, quantize_to="float16"
    )
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load(import_model(tmp_path / "theirs", tmp_path / "run").path)
    texts = [text for text in readable(static) if "[" not in text]
    assert np.allclose(theirs.encode(texts), ours.embed(texts), atol=2e-3)


def test_only_static_runs_are_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only vectors of words") as caught:
        export_model(random_run(tmp_path, "bert").run.path, "model2vec", tmp_path / "out")
    assert "polyseme distil" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("model.safetensors", None, "no such file"),
        ("model.safetensors", b"nothing", "not a whole"),
        ("tokenizer.json", b"{}", "tokenizer"),
        ("config.json", b'{"model_type": "model2vec", "max_length": 0}', "no such length"),
    ],
)
def test_damaged_folders_are_refused(file: str, content: Any, match: str, tmp_path: Path) -> None:
    loaded = random_run(tmp_path, "bert")
    export_model(distil(loaded, tmp_path / "static", dimensions=8).path, "model2vec", tmp_path / "out")
    (tmp_path / "out" / file).unlink()
    if content is not None:
        (tmp_path / "out" / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=match):
        import_model(tmp_path / "out", tmp_path / "run", "model2vec")
