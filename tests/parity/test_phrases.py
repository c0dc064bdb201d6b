"""The first pass finds the phrases that gensim finds, and text is joined as gensim joins it."""

from __future__ import annotations

from pydoc_data.topics import topics

import numpy as np
import pytest

from polyseme.text.phrases import Discounted, Phrases, WordStream, learn_phrases
from polyseme.text.words import token_spans


@pytest.mark.parametrize(("threshold", "delta"), [(60.0, 5), (20.0, 3)])
def test_gensim(threshold: float, delta: int) -> None:
    from gensim.models.phrases import Phrases as GensimPhrases

    texts = [topics[name].lower() for name in sorted(topics)[:60]]
    cut = [[text[start:end] for start, end in token_spans(text)] for text in texts]
    # gensim joins across punctuation marks, so it is given what stands between them.
    sentences = [part.split() for words in cut for part in _between_marks(words)]
    stream = WordStream((" ".join(words) for words in sentences), str.split)
    known = sorted(stream.counts)
    ids, total = _ids(sentences, known)
    ours = learn_phrases(ids, total, 1, Discounted(threshold, float(delta)))

    peer = GensimPhrases(
        sentences, min_count=delta, threshold=1e-9, delimiter=" ", connector_words=frozenset()
    )
    # Its formula has the number of different words and pairs where the paper's program has that of all words.
    scale = total / len(peer.vocab)
    theirs = {
        pair: score * scale for pair, score in peer.export_phrases().items() if score * scale > threshold
    }
    assert len(ours) > 40
    assert {" ".join(known[i - 1] for i in pair) for pair in ours} == set(theirs)
    for pair, score in ours.items():
        assert score == pytest.approx(theirs[" ".join(known[i - 1] for i in pair)])

    peer.threshold = threshold / scale
    frozen = peer.freeze()
    entries = ["", *known, *sorted(theirs)]
    table = Phrases.of_vocabulary({entry: i for i, entry in enumerate(entries)})
    assert table is not None
    joined = table.join(ids.astype(np.int64), np.array([len(ids)])).ids
    expected = [[*frozen[words], ""] for words in sentences]
    assert [entries[i] for i in joined] == [token for words in expected for token in words]


def _between_marks(words: list[str]) -> list[str]:
    text = " ".join(word if word[0].isalnum() else "\n" for word in words)
    return [part for part in text.split("\n") if part.strip()]


def _ids(sentences: list[list[str]], known: list[str]) -> tuple[np.ndarray, int]:
    number = {word: i for i, word in enumerate(known, 1)}
    ids = np.array([i for words in sentences for i in [*(number[word] for word in words), 0]])
    return ids, sum(map(len, sentences))
