"""From text files to a token store, with all cores.

    sources ──read, decode, clean──► documents ──by hash──► train | valid ──batches──► workers: sentences, tokens,
                                                                                     word starts
    store.json ◄── counts, dirt, fingerprint ◄──────────── two StoreWriters ◄──in order──┘

The store is the same whatever the number of workers, and is complete or absent (`new_folder`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyseme.core.cores import default_threads
from polyseme.data.new_folder import new_folder
from polyseme.data.store import SPLITS, PreparedCorpus, StoreWriter, write_meta
from polyseme.data.workers import encode_batches
from polyseme.errors import ConfigError, CorpusError
from polyseme.text.clean import DirtReport
from polyseme.text.corpus import Corpus, Document, Fingerprint, TextConfig
from polyseme.text.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

MINIMUM_VALID_TOKENS = 500

_BATCH = 1 << 18  # characters
_SMALL = 5_000_000  # bytes of text below which starting other processes costs more than it saves
_SAMPLE_SEED = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a preparation is.

    Args:
        stage: "tokenizer" while one is trained, then "tokenizing".
        done_bytes, total_bytes: UTF-8 bytes of text; the total is an estimate where files are compressed.
        documents, tokens: written so far.
    """

    stage: str
    done_bytes: int
    total_bytes: int
    documents: int = 0
    tokens: int = 0


Listener = Callable[[Progress], None]


def prepare(
    sources: Sequence[str],
    folder: Path,
    *,
    text: TextConfig,
    tokenizer: TokenizerConfig | Tokenizer,
    valid_files: Sequence[str] = (),
    workers: int | None = None,
    minimum_valid_tokens: int = MINIMUM_VALID_TOKENS,
    progress: Listener | None = None,
) -> PreparedCorpus:
    """Read, clean, split and tokenize a corpus into a store.

    Args:
        sources: files, folders, patterns or built-in names.
        folder: the store to make; absent or empty.
        text: how to read; its valid_share of the documents is held out, and at least one of several.
        tokenizer: a trained one, or how to train one on the training documents.
        valid_files: held-out text of its own; then all of `sources` trains, but for documents that are in it, too.
        workers: processes that tokenize; None: as many as cores, or none besides this one for a small corpus.
        minimum_valid_tokens: fewer held-out tokens are refused.
        progress: called several times a megabyte.

    Raises:  CorpusError: no text, or too little for a training and a held-out part; name other text.
             RunError: the folder holds something already.
             StorageError: no space; nothing is left behind.
    Example:
        corpus = prepare(["books/"], Path("store"), text=TextConfig(), tokenizer=TokenizerConfig(vocab_size=8000))
    """
    if workers is not None and workers < 1:
        raise ConfigError("workers must be at least 1", got=workers)
    started = time.perf_counter()
    listen = progress or _ignore
    corpus = Corpus(sources, text.model_copy(update={"valid_share": 0.0}) if valid_files else text)
    heldout = Corpus(valid_files, text) if valid_files else None
    total = corpus.estimated_bytes() + (heldout.estimated_bytes() if heldout else 0)
    if workers is None:
        workers = default_threads() if total > _SMALL else 1
    with new_folder(Path(folder)) as temporary:
        if isinstance(tokenizer, TokenizerConfig):
            config, trained = tokenizer, _train(corpus, heldout, tokenizer, listen)
        else:
            config, trained = None, tokenizer
        trained.save(temporary / "tokenizer.json")
        reader = _Reader(corpus, heldout)
        with (
            StoreWriter(temporary / "train", trained.vocab_size) as train,
            StoreWriter(temporary / "valid", trained.vocab_size) as valid,
            closing(
                encode_batches(
                    reader.batches(), temporary / "tokenizer.json", text.language, workers, text.sentences
                )
            ) as batches,
        ):
            for (split, done), encoded in batches:
                (train if split == "train" else valid).add_documents(*encoded)
                documents, tokens = train.n_documents + valid.n_documents, train.n_tokens + valid.n_tokens
                listen(Progress("tokenizing", min(done, total), total, documents, tokens))
            _check_sizes(train, valid, minimum_valid_tokens, sources, valid_files)
        meta = {
            "fingerprint": reader.fingerprint.value,
            "sources": [str(source) for source in sources],
            "signature": corpus.signature(),
            "valid_files": [str(file) for file in valid_files],
            "valid_signature": heldout.signature() if heldout else [],
            "valid_fingerprint": reader.valid_fingerprint.value if heldout else None,
            "language": corpus.language(),
            "text": text.model_dump(mode="json"),
            "tokenizer": {
                "config": config.model_dump(mode="json") if config else None,
                "fingerprint": trained.fingerprint,
                "vocab_size": trained.vocab_size,
            },
            "dirt": reader.dirt.as_dict(),
            "splits": {
                "train": _counts(train, reader.characters["train"], trained.unk_id),
                "valid": _counts(valid, reader.characters["valid"], trained.unk_id),
            },
            "seconds": round(time.perf_counter() - started, 3),
        }
        write_meta(temporary, meta)
    return PreparedCorpus.open(Path(folder))


