"""The formats of other programs: one entry each, with its reader and writer.

An entry names its functions as "module:function", so that listing the formats imports none of them:

    detect(path: Path) -> bool                               whether a path looks like the format; cheap, never raises
    read(path: Path) -> Imported                             a foreign model in our terms
    write(run: Path, output: Path) -> Written                a run in theirs

read and write of an entry that `reports` take a `reporter` as well, read of one that is `encoded` an `encoding`.
"""

from __future__ import annotations

import importlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.core.config import suggest
from polyseme.core.shell import typed
from polyseme.errors import ConfigError, InputError, RunError

if TYPE_CHECKING:
    from polyseme.core.reporter import Reporter
    from polyseme.train.run import RunDirectory

__all__ = ["FORMATS", "Format", "Written", "export_model", "import_model"]


@dataclass(frozen=True)
class Format:
    """One entry.

    Args:
        name: the name that users type.
        summary: a sentence for `polyseme list formats`.
        detect, read, write: "module:function" in polyseme.formats, see above; None = it cannot be read, or not written.
        reports: whether read and write report their progress.
        encoded: whether read takes the encoding of text.
    """

    name: str
    summary: str
    detect: str | None = None
    read: str | None = None
    write: str | None = None
    reports: bool = False
    encoded: bool = False

    def call(
        self, function: str, *arguments: Any, reporter: Reporter | None = None, encoding: str | None = None
    ) -> Any:
        """Call one of the entry's functions."""
        module, _, name = function.partition(":")
        options: dict[str, Any] = {"reporter": reporter} if self.reports and reporter is not None else {}
        options |= {"encoding": encoding} if encoding is not None else {}
        return getattr(importlib.import_module(f"polyseme.formats.{module}"), name)(*arguments, **options)


@dataclass(frozen=True)
class Written:
    """What an export wrote.

    Args:
        path: the folder or file.
        files: the files in it, relative to it.
        notes: what differs from the run or was left out, one sentence each.
    """

    path: Path
    files: Sequence[str]
    notes: Sequence[str] = ()


FORMATS: tuple[Format, ...] = (
    Format(
        "model2vec",
        "Folders of model2vec: static vectors with their tokenizer; read and written.",
        detect="model2vec:detect",
        read="model2vec:read_model",
        write="model2vec:write_model",
    ),
    Format(
        "sentence-transformers",
        "Directories of sentence-transformers: an encoder with its pooling; read and written.",
        detect="sentence_transformers:detect",
        read="sentence_transformers:read_model",
        write="sentence_transformers:write_model",
    ),
    Format(
        "huggingface",
        "Directories of transformers: BERT, ERNIE, ModernBERT, GPT-2, Qwen3, heads of tasks too; read and written.",
        detect="huggingface.importer:detect",
        read="huggingface.importer:read_model",
        write="huggingface.exporter:write_model",
    ),
    Format(
        "babylm",
        "A directory of transformers for each milestone of a run, chck_1M …, as BabyLM reads them; written.",
        write="babylm:write_model",
    ),
    Format(
        "word2vec",
        "Word vectors: word2vec's text and binary files, read and written; GloVe's text, read; .gz too.",
        detect="word_vectors:detect",
        read="word_vectors:import_word_vectors",
        write="static:export_word2vec",
        reports=True,
        encoded=True,
    ),
    Format(
        "projector",
        "The Embedding Projector's vectors.tsv and metadata.tsv; written.",
        write="static:export_projector",
        reports=True,
    ),
    Format(
        "onnx",
        "ONNX of every neural model, checked in onnxruntime; written.",
        write="onnx:export_onnx",
        reports=True,
    ),
)
"""In the order in which they are tested on a source: the more specific ones first."""


