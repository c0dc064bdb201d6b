"""`fill` with detail: entropy, rank and nats, hidden words, and holes of several masks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from decoding import make_loaded
from polyseme.cli import main
from polyseme.core.result import Result
from polyseme.errors import ConfigError, InputError
from polyseme.infer.fill import fill
from polyseme.infer.model import Model
from polyseme.report.results import page_of

TEXT = "the cat sat on the mat"


@pytest.fixture(scope="module")
def bert() -> Model:
    return make_loaded("bert")


def distribution(model: Model, masked: str) -> dict[str, float]:
    """Every token's probability at the first mask."""
    return {c["token"]: c["probability"] for c in fill(model, masked, 1000)[0]["candidates"]}


def test_a_hidden_word_is_a_mask_that_knows_what_stood_there(bert: Model) -> None:
    (hidden,) = fill(bert, TEXT, 4, hide="cat", detail=True).masks
    (written,) = fill(bert, "the [MASK] sat on the mat", 4)
    assert (hidden["position"], hidden["candidates"]) == (4, written["candidates"])
    assert fill(bert, TEXT, 4, hide=[(4, 7)]) == [written]
    shares = distribution(bert, "the [MASK] sat on the mat")
    rank = [*shares].index("cat") + 1
    assert hidden["original"] == {
        "token": "cat",
        "rank": rank,
        "nats": pytest.approx(-math.log(shares["cat"])),
    }


def test_entropy_is_that_of_the_heads_softmax(bert: Model) -> None:
    (mask,) = fill(bert, "the [MASK] sat", detail=True).masks
    tokens = bert.tokenizer.encode("the [MASK] sat", special=True)
    with torch.no_grad():
        hidden = bert.encoder.encode(bert.batch([tokens.ids])).at(torch.tensor([2]))
        p = torch.softmax(bert.masked_lm_head.logits(hidden).double(), dim=1)[0]
    assert mask["entropy"] == pytest.approx(float(-(p * p.log()).sum()), rel=1e-5)
    assert "original" not in mask


def test_every_place_of_a_word_is_hidden_and_the_others_stay_masks(bert: Model) -> None:
    first, second = fill(bert, TEXT, 1, hide="the", detail=True).masks
    assert (first["position"], second["position"]) == (0, 15)
    assert first["candidates"][0]["sequence"].endswith(" cat sat on [MASK] mat")
    assert second["candidates"][0]["sequence"].startswith("[MASK] cat sat on")
    written = fill(bert, "[MASK] cat sat on [MASK] mat", 1)
    assert [mask["candidates"] for mask in written] == [first["candidates"], second["candidates"]]


def test_a_word_that_the_vocabulary_does_not_know_has_no_rank(bert: Model) -> None:
    (mask,) = fill(bert, "the ☂ sat", hide="☂", detail=True).masks
    assert mask["original"] == {"token": "☂", "rank": None, "nats": None}


def both(model: Model, first: str, behind: str) -> dict[tuple[str, str], float]:
    """Products of probabilities of two masks side by side, the more certain one filled first."""
    left, right = (mask["candidates"] for mask in fill(model, f"{first}[MASK][MASK]{behind}", 1000))
    left_first = left[0]["probability"] >= right[0]["probability"]
    pairs = {}
    for candidate in left if left_first else right:
        token = candidate["token"]
        text = f"{first}{token}[MASK]{behind}" if left_first else f"{first}[MASK]{token}{behind}"
        for other, share in distribution(model, text).items():
            pair = (token, other) if left_first else (other, token)
            pairs[pair] = candidate["probability"] * share
    return pairs


def test_a_hole_of_two_is_filled_as_one() -> None:
    zh = make_loaded("bert", "characters")
    expected = both(zh, "北", "你")
    (hole,) = fill(zh, "北[MASK][MASK]你", 1000, whole=True, detail=True).masks
    best = sorted(expected, key=lambda pair: -expected[pair])[:5]
    assert [tuple(one["tokens"]) for one in hole["candidates"][:5]] == best
    assert [one["pseudo_likelihood"] for one in hole["candidates"][:5]] == pytest.approx(
        [expected[pair] for pair in best], rel=1e-4
    )
    assert hole["candidates"][0]["sequence"] == "北" + hole["candidates"][0]["token"] + "你"
    (hidden,) = fill(zh, "北京欢你", 1000, hide="京欢", whole=True, detail=True).masks
    assert hidden["candidates"] == hole["candidates"]
    assert hidden["entropies"] == hole["entropies"]
    assert hidden["masks"] == len(hidden["entropies"]) == 2
    stood = hidden["original"]
    assert stood["token"] == "京欢"
    assert stood["nats"] == pytest.approx(-math.log(expected["京", "欢"]), rel=1e-4)
    assert [one["token"] for one in hole["candidates"]][stood["rank"] - 1] == "京欢"


