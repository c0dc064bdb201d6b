from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from foreign import random_run, small_tokenizer
from polyseme.errors import CheckpointError, ConfigError
from polyseme.formats.huggingface.family import TASKS, expand
from polyseme.formats.huggingface.importer import FAMILIES, read_model
from polyseme.formats.registry import export_model, import_model

ARCHITECTURES = [family.architecture for family in FAMILIES.values()]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """One small exported directory of each family."""
    home, made = tmp_path_factory.mktemp("exports"), {}

    def folder(name: str) -> Path:
        if name not in made:
            random_run(home / f"{name}-run", name, kind="byte-bpe")
            made[name] = export_model(home / f"{name}-run", "huggingface", home / name).path
        return made[name]

    return folder


def copy(source: Path, target: Path, **changes: Any) -> Path:
    """The same directory with other fields in config.json; a value of ... takes a field away."""
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    config = json.loads((target / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not ...}
    (target / "config.json").write_text(json.dumps(config))
    return target


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("is_decoder", True),
        ("add_cross_attention", True),
        ("pruned_heads", {"0": [1]}),
        ("auto_map", {"AutoModel": "code.Model"}),
        ("quantization_config", {"bits": 4}),
        ("something_new", 3),
    ],
)
def test_fields_that_no_family_honours(
    folders: Callable[[str], Path], architecture: str, field: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        read_model(copy(folders(architecture), tmp_path / "x", **{field: value}))
    assert field in str(error.value)
    assert "config.json" in str(error.value)


SLIDING = {"rope_type": "default", "rope_theta": 1e4}


@pytest.mark.parametrize(
    ("architecture", "changes", "message"),
    [
        ("bert", {"position_embedding_type": "relative_key"}, "relative_key"),
        ("bert", {"hidden_act": "quick_gelu"}, "quick_gelu"),
        ("bert", {"hidden_size": "many"}, "hidden_size"),
        ("bert", {"hidden_size": 25}, "divisible"),
        ("bert", {"num_hidden_layers": 10**9}, "fewer tensors than layers"),
        ("bert", {"hidden_size": 10**12, "num_attention_heads": 1}, "hidden_size|shape|sizes"),
        ("bert", {"vocab_size": 100}, "more tokens than the model"),
        ("bert", {"pad_token_id": 10**6}, "pad_token_id|sizes"),
        ("bert", {"model_type": "roberta"}, "roberta"),
        ("gpt", {"model_type": ...}, "None"),
        ("ernie", {"use_task_id": True}, "task_type_embeddings"),
        ("modernbert", {"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling"),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 2}}}, "yarn"),
        ("modernbert", {"rope_parameters": {"strange": SLIDING}}, "rope_parameters"),
        ("modernbert", {"layer_types": ["sliding_attention"] * 3}, "layer_types"),
        ("gpt", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ("gpt", {"scale_attn_weights": False}, "scale_attn_weights"),
        ("qwen3", {"attention_bias": True}, "attention_bias"),
        ("qwen3", {"use_sliding_window": True, "sliding_window": 64}, "sliding_window"),
        ("qwen3", {"layer_types": ["full_attention", "sliding_attention", "full_attention"]}, "layer_types"),
        ("qwen3", {"rope_scaling": {"type": "yarn", "factor": 4.0}}, "rope_scaling"),
        ("qwen3", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "linear"),
        ("qwen3", {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "partial"),
        ("qwen3", {"num_key_value_heads": 2}, "k_proj|shape"),
    ],
)
def test_settings_that_cannot_be_honoured_are_named(
    folders: Callable[[str], Path], architecture: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((ConfigError, CheckpointError), match=message):
        read_model(copy(folders(architecture), tmp_path / "x", **changes))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fields_that_change_nothing_are_passed_over(
    folders: Callable[[str], Path], architecture: str, tmp_path: Path
) -> None:
    changes = {
        "gradient_checkpointing": False, "use_cache": True, "id2label": {"0": "LABEL_0"}, "torch_dtype": "float16",
        "_name_or_path": "somewhere", "is_decoder": False, "pruned_heads": {}, "task_specific_params": {"a": 1},
    }  # fmt: skip
    plain, more = (
        read_model(folders(architecture)),
        read_model(copy(folders(architecture), tmp_path / "x", **changes)),
    )
    assert more.model == plain.model


def test_older_ways_to_say_the_same(folders: Callable[[str], Path], tmp_path: Path) -> None:
    old = {
        "rope_parameters": ...,
        "global_rope_theta": 5000.0,
        "local_rope_theta": 300.0,
        "global_attn_every_n_layers": 2,
    }
    model = read_model(copy(folders("modernbert"), tmp_path / "a", **old)).model
    assert (model["global_rope_theta"], model["local_rope_theta"]) == (5000.0, 300.0)
    kinds = ["full_attention", "sliding_attention", "full_attention"]
    new = {"layer_types": kinds, "global_attn_every_n_layers": ...}
    assert (
        read_model(copy(folders("modernbert"), tmp_path / "b", **new)).model["global_attn_every_n_layers"]
        == 2
    )
    theta = read_model(copy(folders("qwen3"), tmp_path / "c", rope_parameters=..., rope_theta=77.0)).model[
        "rope_theta"
    ]
    assert theta == 77.0
    width = read_model(copy(folders("gpt"), tmp_path / "d", n_inner=40)).model["intermediate_size"]
    assert width == 40


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def first_matrix(tensors: dict[str, torch.Tensor]) -> str:
    return next(name for name in sorted(tensors) if ".0." in name and tensors[name].ndim == 2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_missing_unknown_and_misshapen_tensors_are_named(
    folders: Callable[[str], Path], architecture: str, tmp_path: Path
) -> None:
    def drop(tensors: dict[str, torch.Tensor]) -> None:
        names.append(first_matrix(tensors))
        del tensors[names[-1]]

    def add(tensors: dict[str, torch.Tensor]) -> None:
        names.append(first_matrix(tensors).replace(".0.", ".0.more."))
        tensors[names[-1]] = torch.zeros(2)

    def widen(tensors: dict[str, torch.Tensor]) -> None:
        names.append(first_matrix(tensors))
        tensors[names[-1]] = torch.zeros(3, 5)

    def flatten(tensors: dict[str, torch.Tensor]) -> None:
        names.append(first_matrix(tensors))
        tensors[names[-1]] = torch.zeros(2, 2, 2)

    def whole_numbers(tensors: dict[str, torch.Tensor]) -> None:
        names.append(first_matrix(tensors))
        tensors[names[-1]] = tensors[names[-1]].to(torch.int64)

    names: list[str] = []
    changes = {
        "missing": drop,
        "unknown": add,
        "shape": widen,
        "another shape": flatten,
        "no weights": whole_numbers,
    }
    for number, (message, change) in enumerate(changes.items()):
        folder = copy(folders(architecture), tmp_path / str(number))
        change_tensors(folder, change)
        with pytest.raises(CheckpointError, match=message) as error:
            import_model(folder, tmp_path / "run")
        assert names[-1] in str(error.value)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_weights_that_are_no_numbers_are_named(
    folders: Callable[[str], Path], value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    folder = copy(folders("bert"), tmp_path / "x")
    tensors = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    tensors[name] = tensors[name].to(dtype)
    tensors[name][2, 3] = value
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds NaN or infinite numbers") as error:
        import_model(folder, tmp_path / "run")
    assert name in str(error.value)
    assert f"[2, 3]: {value}" in str(error.value)
    assert not (tmp_path / "run").exists()


def test_heads_that_are_left_out_may_hold_anything(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy(folders("bert"), tmp_path / "x")
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.weight"] = torch.full((2, 3), float("nan"))
    save_file(tensors, folder / "model.safetensors")
    assert read_model(folder).source["left_out"] == ["classifier.weight"]


def test_what_a_configuration_cannot_be_is_said_with_its_file(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="unknown activation") as error:
        read_model(copy(folders("bert"), tmp_path / "x", hidden_act="nope"))
    assert error.value.where == tmp_path / "x" / "config.json"


def test_a_second_name_must_hold_the_same_numbers(folders: Callable[[str], Path], tmp_path: Path) -> None:
    second = {
        "bert": ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        "modernbert": ("decoder.weight", "model.embeddings.tok_embeddings.weight"),
        "gpt": ("lm_head.weight", "transformer.wte.weight"),
        "qwen3": ("lm_head.weight", "model.embed_tokens.weight"),
    }
    for architecture, (name, source) in second.items():
        folder = copy(folders(architecture), tmp_path / architecture)
        change_tensors(folder, lambda tensors, n=name, s=source: tensors.update({n: tensors[s].clone()}))  # type: ignore[misc]
        same = read_model(folder)
        assert same.tensors.keys() == read_model(folders(architecture)).tensors.keys()
        change_tensors(folder, lambda tensors, n=name: tensors.update({n: tensors[n] + 1}))  # type: ignore[misc]
        with pytest.raises(ConfigError, match=name):
            read_model(folder)


def test_heads_of_tasks_are_left_out_by_name(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy(folders("gpt"), tmp_path / "x", architectures=["GPT2DoubleHeadsModel"], polyseme=...)
    change_tensors(
        folder, lambda tensors: tensors.update({"multiple_choice_head.summary.weight": torch.zeros(1, 24)})
    )
    found = read_model(folder)
    assert found.source["left_out"] == ["multiple_choice_head.summary.weight"]
    assert found.objectives == []
    head = copy(folders("modernbert"), tmp_path / "y", architectures=["ModernBertForMultipleChoice"])

    def classify(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["decoder.bias"]
        tensors["classifier.weight"] = torch.zeros(1, 24)

    change_tensors(head, classify)
    found = read_model(head)
    assert found.objectives == []
    assert found.source["left_out"] == ["classifier.weight", "head.dense.weight", "head.norm.weight"]


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_file_that_is_missing_or_damaged(folders: Callable[[str], Path], name: str, tmp_path: Path) -> None:
    folder = copy(folders("bert"), tmp_path / "x")
    (folder / name).write_bytes(b'{"a": [')
    with pytest.raises(CheckpointError, match=name):
        import_model(folder, tmp_path / "run")
    (folder / name).unlink()
    with pytest.raises((CheckpointError, ConfigError)):
        import_model(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tokenizers_that_are_damaged(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy(folders("gpt"), tmp_path / "x")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text('{"a": 0, "b": -1}')
    (folder / "merges.txt").write_text("a b\n")
    with pytest.raises(CheckpointError, match="id cannot be"):
        read_model(folder)
    (folder / "vocab.json").write_text('{"a": 0, "b": 1}')
    with pytest.raises(CheckpointError, match="does not hold the merge"):
        read_model(folder)
    (folder / "tokenizer.json").write_text(
        '{"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}'
    )
    with pytest.raises(CheckpointError, match="tokenizers library"):
        read_model(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "merges.txt").write_text("a b c\n")
    with pytest.raises(CheckpointError, match=r"merges\.txt:1"):
        read_model(folder)
    plain = copy(folders("bert"), tmp_path / "y")
    (plain / "tokenizer.json").unlink()
    (plain / "tokenizer_config.json").unlink()
    (plain / "special_tokens_map.json").unlink()
    (plain / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(CheckpointError, match=r"\[UNK\]"):
        read_model(plain)
    (plain / "vocab.txt").write_bytes(b"\xff\n")
    with pytest.raises(CheckpointError, match="UTF-8"):
        read_model(plain)


@pytest.mark.parametrize("architecture", ["onehot", "word2vec", "elmo", "word-classes"])
def test_models_without_a_place_in_transformers(architecture: str, tmp_path: Path) -> None:
    from polyseme.formats.huggingface.exporter import _family

    with pytest.raises(ConfigError) as error:
        _family(architecture)
    assert error.value.fix


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_key_tables_are_bijections(architecture: str, folders: Callable[[str], Path]) -> None:
    """Every tensor of ours has one of theirs (or several parts) and comes back the same; so does the configuration."""
    family = next(f for f in FAMILIES.values() if f.architecture == architecture)
    found = read_model(folders(architecture))
    fields = family.config.of(found.model, "test").model_dump()
    theirs = family.to_theirs(found.tensors, found.objectives, fields)
    assert theirs.keys() == load_file(folders(architecture) / "model.safetensors").keys()
    back = family.to_ours(theirs, found.objectives, fields)
    assert back.keys() == found.tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in found.tensors.items())
    again = {**fields, **family.config_to_ours(family.config_to_theirs(fields))}
    assert again == fields
    assert small_tokenizer("byte-bpe").special_ids == found.tokenizer.special_ids
    for task in TASKS:
        pairs = list(expand(family.rules((task,)), 2))
        ours = [name for name, _ in pairs]
        names = [n for _, parts in pairs for n in (parts if isinstance(parts, tuple) else (parts,))]
        assert sum(name.startswith(f"heads.{task}.classifier.") for name in ours) == 2
        assert len(set(ours)) == len(ours)
        assert len(set(names)) == len(names)
