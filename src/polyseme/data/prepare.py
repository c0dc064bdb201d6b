"""From text files to a token store, with all cores.

    sources ──read, decode, clean──► documents ──by hash──► train | valid ──batches──► workers: sentences, tokens,
                                                                                     word starts
    store.json ◄── counts, cleaning report, fingerprint ◄──────────── two StoreWriters ◄──in order──┘

What a person has to know of it, how it was read, what was left out and what is unknown, is said at the end.

Where sources have shares (text/shares.py), each has a writer of its own, and of what these wrote the shares are drawn.

The store is the same whatever the number of workers, and is complete or absent (`new_folder`). Of much text it may be
made in shards, by several processes or machines, and gone on with after a crash: sharding.py.
"""

from __future__ import annotations

import shlex
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polyseme.core.cores import default_threads
from polyseme.core.files import new_folder
from polyseme.core.paths import PathLike, Paths, names_of, path_of
from polyseme.core.remote import RemotePath, remote_path
from polyseme.core.rng import Random
from polyseme.data.elsewhere import made_in, put_store
from polyseme.data.making import counts_of
from polyseme.data.sharding import Sharding, cut, prepare_in_shards
from polyseme.data.store import SPLITS, PreparedCorpus, StoreWriter, TokenStore, is_store, write_meta
from polyseme.data.workers import encode_batches
from polyseme.errors import ConfigError, CorpusError, RunError
from polyseme.text.clean import KINDS, CleaningReport
from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.text.corpus import Corpus, Document, Fingerprint
from polyseme.text.document_rule import reading_lines
from polyseme.text.shares import drawn, share_lines, words_allowed
from polyseme.text.sources import skipped_suffixes
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer
from polyseme.text.unknown import UnknownShare

MINIMUM_VALID_TOKENS = 500
"""Of fewer held-out tokens a figure is noise."""

