"""Whatever is wrong with a foreign file, its import ends in one of our errors, soon, and leaves nothing behind.

Real exported models are cut at every kilobyte and altered in hundreds of ways. No case may run code (the pickles here
would leave a file), write anything, raise anything but our errors, or work for a second.
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exported import run_of
from polyseme.errors import PolysemeError
from polyseme.formats.registry import export_model, import_model

FAMILIES = ("bert", "ernie", "modernbert", "gpt", "qwen3")
KILOBYTE = 1024
SECOND = 1.0

Change = Callable[[Path], None]
Case = tuple[str, str, Change]  # what is wrong, the file of the folder that changes, how


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small models of every family as other programs have them."""
    folder = tmp_path_factory.mktemp("models")
    for name in FAMILIES:
        export_model(run_of(name, folder / f"run-{name}"), "huggingface", folder / name)
        import_model(folder / name, folder / f"again-{name}")  # whole, they are read
    return {name: folder / name for name in FAMILIES}


class Tally:
    """Runs cases and remembers what they did."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.failures, self.n, self.slowest = folder, [], 0, (0.0, "")

    def refused(self, label: str, source: Path) -> None:
        """Import something that must be refused; what seems slow is timed again, as a collection may fall into it."""
        self.n += 1
        took = self._once(label, source)
        for _ in range(2):
            if took >= SECOND:
                took = min(took, self._once(label, source))
        self.slowest = max(self.slowest, (took, label))

    def _once(self, label: str, source: Path) -> float:
        output, began = self.folder / "output", time.process_time()
        try:
            import_model(source, output)
            self.failures.append(f"{label}: accepted")
        except PolysemeError as error:
            if not str(error).strip() or "Traceback" in str(error):
                self.failures.append(f"{label}: says nothing")
        except BaseException as error:
            self.failures.append(f"{label}: {type(error).__name__}: {str(error)[:200]}")
        took = time.process_time() - began
        left = [p.name for p in self.folder.iterdir() if p.name.startswith((".output", "output", "executed"))]
        if left:
            self.failures.append(f"{label}: left {left}")
            shutil.rmtree(output, ignore_errors=True)
        return took

    def changed(self, label: str, folder: Path, name: str, change: Change) -> None:
        """Change a file of a folder, import the folder, and put the file back."""
        path = folder / name
        before = path.read_bytes() if path.is_file() else None
        beside = set(folder.iterdir())
        change(path)
        try:
            self.refused(f"{folder.name}/{name}: {label}", folder)
        finally:
            for new in {*folder.iterdir()} - beside | {path}:
                new.rmdir() if new.is_dir() and not new.is_symlink() else new.unlink(missing_ok=True)
            if before is not None:
                path.write_bytes(before)

    def check(self, at_least: int) -> None:
        """Fail with all that went wrong."""
        assert not self.failures, f"{len(self.failures)} of {self.n}:\n" + "\n".join(self.failures[:40])
        assert self.n >= at_least
        assert self.slowest[0] < SECOND, self.slowest


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    return Tally(tmp_path)


def written(data: bytes) -> Change:
    def change(path: Path) -> None:
        path.write_bytes(data)

    return change


def header_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    (n,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + n]), data[8 + n :]


def with_header(header: dict[str, Any] | str, data: bytes) -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + data


class Executed:
    """Leaves a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return open, (str(self.marker), "w")


def pickles(folder: Path) -> dict[str, bytes]:
    bomb = {"weight": Executed(folder / "executed")}
    plain = {f"protocol {n}": pickle.dumps(bomb, n) for n in range(6)}
    zipped, legacy = BytesIO(), BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", plain["protocol 2"])
        archive.writestr("archive/version", "3\n")
    with tarfile.open(fileobj=legacy, mode="w") as tar:
        info = tarfile.TarInfo("pickle")
        info.size = len(plain["protocol 2"])
        tar.addfile(info, BytesIO(plain["protocol 2"]))
    return {**plain, "zip": zipped.getvalue(), "cut zip": zipped.getvalue()[:60], "tar": legacy.getvalue()}


