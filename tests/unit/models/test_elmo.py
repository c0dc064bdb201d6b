from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyseme.core.types import Batch
from polyseme.data.examples import Example
from polyseme.data.loader import collate, special_tokens, to_batch
from polyseme.errors import ConfigError, InputError
from polyseme.infer.loaded import words_of
from polyseme.infer.model import Model
from polyseme.infer.neighbours import neighbours
from polyseme.models.elmo import ElmoConfig
from polyseme.objectives.bidirectional_lm import BidirectionalLM, BidirectionalLMConfig
from polyseme.text.config import TokenizerConfig
from polyseme.text.training import train_tokenizer
from polyseme.train.run import RunDirectory
from small import VOCABULARY, make_encoder

SPECIAL = special_tokens(VOCABULARY, 0, 2, 3, 4, [0, 1, 2, 3, 4])


def example(length: int, seed: int) -> Example:
    ids = np.random.default_rng(seed).integers(5, VOCABULARY, length)
    ids[0], ids[-1] = 2, 3
    return Example(ids, np.zeros(length, np.int64), np.ones(length, np.bool_))


def packed_batch(objective: BidirectionalLM) -> Batch:
    rows = [[example(12, 1), example(9, 2)], [example(21, 3)], [example(5, 4), example(11, 5)]]
    return to_batch(collate(rows, 21, SPECIAL), [objective])


