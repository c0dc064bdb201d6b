"""Opening runs, what is said of folders that are none, and runs that travel by their path."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyseme
from polyseme.errors import CheckpointError, InputError, RunError
from polyseme.formats.runs import open_run
from polyseme.train.finetune import finetune
from polyseme.train.request import FinetuneRequest
from trained import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("bert"))


def test_a_loaded_run_can_be_used_at_once(run: Path) -> None:
    model = polyseme.load(run)
    assert model.embed(["the cat", "a dog"]).shape == (2, 16)
    assert model.encode("the cat").layers.shape == (3, 2, 16)
    assert len(model.fill("the [MASK]", top=2)[0]["candidates"]) == 2
    assert model.score("the cat") < 0
    assert str(run) in repr(model)


def test_a_run_is_pickled_and_copied_by_its_path(run: Path) -> None:
    model = polyseme.load(run)
    data = pickle.dumps(model)
    assert len(data) < 2000
    for other in (pickle.loads(data), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.embed(["the cat"]), model.embed(["the cat"]))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(run: Path, tmp_path: Path, wrong: float) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(run, broken, ignore=shutil.ignore_patterns("resume"))
    directory = polyseme.RunDirectory.open(broken)
    weights = directory.weights()[0]
    name = next(name for name, tensor in weights.items() if tensor.ndim == 2)
    weights[name][1, 2] = wrong
    directory.publish(weights)
    for use in (polyseme.load, open_run):
        with pytest.raises(CheckpointError, match="NaN or infinite") as caught:
            use(broken)
        assert name in str(caught.value)
        assert "[1, 2]" in str(caught.value.got)
    labelled = tmp_path / "train.tsv"
    labelled.write_text("text\tlabel\n" + "the cat\ta\na dog\tb\n" * 10, "utf-8")
    request = FinetuneRequest(task="classify", run=broken, train=labelled, output=tmp_path / "out")
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        finetune(request)
    assert not (tmp_path / "out").exists()


def test_a_run_in_int8_stays_so(run: Path) -> None:
    model = polyseme.load(run)
    rounded = model.prepared("int8")
    assert (model.precision, rounded.precision) == ("float32", "int8")
    other = pickle.loads(pickle.dumps(rounded))
    assert other.precision == "int8"
    np.testing.assert_array_equal(other.encode("the cat").layers, rounded.encode("the cat").layers)
    assert "int8" in repr(rounded)
    assert "int8" not in repr(model)


def test_a_pickle_notices_that_the_run_has_changed(run: Path) -> None:
    model = polyseme.load(run)
    model.run.meta["files"] = {"model.safetensors": "0" * 64}
    with pytest.warns(UserWarning, match="other weights than when it was pickled"):
        pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize(
    "mark", ["config.json", "modules.json", "model.safetensors.index.json", "pytorch_model.bin"]
)
def test_another_program_s_model_is_to_be_imported(tmp_path: Path, mark: str) -> None:
    folder = tmp_path / "their model"
    folder.mkdir()
    (folder / mark).write_text("{}")
    with pytest.raises(RunError, match="a model of another program") as caught:
        polyseme.load(folder)
    assert caught.value.fix == f"polyseme import '{folder}' -o RUN, then load RUN"


def test_a_file_is_to_be_imported(tmp_path: Path) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text("1 2\nthe 0.1 0.2\n")
    with pytest.raises(RunError, match="not a run") as caught:
        polyseme.load(file)
    assert caught.value.got == "a file"
    assert f"polyseme import {file} -o RUN" in str(caught.value.fix)


def test_an_empty_or_absent_folder_is_no_model(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RunError, match="not a run") as caught:
            polyseme.load(folder)
        assert "import" not in str(caught.value.fix)


@pytest.mark.parametrize("name", ["bert-base-uncased", "Qwen/Qwen3-0.6B"])
def test_a_model_of_a_hub_is_to_be_fetched_and_imported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="not a run") as caught:
        polyseme.load(name)
    folder = name.rpartition("/")[2]
    assert f"hf download {name} --local-dir {folder} && polyseme import {folder}" in str(caught.value.fix)
    for ours in ("runs/demo-1", "demo"):
        with pytest.raises(RunError, match="not a run") as caught:
            polyseme.load(ours)
        assert "import" not in str(caught.value.fix)


@pytest.mark.parametrize("path", [None, 3, b"runs/demo", ["runs/demo"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(InputError, match="path of a run"):
        polyseme.load(path)