TRAINING = "the training text's"
_BATCH = 1 << 18  # characters
_SMALL = 5_000_000  # bytes of text below which starting other processes costs more than it saves
_FEW_BYTES = 400_000  # of text, in which even usual words are rare
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
    sources: Paths,
    folder: PathLike,
    *,
    text: TextConfig,
    tokenizer: TokenizerConfig | Tokenizer,
    valid_files: Paths = (),
    workers: int | None = None,
    minimum_valid_tokens: int = MINIMUM_VALID_TOKENS,
    lower_min_count: bool = False,
    sharding: Sharding | None = None,
    progress: Listener | None = None,
) -> PreparedCorpus:
    """Read, clean, split and tokenize a corpus into a store.

    Args:
        sources: files, folders, patterns or built-in names, or one of them; with shares such as "novels/=0.5" that sum
            to 1, or without.
        folder: the store to make; absent or empty. A URL such as s3://BUCKET/STORE is put there, shard by shard.
        text: how to read; its valid_share of the documents is held out, and at least one of several.
        tokenizer: a trained one, or how to train one on the training documents.
        valid_files: held-out text of its own; then all of `sources` trains, but for documents that are in it, too.
        workers: processes that tokenize; None: as many as cores, or none besides this one for a small corpus.
        minimum_valid_tokens: of fewer held-out tokens it is kept that figures on them mean nothing.
        lower_min_count: of a small text keep rarer words than the tokenizer's min_count asks for, where else more
            than a fifth of its tokens would be unknown; that is said in "notes" of store.json.
        sharding: of a text of several pieces make a store in shards. Not where sources have shares, for which all of
            the text is read in its order.
        progress: called several times a megabyte, or after every piece of a text in shards.

    Raises:  CorpusError: no text, or all of it is held out; name other text. A source with a share has none.
             ConfigError: shares that cannot be.
             RunError: the folder holds something already.
             StorageError: no space; nothing is left behind.
    Example:
        corpus = prepare(["books/"], Path("store"), text=TextConfig(), tokenizer=TokenizerConfig(vocab_size=8000))
    """
    if workers is not None and workers < 1:
        raise ConfigError("workers must be at least 1", got=workers)
    sources, valid_files = names_of(sources), names_of(valid_files)
    if (remote := remote_path(folder)) is not None:
        asked: Any = {
            "text": text,
            "tokenizer": tokenizer,
            "valid_files": valid_files,
            "workers": workers,
            "minimum_valid_tokens": minimum_valid_tokens,
            "lower_min_count": lower_min_count,
            "sharding": sharding and replace(sharding, remote=str(remote)),
            "progress": progress,
        }
        return _prepared_elsewhere(remote, sharding, lambda place: prepare(sources, place, **asked))
    started = time.perf_counter()
    listen = progress or _ignore
    corpus = Corpus(sources, text.model_copy(update={"valid_share": 0.0}) if valid_files else text)
    # held-out text is cut as the training text is, whatever its own look is like
    heldout = (
        Corpus(valid_files, text.model_copy(update={"documents": corpus.rule()})) if valid_files else None
    )
    if heldout is not None and heldout.shares:
        raise ConfigError(
            "held-out files take no shares",
            got=", ".join(valid_files),
            fix=" ".join(f"--valid {shlex.quote(name)}" for name in heldout.sources),
        )
    total = corpus.estimated_bytes() + (heldout.estimated_bytes() if heldout else 0)
    if workers is None:
        workers = default_threads() if total > _SMALL else 1

    def begin(place: Path) -> tuple[dict[str, Any], Tokenizer]:
        """Put the tokenizer there; what store.json says of the request and of it."""
        config, trained, notes = None, tokenizer, []
        if isinstance(trained, TokenizerConfig):
            asked = trained
            config, trained = _train(corpus, heldout, asked, listen, lower_min_count)
            if config != asked:
                notes.append(
                    f"the text is small: words that occur {_times(config.min_count)} are in the vocabulary, where"
                    f" {asked.min_count} is usual; --set tokenizer.min_count={asked.min_count} keeps to that"
                )
        trained.save(place / "tokenizer.json")
        about = {
            "sources": [str(source) for source in sources],
            "signature": corpus.signature(),
            "valid_files": [str(file) for file in valid_files],
            "valid_signature": heldout.signature() if heldout else [],
            "language": corpus.language(),
            "text": text.model_dump(mode="json"),
            "tokenizer": {
                "config": config.model_dump(mode="json") if config else None,
                "fingerprint": trained.fingerprint,
                "vocab_size": trained.vocab_size,
            },
            "notes": notes,
        }
        return about, trained

    def plan(work: Path) -> dict[str, Any]:
        """What the processes need to know that make shards."""
        about, trained = begin(work)
        return {
            **about,
            "unknown": trained.unk_id,
            "valid_share": 0.0 if heldout else text.valid_share,
            "minimum_valid_tokens": minimum_valid_tokens,
        }

    if sharding is not None and not corpus.shares:
        cuts = cut(corpus, heldout, sharding.piece)
        if len(cuts) > 1:
            given = tokenizer.model_dump(mode="json") if isinstance(tokenizer, TokenizerConfig) else None
            request = [text.model_dump(mode="json"), given or tokenizer.fingerprint]  # type: ignore[union-attr]
            return prepare_in_shards(
                corpus,
                heldout,
                cuts,
                path_of(folder),
                sharding,
                request,
                plan,
                lambda *at: listen(Progress(*at)),
            )
    with new_folder(path_of(folder)) as temporary:
        about, trained = begin(temporary)
        reader = _Reader(corpus, heldout)
        parts = {
            (split, part): temporary / split if not corpus.shares else temporary / f"{split}-{part}"
            for split in SPLITS
            for part in (range(len(corpus.shares)) if corpus.shares else [0])
        }
        with (
            ExitStack() as stack,
            closing(
                encode_batches(
                    reader.batches(), temporary / "tokenizer.json", text.language, workers, text.sentences
                )
            ) as batches,
        ):
            writers = {
                key: stack.enter_context(StoreWriter(path, trained.vocab_size)) for key, path in parts.items()
            }
            documents = tokens = 0
            for (split, part, done), encoded in batches:
                writers[split, part].add_documents(*encoded)
                documents, tokens = documents + len(encoded[3]), tokens + len(encoded[0])
                listen(Progress("tokenizing", min(done, total), total, documents, tokens))
            if not corpus.shares:
                _check_sizes(writers["train", 0], writers["valid", 0], sources, valid_files)
        characters: dict[str, int | None] = {**reader.characters}
        if corpus.shares:
            train, valid, shares = _mix(
                corpus, temporary, trained.vocab_size, bool(valid_files), minimum_valid_tokens
            )
            for split, writer in (("train", train), ("valid", valid)):
                if writer.n_words < sum(part.n_words for key, part in writers.items() if key[0] == split):
                    characters[split] = None  # of what was drawn nobody counted them
            for path in parts.values():
                shutil.rmtree(path)
        else:
            train, valid, shares = writers["train", 0], writers["valid", 0], []
        meta = {
            "fingerprint": reader.fingerprint.value,
            **about,
            "valid_fingerprint": reader.valid_fingerprint.value if heldout else None,
            "reading": corpus.reading(),
            "valid_reading": heldout.reading() if heldout else [],
            **({"shares": shares} if shares else {}),
            "dirt": reader.cleaned.as_dict(),
            "heldout_suffices": valid.n_tokens >= minimum_valid_tokens,
            "splits": {
                "train": counts_of(train, characters["train"], trained.unk_id),
                "valid": counts_of(valid, characters["valid"], trained.unk_id),
            },
            "seconds": round(time.perf_counter() - started, 3),
        }
        write_meta(temporary, meta)
    return PreparedCorpus.open(Path(folder))


