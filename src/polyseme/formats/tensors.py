"""The only reader of foreign tensors and JSON; every fault of a file becomes one of our errors.

The safetensors library checks its files: it reads none whose header and data disagree. The data are memory-mapped:
    opening a file costs only the reading of its header.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as parse_safetensors
from torch import Tensor

from polyseme.errors import CheckpointError
from polyseme.formats.refused import ADAPTER, kind_of, refusal, refuse

JSON_LIMIT = 1 << 20
"""Largest size of a config.json in bytes."""
TOKENIZER_LIMIT = 1 << 26
"""Largest size of a tokenizer.json or an index of shards in bytes."""
_DEPTH = 64
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_safetensors(path: Path | str, float32: bool = True) -> dict[str, Tensor]:
    """Read an untrusted safetensors file.

    Args:
        path: the file; its name does not matter.
        float32: convert float16, bfloat16 and float64 to float32; other types are mapped, not copied.
    Returns tensors by name, in the order of the file's bytes.
    Raises:  CheckpointError: the file is missing, is of another kind (pickles above all), is damaged, or holds 8-bit
             floats, which are useless without their scales.
    """
    path = Path(path)
    _size_of(path)
    refuse(path, by_name=False)
    try:
        tensors = _tensors_of(path)
    except OSError as error:
        raise CheckpointError("a file cannot be read", got=error.strerror or error, where=path) from None
    except SafetensorError as error:
        raise CheckpointError(
            "not a whole safetensors file",
            got=str(error).removeprefix("Error while deserializing header: ")[:200],
            expected="a header, and the data that it describes to the byte",
            where=path,
            fix="fetch the file again: it was cut off, or is no safetensors file",
        ) from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.dtype not in _FLOATS:
            raise CheckpointError(
                f"tensor {name[:200]!r} has a type that is not read",
                got=str(tensor.dtype).removeprefix("torch."),
                expected=", ".join(str(dtype).removeprefix("torch.") for dtype in _FLOATS),
                where=path,
            )
    return {n: t.float() if float32 and t.is_floating_point() else t for n, t in tensors.items()}


def _tensors_of(path: Path) -> dict[str, Tensor]:
    try:
        str(path).encode("utf-8")
    except (
        UnicodeEncodeError
    ):  # the library opens no file whose name is other bytes: the data are read instead of mapped
        return parse_safetensors(path.read_bytes())
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.offset_keys()}


def read_folder(folder: Path | str, float32: bool = True) -> dict[str, Tensor]:
    """Read the weights of a model's folder: model.safetensors, or the shards that its index names.

    Args:
        folder: holds model.safetensors, or model.safetensors.index.json beside its shards.
        float32: as for `read_safetensors`.
    Raises:  CheckpointError: neither exists (the error names a pickle or another format, with how to convert it), a
             shard is missing or in another folder, or the index and the shards do not name the same tensors.
    """
    folder = Path(folder)
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return read_safetensors(member(folder, single.name), float32)
    if not index.is_file():
        raise _no_weights(folder)
    shard_of = _shards(read_json(member(folder, index.name), TOKENIZER_LIMIT), index)
    tensors: dict[str, Tensor] = {}
    for shard in dict.fromkeys(shard_of.values()):
        place = member(folder, shard)
        if not place.exists():
            raise CheckpointError(
                "a shard that the index names is not there",
                got=f"a link to {place.readlink()}" if place.is_symlink() else None,
                where=place,
                fix="fetch that file too: the weights are in all of them",
            )
        for name, tensor in read_safetensors(place, float32).items():
            if shard_of.get(name) != shard:
                raise CheckpointError(
                    "a shard holds a tensor that the index does not give it",
                    got=name,
                    expected=f"in {shard_of[name]}" if name in shard_of else "no such tensor",
                    where=place,
                )
            tensors[name] = tensor
    for name, shard in shard_of.items():
        if name not in tensors:
            raise CheckpointError("a tensor that the index names is missing", got=name, where=folder / shard)
    return tensors


def read_json(path: Path | str, limit: int = JSON_LIMIT) -> dict[str, Any]:
    """Read an untrusted JSON object.

    Args:
        path: the file.
        limit: its largest size in bytes.
    Raises:  CheckpointError: it is missing, larger than the limit, not UTF-8, not JSON, not an object, has a key twice,
             is nested deeper than 64, or holds an infinite number or NaN.
    """
    path = Path(path)
    size = _size_of(path)
    if size > limit:
        raise CheckpointError(
            "a JSON file is too large", got=f"{size:,} bytes", expected=f"at most {limit:,}", where=path
        )
    refuse(path, by_name=False)
    with _opened(path) as file:
        return parse_json(file.read(limit + 1), path)


def parse_json(data: bytes, where: Path) -> dict[str, Any]:
    """The same for bytes; `where` is named in errors."""
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_key_twice,
            parse_constant=_not_a_number,
            parse_float=_finite,
        )
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise CheckpointError(
            "not UTF-8", got=f"byte {data[error.start]:#04x} at {error.start:,}", where=where
        ) from None
    except UnicodeEncodeError:
        raise CheckpointError("not valid JSON", got="half of a surrogate pair", where=where) from None
    except RecursionError:
        raise CheckpointError(
            "JSON is nested too deeply", expected=f"at most {_DEPTH} levels", where=where
        ) from None
    except ValueError as error:
        raise CheckpointError(
            "not valid JSON", got=str(error)[:200] if data else "an empty file", where=where
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError("not a JSON object", got=type(value).__name__, where=where)
    if _depth(value) > _DEPTH:
        raise CheckpointError("JSON is nested too deeply", expected=f"at most {_DEPTH} levels", where=where)
    return value


def member(folder: Path | str, name: str) -> Path:
    """The path of a file whose name was read from another file of the same folder.

    A link may only lead to another file of the folder, or from snapshots/REVISION into blobs/, as in the cache of model
    hubs.

    Args:
        folder: the folder.
        name: a bare file name.
    Raises:  CheckpointError: the name is a path, or the file is a link that leads out of the folder.
    """
    folder = Path(folder)
    if not name or not name.isprintable() or name in (".", "..") or re.search(r'[/\\:*?"<>|]', name):
        raise CheckpointError(
            "a file outside its folder is named",
            got=repr(name)[:200],
            expected="a bare file name",
            where=folder,
        )
    path = folder / name
    if path.is_symlink():
        real, home = path.resolve(), folder.resolve()
        cached = home.parent.name == "snapshots" and real.parent == home.parent.parent / "blobs"
        if real.parent != home and not cached:
            raise CheckpointError(
                "a link leads out of its folder", got=real, where=path, fix="copy the file itself"
            )
    return path


def _size_of(path: Path) -> int:
    if not path.is_file():
        raise CheckpointError(
            "not a file" if path.exists() else "no such file",
            got="a folder" if path.is_dir() else None,
            where=path,
        )
    return path.stat().st_size


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise CheckpointError("a file cannot be read", got=error.strerror, where=path) from None


def _shards(index: dict[str, Any], where: Path) -> dict[str, str]:
    names = index.get("weight_map")
    if (
        not isinstance(names, dict)
        or not names
        or not all(isinstance(shard, str) for shard in names.values())
    ):
        raise CheckpointError("not an index of shards", expected="weight_map: {tensor: file}", where=where)
    return names


def _no_weights(folder: Path) -> CheckpointError:
    """The error for a folder without safetensors; it names other weights in it, if there are any."""
    if not folder.is_dir():
        return CheckpointError("not a folder" if folder.exists() else "no such folder", where=folder)
    if (folder / "adapter_config.json").is_file():
        return refusal(folder / "adapter_config.json", ADAPTER)
    for name in ("model.safetensors", "model.safetensors.index.json"):
        if (folder / name).is_symlink():
            return CheckpointError(
                "a link leads to a file that is not there",
                got=(folder / name).readlink(),
                where=folder / name,
                fix="fetch the model again: its weights are missing",
            )
    if shards := sorted(folder.glob("model-*-of-*.safetensors")):
        return CheckpointError(
            "the index of the shards is not there",
            got=f"{len(shards)} shards, such as {shards[0].name}",
            expected="model.safetensors.index.json beside them",
            where=folder,
            fix="fetch that file too",
        )
    for path in sorted(folder.iterdir()):
        if (
            path.is_file()
            and path.suffix not in (".json", ".txt", ".md")
            and (kind := kind_of(path)) is not None
        ):
            return refusal(path, kind)
    return CheckpointError(
        "there are no weights", expected="model.safetensors or model.safetensors.index.json", where=folder
    )


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:200]!r} is there twice")
    return result


def _not_a_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _depth(value: Any) -> int:
    """Levels of nesting, counted without recursion."""
    level: list[Any] = [value]
    depth = 0
    while level:
        depth += 1
        level = [child for parent in level for child in _children(parent)]
    return depth


def _children(parent: Any) -> Iterator[Any]:
    children = parent.values() if isinstance(parent, dict) else parent
    return (child for child in children if isinstance(child, dict | list))