def test_pieces_of_a_word_are_joined(bert: Model) -> None:
    (hole,) = fill(bert, "the cat sat on [MASK] [MASK] .", 60, whole=True)
    assert set(hole) == {"position", "masks", "candidates"}
    joined = [c for c in hole["candidates"] if c["tokens"][1].startswith("##")]
    assert joined
    for candidate in joined:
        word = candidate["tokens"][0].removeprefix("##") + candidate["tokens"][1].removeprefix("##")
        assert candidate["token"] == word
        assert candidate["sequence"].endswith(f"{word} .")
    single = fill(bert, "the [MASK] sat", 3)
    assert fill(bert, "the [MASK] sat", 3, whole=True) == single


def test_the_result_is_one_of_the_house(bert: Model) -> None:
    result = fill(bert, TEXT, 3, hide="cat", detail=True)
    assert isinstance(result, Result)
    rows = result.rows()
    assert [row["original"] for row in rows] == [False, False, False, True]
    assert rows[0]["probability"] == pytest.approx(result.masks[0]["candidates"][0]["probability"])
    assert "Filling: 'the cat sat on the mat'" in repr(result)
    assert "stood there: rank" in str(result)
    assert "奈特" in page_of(result, "zh").html()
    whole = fill(bert, ["the [MASK] [MASK] sat"], 3, whole=True, detail=True)[0]
    assert "pseudo-likelihood" in str(whole)
    assert "伪似然" in page_of(whole, "zh").html()


@pytest.mark.parametrize(
    ("hide", "said"),
    [
        ("dog", "not in the text"),
        ("ca", "not in the text"),
        ("", "not in the text"),
        ([(3, 3)], "no such place"),
        ([(0, 99)], "no such place"),
        ([(3, 4)], "no token to hide"),
        ([5], "neither a word to hide nor its place"),
        ([(0, "a")], "neither a word to hide nor its place"),
        ([(0, 3, 5)], "neither a word to hide nor its place"),
        (None, "nothing that can be hidden"),
    ],
)
def test_what_is_not_there_cannot_be_hidden(bert: Model, hide: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        fill(bert, TEXT, hide=hide)


def test_a_word_is_found_as_uses_find_it(bert: Model) -> None:
    assert fill(bert, TEXT, 2, hide="Cat") == fill(bert, TEXT, 2, hide="cat")
    zh = make_loaded("bert", "characters")
    assert [mask["position"] for mask in fill(zh, "天气很好，天很好", 1, hide="天")] == [5]
    with pytest.raises(InputError, match="not in the text") as caught:
        fill(zh, "今天", 1, hide="天")
    assert caught.value.fix
    with pytest.raises(InputError, match="nothing to hide in an empty text") as caught:
        fill(bert, "", hide="cat")
    assert caught.value.fix


@pytest.mark.parametrize(
    "words", [["", "--hide", "bank"], ["the cat", "--hide", ""], ["今天", "--hide", "天"]]
)
def test_the_verb_says_what_to_try(
    bert: Model, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("polyseme.infer.model.load", lambda folder: bert)
    assert main(["fill", "run", *words]) == 2
    assert "try:" in capsys.readouterr().err


def test_a_decoder_hides_nothing() -> None:
    with pytest.raises(ConfigError, match="not trained to fill masks"):
        fill(make_loaded("gpt"), TEXT, hide="cat", detail=True)


def test_candidates_among_given_words(bert: Model) -> None:
    shares = distribution(bert, "the [MASK] sat")
    (mask,) = fill(bert, "the [MASK] sat", among=["mat", "cat", "mat"], detail=True).masks
    best = sorted(("mat", "cat"), key=lambda word: -shares[word])
    assert [c["token"] for c in mask["candidates"]] == best
    assert [c["probability"] for c in mask["candidates"]] == pytest.approx([shares[word] for word in best])
    assert mask["entropy"] == fill(bert, "the [MASK] sat", detail=True).masks[0]["entropy"]
    assert len(fill(bert, "the [MASK] sat", 1, among=["mat", "cat"])[0]["candidates"]) == 1
    for wrong in (["the cat"], ["☂"], ["[MASK]"], [3], [""]):
        with pytest.raises(InputError, match="a candidate must be"):
            fill(bert, "the [MASK] sat", among=wrong)  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="whole"):
        fill(bert, "the [MASK] sat", among=["cat"], whole=True)