def _prepared_elsewhere(
    remote: RemotePath, sharding: Sharding | None, make: Callable[[Path], PreparedCorpus]
) -> PreparedCorpus:
    """Make a store on this disk, whose shards are put at a URL meanwhile, and put the rest there.

    Raises:  RunError: there is a store already.   StorageError: the server refuses.
    """
    place = made_in(remote)
    if not is_store(remote):
        make(place)
        put_store(place, remote)
        shutil.rmtree(place)
    elif sharding is None or not sharding.resume:
        raise RunError("there is a store already", where=remote, fix="name another URL")
    return PreparedCorpus.open(remote)


class _Reader:
    """Reads documents into batches of one split each, and keeps the corpus's books on the way."""

    def __init__(self, corpus: Corpus, heldout: Corpus | None) -> None:
        self._corpus, self._heldout = corpus, heldout
        self.cleaned = CleaningReport()
        self.fingerprint = Fingerprint()  # of all documents of the corpus
        self.valid_fingerprint = Fingerprint()  # of the held-out files, where there are any
        self.characters = dict.fromkeys(SPLITS, 0)

    def batches(self) -> Iterator[tuple[tuple[str, int, int], list[str]]]:
        """((split, part, bytes of text read so far), texts) for every batch.

        A part is a source where these have shares; else all of the text is part 0, and so is text of --valid.
        """
        waiting: dict[tuple[str, int], list[str]] = {(split, 0): [] for split in SPLITS}
        sizes: Counter[tuple[str, int]] = Counter()
        done = 0
        for name, document in self._documents():
            size = len(document.text)
            done += size if document.text.isascii() else len(document.text.encode("utf-8", "surrogatepass"))
            self.characters[name] += size
            mixed = self._corpus.shares and (name == "train" or self._heldout is None)
            key = name, self._corpus.part(document) if mixed else 0
            waiting.setdefault(key, []).append(document.text)
            sizes[key] += size
            if sizes[key] >= _BATCH:
                yield (*key, done), waiting[key]
                waiting[key], sizes[key] = [], 0
        for key, texts in waiting.items():
            if texts:
                yield (*key, done), texts

    def _documents(self) -> Iterator[tuple[str, Document]]:
        keys: set[int] = set()
        if self._heldout is not None:
            for document in self._heldout.documents(self.cleaned):
                keys.add(document.key)
                self.valid_fingerprint.add(document.key, len(document.text))
                yield "valid", document
        for document in self._corpus.documents(self.cleaned):
            self.fingerprint.add(document.key, len(document.text))
            if document.key in keys:  # the held-out files may lie in a folder that trains
                self.cleaned.add("held_out", 1, f"{document.source}, document {document.index}")
            else:
                yield "valid" if self._corpus.is_heldout(document.key) else "train", document