@pytest.mark.parametrize("input", ["characters", "words", "both"])
def test_changing_a_word_does_not_change_the_scores_that_predict_it(input: str) -> None:
    objective = BidirectionalLM(BidirectionalLMConfig(samples=0), SPECIAL, seed=0)
    batch = packed_batch(objective)
    encoder = make_encoder("elmo", input=input).eval()
    head = objective.build_head(encoder)
    positions = batch.targets["bidirectional_lm"].positions
    width = encoder.config.hidden_size // 2

    def scores(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = encoder.encode(replace(batch, ids=ids)).last.reshape(-1, 2 * width)
        n = len(positions) // 2
        return head(h[positions[:n], :width]), head(h[positions[n:], width:])

    words = positions[: len(positions) // 2] + 1
    assert torch.equal(words, positions[len(positions) // 2 :] - 1)  # every word, once from each side
    with torch.no_grad():
        before = scores(batch.ids)
        for place in range(0, len(words), 3):
            ids = batch.ids.clone().flatten()
            ids[words[place]] = 5 + (ids[words[place]] - 4) % (VOCABULARY - 5)
            after = scores(ids.view_as(batch.ids))
            for a, b in zip(before, after, strict=True):
                torch.testing.assert_close(b[place], a[place], atol=1e-6, rtol=0)
            assert any(not torch.allclose(a, b, atol=1e-4) for a, b in zip(before, after, strict=True))


def test_each_half_of_every_layer_sees_one_side_and_its_own_example() -> None:
    encoder = make_encoder("elmo").eval()
    batch = to_batch(collate([[example(12, 1), example(12, 2), example(8, 3)]], 32, SPECIAL), [])
    width = encoder.config.hidden_size // 2
    changed = batch.ids.clone()
    changed[0, 17] = 5 if int(changed[0, 17]) != 5 else 6  # in the second example, places 12 … 23
    with torch.no_grad():
        before = encoder.encode(batch, keep="all").layers
        after = encoder.encode(replace(batch, ids=changed), keep="all").layers
    for k, (a, b) in enumerate(zip(before, after, strict=True)):
        moved = (a - b).abs() > 1e-6
        forward = moved[0, :, :width].any(1).nonzero().flatten().tolist()
        backward = moved[0, :, width:].any(1).nonzero().flatten().tolist()
        if k == 0:
            assert forward == backward == [17]
        else:
            assert forward == list(range(17, 24))
            assert backward == list(range(12, 18))


def test_layer_0_is_the_word_twice() -> None:
    encoder = make_encoder("elmo").eval()
    first = encoder.encode(to_batch(collate([[example(12, 1)]], 12, SPECIAL), []), keep="all").layers[0]
    assert torch.equal(first[..., :16], first[..., 16:])


def test_words_of_a_batch_equal_words_one_by_one() -> None:
    """Unique words of a large batch against every word of a vocabulary and each token by itself."""
    encoder = make_encoder("elmo", input="both").eval()
    ids = torch.tensor([[7, 9, 7], [60, 9, 2]])
    together = encoder.words(ids)
    alone = torch.stack([encoder.words(i.view(1, 1))[0, 0] for i in ids.flatten()]).view(2, 3, -1)
    everything = encoder.words(torch.arange(VOCABULARY).repeat(2))[ids]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together, everything, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("input", ["characters", "both"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the cat sat and ran on", ("tac", "nas", "tac", "TAC", "tach")),
        ("北京 天气 北方 气温 天空", ("天", "北", "天", "天", "气")),
    ],
)
def test_a_word_outside_the_vocabulary_has_a_vector_of_its_own(
    input: str, text: str, words: tuple[str, ...]
) -> None:
    tokenizer = train_tokenizer([text] * 9, TokenizerConfig(kind="words"), 0)
    encoder = make_encoder("elmo", input=input, vocab_size=tokenizer.vocab_size).eval()
    encoder.read_vocabulary([tokenizer.token(i) for i in range(tokenizer.vocab_size)])
    special = special_tokens(
        tokenizer.vocab_size, tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id, [0, 1, 2, 3, 4]
    )  # fmt: skip
    nothing: Any = None
    loaded = Model(nothing, encoder, {}, tokenizer, nothing, special)
    known = tokenizer.token(5)
    texts = [f"{known} {word} {known}" for word in words]
    tokens = tokenizer.encode_batch(texts)
    assert all(t.ids[1] == tokenizer.unk_id for t in tokens)
    with torch.no_grad():
        batch = loaded.batch(
            [t.ids for t in tokens], [words_of(s, t) for s, t in zip(texts, tokens, strict=True)]
        )
        vectors = encoder.encode(batch, keep="all").layers[0][:, 2]
        blind = encoder.encode(loaded.batch([tokens[0].ids]), keep="all").layers[0][0, 2]
    assert torch.equal(vectors[0], vectors[2])
    torch.testing.assert_close(vectors[0], vectors[3])  # the vocabulary folds case
    assert not torch.allclose(vectors[0], vectors[1], atol=1e-3)
    assert not torch.allclose(vectors[0], vectors[4], atol=1e-3)
    assert not torch.allclose(vectors[0], blind, atol=1e-3)


@pytest.mark.parametrize("input", ["characters", "both", "words"])
def test_neighbours_of_a_word_that_is_not_in_the_vocabulary(input: str, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["the elephant sat on 北京天气"] * 9, TokenizerConfig(kind="words"), 0)
    size = tokenizer.vocab_size
    encoder = make_encoder("elmo", input=input, vocab_size=size, max_characters=7).eval()
    encoder.read_vocabulary([tokenizer.token(i) for i in range(size)])
    special = special_tokens(size, *(tokenizer.special_ids[i] for i in (0, 2, 3, 4)), [0, 1, 2, 3, 4])
    nothing: Any = None
    loaded = Model(RunDirectory(tmp_path, {}), encoder, {}, tokenizer, nothing, special)
    known = neighbours(loaded, "elephant", top=3)
    if input == "words":
        with pytest.raises(InputError, match="not in the vocabulary"):
            neighbours(loaded, "elephantine")
        return
    found = neighbours(loaded, "Elephantine", top=3)  # of which as many letters are read as of "elephant"
    assert [n["similarity"] for n in found] == sorted((n["similarity"] for n in found), reverse=True)
    assert "[UNK]" not in [n["word"] for n in found]
    if input == "characters":
        assert found[0] == {"word": "elephant", "similarity": pytest.approx(1.0, abs=1e-5)}
        assert [n["word"] for n in found[1:]] == [n["word"] for n in known[:2]]
    assert neighbours(loaded, "quite unheard of") != found
    assert neighbours(loaded, "☃")
    with pytest.raises(InputError, match="not in the vocabulary"):
        neighbours(loaded, " ")


def test_special_tokens_have_characters_of_their_own() -> None:
    encoder = make_encoder("elmo")
    table = encoder.words.table
    rows = {tuple(row.tolist()) for row in table[:5]}
    assert len(rows) == 5
    assert not (set(table[:5, 1].tolist()) & set(table[5:].unique().tolist()))


def test_filters_must_be_sizes() -> None:
    with pytest.raises(ConfigError, match="filters"):
        ElmoConfig.of({"filters": [[0, 4]]}, "[model]")
