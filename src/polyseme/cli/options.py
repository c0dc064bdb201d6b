"""Options that several verbs share, checked before anything heavy is imported."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, overload

from cyclopts import Group, Parameter, Token

from polyseme.cli.output import say
from polyseme.core.counts import read_count
from polyseme.core.ranks import Parallel
from polyseme.errors import ConfigError, InputError

if TYPE_CHECKING:
    from polyseme.text.labelled.opening import ReadOptions
    from polyseme.train.request import Budget

Language = Literal["auto", "en", "zh"]
PageLanguage = Annotated[Literal["en", "zh"], Parameter(name="--report-lang")]  # --lang is the text's
Threads = Annotated[int | None, Parameter(name="--threads", help="processor threads; all cores when absent.")]
ReadOn = Annotated[
    Literal["auto", "cpu", "cuda"],
    Parameter(name="--device", help="where the run computes: auto, cpu or cuda.", show_default=True),
]
Documents = Literal["auto", "blank", "file", "line", "heading"]
Json = Annotated[bool, Parameter(name="--json", show_default=False)]
Folder = Annotated[Path, Parameter(name="RUN")]
LabelledFile = Annotated[Path, Parameter(name="FILE", allow_leading_hyphen=True)]  # `-` is the standard input
Output = Annotated[Path, Parameter(name=["--output", "-o"])]
MaybeOutput = Annotated[Path | None, Parameter(name=["--output", "-o"])]

# What is trained, and by what: the same options on every verb that trains.
HOW = Group("How to train", sort_key=2)
LearningRate = Annotated[float | None, Parameter(group=HOW)]
BatchSize = Annotated[int | None, Parameter(group=HOW)]
Settings = Annotated[list[str] | None, Parameter(name="--set", group=HOW)]
Seed = Annotated[int, Parameter(group=HOW, help="number behind every random choice.")]
Resume = Annotated[bool, Parameter(group=HOW, show_default=False)]
MACHINE = Group("The machine", sort_key=4)
MachineThreads = Annotated[Threads, Parameter(group=MACHINE)]
ManyProcesses = Annotated[
    Parallel,
    Parameter(
        group=MACHINE, help="under torchrun: ddp: each process holds the model; fsdp: a part of every weight."
    ),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], Parameter(group=MACHINE, help="auto, cpu or cuda.")]

# How files are read: the same three options on every verb that reads labelled files or files of lines.
READING = Group("How to read the files", sort_key=3)
ColumnNames = Annotated[list[str] | None, Parameter(name="--columns", group=READING)]
Separator = Annotated[
    str,
    Parameter(
        name="--separator",
        group=READING,
        help="what stands between the fields of tables: ; or , or tab or | or another; auto: as the file shows.",
    ),
]
Encoding = Annotated[
    str,
    Parameter(
        name="--encoding", group=READING, help="of the files: auto, or a name such as utf-8 or gb18030."
    ),
]

# oneDNN keeps compiled code and buffers for the last 1,024 sizes of matrices that it met, in two caches: on a large
# file that is hundreds of megabytes. Batches of texts rarely have the same size again.
_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
# Names of files end in letters behind a dot, or begin at a folder; texts have several words, or Chinese characters.
_PATH = re.compile(r"\.(?=\w*[A-Za-z])\w{1,8}$|^(\.{0,2}/|~|-$)", re.ASCII)
_SEVERAL_WORDS = re.compile(r"\s|!")
_NEXT_COLUMN = re.compile(r",(?=\s*\w*\s*=|\s*$)")


def _read_count(_: object, tokens: Sequence[Token]) -> int:
    return read_count(tokens[0].value)


class _TypedPath(type(Path())):  # type: ignore[misc]  # the class of paths on this system
    """A path that keeps the typed word: a text must not lose a character, such as a second slash."""

    typed: str | None = None

    def __str__(self) -> str:
        return self.typed if self.typed is not None else super().__str__()


def _read_file(_: object, tokens: Sequence[Token]) -> Path:
    path = _TypedPath(tokens[0].value)
    path.typed = tokens[0].value
    return path


# A file, or a text by itself.
TextOrFile = Annotated[Path, Parameter(name="FILE", allow_leading_hyphen=True, converter=_read_file)]
# A whole number as people write large ones: 5000000, 5_000_000, 5e6 or 5M.
Count = Annotated[int | None, Parameter(converter=_read_count)]


def read_settings(
    pairs: Sequence[str], option: str = "--set", such_as: str = "hidden_size=256"
) -> dict[str, Any]:
    """Read repeated `--set key=value` options; the last value of a key counts.

    Raises:  ConfigError: an item without a key or an equals sign.

    Example:
        >>> read_settings(["hidden_size=256", "train.learning_rate=1e-3"])
        {'hidden_size': 256, 'train.learning_rate': 0.001}
    """
    from polyseme.core.config import parse_value

    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                f"{option} needs key=value", got=pair, fix=f"write it like {option} {such_as}, without spaces"
            )
        settings[key.strip()] = parse_value(value.strip())
    return settings


def read_budget(
    minutes: float | None,
    epochs: float | None,
    tokens: int | None,
    steps: int | None,
    words: int | None = None,
    *,
    default_minutes: float,
) -> Budget:
    """Make the budget of a run from its options.

    Args:
        minutes, epochs, tokens, steps, words: as typed, None where absent.
        default_minutes: the budget when none is given.

    Raises:  ConfigError: several given, or one that is not above zero.
    """
    from polyseme.train.request import Budget

    if minutes is epochs is tokens is steps is words is None:
        minutes = default_minutes
    return Budget(minutes=minutes, epochs=epochs, tokens=tokens, steps=steps, words=words)


def positive(name: str, value: float | None) -> None:
    """Refuse an option whose number is not above zero.

    Raises:  ConfigError: it is zero, negative or not a number.
    """
    if value is not None and not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} must be above zero", got=value, fix=f"{name} 1")


def keep_few_sizes(sizes: int = 16) -> None:
    """Bound the memory of verbs that read whole files; it must run before torch's first matrix product."""
    for name in _CACHES:
        os.environ.setdefault(name, str(sizes))


