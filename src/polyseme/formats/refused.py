"""Files that are not read, told by their content or their name, each with the way to convert it.

A pickle is a program: whoever opens it runs it. polyseme opens none, under whatever name it comes. Other formats of
weights are recognised so that the error can say what to do.
"""

from __future__ import annotations

import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

from polyseme.errors import CheckpointError

_HEAD = 1024
_LEVELDB_MAGIC = bytes.fromhex("57fb808b247547db")
_TAR_MAGIC = slice(257, 262)


@dataclass(frozen=True, slots=True)
class Kind:
    """A format that is refused.

    Args:
        name: what it is called in errors.
        why: why it is not read.
        fix: how to convert it; {file} and {folder} are put in.
    """

    name: str
    why: str
    fix: str


_TRANSFORMERS = (
    "where you trust the file, with transformers: "
    "AutoModel.from_pretrained('{folder}').save_pretrained('NEW') writes safetensors"
)
PICKLE = Kind(
    "a pickle",
    "opening a pickle runs whatever program it holds",
    _TRANSFORMERS
    + "; or safetensors.torch.save_file(torch.load('{file}', weights_only=True), 'NEW.safetensors')",
)
GENSIM = Kind(
    "a pickle of gensim",
    PICKLE.why,
    "where you trust the file, with gensim: KeyedVectors.load('{file}').save_word2vec_format('NEW.bin', binary=True); "
    "of a whole model, its .wv",
)
HDF5 = Kind(
    "an HDF5 file",
    "only safetensors are read",
    "with transformers 4: AutoModel.from_pretrained('{folder}', from_tf=True).save_pretrained('NEW')",
)
TENSORFLOW = Kind("a TensorFlow checkpoint", HDF5.why, HDF5.fix)
FLAX = Kind("a Flax checkpoint", HDF5.why, HDF5.fix.replace("from_tf", "from_flax"))
GGUF = Kind(
    "a GGUF file",
    HDF5.why,
    "with transformers: AutoModel.from_pretrained('{folder}', gguf_file='NAME').save_pretrained('NEW')",
)
ONNX = Kind("an ONNX file", "it can be written but not read", "import the model that it was exported from")
ARCHIVE = Kind("an archive", "only plain files are read", "unpack it and name what it held")
NUMPY = Kind(
    "a NumPy file",
    HDF5.why,
    "safetensors.numpy.save_file({{'name': numpy.load('{file}', allow_pickle=False)}}, 'NEW.safetensors')",
)

WEIGHTS = (PICKLE, GENSIM, HDF5, TENSORFLOW, FLAX, GGUF, ONNX)
"""Kinds that hold a whole model."""

_SUFFIXES = {
    **dict.fromkeys((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".mar"), PICKLE),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), HDF5),
    **dict.fromkeys((".npy", ".npz"), NUMPY),
    ".msgpack": FLAX,
    ".gguf": GGUF,
    ".ggml": GGUF,
    ".onnx": ONNX,
}


def kind_of(path: Path, by_name: bool = True) -> Kind | None:
    """What a file is, if it is one of those that are refused.

    Args:
        path: any file; only its beginning and end are looked at.
        by_name: whether a name like model.pt is enough.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            size = file.seek(0, 2)
            file.seek(max(0, size - 8))
            tail = file.read(8)
    except OSError:
        head, size, tail = b"", 0, b""
    return _by_content(path, head, size, tail) or (_by_name(path) if by_name else None)


def refuse(path: Path, by_name: bool = True) -> None:
    """Refuse a file of a kind that is not read.

    Raises:  CheckpointError: it is one; how to convert it is in its `fix`.
    """
    if (kind := kind_of(path, by_name)) is not None:
        raise refusal(path, kind)


def refusal(path: Path, kind: Kind) -> CheckpointError:
    """The error for a file of a kind that is not read."""
    return CheckpointError(
        f"{kind.name} is not read: {kind.why}",
        where=path,
        fix=kind.fix.format(file=path, folder=path.parent),
    )


def _by_content(path: Path, head: bytes, size: int, tail: bytes) -> Kind | None:
    if len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8:
        return None  # safetensors, whose length may begin like a pickle
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return GENSIM if b"gensim" in head else PICKLE
    if head[:4] == b"PK\x03\x04":
        return PICKLE if _holds_a_pickle(path) else ARCHIVE
    if head[_TAR_MAGIC] == b"ustar":
        return PICKLE if b"pickle" in head[:100] or path.suffix in _SUFFIXES else ARCHIVE
    for magic, kind in ((b"\x89HDF\r\n\x1a\n", HDF5), (b"GGUF", GGUF), (b"\x93NUMPY", NUMPY)):
        if head.startswith(magic):
            return kind
    if tail == _LEVELDB_MAGIC:
        return TENSORFLOW
    return _written_in_letters(head, tail)


_GLOBAL = re.compile(rb"c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n")


def _written_in_letters(head: bytes, tail: bytes) -> Kind | None:
    """Pickles of the first protocols: a mark or the name of a function first, the stop sign last."""
    begins = head[:2] in (b"(d", b"(l", b"(i", b"(c", b"}q", b"]q") or _GLOBAL.match(head)
    return PICKLE if begins and tail[-1:] == b"." else None


def _holds_a_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return True  # a cut archive cannot be looked into; torch.save writes such archives


def _by_name(path: Path) -> Kind | None:
    name = path.name.lower()
    if ".ckpt." in name or ".data-0" in name or name.endswith(".pb"):
        return TENSORFLOW
    return _SUFFIXES.get(path.suffix.lower())