def test_weights_cut_at_every_kilobyte(models: dict[str, Path], tally: Tally) -> None:
    for folder in models.values():
        whole = (folder / "model.safetensors").read_bytes()
        for n in [*range(0, len(whole), KILOBYTE), 1, 7, 8, 9, 40, len(whole) - 1]:
            tally.changed(f"cut at {n:,}", folder, "model.safetensors", written(whole[:n]))
    tally.check(300)


def test_other_files_cut(models: dict[str, Path], tally: Tally) -> None:
    for folder in models.values():
        for name in ("config.json", "tokenizer.json"):
            whole = (folder / name).read_bytes().rstrip()
            for n in np.linspace(0, len(whole) - 1, 12).astype(int).tolist():
                tally.changed(f"cut at {n:,}", folder, name, written(whole[:n]))
    tally.check(100)


def test_lengths_and_bytes_of_headers(models: dict[str, Path], tally: Tally) -> None:
    random = np.random.default_rng(0)
    for folder in (models["bert"], models["gpt"]):
        whole = (folder / "model.safetensors").read_bytes()
        (n,) = struct.unpack("<Q", whole[:8])
        for length in (
            0,
            1,
            2,
            n - 8,
            n - 1,
            n + 1,
            n + 8,
            len(whole) - 8,
            len(whole),
            2**31,
            2**32,
            2**63,
            2**64 - 1,
        ):
            data = struct.pack("<Q", length) + whole[8:]
            tally.changed(f"header of {length:,}", folder, "model.safetensors", written(data))
        header, data = header_of(whole)
        header.pop("__metadata__", None)
        plain = with_header(header, data)
        (n,) = struct.unpack("<Q", plain[:8])
        for at in random.integers(8, 8 + n, 60).tolist():
            altered = bytearray(plain)
            altered[at] ^= 1 << int(random.integers(0, 7))
            if altered[at] in b" \t\r\n" and plain[at] in b" \t\r\n":
                altered[at] = 0
            tally.changed(
                f"byte {at} is {altered[at]:#x}", folder, "model.safetensors", written(bytes(altered))
            )
    tally.check(140)