def use_threads(threads: int | None) -> None:
    """Set torch's number of threads; its own default when absent.

    Raises:  ConfigError: not above zero.
    """
    positive("--threads", threads)
    if threads:
        import torch

        torch.set_num_threads(threads)


def use_device(name: str) -> None:
    """Say where runs compute, before they are opened; without this the CPU.

    Raises:  ConfigError: there is no such device.
    """
    if name != "cpu" or "polyseme.infer.model" in sys.modules:  # what nobody asked for costs no import
        from polyseme.infer import model

        model.use_device(name)


def written(text: str) -> str:
    r"""A typed text in which \n and \t become line end and tab.

    Example:
        >>> written(r"Q:\tyes\n") == "Q:\tyes\n"
        True
    """
    return text.replace("\\n", "\n").replace("\\t", "\t")


def read_options(columns: Sequence[str] | None, separator: str, encoding: str) -> ReadOptions:
    """Read `--columns`, `--separator` and `--encoding`.

    Raises:  ConfigError: an item of columns without a name, no separator, or an unknown encoding.
    """
    from polyseme.text.encodings import check_name
    from polyseme.text.labelled.dialects import read_separator
    from polyseme.text.labelled.opening import ReadOptions

    if encoding != "auto":
        check_name(encoding)
    return ReadOptions(read_columns(columns or []), encoding, read_separator(separator))


def typed_options(reading: ReadOptions) -> list[str]:
    """The options that repeat this reading in a suggested command; empty where all is "auto".

    Example:
        >>> from polyseme.text.labelled.opening import ReadOptions
        >>> typed_options(ReadOptions({"text": "1", "label": "2"}, "gb18030", ";"))
        ['--columns', 'text=1,label=2', '--separator', 'semicolon', '--encoding', 'gb18030']
    """
    from polyseme.text.labelled.dialects import SEPARATORS

    words: list[str] = []
    if reading.columns:
        words += ["--columns", ",".join(f"{ours}={theirs}" for ours, theirs in reading.columns.items())]
    if reading.separator != "auto":
        words += ["--separator", {**SEPARATORS, " ": "space"}.get(reading.separator, reading.separator)]
    if reading.encoding != "auto":
        words += ["--encoding", reading.encoding]
    return words


