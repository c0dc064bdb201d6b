"""Sources that are refused, each with what to do: files of other kinds, and models in other places.

A pickle is a program: opening it runs it. polyseme opens no pickle under any name. Other formats of weights, and
downloads in place of a file (a pointer of git-lfs, a web page), are recognised by content or name, so that the error
can say how to convert them. A missing model may be on a hub, in a folder of a hub's cache, or have a similar name.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from polyseme.errors import CheckpointError, RunError

_HEAD = 1024
_LEVELDB_MAGIC = bytes.fromhex("57fb808b247547db")
_TAR_MAGIC = slice(257, 262)
_FASTTEXT_MAGIC = bytes.fromhex("ba164f2f")
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Kind:
    """A format that is refused.

    Args:
        name: its name in errors.
        why: the reason for the refusal.
        fix: how to convert it; {file} and {folder} are put in.
    """

    name: str
    why: str
    fix: str


PICKLE = Kind(
    "a pickle",
    "opening a pickle runs whatever program it holds",
    "where you trust the file: "
    "safetensors.torch.save_file(torch.load('{file}', weights_only=True), 'NEW.safetensors')",
)
PICKLE_OF_A_MODEL = Kind(
    PICKLE.name,
    PICKLE.why,
    "where you trust the file, with transformers: "
    "AutoModel.from_pretrained('{folder}').save_pretrained('NEW') writes safetensors; "
    "or safetensors.torch.save_file(torch.load('{file}', weights_only=True), 'NEW.safetensors')",
)
GENSIM = Kind(
    "a pickle of gensim",
    PICKLE.why,
    "where you trust the file, with gensim: KeyedVectors.load('{file}').save_word2vec_format('NEW.bin', binary=True); "
    "of a whole model, its .wv",
)
GENSIM_PART = Kind(
    "a part of what gensim saved",
    "its words are in the file of the same name without .vectors.npy",
    "with gensim: KeyedVectors.load of that file, then save_word2vec_format('NEW.bin', binary=True)",
)
FASTTEXT = Kind(
    "a fastText model",
    "only its vectors of words are read, as text or as word2vec's binary file",
    "the .vec file beside it; or, with gensim: "
    "load_facebook_vectors('{file}').save_word2vec_format('NEW.bin', binary=True)",
)
FASTTEXT_QUANTISED = Kind(
    FASTTEXT.name, FASTTEXT.why, "the .vec file that was written with it before it was quantised"
)
POINTER = Kind(
    "a pointer of git-lfs",
    "the file itself was not fetched, only the note where it lies",
    "`git lfs pull` in {folder} fetches it; or fetch the model anew with `hf download`",
)
WEB_PAGE = Kind(
    "a web page", "it was saved in place of the file", "fetch the file itself: the link that downloads it"
)
EMPTY = Kind("an empty file", "there is nothing in it", "fetch it again")
ADAPTER = Kind(
    "an adapter",
    "it changes a model that is not in it",
    "with peft: AutoPeftModel.from_pretrained('{folder}').merge_and_unload().save_pretrained('NEW')",
)
HDF5 = Kind(
    "an HDF5 file",
    "only safetensors are read",
    "with transformers 4: AutoModel.from_pretrained('{folder}', from_tf=True).save_pretrained('NEW')",
)
ELMO = Kind(
    "a file of ELMo's weights",
    HDF5.why,
    "another model; polyseme pretrain elmo CORPUS -o RUN trains one",
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
    "it holds numbers, and neither words nor a model",
    "a text file with a word and its vector on every line",
)

WEIGHTS = (PICKLE, PICKLE_OF_A_MODEL, GENSIM, FASTTEXT, POINTER, HDF5, ELMO, TENSORFLOW, FLAX, GGUF, ONNX)
"""Kinds that hold or represent a whole model."""

_SUFFIXES = {
    **dict.fromkeys((".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".mar"), PICKLE),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), HDF5),
    **dict.fromkeys((".npy", ".npz"), NUMPY),
    ".msgpack": FLAX,
    ".gguf": GGUF,
    ".ggml": GGUF,
    ".onnx": ONNX,
}


def kind_of(path: Path, by_name: bool = True) -> Kind | None:
    """The kind of a file, if it is refused.

    Args:
        path: any file; only its beginning and end are read.
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
    if not size and path.is_file():
        return EMPTY
    kind = _by_content(path, head, size, tail) or (_by_name(path) if by_name else None)
    beside = (path.parent / "config.json").is_file()
    if kind is HDF5 and ("elmo" in path.name.lower() or path.suffix.lower() == ".hdf5") and not beside:
        return ELMO
    return PICKLE_OF_A_MODEL if kind is PICKLE and beside else kind


def refuse(path: Path, by_name: bool = True) -> None:
    """Raise the error for a file of a refused kind.

    Raises:  CheckpointError: the file is of such a kind; the `fix` says how to convert it.
    """
    if (kind := kind_of(path, by_name)) is not None:
        raise refusal(path, kind)


def refusal(path: Path, kind: Kind) -> CheckpointError:
    """The error for a file of a refused kind."""
    return CheckpointError(
        f"{kind.name} is not read: {kind.why}",
        where=path,
        fix=kind.fix.format(file=path, folder=path.parent),
    )


