"""A run's words for gensim: `KeyedVectors` in memory, without a file between.

    from polyseme.gensim import to_keyed_vectors
    to_keyed_vectors(polyseme.load("runs/w2v")).most_similar("king")

Needs the extra `gensim`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from polyseme.errors import ConfigError
from polyseme.infer.load import Loaded
from polyseme.train.card import has_neighbours

__all__ = ["to_keyed_vectors"]


def to_keyed_vectors(loaded: Loaded) -> Any:
    """The static vectors of a run's words, as they were learned, under the words' written forms.

    Left out are special tokens and pieces that only go on a word, as in `neighbours`, and of entries that are written
    alike ("the" and " the" of byte-bpe) all but the first. A phrase's words are joined by "_", as gensim's own are.

    Args:
        loaded: a run whose encoder has input embeddings: word2vec, elmo with a table of words, bert, gpt …
    Returns a `gensim.models.KeyedVectors`, words in the order of their ids, float32.
    Raises:  ConfigError: gensim is not installed, or the run's words are neither near nor far from each other.
    """
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise ConfigError("gensim is not installed", fix="pip install 'polyseme[gensim]'") from None
    if not has_neighbours({"objectives": loaded.recipe.objectives}):
        raise ConfigError(
            "every two words of this run are equally far apart",
            got=loaded.recipe.architecture,
            expected="a run that learned vectors, such as word2vec",
            where=loaded.run.path,
        )
    hidden = loaded.special.special | loaded.tokenizer.continues
    ids: dict[str, int] = {}
    for i in np.flatnonzero(~hidden).tolist():
        word = "_".join(loaded.tokenizer.display(i).split())
        if word:
            ids.setdefault(word, i)
    weight = loaded.encoder.token_embedding().weight.detach().float().cpu().numpy()
    vectors = KeyedVectors(weight.shape[1], dtype=np.float32)
    vectors.add_vectors(list(ids), weight[list(ids.values())])
    return vectors