def entries_altered(header: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """What may be wrong with the description of one tensor."""
    entry = header[name]
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    for label, value in {
        "one more row": [shape[0] + 1, *shape[1:]],
        "one more dimension of two": [2, *shape],
        "negative": [-shape[0], *shape[1:]],
        "twice negative": [-1, -end],
        "a float": [float(shape[0]), *shape[1:]],
        "a truth": [True, *shape],
        "words": ["32", *shape[1:]],
        "huge": [10**12, *shape[1:]],
        "past 64 bits": [2**64, *shape],
        "zero and huge": [0, 2**62, 2**62],
        "many dimensions": [1] * 5000 + shape,
        "a number": shape[0],
        "nothing": None,
        "a flat list": [int(np.prod(shape)), 1, 1],
    }.items():
        yield f"shape: {label}", {**entry, "shape": value}
    for label, value in {
        "beyond the file": [begin, end + 2**40],
        "all beyond the file": [begin + 2**40, end + 2**40],
        "turned round": [end, begin],
        "overlapping": [max(0, begin - 4), end - 4],
        "a gap": [begin + 4, end + 4],
        "negative": [-4, end],
        "three": [begin, end, end],
        "words": [str(begin), str(end)],
        "floats": [float(begin), float(end)],
        "nothing": None,
    }.items():
        if value != [begin, end] and not (label == "overlapping" and begin == 0):
            yield f"offsets: {label}", {**entry, "data_offsets": value}
    for dtype in ("F64", "F16", "I8", "F8_E4M3", "U64", "complex", "", None, 4, ["F32"]):
        yield f"type {dtype}", {**entry, "dtype": dtype}
    for key in entry:
        yield f"no {key}", {k: v for k, v in entry.items() if k != key}
    yield "a list", [1]
    yield "nothing", None


def test_descriptions_of_tensors(models: dict[str, Path], tally: Tally) -> None:
    for folder, pick in ((models["bert"], 0), (models["modernbert"], 3), (models["qwen3"], 7)):
        header, data = header_of((folder / "model.safetensors").read_bytes())
        name = sorted(k for k in header if k != "__metadata__")[pick]
        for label, entry in entries_altered(header, name):
            changed = with_header({**header, name: entry}, data)
            tally.changed(f"{name}, {label}", folder, "model.safetensors", written(changed))
    tally.check(100)


def test_sets_of_tensors(models: dict[str, Path], tally: Tally) -> None:
    folder = models["bert"]
    header, data = header_of((folder / "model.safetensors").read_bytes())
    size = len(data)
    for name in [k for k in header if k != "__metadata__"][:12]:
        begin, end = header[name]["data_offsets"]
        fewer = {k: v for k, v in header.items() if k != name}
        for key, entry in fewer.items():
            if key != "__metadata__" and entry["data_offsets"][0] >= end:
                fewer[key] = {**entry, "data_offsets": [x - (end - begin) for x in entry["data_offsets"]]}
        tally.changed(
            f"without {name}",
            folder,
            "model.safetensors",
            written(with_header(fewer, data[:begin] + data[end:])),
        )
        renamed = {("x." + k if k == name else k): v for k, v in header.items()}
        tally.changed(f"{name} renamed", folder, "model.safetensors", written(with_header(renamed, data)))
        more = {**header[name], "data_offsets": [size, size + end - begin]}
        twice = json.dumps(header)[:-1] + ", " + json.dumps({name: more})[1:]
        twice_data = data + data[begin:end]
        tally.changed(f"{name} twice", folder, "model.safetensors", written(with_header(twice, twice_data)))
    for name in (
        "surplus",
        "",
        "a" * 5000,
        "\u0000",
        "bert.embeddings.word_embeddings.weight.more",
        "\ud800",
    ):
        more = {**header, name: {"dtype": "F32", "shape": [2], "data_offsets": [size, size + 8]}}
        tally.changed(
            f"more: {name[:20]!r}", folder, "model.safetensors", written(with_header(more, data + bytes(8)))
        )
    for label, whole in {
        "no tensors": with_header({}, b""),
        "no tensors but data": with_header({}, data),
        "more data": with_header(header, data + b"\0"),
        "deep": with_header("[" * 50_000 + "]" * 50_000, b""),
        "deep objects": with_header('{"a":' * 50_000 + "1" + "}" * 50_000, b""),
        "a list": with_header("[]", data),
        "not UTF-8": with_header(header, data).replace(b"bert.", b"b\xffrt."),
        "zeros": bytes(4096),
        "text": b"hello, I am no model\n" * 100,
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(500),
        "GGUF": b"GGUF" + bytes(500),
        "numpy": b"\x93NUMPY\x01\x00" + bytes(500),
        "an integer tensor": with_header(
            {
                **header,
                "bert.embeddings.word_embeddings.weight": {
                    **header["bert.embeddings.word_embeddings.weight"],
                    "dtype": "I32",
                },
            },
            data,
        ),
    }.items():
        tally.changed(label, folder, "model.safetensors", written(whole))
    tally.check(50)


WRONG_NUMBERS = (10**12, 10**30, -1, 0, 1.5, float("nan"), float("inf"), "thirty", "", [], {})
SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings")


def test_configurations(models: dict[str, Path], tally: Tally) -> None:
    theirs = {
        "gpt": dict(zip(SIZES, ("vocab_size", "n_embd", "n_layer", "n_head", "n_positions"), strict=True)),
    }
    for name, folder in models.items():
        config = json.loads((folder / "config.json").read_bytes())
        for ours in SIZES:
            key = theirs.get(name, {}).get(ours, ours)
            for value in WRONG_NUMBERS:
                if key not in config or (type(value) is int and value == config[key]):
                    continue
                text = json.dumps({**config, key: value}).encode()
                tally.changed(f"{key} is {value!r}", folder, "config.json", written(text))
    folder = models["bert"]
    config = json.loads((folder / "config.json").read_bytes())
    text = json.dumps(config)
    for label, data in {
        "another model": json.dumps({**config, "model_type": "mamba"}).encode(),
        "no kind of model": json.dumps({**config, "model_type": 3}).encode(),
        "a path for a kind": json.dumps({**config, "model_type": "../../etc/passwd"}).encode(),
        "deep": ('{"a":' * 2000 + "1" + "}" * 2000).encode(),
        "very deep": b"[" * 500_000,
        "deep but closed": b'{"a":' + b"[" * 400 + b"]" * 400 + b"}",
        "a list": b"[1]",
        "a number": b"7",
        "a key twice": (text[:-1] + ', "hidden_size": 32}').encode(),
        "UTF-16": text.encode("utf-16"),
        "Latin-1": (text[:-1] + ', "name": "é"}').encode("latin-1"),
        "half a character": (text[:-1] + ', "name": "\\ud800"}').encode(),
        "a long number": (text[:-1] + ', "n": ' + "9" * 10_000 + "}").encode(),
        "a large number": (text[:-1] + ', "n": 1e999}').encode(),
        "large": (text[:-1] + ', "n": "' + "x" * 3_000_000 + '"}').encode(),
        "another activation": json.dumps({**config, "hidden_act": "os.system"}).encode(),
    }.items():
        tally.changed(label, folder, "config.json", written(data))
    tally.check(200)


def test_tokenizers(models: dict[str, Path], tally: Tally) -> None:
    folder = models["bert"]
    spec = json.loads((folder / "tokenizer.json").read_bytes())
    vocab = spec["model"]["vocab"]
    split = {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Removed", "invert": False}

    def with_words(vocab: Any) -> dict[str, Any]:
        return {**spec, "model": {**spec["model"], "vocab": vocab}}

    for label, value in {
        "no model": {k: v for k, v in spec.items() if k != "model"},
        "another model": {**spec, "model": {"type": "Python", "code": "import os"}},
        "no vocabulary": with_words({}),
        "ids that are words": with_words({"[UNK]": "0"}),
        "ids below zero": with_words({"[UNK]": -1}),
        "huge ids": with_words({**vocab, "x": 2**40}),
        "more words than the model": with_words({**vocab, "surplus": len(vocab)}),
        "a bad pattern": {**spec, "pre_tokenizer": split},
        "another normaliser": {**spec, "normalizer": {"type": "Exec", "command": "true"}},
        "a list": [1, 2],
        "a word": "tokenizer",
        "deep": {**spec, "x": json.loads("[" * 300 + "]" * 300)},
    }.items():  # fmt: skip
        tally.changed(label, folder, "tokenizer.json", written(json.dumps(value).encode()))
    for label, data in {
        "not UTF-8": b'{"\xff": 1}',
        "very deep": b"[" * 200_000,
        "zeros": bytes(1000),
    }.items():
        tally.changed(label, folder, "tokenizer.json", written(data))
    saved = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").unlink()
    words = sorted(vocab, key=vocab.__getitem__)
    try:
        tally.refused("no tokenizer at all", folder)
        for label, text in {
            "words twice": "\n".join([*words[:20], *words[10:]]),
            "empty": "",
            "more than the model": "\n".join([*words, "surplus", "more"]),
            "no special tokens": "\n".join(words[5:]),
        }.items():
            tally.changed(label, folder, "vocab.txt", written(text.encode()))
        tally.changed("not UTF-8", folder, "vocab.txt", written("\n".join(words).encode() + b"\nb\xffd"))
        tally.changed("a folder", folder, "vocab.txt", Path.mkdir)
    finally:
        (folder / "tokenizer.json").write_bytes(saved)
    tally.check(20)


def test_pickles_under_every_name(models: dict[str, Path], tally: Tally) -> None:
    bombs = pickles(tally.folder)
    folder = models["bert"]
    for kind, data in bombs.items():
        for name in ("model.safetensors", "config.json", "tokenizer.json", "model.safetensors.index.json"):
            if name.endswith("index.json"):
                (folder / "model.safetensors").rename(folder / "aside")
            try:
                tally.changed(kind, folder, name, written(data))
            finally:
                if (folder / "aside").exists():
                    (folder / "aside").rename(folder / "model.safetensors")
        for name in (
            "model.pt",
            "model.bin",
            "model.ckpt",
            "model.h5",
            "vectors.txt",
            "vectors.bin",
            "model.safetensors",
            "x",
        ):
            (tally.folder / name).write_bytes(data)
            tally.refused(f"{kind} as {name}", tally.folder / name)
            (tally.folder / name).unlink()
    saved = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    try:
        for name in (
            "pytorch_model.bin",
            "tf_model.h5",
            "flax_model.msgpack",
            "model.ckpt.index",
            "model.gguf",
            "model.onnx",
        ):
            for kind, data in {
                "pickle": bombs["protocol 2"],
                "zip": bombs["zip"],
                "zeros": bytes(100),
            }.items():
                tally.changed(f"{kind}, no safetensors", folder, name, written(data))
    finally:
        (folder / "model.safetensors").write_bytes(saved)
    tally.check(100)


def test_folders_links_and_paths(models: dict[str, Path], tally: Tally, tmp_path: Path) -> None:
    folder = models["bert"]
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes((folder / "model.safetensors").read_bytes())
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        tally.changed("empty", folder, name, written(b""))
        tally.changed("gone", folder, name, Path.unlink)
        tally.changed("a folder", folder, name, lambda path: (path.unlink(), path.mkdir())[1])
        tally.changed("a pipe", folder, name, lambda path: (path.unlink(), os.mkfifo(path))[1])
        tally.changed(
            "a link to nothing", folder, name, lambda path: (path.unlink(), path.symlink_to("nothing"))[1]
        )
        tally.changed(
            "a link to itself", folder, name, lambda path: (path.unlink(), path.symlink_to(path.name))[1]
        )
        tally.changed("endless", folder, name, lambda path: (path.unlink(), path.symlink_to("/dev/zero"))[1])
    tally.changed("a link out", folder, "model.safetensors", lambda p: (p.unlink(), p.symlink_to(outside))[1])
    header, _ = header_of(outside.read_bytes())
    names = [name for name in header if name != "__metadata__"]
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    index = "model.safetensors.index.json"
    try:
        for shard in (
            "../outside.safetensors", "/etc/passwd", str(outside), "..", ".", "", "a/b.safetensors", "a\\b", "x\0y",
            "missing.safetensors", "~/x", "part.safetensors ", "file:part.safetensors", 7, None, ["part.safetensors"],
        ):  # fmt: skip
            data = json.dumps({"weight_map": dict.fromkeys(names, shard)}).encode()
            tally.changed(f"shards in {shard!r}", folder, index, written(data))
        whole = dict.fromkeys(names, "part.safetensors")
        for label, value in {
            "a tensor that is nowhere": {"weight_map": {**whole, "more": "part.safetensors"}},
            "a tensor left out": {"weight_map": dict.fromkeys(names[1:], "part.safetensors")},
            "no map": {"metadata": {}},
            "an empty map": {"weight_map": {}},
            "a list": {"weight_map": names},
            "deep": {"weight_map": json.loads("[" * 300 + "]" * 300)},
            "itself": {"weight_map": dict.fromkeys(names, index)},
        }.items():
            tally.changed(label, folder, index, written(json.dumps(value).encode()))
        tally.changed("a link out", folder, "linked.safetensors", lambda path: (
            path.symlink_to(outside),
            (folder / index).write_text(json.dumps({"weight_map": dict.fromkeys(names, path.name)})),
        )[0])  # fmt: skip
    finally:
        (folder / "part.safetensors").rename(folder / "model.safetensors")
    for label, path in {"no folder": tmp_path / "none", "an empty folder": tmp_path / "empty"}.items():
        if label != "no folder":
            path.mkdir()
        tally.refused(label, path)
    tally.refused("weights alone", outside)
    tally.check(45)


def vector_files() -> Iterator[tuple[str, bytes]]:
    random = np.random.default_rng(0)
    words, vectors = [f"word{i}" for i in range(40)], random.standard_normal((40, 60)).astype(np.float32)
    lines = [f"{w} {' '.join(f'{x:.6f}' for x in v)}" for w, v in zip(words, vectors.tolist(), strict=True)]
    glove = "\n".join(lines) + "\n"
    text = f"40 60\n{glove}".encode()
    binary = b"40 60\n" + b"".join(
        w.encode() + b" " + v.tobytes() + b"\n" for w, v in zip(words, vectors, strict=True)
    )
    for kind, whole in (
        ("text", text),
        ("binary", binary),
        ("text.gz", gzip.compress(text)),
        ("binary.gz", gzip.compress(binary)),
    ):
        for n in [*range(0, len(whole) - 20, KILOBYTE), 1, 5, 8, 30, len(whole) - 30]:
            yield f"{kind} cut at {n:,}", whole[:n]
    for k, place in enumerate(random.integers(1, 40, 20).tolist()):
        yield (
            f"GloVe cut in line {place}",
            "\n".join(lines[:place]).encode() + lines[place][: 20 + 9 * k].rpartition(" ")[0].encode(),
        )
    for header in (
        "999999999999 300", "40 61", "40 59", "41 60", "39 60", "0 60", "40 0", "-40 60", "40 -60", "40", "40 60 1",
        "4e1 60", "40.0 60", "９９ 60", "1 999999999999", "999999999999999999 999999999999999999", "forty sixty", " ",
    ):  # fmt: skip
        yield f"header {header!r}, text", f"{header}\n".encode() + text.partition(b"\n")[2]
        yield f"header {header!r}, binary", f"{header}\n".encode() + binary.partition(b"\n")[2]
    yield "a zipped header that lies", gzip.compress(b"999999999999 300\n" + text)
    for bad in ("nan", "inf", "-inf", "NaN", "1e999", "x", "", "0x10", "1,5", "1_0", "--1", "1.2.3", "٣"):
        for line in (0, 7, 39):
            parts = lines[line].split(" ")
            changed = [*lines[:line], " ".join([*parts[:5], bad, *parts[6:]]), *lines[line + 1 :]]
            body = "\n".join(changed).encode()
            yield f"{bad!r} in line {line}", b"40 60\n" + body
            if line:
                yield f"{bad!r} in line {line}, GloVe", body
    for label, line in {
        "too short": "word 1 2", "too long": lines[3] + " 1", "empty": "", "a word alone": "word",
        "no word": lines[3].partition(" ")[2], "only spaces": "   ", "two lines in one": lines[3] + " " + lines[4],
    }.items():  # fmt: skip
        changed = "\n".join([*lines[:3], line, *lines[4:]]) + "\n"
        yield f"a line {label}", f"40 60\n{changed}".encode()
        yield f"a line {label}, GloVe", changed.encode()
    yield "a word that is not UTF-8", text.replace(b"word7 ", b"w\xffrd7 ")
    yield "a word that is not UTF-8, GloVe", glove.encode().replace(b"word7 ", b"w\xffrd7 ")
    yield "a word that is not UTF-8, binary", binary.replace(b"word7 ", b"w\xffrd7 ")
    yield "an empty word, binary", binary.replace(b"word7 ", b" ")
    yield "a word without end", b"2 3\n" + b"x" * 100_000
    yield "more than promised, binary", binary + b"more " + bytes(240)
    yield "more than promised, text", text + b"more" + b" 1" * 60
    for bits in (0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001):
        broken = bytearray(binary)
        at = binary.index(b"word9 ") + 6
        broken[at : at + 4] = struct.pack("<I", bits)
        yield f"number {bits:#x}, binary", bytes(broken)
    yield "a long line", b"40 60\n" + b"word " + b"1 " * 4_000_000
    yield "prose", b"It was a bright cold day in April.\n" * 100
    yield "zeros", bytes(5000)
    yield "a tree of zipped zeros", gzip.compress(bytes(3_000_000))
    yield "gzip and nothing", b"\x1f\x8b"
    yield "gzip with a wrong sum", gzip.compress(text)[:-8] + b"\0\0\0\0\1\1\1\1"


def test_word_vectors(tally: Tally) -> None:
    for number, (label, data) in enumerate(vector_files()):
        path = tally.folder / f"vectors{number % 2}"
        path.write_bytes(data)
        tally.refused(label, path)
    tally.check(190)


def test_sentence_transformers(models: dict[str, Path], tally: Tally) -> None:
    folder = tally.folder / "sentences"
    shutil.copytree(models["bert"], folder)
    width = json.loads((folder / "config.json").read_bytes())["hidden_size"]
    kinds = ("Transformer", "Pooling", "Normalize")
    places = ("", "1_Pooling", "2_Normalize")
    modules: list[Any] = [
        {"idx": i, "name": str(i), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for i, (place, kind) in enumerate(zip(places, kinds, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    import_model(folder, tally.folder / "whole")

    def with_module(i: int, **changes: Any) -> list[Any]:
        return [{**m, **changes} if j == i else m for j, m in enumerate(modules)]

    for label, value in {
        "code of theirs": with_module(1, type="os.system"),
        "a folder above": with_module(1, path="../1_Pooling"),
        "two folders above": with_module(0, path="../../../.."),
        "an absolute path": with_module(1, path="/etc"),
        "a path that is a number": with_module(1, path=7),
        "a type that is a list": with_module(1, type=["Pooling"]),
        "no such folder": with_module(1, path="3_Pooling"),
        "the file itself": with_module(1, path="modules.json"),
        "turned round": modules[::-1],
        "one twice": [*modules, modules[1]],
        "another one": [*modules, {**modules[1], "type": "sentence_transformers.models.Dense"}],
        "only one": modules[:1],
        "empty": [],
        "numbers": [1, 2, 3],
        "an object": {"modules": modules},
        "deep": json.loads("[" * 300 + "]" * 300),
    }.items():
        tally.changed(label, folder, "modules.json", written(json.dumps(value).encode()))
    for label, data in {
        "closed early": b'[], "more": []',
        "empty": b"",
        "not UTF-8": b'["\xff"]',
        "very deep": b"[" * 500_000,
        "large": b"[" + b" " * 2_000_000 + b"]",
    }.items():
        tally.changed(label, folder, "modules.json", written(data))
    for label, changes in {
        "no such way": {"pooling_mode": "median"},
        "two ways": {"pooling_mode": ["mean", "cls"]},
        "a list in a list": {"pooling_mode": [["mean"]]},
        "an object": {"pooling_mode": [{}]},
        "a number": {"pooling_mode": 3},
        "two flags": {"pooling_mode_cls_token": True},
        "another width": {"word_embedding_dimension": width + 1},
        "a width of words": {"word_embedding_dimension": "wide"},
    }.items():
        data = json.dumps({**pooling, **changes}).encode()
        tally.changed(label, folder, "1_Pooling/config.json", written(data))
    for label, settings in {
        "negative": {"max_seq_length": -1},
        "none": {"max_seq_length": 0},
        "words": {"max_seq_length": "many"},
        "a list": {"max_seq_length": [32]},
        "half": {"max_seq_length": 1.5},
        "another task": {"transformer_task": "generate"},
    }.items():
        data = json.dumps(settings).encode()
        tally.changed(label, folder, "sentence_bert_config.json", written(data))
    for name in ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        tally.changed("a pickle", folder, name, written(pickles(tally.folder)["protocol 4"]))
    tally.check(35)