def import_model(
    source: Path | str,
    output: Path | str,
    format: str | None = None,
    reporter: Reporter | None = None,
    task: str | None = None,
    encoding: str | None = None,
) -> RunDirectory:
    """Read a model of another program and write it as a run.

    Args:
        source: a folder or file.
        output: the run directory to write; new or empty.
        format: an entry's name; None = detect it.
        reporter: receives the progress of large files.
        task: the task of an imported head: classify (one text) or pair (two); None = as the source shows.
        encoding: of the words in a file of word vectors; None = UTF-8.
    Raises:  ConfigError: an unknown format, settings of the model that polyseme cannot honour, or no head for the task.
             CheckpointError: damaged files; missing, unknown or misshapen tensors; a pickle or another refused kind.
             RunError: there is no such source, or the output is not empty. InputError: not a path.
    Example:
        import_model("all-MiniLM-L6-v2", "runs/minilm")
    """
    from polyseme.formats.refused import not_here
    from polyseme.formats.runs import as_task, write_run

    path, target = _path(source, "source"), _path(output, "output")
    if not path.exists():
        raise not_here(os.fspath(source), target)
    if (path / "run.json").is_file():
        raise RunError("this is a run already", where=source, fix=f"polyseme inspect {typed(source)}")
    _check_free(target)
    entry = _named(format, "read") if format is not None else _detected(path)
    assert entry.read is not None
    if encoding is not None and not entry.encoded:
        raise ConfigError(
            "an encoding is for files of word vectors",
            got=f"{encoding} with {entry.name}",
            fix="leave it out",
        )
    imported = entry.call(entry.read, path, reporter=reporter, encoding=encoding)
    return write_run(imported if task is None else as_task(imported, task), target)


def export_model(
    run: Path | str, format: str, output: Path | str, reporter: Reporter | None = None
) -> Written:
    """Write a run in the format of another program.

    Args:
        run: the run directory.
        format: an entry's name.
        output: the folder or file to write; new or empty.
        reporter: receives the progress of large files.
    Raises:  ConfigError: an unknown format, or one that cannot hold such a model; the error names another.
             RunError: there is no run, or the output holds something.  StorageError: the disk refuses.
             InputError: not a path.
    Example:
        export_model("runs/bert", "huggingface", "bert-for-others")
    """
    entry = _named(format, "write")
    assert entry.write is not None
    written: Written = entry.call(entry.write, _path(run, "run"), _path(output, "output"), reporter=reporter)
    return written


def _path(given: Any, name: str) -> Path:
    if not isinstance(given, str | os.PathLike):
        raise InputError(f"{name} must be a string or a Path", got=repr(given)[:80])
    return Path(given)


def _named(name: str, needed: str) -> Format:
    able = {entry.name: entry for entry in FORMATS if getattr(entry, needed) is not None}
    key = str(name).replace("_", "-")
    if key not in able:
        known = any(entry.name == key for entry in FORMATS)
        verb = {"read": "imported", "write": "exported"}[needed]
        raise ConfigError(
            f"{name} is not {verb}" if known else f"unknown format {name!r}", fix=suggest(key, able)
        )
    return able[key]


def _detected(path: Path) -> Format:
    from polyseme.formats.refused import ADAPTER, WEIGHTS, kind_of, models_inside, refusal, refuse

    for entry in FORMATS:
        if entry.read is not None and entry.detect is not None and entry.call(entry.detect, path):
            return entry
    if path.is_file():
        refuse(path)
        if path.suffix == ".safetensors" or (path.parent / "config.json").is_file():
            raise ConfigError(
                "one file alone is no model",
                where=path,
                expected="the folder that holds config.json, the weights and the tokenizer's files",
                fix=f"polyseme {shlex.join(['import', str(path.parent), '-o', 'RUN'])}",
            )
    if (path / "adapter_config.json").is_file():
        raise refusal(path / "adapter_config.json", ADAPTER)
    if (inside := models_inside(path)) is not None:
        raise ConfigError(
            "the model lies deeper",
            got="a folder without config.json",
            expected=f"{inside}, which has one",
            where=path,
            fix=f"polyseme {shlex.join(['import', str(inside), '-o', 'RUN'])}",
        )
    for file in sorted(path.iterdir()) if path.is_dir() else ():
        if file.is_file() and (kind := kind_of(file)) in WEIGHTS:
            raise refusal(file, kind)
    names = [entry.name for entry in FORMATS if entry.read is not None]
    raise ConfigError(
        "not a model in a format that is read",
        got="a folder without config.json" if path.is_dir() else "a file of another kind",
        where=path,
        expected=", ".join(names),
        fix="polyseme list formats; --format NAME where you know it",
    )


def _check_free(output: Path) -> None:
    """Refuse an output that exists, before anything large is read."""
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise RunError("the output folder already holds something", where=output, fix="another -o RUN")
