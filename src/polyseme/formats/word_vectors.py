r"""Word vectors that others trained: word2vec's text and binary files and GloVe's text, read into `word2vec` runs.

    word2vec text     "400000 300", then a line a word: the word, a space, its numbers
    GloVe text        the same without the first line
    word2vec binary   "400000 300", then for each word: itself, a space, its numbers as 4-byte floats, perhaps "\n"

Each may be gzipped. The words keep their order, which in these files goes from frequent to rare; of a word that is
there twice the first vector counts. The five special tokens come before the words and have zero vectors. An entry like
new_york becomes the phrase "new york" where both its words are entries, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from polyseme.core.reporter import NullReporter, Reporter
from polyseme.formats._vector_files import WordVectors, begins_like_vectors, read
from polyseme.formats.imported import Imported, file_digests
from polyseme.text.encodings import check_name
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import from_words
from polyseme.text.words import TOKEN_PATTERN

__all__ = ["WordVectors", "detect", "import_word_vectors", "read_word_vectors", "tokenizer_of"]

_PHRASE = re.compile(r"[^_ ]+(?:_[^_ ]+)+")
_SAMPLE = 20_000  # words that decide how texts are cut
_WHOLE = 0.9


def detect(path: Path) -> bool:
    """Whether something is a file of word vectors, by its first line."""
    return path.is_file() and begins_like_vectors(path)


def read_word_vectors(
    path: Path | str, reporter: Reporter | None = None, encoding: str | None = None
) -> WordVectors:
    """Read a file of word vectors; beside the result, memory does not grow with the file.

    Args:
        path: the file; what it is shows in its content.
        reporter: told of the progress.
        encoding: of the words; None = UTF-8.
    Raises:  CheckpointError: it is no such file, is cut off, holds more or fewer vectors than it says, a line of
        another length, a number that is infinite or none, or more than a few words that are not in the encoding; it
        names the place.  ConfigError: no such encoding.
    """
    return read(Path(path), reporter or NullReporter(), check_name(encoding or "utf-8"))


def import_word_vectors(
    path: Path | str, reporter: Reporter | None = None, encoding: str | None = None
) -> Imported:
    """Read a file of word vectors as a `word2vec` model.

    Args:
        path: the file; what it is shows in its content.
        reporter: told of the progress.
        encoding: of the words; None = UTF-8.
    Raises:  CheckpointError, ConfigError: see `read_word_vectors`.
    """
    path = Path(path)
    found = read_word_vectors(path, reporter, encoding)
    rows, width = found.table.shape
    return Imported(
        architecture="word2vec",
        model={"vocab_size": rows, "hidden_size": width},
        objectives=[],
        tensors={"encoder.word_embeddings.weight": torch.from_numpy(found.table)},
        tokenizer=tokenizer_of(found.words),
        source={
            "kind": found.kind,
            "path": str(path),
            "files": file_digests(path.parent, [path.name]),
            "words": len(found.words),
            "repeated": found.repeated,
            **({"notes": notes} if (notes := _notes(found)) else {}),
        },
    )


def _notes(found: WordVectors) -> list[str]:
    """What was left out or written in another way."""
    notes = []
    if found.repeated:
        notes.append(f"{found.repeated:,} entries were left out: the same word had come before")
    if found.undecoded:
        notes.append(
            f"{len(found.undecoded):,} entries were left out: their words are no text in the file's encoding "
            f"({', '.join(found.undecoded[:3])}{' …' if len(found.undecoded) > 3 else ''})"
        )
    if found.spaced:
        notes.append(f"{found.spaced:,} words held spaces, which became _")
    return notes


def tokenizer_of(words: Sequence[str]) -> Tokenizer:
    """A word-level tokenizer whose entries are the five special tokens and then these words.

    Texts are cut into words and marks, or at spaces where more than a tenth of the words would fall apart; they are
    lower-cased where no word has a capital letter.
    """
    some = words[:_SAMPLE]
    whole = sum(re.fullmatch(TOKEN_PATTERN, word) is not None for word in some if "_" not in word)
    single = sum("_" not in word for word in some)
    kind = "words" if whole >= _WHOLE * single else "spaces"
    lowercase = all(word == word.lower() for word in words)
    return Tokenizer(from_words(_with_phrases(words), kind, lowercase))


def _with_phrases(words: Sequence[str]) -> list[str]:
    """The words, with spaces in those that are phrases of others."""
    known = set(words)
    result = []
    for word in words:
        if "_" in word and _PHRASE.fullmatch(word) and known.issuperset(word.split("_")):
            spaced = word.replace("_", " ")
            word = word if spaced in known else spaced
        result.append(word)
    return result
