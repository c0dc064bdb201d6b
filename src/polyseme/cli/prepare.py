"""`polyseme prepare`: tokenize text once into a store that many runs share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from polyseme.cli.completion import Corpus
from polyseme.cli.options import Documents, Json, Language, Output, positive, read_settings
from polyseme.cli.output import closing, emit, emit_json
from polyseme.core.remote import RemotePath, remote_path
from polyseme.core.shell import command
from polyseme.errors import ConfigError

if TYPE_CHECKING:
    from polyseme.text.config import TokenizerConfig
    from polyseme.text.tokenizers import Tokenizer

EXAMPLE = "polyseme prepare my-texts -o store"
JOBS = 64  # of Slurm at a time, where --workers does not say


def run(
    *corpus: Corpus,
    output: Output,
    tokenizer: str | None = None,
    kind: Literal["wordpiece", "byte-bpe", "unigram", "characters", "words", "spaces"] = "wordpiece",
    vocab_size: int | None = None,
    valid: list[str] | None = None,
    lang: Language = "auto",
    encoding: str = "auto",
    field: str = "text",
    documents: Documents = "auto",
    deduplicate: Literal["none", "exact", "near"] = "none",
    settings: Annotated[list[str] | None, Parameter(name="--set")] = None,
    workers: int | None = None,
    resume: bool = False,
    shard_mb: float | None = None,
    engine: Literal["local", "ray", "datatrove", "slurm"] = "local",
    address: str | None = None,
    slurm: list[str] | None = None,
    json: Json = False,
) -> None:
    """Tokenize text into a store; `polyseme pretrain` takes the store as its corpus.

    Args:
        corpus: files, folders, globs (.txt .jsonl .csv .parquet, also .gz .zst), URLs or python-docs; of several each
            may have its share of the words: novels/=0.5 news.jsonl=0.5.
        output: the store to write: a folder, or a URL such as s3://BUCKET/STORE.
        tokenizer: a run, a store or a tokenizer.json whose vocabulary to share; else one is learned from the text.
        kind: kind of tokenizer to learn.
        vocab_size: size of the vocabulary to learn; chosen from the corpus size when absent.
        valid: held-out text, repeatable; without it a share of the documents, chosen by hash, is held out.
        lang: language of the text: auto, en or zh.
        encoding: auto, or a name such as utf-8 or gb18030.
        field: the key of the text in records, the column of tables; a.b goes into a.
        documents: how documents are told apart: by blank lines, by file, by line, by headings like = Title =, or auto.
        deduplicate: remove documents seen before: none, exact or near.
        settings: key=value as for pretrain, repeatable: text.valid_share=0.1, tokenizer.lowercase=false.
        workers: processes; all cores when absent.
        resume: go on with what an interrupted or killed command left: only the pieces that are missing are made.
        shard_mb: megabytes of text of a shard, 64 when absent; a text of more is made in shards, each by one process.
        engine: what makes the shards: local processes, ray, datatrove, or jobs of slurm (extras of these names).
        address: of a Ray cluster, such as ray://HOST:10001; Ray on this machine when absent.
        slurm: key=value, repeatable: what a job of Slurm asks for: partition=NAME, time=MINUTES, mem=8GB, account=NAME.
        json: print what was written as one JSON document.
    """
    output = remote_path(output) or output
    positive("--workers", workers)
    positive("--vocab-size", vocab_size)
    positive("--shard-mb", shard_mb)
    sections = _sections(settings or [])
    if not corpus:
        raise ConfigError("no corpus given", fix=command("polyseme", "prepare", "python-docs", "-o", output))

    from polyseme.cli.progress import reporting
    from polyseme.core.cores import default_threads
    from polyseme.data.engines import engine_named
    from polyseme.data.prepare import prepare, said_about
    from polyseme.data.sharding import Sharding
    from polyseme.report.run_summary import corpus_text
    from polyseme.text.config import TextConfig
    from polyseme.text.pieces import PIECE
    from polyseme.train.signals import interruptible

    text = TextConfig.of(
        {
            "documents": documents,
            "encoding": encoding,
            "field": field,
            "deduplicate": deduplicate,
            "language": lang,
            **sections["text"],
        },
        "the options of prepare",
    )
    piece = PIECE if shard_mb is None else max(1, round(shard_mb * 2**20))
    beside = Path.cwd() if isinstance(output, RemotePath) else output.absolute().parent
    doing = engine_named(
        engine,
        workers or (JOBS if engine == "slurm" else default_threads()),
        address,
        read_settings(slurm or [], "--slurm", "partition=cpu"),
        beside / f".{output.name}.slurm",
    )
    sharding = Sharding(doing, piece, resume)
    with interruptible(output, "the same command again, with --resume"), reporting() as reporter:
        store = prepare(
            list(corpus),
            output,
            text=text,
            tokenizer=_tokenizer(tokenizer, kind, vocab_size, sections["tokenizer"]),
            valid_files=list(valid or []),
            workers=workers,
            sharding=sharding,
            progress=lambda at: reporter.stage(at.stage, at.done_bytes, at.total_bytes),
        )
        for line in said_about(store):
            reporter.note(line)
    if json:
        emit_json(store.meta)
    else:
        emit(corpus_text(store.meta))
    closing(
        wrote=[output],
        then=[command("polyseme", "pretrain", "modernbert", output, "-o", "RUN", "--minutes", 10)],
    )


def _sections(settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The values of --set by section.

    Raises:  ConfigError: a key that does not concern the preparation of text.
    """
    sections: dict[str, dict[str, Any]] = {"text": {}, "tokenizer": {}}
    for key, value in read_settings(settings).items():
        section, _, name = key.partition(".")
        if section not in sections or not name:
            raise ConfigError(
                f"unknown key {key!r}",
                where="--set",
                expected="text.KEY or tokenizer.KEY",
                fix="--set tokenizer.vocab_size=8000",
            )
        sections[section][name] = value
    return sections


def _tokenizer(
    source: str | None, kind: str, vocab_size: int | None, section: dict[str, Any]
) -> Tokenizer | TokenizerConfig:
    """Load the named tokenizer, or configure one to learn."""
    from polyseme.text.config import TokenizerConfig
    from polyseme.text.tokenizers import Tokenizer

    if source is None:
        values: dict[str, Any] = {"kind": kind}
        if vocab_size is not None:
            values["vocab_size"] = vocab_size
        values |= section
        return TokenizerConfig.of(values, "the options of prepare")
    path = Path(source)
    return Tokenizer.from_file(path / "tokenizer.json" if path.is_dir() else path)