class _Reader:
    """Reads documents into batches of one split each, and keeps the corpus's books on the way."""

    def __init__(self, corpus: Corpus, heldout: Corpus | None) -> None:
        self._corpus, self._heldout = corpus, heldout
        self.dirt = DirtReport()
        self.fingerprint = Fingerprint()  # of all documents of the corpus
        self.valid_fingerprint = Fingerprint()  # of the held-out files, where there are any
        self.characters = dict.fromkeys(SPLITS, 0)

    def batches(self) -> Iterator[tuple[tuple[str, int], list[str]]]:
        """((split, bytes of text read so far), texts) for every batch."""
        waiting: dict[str, list[str]] = {split: [] for split in SPLITS}
        sizes = dict.fromkeys(SPLITS, 0)
        done = 0
        for split, document in self._documents():
            size = len(document.text)
            done += size if document.text.isascii() else len(document.text.encode("utf-8", "surrogatepass"))
            self.characters[split] += size
            waiting[split].append(document.text)
            sizes[split] += size
            if sizes[split] >= _BATCH:
                yield (split, done), waiting[split]
                waiting[split], sizes[split] = [], 0
        for split in SPLITS:
            if waiting[split]:
                yield (split, done), waiting[split]

    def _documents(self) -> Iterator[tuple[str, Document]]:
        keys: set[int] = set()
        if self._heldout is not None:
            for document in self._heldout.documents(self.dirt):
                keys.add(document.key)
                self.valid_fingerprint.add(document.key, len(document.text))
                yield "valid", document
        for document in self._corpus.documents(self.dirt):
            self.fingerprint.add(document.key, len(document.text))
            if document.key in keys:  # the held-out files may lie in a folder that trains
                self.dirt.add("held_out", 1, f"{document.source}, document {document.index}")
            else:
                yield "valid" if self._corpus.is_heldout(document.key) else "train", document


def _train(corpus: Corpus, heldout: Corpus | None, config: TokenizerConfig, listen: Listener) -> Tokenizer:
    total = min(config.sample_bytes, corpus.estimated_bytes())

    def watched(texts: Iterable[str]) -> Iterator[str]:
        done = 0
        for text in texts:
            done += len(text.encode("utf-8", "surrogatepass"))
            listen(Progress("tokenizer", min(done, total), total))
            yield text

    listen(Progress("tokenizer", 0, total))
    keys = None if heldout is None else {document.key for document in heldout.documents(DirtReport())}
    samples = corpus.samples(config.sample_bytes, _SAMPLE_SEED, keys)
    return train_tokenizer(watched(samples), config, corpus.estimated_bytes())


def _check_sizes(
    train: StoreWriter, valid: StoreWriter, minimum: int, sources: Sequence[str], valid_files: Sequence[str]
) -> None:
    if not train.n_tokens:
        raise CorpusError(
            "no text is left to train on",
            got=f"{valid.n_documents} documents, all of them held out" if valid.n_documents else "no tokens",
            where=", ".join(map(str, sources)),
            fix="more text, or --set text.documents=blank or line for more and smaller documents",
        )
    if not valid.n_documents and train.n_documents == 1 and not valid_files:
        raise CorpusError(
            "the text is a single document, so that none can be held out",
            got=f"one document of {train.n_tokens} tokens",
            expected="two documents or more",
            where=", ".join(map(str, sources)),
            fix="--set text.documents=blank if blank lines part it, or line if line ends do; "
            "--valid FILE with other text; or more files",
        )
    if valid.n_tokens < minimum:
        raise CorpusError(
            "the held-out part is too small",
            got=f"{valid.n_tokens} tokens in {valid.n_documents} of {train.n_documents + valid.n_documents} documents",
            expected=f"at least {minimum} tokens",
            where=", ".join(map(str, valid_files or sources)),
            fix="more text in --valid"
            if valid_files
            else "--valid FILE with text of its own, a larger --set text.valid_share=0.2, or more text",
        )


def _counts(writer: StoreWriter, characters: int, unknown: int) -> dict[str, Any]:
    return {
        "documents": writer.n_documents,
        "sentences": writer.n_sentences,
        "words": writer.n_words,
        "tokens": writer.n_tokens,
        "characters": characters,
        "unknown": int(writer.counts[unknown]),
    }


def _ignore(progress: Progress) -> None:
    pass
