"""A run's words for gensim: `KeyedVectors` in memory, without a file between.

    from polyseme.gensim import to_keyed_vectors
    to_keyed_vectors(polyseme.load("runs/w2v")).most_similar("king")

Needs the extra `gensim`.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from polyseme.errors import ConfigError
from polyseme.formats.static import static_vectors
from polyseme.infer.inputs import check_loaded
from polyseme.infer.loaded import Loaded

__all__ = ["to_keyed_vectors"]


def to_keyed_vectors(loaded: Loaded) -> Any:
    """The static vectors of a run's words, as they were learned, under the words' written forms.

    They are those that `polyseme export RUN word2vec` writes: without special tokens and pieces that only go on a word;
    of entries that are written alike ("the" and " the" of byte-bpe) the first; phrases joined by "_".

    Args:
        loaded: a run whose encoder has dense input embeddings: word2vec, elmo, bert, gpt …
    Returns a `gensim.models.KeyedVectors`, words in the order of their ids, float32.
    Raises:  InputError: not a loaded run.  ConfigError: gensim is not installed, or the run's vectors are sparse.
    """
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise ConfigError("gensim is not installed", fix="pip install 'polyseme[gensim]'") from None
    check_loaded(loaded)
    words, table = static_vectors(cast("Any", loaded))  # a run in memory has all that it reads
    vectors = KeyedVectors(table.shape[1], dtype=np.float32)
    vectors.add_vectors(words, table)
    return vectors
