"""What other programs write is read as it was written; what they may have broken is in test_malformed.py."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from polyseme.errors import CheckpointError
from polyseme.formats.tensors import member, read_folder, read_json, read_safetensors

TENSORS = {
    "a": torch.randn(3, 4),
    "half": torch.randn(5).half(),
    "brain": torch.randn(2, 2).bfloat16(),
    "double": torch.randn(3, dtype=torch.float64),
    "ids": torch.arange(6).view(2, 3),
    "small": torch.arange(3, dtype=torch.int8),
    "truth": torch.tensor([True, False]),
    "none": torch.zeros(0, 4),
    "one": torch.tensor(2.5),
}


def equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return set(found) == set(wanted) and all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)
        for name, tensor in wanted.items()
    )


def test_every_type_is_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "f", metadata={"format": "pt"})
    assert equal(read_safetensors(tmp_path / "f", float32=False), TENSORS)
    as_float32 = {n: t.float() if t.is_floating_point() else t for n, t in TENSORS.items()}
    assert equal(read_safetensors(tmp_path / "f"), as_float32)


def test_tensors_need_not_be_aligned(tmp_path: Path) -> None:
    numbers = torch.arange(5.0)
    header = json.dumps(
        {
            "flag": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]},
            "numbers": {"dtype": "F32", "shape": [5], "data_offsets": [1, 21]},
        }
    ).encode()
    (tmp_path / "f").write_bytes(struct.pack("<Q", len(header)) + header + b"\1" + numbers.numpy().tobytes())
    assert torch.equal(read_safetensors(tmp_path / "f")["numbers"], numbers)


def test_what_safetensors_forgives_is_forgiven(tmp_path: Path) -> None:
    entry = json.dumps({"dtype": "F32", "shape": [2], "data_offsets": [0, 8], "more": 1})
    header = f'{{"a": {entry}, "a": {entry}}}'.encode()
    (tmp_path / "f").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1.0, 2.0))
    assert read_safetensors(tmp_path / "f")["a"].tolist() == [1.0, 2.0]


def test_floats_of_eight_bits_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2).to(torch.float8_e4m3fn)}, tmp_path / "f")
    with pytest.raises(CheckpointError, match="type that is not read"):
        read_safetensors(tmp_path / "f")


def test_tensors_may_be_changed_and_the_file_stays(tmp_path: Path) -> None:
    rows = 1 << 20
    header = json.dumps({"x": {"dtype": "F32", "shape": [rows], "data_offsets": [0, 4 * rows]}}).encode()
    with (tmp_path / "f").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 4 * rows)
    x = read_safetensors(tmp_path / "f")["x"]
    x[-1] = 3.0
    assert (x[0].item(), x[-1].item()) == (0.0, 3.0)
    assert read_safetensors(tmp_path / "f")["x"][-1].item() == 0.0  # the file is as it was


def test_a_folder_with_shards(tmp_path: Path) -> None:
    names = list(TENSORS)
    parts = {"model-00001-of-00002.safetensors": names[:4], "model-00002-of-00002.safetensors": names[4:]}
    for shard, some in parts.items():
        save_file({name: TENSORS[name] for name in some}, tmp_path / shard)
    index = {"weight_map": {name: shard for shard, some in parts.items() for name in some}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert equal(read_folder(tmp_path, float32=False), TENSORS)


def test_links_of_a_hub_s_cache_are_followed_and_others_are_not(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--x" / "blobs", tmp_path / "models--x" / "snapshots" / "0123"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    save_file({"a": TENSORS["a"]}, blobs / "abc")
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    assert equal(read_folder(snapshot), {"a": TENSORS["a"]})
    (blobs.parent / "elsewhere").write_bytes((blobs / "abc").read_bytes())
    (snapshot / "other").symlink_to("../../elsewhere")
    with pytest.raises(CheckpointError, match="out of its folder"):
        member(snapshot, "other")


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "tf_model.h5", "flax_model.msgpack", "m.gguf"]
)
def test_other_weights_are_named_with_how_to_convert_them(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(CheckpointError, match="is not read") as caught:
        read_folder(tmp_path)
    assert caught.value.where == tmp_path / name
    assert "save" in str(caught.value.fix)


def test_a_length_that_looks_like_a_pickle_is_none(tmp_path: Path) -> None:
    text = json.dumps({"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}).encode().ljust(0x0280)
    (tmp_path / "f").write_bytes(struct.pack("<Q", len(text)) + text)
    assert (tmp_path / "f").read_bytes()[:2] == b"\x80\x02"
    assert list(read_safetensors(tmp_path / "f")) == ["a"]


def test_json_is_read(tmp_path: Path) -> None:
    value = {"é": [1, 2.5, None, True, "\U0001f600"], "deep": {"a": {"b": []}}}
    (tmp_path / "f").write_text(json.dumps(value), "utf-8")
    assert read_json(tmp_path / "f") == value
    (tmp_path / "f").write_text('{"s": "\\ud83d\\ude00"}')
    assert read_json(tmp_path / "f") == {"s": "\U0001f600"}
    with pytest.raises(CheckpointError, match="too large"):
        read_json(tmp_path / "f", limit=10)
