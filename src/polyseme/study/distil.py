"""What is left of a contextual run in one vector a word: `distil` writes a static run, of the word2vec kind.

    alone     v_w = the run's vector of w as a text of its own
    corpus    v_w = mean over uses of w of (mean over the tokens t of that use of h_t)
    then      v_w <- principal components r + 1 … r + d of all v_w, centred
              v_w <- v_w · a / (a + p_w),   p_w the share of w among the words of a text

The run's own tokens are the words, or whole words that are named. A text's vector is then the mean of its words': each
brings its weight along in its length, so that frequent words count little.

Sources:  reading alone, components and weights as in Minishlab's model2vec (2024); means over uses: Bommasani,
Davis and Cardie (2020), "Interpreting pretrained contextualized representations via reductions to static embeddings";
weights: Arora, Liang and Ma (2017), "A simple but tough-to-beat baseline for sentence embeddings"; without the first
components: Mu and Viswanath (2018), "All-but-the-top".
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from polyseme.core.arrays import BoolArray, Float32Array, Float64Array, IntArray
from polyseme.core.paths import PathLike, Paths, path_of
from polyseme.core.reporter import NullReporter, Reporter
from polyseme.core.shell import typed
from polyseme.errors import ConfigError, CorpusError, InputError, RunError
from polyseme.formats.runs import Imported, write_run
from polyseme.formats.word_vectors import tokenizer_of
from polyseme.infer.embed import windows
from polyseme.infer.hidden import Layers, hidden_states, layer_numbers, packed
from polyseme.infer.inputs import at_least_one
from polyseme.infer.loaded import Loaded, words_of
from polyseme.infer.neighbours import word_counts
from polyseme.infer.pooling import Pooling
from polyseme.study import Run, opened
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.text.corpus import Corpus
from polyseme.text.roles import SPECIAL_TOKENS
from polyseme.text.sources import read_lines
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.tokens import meeting
from polyseme.text.training import train_tokenizer
from polyseme.train.run import RunDirectory

__all__ = ["DISTILLED", "distil", "principal_components", "sif_weights", "zipf_shares"]

DISTILLED = "polyseme distil"
"""Where a static run says that it came from."""
DIMENSIONS = 256
SIF = 1e-4
TOKENS = 1_000_000
MIN_COUNT = 5
PASSAGE = 128
"""Tokens of a corpus that are read together, separators included."""

_UNUSED = re.compile(r"\[unused\d+\]")  # BERT's places for words to come


def distil(
    run: Run,
    output: PathLike,
    *,
    corpus: Paths | Corpus | None = None,
    words: PathLike | Sequence[str] | None = None,
    dimensions: int | None = None,
    remove: int = 0,
    sif: float = SIF,
    layer: Layers | None = None,
    tokens: int | None = TOKENS,
    min_count: int = MIN_COUNT,
    text: TextConfig | None = None,
    reporter: Reporter | None = None,
) -> RunDirectory:
    """Make a static run of a contextual one: a word2vec run that every verb takes, and embeds texts many times faster.

    What is no text (separators, [UNK], BERT's unused entries) gets a vector of zeros.

    Args:
        run: a run that reads context.
        output: the run directory to write; new or empty.
        corpus: files, folders or patterns: a word's vector is the mean over its uses there, and its share is counted
            there. A word without a use is read alone and moved by what uses move words on average. None = every word is
            read alone; its share is that in the text that the run was trained on, else 1 / rank (Zipf).
        words: whole words in place of the run's own tokens: a file with one a line, a list, or "corpus": those of the
            corpus. In a list without a corpus the frequent ones come first.
        dimensions: of a vector; None = 256, or as many as the run's vectors and the number of words give.
        remove: leave so many first principal components out.
        sif: a of the weights; 0 = every word weighs the same.
        layer: a layer by number; several, or "all": their mean; None = the last.
        tokens: of the corpus that are read, about so many, spread over it; None = all. Shares are counted in all of it.
        min_count: how often a word of "corpus" must occur.
        text: how the corpus and the file of words are read.
        reporter: receives the progress.
    Raises:  ConfigError: the run is static, or a number is out of range.  RunError: the output holds something.
             CorpusError: there is no text, or none of the words is in it.  InputError: the run knows none of the words.

    Example:
        distil("runs/minilm", "runs/static")
    """
    reporter, text, target = reporter or NullReporter(), text or TextConfig(), path_of(output, "output")
    loaded = opened(run)
    width = int(loaded.encoder.config.hidden_size)
    _check(loaded, width, dimensions, remove, sif, tokens, min_count)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise RunError("the output folder already holds something", where=target, fix="another -o STATIC")
    numbers = layer_numbers(loaded, -1 if layer is None else layer)
    texts = corpus if corpus is None or isinstance(corpus, Corpus) else Corpus(corpus, text)
    if texts is not None and texts.shares:
        raise ConfigError(
            "the corpus takes no shares: all of it is counted",
            got=" ".join(
                f"{name}={share:g}" for name, share in zip(texts.sources, texts.shares, strict=True)
            ),
            fix=" ".join(f"--corpus {shlex.quote(name)}" for name in texts.sources),
        )
    vocabulary = _vocabulary(loaded, words, texts, min_count, text)
    dimensions = _dimensions(dimensions, remove, width, len(vocabulary.ids))
    if texts is None:
        vectors = _alone(loaded, vocabulary, numbers, reporter)
        counts = word_counts(loaded) if words is None else None
        shares = zipf_shares(len(vectors)) if counts is None else _shares(counts[vocabulary.ids])
        way: dict[str, Any] = {"way": "alone", "shares": "zipf" if counts is None else "training text"}
    else:
        vectors, shares, way = _in_corpus(loaded, vocabulary, texts, numbers, tokens, reporter)
    kept, explained = principal_components(vectors, dimensions, remove)
    table = np.zeros((vocabulary.tokenizer.vocab_size, kept.shape[1]), np.float32)
    table[vocabulary.ids] = kept * sif_weights(shares, sif)[:, None]
    source = {
        "kind": DISTILLED,
        "path": str(loaded.run.path),
        "files": dict(loaded.run.meta.get("files") or {}),
        "model": loaded.recipe.architecture,
        "layers": list(numbers),
        "words": "own tokens" if words is None else len(vocabulary.ids),
        "remove": remove,
        "explained": explained,
        "sif": sif,
        **way,
        "notes": [*vocabulary.notes, *way.get("notes", ())],
    }
    static = Imported(
        architecture="word2vec",
        model={"vocab_size": len(table), "hidden_size": table.shape[1]},
        objectives=[],
        tensors={"encoder.word_embeddings.weight": torch.from_numpy(table)},
        tokenizer=vocabulary.tokenizer,
        source=source,
        embedding={"pool": "mean", "normalize": True},
    )
    return write_run(static, target)


def _check(
    loaded: Loaded,
    width: int,
    dimensions: int | None,
    remove: int,
    sif: float,
    tokens: int | None,
    min_count: int,
) -> None:
    """Raises:  ConfigError: the run is static, or a number is out of range."""
    if loaded.encoder.reach == "none":
        raise ConfigError(
            "the run is static already: a word has one vector in every text",
            got=loaded.recipe.architecture,
            expected="a run that reads context: bert, modernbert, gpt, elmo …",
            where=loaded.run.path,
            fix=f"polyseme embed {typed(loaded.run.path)} FILE -o vectors.npz"
            if hasattr(loaded.encoder, "active")
            else f"polyseme export {loaded.run.path} word2vec vectors.txt",
        )
    for name, count in (("tokens", tokens), ("min_count", min_count), ("dimensions", dimensions)):
        if count is not None:
            at_least_one(name, count)
    if type(remove) is not int or not 0 <= remove < width:
        raise ConfigError("no such number of components to remove", got=remove, expected=f"0 … {width - 1}")
    if dimensions is not None and dimensions + remove > width:
        raise ConfigError(
            "the run's vectors have fewer dimensions",
            got=f"{dimensions} dimensions" + (f" after {remove} removed ones" if remove else ""),
            expected=f"at most {width - remove}",
        )
    if type(sif) not in (int, float) or not math.isfinite(sif) or sif < 0:
        raise ConfigError("sif must be zero or above", got=sif, expected="such as 1e-4; 0 for no weights")


def _dimensions(asked: int | None, remove: int, width: int, words: int) -> int:
    """The dimensions of a vector: what was asked for, or as many as there can be.

    Raises:  ConfigError: there are fewer words than dimensions.
    """
    most = min(width, words) - remove
    if most < 1 or (asked is not None and asked > most):
        raise ConfigError(
            "there are fewer words than dimensions",
            got=f"{words:,} words",
            expected=f"at least {(asked or 1) + remove:,}",
            fix=f"--dimensions {most}" if most > 0 else "more words" + (", or --remove 0" if remove else ""),
        )
    return min(DIMENSIONS, most) if asked is None else asked


@dataclass(frozen=True, eq=False)
class _Vocabulary:
    """The words of the static run.

    Args:
        tokenizer: of the static run.
        ids: of the words that get a vector.
        pieces: the ids that the contextual run reads for each of them by itself.
        spelled: for a run that reads letters, what each piece is.
        notes: words that were left out.
    Shapes:  ids: (N,)
    """

    tokenizer: Tokenizer
    ids: IntArray
    pieces: list[list[int]]
    spelled: list[list[str]] | None = None
    notes: tuple[str, ...] = ()


def _vocabulary(
    loaded: Loaded, words: Any, corpus: Corpus | None, min_count: int, text: TextConfig
) -> _Vocabulary:
    """Raises:  InputError: no words, or none that the run knows.  ConfigError: "corpus" without a corpus."""
    if words is None:
        own = loaded.tokenizer
        ids = [
            i
            for i in range(own.vocab_size)
            if i not in own.special_ids and not _UNUSED.fullmatch(own.token(i))
        ]
        return _Vocabulary(own, np.array(ids, np.int64), [[i] for i in ids])
    names = [
        name for name in dict.fromkeys(_named(words, corpus, min_count, text)) if name not in SPECIAL_TOKENS
    ]
    spelled: list[list[str]] | None = None
    if loaded.reads_letters:
        tokens = loaded.tokenizer.encode_batch(names)
        spelled = [words_of(name, t)[: loaded.max_content] for name, t in zip(names, tokens, strict=True)]
        pieces = [t.ids[: loaded.max_content] for t in tokens]
        known = [i for i, ids in enumerate(pieces) if ids]
    else:
        pieces = [loaded.tokenizer.lookup(name)[: loaded.max_content] for name in names]
        known = [i for i, ids in enumerate(pieces) if ids and loaded.tokenizer.unk_id not in ids]
    if not known:
        raise InputError(
            "the run's vocabulary knows none of the words",
            got=f"{len(names):,} words" + (f", {names[0]!r} first" if names else ""),
            fix="words of the language and the spelling that the run was trained on",
        )
    left = len(names) - len(known)
    return _Vocabulary(
        tokenizer_of([names[i] for i in known]),
        len(SPECIAL_TOKENS) + np.arange(len(known)),
        [pieces[i] for i in known],
        spelled and [spelled[i] for i in known],
        (f"{left:,} words were left out: the run's vocabulary does not know them",) if left else (),
    )


def _named(words: Any, corpus: Corpus | None, min_count: int, text: TextConfig) -> Iterable[str]:
    """The words that were asked for, frequent ones first where they come from a corpus."""
    if isinstance(words, str) and words == "corpus":
        if corpus is None:
            raise ConfigError(
                "words of a corpus, and no corpus is named", fix="--corpus FILE, or --words FILE"
            )
        config = TokenizerConfig(kind="words", min_count=min_count)
        trained = train_tokenizer(corpus.samples(config.sample_bytes, 0, frozenset()), config, 0)
        return [trained.token(i) for i in range(len(SPECIAL_TOKENS), trained.vocab_size)]
    if isinstance(words, str | Path):
        lines = read_lines(path_of(words, "words"), text, CleaningReport())
        return [word for line in lines if (word := line.partition("\t")[0].strip())]
    if not all(isinstance(word, str) for word in words):
        raise InputError("words must be strings", fix='a list of words, the name of a file, or "corpus"')
    return [word.strip() for word in words if word.strip()]


def _mean(layers: Sequence[Tensor]) -> Tensor:
    return layers[0] if len(layers) == 1 else torch.stack(list(layers)).mean(0)


@torch.inference_mode()
def _alone(
    loaded: Loaded, vocabulary: _Vocabulary, numbers: tuple[int, ...], reporter: Reporter
) -> Float32Array:
    """The vector of every word as a text of its own, pooled as the run pools texts.  Shapes: -> (N, hidden_size)"""
    pooling = replace(Pooling.of(loaded), normalize=False, truncate_dim=None)
    pieces = vocabulary.pieces
    vectors = np.zeros((len(pieces), int(loaded.encoder.config.hidden_size)), np.float32)
    encoder, done = packed(loaded.encoder), 0
    for batch, layers in hidden_states(loaded, pieces, vocabulary.spelled, numbers, encoder):
        lengths = [len(pieces[i]) for i in batch]
        vectors[batch] = pooling.join(_mean(layers), lengths, loaded.separator_counts)
        done += len(batch)
        reporter.stage("reading words", done, len(pieces))
    return vectors


class _Passage(NamedTuple):
    """Tokens that are read together, and the words among them.

    Shapes:  ids: T.  words, first, behind: (U,), of each use the word and its tokens [first, behind)
    """

    ids: list[int]
    spelled: list[str]
    words: IntArray
    first: IntArray
    behind: IntArray


def _in_corpus(
    loaded: Loaded,
    vocabulary: _Vocabulary,
    corpus: Corpus,
    numbers: tuple[int, ...],
    most: int | None,
    reporter: Reporter,
) -> tuple[Float32Array, Float64Array, dict[str, Any]]:
    """The mean over the uses of every word, its share of the text, and what was read.

    Shapes:  -> (N, hidden_size), (N,)
    """
    size, width = vocabulary.tokenizer.vocab_size, int(loaded.encoder.config.hidden_size)
    known = np.zeros(size, np.bool_)
    known[vocabulary.ids] = True
    sums = torch.zeros(size, width)
    counts, read = np.zeros(size, np.int64), np.zeros(size, np.int64)
    done, seen, taken, total = (
        0,
        0,
        0,
        corpus.estimated_bytes(),
    )  # bytes; tokens of all passages, of those that are read
    for texts in windows(document.text for document in corpus.documents(CleaningReport())):
        span = sum(len(t.encode("utf-8", "replace")) for t in texts)
        passages = list(_passages(loaded, vocabulary.tokenizer, known, texts))
        here = sum(len(p.ids) for p in passages)
        # the share of the corpus that is read, by how many tokens its bytes have been so far
        share = (
            1.0
            if most is None
            else min(1.0, most / max(1.0, (seen + here) / (done + span) * max(total, done + span)))
        )
        chosen = []
        for passage in passages:
            np.add.at(counts, passage.words, 1)
            seen += len(passage.ids)
            if taken < share * seen:
                np.add.at(read, passage.words, 1)
                taken += len(passage.ids)
                chosen.append(passage)

        def progress(part: float, done: int = done, span: int = span) -> None:
            reporter.stage("reading uses", done + part * span, total)

        _add_uses(loaded, chosen, numbers, sums, progress)
        done += span
    ids = vocabulary.ids
    met: BoolArray = read[ids] > 0
    if not met.any():
        raise CorpusError(
            "the corpus holds none of the words",
            got=f"{len(ids):,} words",
            where=", ".join(str(file.path) for file in corpus.files[:3]),
            fix="text in the language of the run, or --words corpus",
        )
    times = torch.from_numpy(np.maximum(read[ids], 1))
    vectors: Float32Array = (sums[torch.from_numpy(ids)] / times[:, None]).numpy()
    way: dict[str, Any] = {
        "way": "uses in a corpus",
        "corpus": [str(file.path) for file in corpus.files[:8]],
        "shares": "corpus",
        "tokens_read": taken,
    }
    if not met.all():
        alone = _alone(loaded, vocabulary, numbers, reporter)
        vectors[~met] = alone[~met] + (vectors[met] - alone[met]).mean(0)
        way["notes"] = [f"{int((~met).sum()):,} words have no use in the corpus: they were read alone"]
    return vectors, _shares(counts[ids]), way


def _passages(
    loaded: Loaded, tokenizer: Tokenizer, known: BoolArray, texts: Sequence[str]
) -> Iterator[_Passage]:
    """Texts in passages that begin with a word, and the uses of known words that lie whole in one."""
    most = min(loaded.max_content, PASSAGE - sum(loaded.separator_counts))
    own = tokenizer is loaded.tokenizer
    read = loaded.tokenizer.encode_batch(texts)
    for text, tokens, units in zip(texts, read, read if own else tokenizer.encode_batch(texts), strict=True):
        words = np.array(units.ids, np.int64)
        first = np.arange(len(words))
        behind = first + 1
        if not own and len(tokens) and len(units):
            first, behind = meeting(np.array(tokens.offsets), np.array(units.offsets))
        spelled = words_of(text, tokens) if loaded.reads_letters else []
        use = known[words] & (first < behind)
        words, first, behind = words[use], first[use], behind[use]
        start = 0
        while start < len(tokens):
            end = min(start + most, len(tokens))
            while start + most // 2 < end < len(tokens) and not tokens.word_starts[end]:
                end -= 1
            a, b = np.searchsorted(first, [start, end]).tolist()
            whole = behind[a:b] <= end
            if whole.any():
                inside = words[a:b][whole], first[a:b][whole] - start, behind[a:b][whole] - start
                yield _Passage(tokens.ids[start:end], spelled[start:end], *inside)
            start = end


@torch.inference_mode()
def _add_uses(
    loaded: Loaded,
    passages: Sequence[_Passage],
    numbers: tuple[int, ...],
    sums: Tensor,
    progress: Callable[[float], None],
) -> None:
    """Add the vector of every use to the sum of its word.  Shapes: sums: (V, hidden_size)"""
    encoder, done = packed(loaded.encoder), 0
    ids, spelled = [p.ids for p in passages], [p.spelled for p in passages] if loaded.reads_letters else None
    for batch, layers in hidden_states(loaded, ids, spelled, numbers, encoder):
        states = _mean(layers).float()  # (B, T, hidden_size)
        begins = [row * states.size(1) + loaded.prefix_length for row in range(len(batch))]
        chosen = [passages[i] for i in batch]
        first = np.concatenate([p.first + begin for p, begin in zip(chosen, begins, strict=True)])
        length = np.concatenate([p.behind - p.first for p in chosen])
        word = np.concatenate([p.words for p in chosen])
        use = np.repeat(np.arange(len(word)), length)  # of every token of every use
        token = np.arange(len(use)) + (first - (np.cumsum(length) - length))[use]
        rows = states.flatten(0, 1)[torch.from_numpy(token)]
        rows /= torch.from_numpy(length[use])[:, None]
        sums.index_add_(0, torch.from_numpy(word[use]), rows)
        done += len(batch)
        progress(done / len(passages))


def principal_components(
    vectors: Float32Array, dimensions: int, remove: int = 0
) -> tuple[Float32Array, float]:
    """The coordinates of vectors on their principal components, the first of them left out.

    Returns them and the share of the variance that they keep.
    Shapes:  (N, D) -> (N, dimensions), dimensions + remove being at most N and D
    """
    centred = vectors - vectors.mean(0, dtype=np.float64).astype(np.float32)
    variance, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    variance, axes = np.maximum(variance[::-1], 0.0), axes[:, ::-1]
    chosen = slice(remove, remove + dimensions)
    axes = axes[:, chosen] * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])[chosen]
    share = float(variance[chosen].sum() / max(variance.sum(), 1e-30))
    return np.ascontiguousarray(centred @ axes.astype(np.float32)), share


def zipf_shares(n: int) -> Float64Array:
    """The shares of n words in the order of their frequency: proportional to 1 / (rank + 1).  Shapes: -> (n,)"""
    shares: Float64Array = 1.0 / np.arange(2.0, n + 2.0)
    shares /= shares.sum()
    return shares


def _shares(counts: IntArray) -> Float64Array:
    shares: Float64Array = counts / max(int(counts.sum()), 1)
    return shares


def sif_weights(shares: Float64Array, a: float) -> Float32Array:
    """Weights a / (a + p), all one where a is 0.  Shapes: (N,) -> (N,)"""
    weights: Float64Array = a / (a + shares) if a else np.ones_like(shares)
    return weights.astype(np.float32)