def refuse_unused(
    reading: ReadOptions, files: Sequence[Path | None], *, tables: bool = True, texts: bool = False
) -> None:
    """Refuse `--separator` where no table is read, and `--encoding` where no file is.

    Args:
        reading: the typed options.
        files: the files that are read; None is no file.
        tables: whether files are read as tables at all.
        texts: whether a text may be typed in place of a file; it then counts as no file.

    Raises:  ConfigError: an option would have no effect.
    """
    from polyseme.text.labelled.opening import name_of

    data_files = [file for file in files if file is not None and not (texts and is_text(file))]
    if reading.separator != "auto" and not (tables and any(map(_may_be_table, data_files))):
        raise ConfigError(
            "--separator is about the fields of tables, and no table is read",
            got=", ".join(map(name_of, data_files[:3])) or "a text, and no file",
            fix="leave --separator out",
        )
    if reading.encoding != "auto" and not data_files:
        raise ConfigError(
            "--encoding is about files, and none is read", got="a text", fix="leave --encoding out"
        )


def _may_be_table(file: Path) -> bool:
    """Whether a file may have fields with a separator between, by its suffix; else by how it begins."""
    from polyseme.text.labelled.opening import form_suffix

    if file.is_dir():
        return form_suffix(file) != ".jsonl"  # a data set's folder holds no tables; other folders may
    if form_suffix(file) in (".jsonl", ".ndjson", ".json", ".conllu"):
        return False
    if form_suffix(file) in (".tsv", ".csv") or not file.is_file():
        return True
    try:
        with file.open("rb") as opened:
            return not opened.read(1000).lstrip().startswith((b"{", b"[{"))
    except OSError:  # the actual reader reports the error
        return True


def read_columns(pairs: Sequence[str]) -> dict[str, str]:
    """Read `--columns ours=theirs` options, repeated or joined with commas; THEIRS may hold commas itself.

    Raises:  ConfigError: an item without a name or an equals sign.

    Example:
        >>> read_columns(["text=sentence,label=gold", "id=key"])
        {'text': 'sentence', 'label': 'gold', 'id': 'key'}
        >>> read_columns(["text=Review, long,label=Stars"])
        {'text': 'Review, long', 'label': 'Stars'}
    """
    columns: dict[str, str] = {}
    for pair in (part for item in pairs for part in _NEXT_COLUMN.split(item)):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (equals and ours and theirs):
            raise ConfigError(
                "--columns needs ours=theirs",
                got=pair,
                fix="write it like --columns text=sentence,label=gold",
            )
        columns[ours] = theirs
    return columns


def is_text(file: Path) -> bool:
    """Whether a word in place of a file is a text: it is no existing file, and does not look like a path.

    Example:
        >>> is_text(Path("it was a good day")), is_text(Path("my reviews.txt")), is_text(Path("./reviews"))
        (True, False, False)

    A word with a slash is a path if it has no blank, or if it begins with an existing folder.
    """
    from polyseme.text.words import has_cjk

    word = str(file)
    if _PATH.search(word) or not (_SEVERAL_WORDS.search(word) or has_cjk(word)):
        return False
    top, *below = re.split(r"[/\\]", word)
    try:
        if below and (not re.search(r"\s", word) or Path(top).exists()):
            return False
        return not file.exists()
    except OSError:  # too long for a name
        return True


@contextmanager
def text_or_file(file: Path) -> Iterator[Path]:
    """The file, or a temporary file with the text that was typed in its place, as one line."""
    if not str(file):
        raise InputError(
            "an empty text has nothing to read", fix="name a file, or give a text of several words"
        )
    if not is_text(file):
        yield file
        return
    say("note: there is no such file: it is read as a text by itself", always=True)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "typed-text.txt"
        path.write_text(" ".join(str(file).split("\n")) + "\n", "utf-8", "replace")
        yield path


@overload
def layer_of(text: str | None, word: Literal["mix"]) -> int | Literal["mix"] | None: ...
@overload
def layer_of(text: str | None, word: Literal["all"]) -> int | Literal["all"] | None: ...
def layer_of(text: str | None, word: Literal["mix", "all"]) -> int | Literal["mix", "all"] | None:
    """The layer that --layer names.

    Args:
        word: what it may be in place of a number: mix, or all.
    Raises:  ConfigError: it is neither.
    """
    if text is None:
        return None
    if text == word:
        return word
    try:
        return int(text)
    except ValueError:
        raise ConfigError(
            f"--layer is a number or {word}", got=text, fix="--layer -1 is the last layer"
        ) from None