def _train(
    corpus: Corpus, heldout: Corpus | None, config: TokenizerConfig, listen: Listener, lower_min_count: bool
) -> tuple[TokenizerConfig, Tokenizer]:
    """The tokenizer, and how it was trained at last."""
    total = min(config.sample_bytes, corpus.estimated_bytes())

    def watched(texts: Iterable[str]) -> Iterator[str]:
        done = 0
        for text in texts:
            done += len(text.encode("utf-8", "surrogatepass"))
            listen(Progress("tokenizer", min(done, total), total))
            yield text

    listen(Progress("tokenizer", 0, total))
    keys = None if heldout is None else {document.key for document in heldout.documents(CleaningReport())}
    sample: Iterable[str] = corpus.samples(config.sample_bytes, _SAMPLE_SEED, keys)
    lower = lower_min_count and config.kind in ("words", "spaces")
    lower = (
        lower and corpus.estimated_bytes() <= _FEW_BYTES
    )  # the text's own size, whatever share of it is read here
    if lower:
        sample = list(sample)
    trained = train_tokenizer(watched(sample), config, corpus.estimated_bytes())
    while lower and config.min_count > 1 and _knows_little(trained, sample):
        config = config.model_copy(update={"min_count": config.min_count // 2})
        trained = train_tokenizer(iter(sample), config, corpus.estimated_bytes())
    return config, trained


def _knows_little(tokenizer: Tokenizer, sample: Iterable[str]) -> bool:
    met = UnknownShare()
    for ids in tokenizer.encode_ids(list(sample)):
        met.add(ids, tokenizer.unk_id)
    return met.is_many


def _mix(
    corpus: Corpus, folder: Path, vocab_size: int, own_heldout: bool, minimum_valid_tokens: int
) -> tuple[StoreWriter, StoreWriter, list[dict[str, Any]]]:
    """Draw the shares of every source from folder/SPLIT-PART into folder/SPLIT.

    Held-out text has the same shares, so that it is like the training text, unless too little of it would be left, or
    it is text of its own (`own_heldout`): then it is all there.

    Returns what wrote both splits, and a JSON-able entry per source: words found and words kept, of both splits.
    Raises:  CorpusError: a source has no training text.
    """
    stores = {
        split: [TokenStore.open(folder / f"{split}-{part}") for part in range(len(corpus.shares))]
        for split in SPLITS
    }
    found = {split: [int(store.word_starts.sum()) for store in each] for split, each in stores.items()}
    for name, words in zip(corpus.sources, found["train"], strict=True):
        if not words:
            raise CorpusError(
                "a source with a share has no training text",
                got="0 words",
                where=name,
                fix="leave it out, and let the other shares sum to 1",
            )
    kept = {"train": words_allowed(found["train"], corpus.shares), "valid": found["valid"]}
    if not own_heldout and all(found["valid"]):
        allowed = words_allowed(found["valid"], corpus.shares)
        tokens_a_word = sum(store.n_tokens for store in stores["valid"]) / sum(found["valid"])
        if sum(allowed) * tokens_a_word >= minimum_valid_tokens:
            kept["valid"] = allowed
    writers = {}
    for split in SPLITS:
        with StoreWriter(folder / split, vocab_size) as writer:
            for part, store in enumerate(stores[split]):
                _draw(store, kept[split][part], Random(_SAMPLE_SEED, f"shares {split} {part}"), writer)
        writers[split] = writer
    entries = [
        {
            "source": name,
            "share": share,
            "words": kept["train"][part],
            "words_found": found["train"][part],
            "heldout_words": kept["valid"][part],
            "heldout_words_found": found["valid"][part],
        }
        for part, (name, share) in enumerate(zip(corpus.sources, corpus.shares, strict=True))
    ]
    return writers["train"], writers["valid"], entries


def _draw(store: TokenStore, words: int, random: Random, writer: StoreWriter) -> None:
    """Write documents of a store that hold so many words: some of them, in their order, the last one in part."""
    if not words:
        return
    starts = np.concatenate([[0], np.cumsum(store.word_starts, dtype=np.int64)])  # words before each token
    before = starts[np.asarray(store.sentences)]  # words before each sentence
    bounds = np.asarray(store.documents)
    documents, cut = drawn(np.diff(before[bounds]), words, random)
    left = words
    for document in documents.tolist():
        first, last = int(bounds[document]), int(bounds[document + 1])
        if document != cut:
            left -= int(before[last] - before[first])
    for document in documents.tolist():
        first, last = int(bounds[document]), int(bounds[document + 1])
        if document == cut:  # up to the sentence that reaches the number
            last = min(last, int(np.searchsorted(before, before[first] + left)))
        begin, end = int(store.sentences[first]), int(store.sentences[last])
        writer.add_documents(
            store.tokens[begin:end],
            store.word_starts[begin:end],
            np.diff(store.sentences[first : last + 1]),
            np.array([last - first]),
        )


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _check_sizes(
    train: StoreWriter, valid: StoreWriter, sources: Sequence[str], valid_files: Sequence[str]
) -> None:
    if train.n_tokens:
        return
    where = ", ".join(map(str, sources))
    if valid_files:
        raise CorpusError(
            "no text is left to train on",
            got=f"all of the text is also in {', '.join(valid_files)}"
            if not train.n_documents
            else "no tokens",
            where=where,
            fix="leave --valid out, or name other text there"
            if not train.n_documents
            else "name files with text",
        )
    raise CorpusError(
        "no text is left to train on",
        got=f"{valid.n_documents} documents, all of them held out" if valid.n_documents else "no tokens",
        where=where,
        fix="--set text.valid_share=0.05" if valid.n_documents else "name files with text",
    )


def _ignore(progress: Progress) -> None:
    pass


def said_about(store: PreparedCorpus) -> list[str]:
    """All that a person has to know about a store that was just made."""
    held = f"held out are {store.valid.n_tokens:,} tokens: too few for figures that mean anything"
    return [
        *cleaning_lines(store.meta),
        *store.meta.get("notes", []),
        *filter(None, [unknown_note(store)]),
        *([] if store.heldout_suffices else [held]),
    ]


def cleaning_lines(meta: dict[str, Any]) -> list[str]:
    """How the sources were read, what was left out and what to do about it, and what was cleaned; for people."""
    cleaned = meta.get("dirt", {})
    counts = sorted(cleaned.get("counts", {}).items(), key=lambda item: -item[1])
    held = [f"held out: {line}" for line in reading_lines(meta.get("valid_reading", []))]
    return [
        *reading_lines(meta.get("reading", [])),
        *share_lines(meta.get("shares", [])),
        *held,
        *skipped_suffixes(cleaned.get("suffixes", {})),
        *(
            f"{number:,} {KINDS.get(kind, kind)}" + (f": {example}" if example else "")
            for kind, number in counts
            if not (kind == "skipped_suffix" and cleaned.get("suffixes"))
            for example in [cleaned.get("examples", {}).get(kind, "")]
        ),
    ]


def unknown_note(corpus: PreparedCorpus) -> str | None:
    """How much of the training text is [UNK] and what helps, where that is more than `MANY_UNKNOWN`."""
    met = unknown_share(corpus)
    if not met.is_many:
        return None
    return f"{met.says(TRAINING)}: {cure(corpus)}"


def unknown_share(corpus: PreparedCorpus) -> UnknownShare:
    """The training text's tokens, and those of them that are [UNK]."""
    unknown = corpus.tokenizer.unk_id
    return UnknownShare(corpus.train.n_tokens, int(corpus.train.counts[unknown]) if unknown >= 0 else 0)


def cure(corpus: PreparedCorpus) -> str:
    """What makes more of the text known."""
    config = corpus.meta["tokenizer"]["config"]
    if config is None:
        return "without --tokenizer and --init a vocabulary is made from this text"
    if config["kind"] not in ("words", "spaces"):
        return "--set tokenizer.kind=byte-bpe knows every text; a larger tokenizer.vocab_size may do"
    if config["min_count"] > 1:
        return f"--set tokenizer.min_count={config['min_count'] // 2} keeps rarer words, more text makes them less rare"
    return "a larger tokenizer.vocab_size or tokenizer.sample_bytes, or --set tokenizer.kind=wordpiece"