def _by_content(path: Path, head: bytes, size: int, tail: bytes) -> Kind | None:
    if len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8:
        return None  # safetensors: its length field may look like a pickle's beginning
    if head.startswith(_GZIP_MAGIC):
        return _zipped(head)
    if head.startswith(_FASTTEXT_MAGIC):
        return FASTTEXT_QUANTISED if path.suffix.lower() == ".ftz" else FASTTEXT
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return POINTER
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        return WEB_PAGE
    if head.startswith((b"7z\xbc\xaf\x27", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        return ARCHIVE
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return GENSIM if b"gensim" in head else PICKLE
    if head[:4] == b"PK\x03\x04":
        if path.suffix.lower() in (".npz", ".keras"):
            return _by_name(path)
        return PICKLE if _holds_a_pickle(path) else ARCHIVE
    if head[_TAR_MAGIC] == b"ustar":
        return PICKLE if b"pickle" in head[:100] or path.suffix in _SUFFIXES else ARCHIVE
    if head.startswith(b"\x93NUMPY") and _by_name(path) is GENSIM_PART:
        return GENSIM_PART
    for magic, kind in ((b"\x89HDF\r\n\x1a\n", HDF5), (b"GGUF", GGUF), (b"\x93NUMPY", NUMPY)):
        if head.startswith(magic):
            return kind
    if tail == _LEVELDB_MAGIC:
        return TENSORFLOW
    return _written_in_letters(head, tail)


def _zipped(head: bytes) -> Kind | None:
    """The kind of a gzipped file's content; plain text and vectors may be gzipped."""
    try:
        inner = zlib.decompressobj(31).decompress(head, _HEAD)
    except zlib.error:
        return None  # the reader reports the damage
    if not inner:
        return EMPTY if len(head) < _HEAD else None
    if inner.startswith(_FASTTEXT_MAGIC):
        return FASTTEXT
    return ARCHIVE if inner[_TAR_MAGIC] == b"ustar" else None


_GLOBAL = re.compile(rb"c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n")


def _written_in_letters(head: bytes, tail: bytes) -> Kind | None:
    """Whether bytes are a pickle of the first protocols: a mark or a function's name first, the stop sign last."""
    begins = head[:2] in (b"(d", b"(l", b"(i", b"(c", b"}q", b"]q") or _GLOBAL.match(head)
    return PICKLE if begins and tail[-1:] == b"." else None


def _holds_a_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return True  # a truncated archive cannot be read; torch.save writes such archives


def _by_name(path: Path) -> Kind | None:
    name = path.name.lower()
    if name.startswith("pytorch_model") and name.endswith(".bin"):
        return PICKLE
    if name.endswith(".npy") and re.search(r"\.(wv|vectors|vectors_ngrams|syn1neg|syn0|syn1)\.", name):
        return GENSIM_PART
    if ".ckpt." in name or ".data-0" in name or name.endswith(".pb"):
        return TENSORFLOW
    return _SUFFIXES.get(path.suffix.lower())


_HUB = re.compile(
    r"https?:/{1,2}(?:www\.)?(?:huggingface\.co|hf\.co|hf-mirror\.com)/(?P<name>[\w.-]+(?:/[\w.-]+)?)(?P<rest>/.*)?"
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*:/{1,2}\S+", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_FILE = re.compile(
    r".*\.(bin|vec|txt|gz|zip|tar|model|kv|safetensors|pt|pth|json|ckpt|h5|hdf5|npy|onnx|gguf)", re.IGNORECASE
)
_MARKS = ("modules.json", "config.json")
_DEEPEST = 3


def not_here(source: str, output: Path) -> RunError:
    """The error for a source that is no folder and no file of this machine."""

    def error(got: str, fix: str | None) -> RunError:
        return RunError("there is nothing to import", got=got, where=source, fix=fix)

    if match := _HUB.fullmatch(source):
        return error("an address on a hub", _fetched(match["name"], output))
    if _URL.fullmatch(source):
        return error("an address, and polyseme opens no connections", "download it, and name the file here")
    path = Path(source)
    siblings = sorted(os.listdir(path.parent)) if path.parent.is_dir() else []
    if near := difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.75):
        again = shlex.join(["polyseme", "import", str(path.with_name(near[0])), "-o", str(output)])
        return error(f"no such folder or file; {near[0]} is there", again)
    if _NAME.fullmatch(source) and not _FILE.fullmatch(source):
        return error(
            "no such folder or file; if it is a model's name on a hub, it must be fetched first",
            _fetched(source, output),
        )
    return error("no such folder or file", None)


def _fetched(name: str, output: Path) -> str:
    folder = name.rpartition("/")[2]
    fetch = shlex.join(["hf", "download", name, "--local-dir", folder])
    return f"{fetch} && {shlex.join(['polyseme', 'import', folder, '-o', str(output)])}"


def models_inside(folder: Path) -> Path | None:
    """The only folder inside another that holds a model, such as snapshots/REVISION in a hub's cache.

    The search goes a few levels down. None = there is none, or several.
    """
    folders: list[Path] = []
    level = [folder] if folder.is_dir() else []
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in sorted(outer.iterdir()) if inner.is_dir()][:64]
        folders += [inner for inner in level if any((inner / mark).is_file() for mark in _MARKS)]
        if folders:
            break
    return folders[0] if len(folders) == 1 else None
