"""`score` with detail: the nats of every token and where it stands."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from decoding import make_loaded
from polyseme.core.result import Result
from polyseme.infer.fill import fill
from polyseme.infer.score import score, score_continuations, score_file
from polyseme.report.results import page_of

LINES = ["the cat sat", "", "北京", "on the mat and a good day " * 9, "zzz cat", "the cat sat on a mat"]


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe"])
@pytest.mark.parametrize("model", ["gpt", "qwen3", "bert", "elmo"])
def test_the_tokens_add_up_and_stand_where_they_stand(model: str, kind: str) -> None:
    loaded = make_loaded(model, "words" if model == "elmo" else kind)
    plain = score(loaded, LINES)
    for line, one, scoring in zip(LINES, plain, score(loaded, LINES, detail=True), strict=True):
        assert one.token_scores is None
        assert (scoring.text, scoring.score.log_likelihood) == (line, one.log_likelihood)
        tokens = scoring.score.token_scores
        assert tokens is not None
        assert -math.fsum(token.nats for token in tokens) == pytest.approx(one.log_likelihood, abs=1e-9)
        assert [(t.start, t.end) for t in tokens] == loaded.tokenizer.encode(line).offsets[-len(tokens) :]
        assert len(tokens) == one.tokens


@pytest.mark.parametrize("model", ["gpt", "qwen3"])
def test_a_decoder_scores_a_token_by_what_stands_before_it(model: str) -> None:
    loaded = make_loaded(model)
    whole = score(loaded, "the cat sat on a mat", end=True, detail=True).score.token_scores or ()
    part = score(loaded, "the cat sat", detail=True).score.token_scores or ()
    assert [t.nats for t in whole[: len(part)]] == pytest.approx([t.nats for t in part], abs=1e-4)
    assert (whole[-1].start, whole[-1].end) == (20, 20)  # the end of the text
    behind = score_continuations(loaded, "the cat sat", " on a mat", end=True, detail=True)
    tokens = behind.score.token_scores or ()
    assert [t.nats for t in tokens] == pytest.approx([t.nats for t in whole[len(part) :]], abs=1e-4)
    assert [(t.start, t.end) for t in tokens] == [
        (max(0, t.start - 11), t.end - 11) for t in whole[len(part) :]
    ]


def test_a_masked_model_scores_a_token_as_fill_does_when_it_is_hidden() -> None:
    loaded = make_loaded("bert")
    text = "the cat sat on a mat"
    for token in score(loaded, text, detail=True).score.token_scores or ():
        (mask,) = fill(loaded, text, hide=[(token.start, token.end)], detail=True).masks
        assert mask["original"]["nats"] == pytest.approx(token.nats, abs=1e-4)


def test_of_a_two_way_model_both_directions_count() -> None:
    """A token's own nats change when what stands behind it does, and when what stands before it does."""
    loaded = make_loaded("elmo", "words")

    def cat(text: str) -> float:
        tokens = score(loaded, text, detail=True).score.token_scores or ()
        return next(t.nats for t in tokens if text[t.start : t.end] == "cat")

    nats = {text: cat(text) for text in ("the cat sat", "the cat on", "on cat sat")}
    assert len({round(value, 3) for value in nats.values()}) == 3


@pytest.mark.parametrize("context", [None, "the cat"])
def test_lines_of_a_file_have_places_of_their_own(tmp_path: Path, context: str | None) -> None:
    loaded = make_loaded("gpt")
    file = tmp_path / "lines.txt"
    file.write_text("sat on a mat\n\nthe cat\n", "utf-8")
    plain = dict(score_file(loaded, file, context=context))
    found = dict(score_file(loaded, file, context=context, detail=True, end=False))
    for line, one in found.items():
        tokens = one.token_scores or ()
        assert [line[t.start : t.end] for t in tokens] == line.split()
        assert one.log_likelihood == pytest.approx(plain[line].log_likelihood, abs=1e-5)
        assert set(one.as_dict()) == {*plain[line].as_dict(), "token_scores"}


def test_the_result_is_one_of_the_house() -> None:
    loaded = make_loaded("gpt")
    scoring = loaded.score("the cat sat on a mat", end=True, detail=True)
    assert isinstance(scoring, Result)
    assert [row["token"] for row in scoring.rows()] == ["the", "cat", "sat", "on", "a", "mat", ""]
    assert set(scoring.document()) == {
        *("text", "kind", "log_likelihood", "tokens", "per_token", "unknown", "token_scores")
    }
    lines = str(scoring).split("\n")
    assert lines[0].startswith("Log-likelihood: -")
    assert lines[2].split() == ["the", "cat", "sat", "on", "a", "mat", "(end)"]
    assert [float(word) for word in lines[3].split()] == [round(row["nats"], 1) for row in scoring.rows()]
    page = page_of(scoring, "zh").html()
    assert "对数似然" in page
    assert page.count("<small>") == 7
    long = loaded.score("the cat sat on a mat " * 8, detail=True)
    assert max(map(len, page_of(long).text(60).split("\n"))) <= 60
    assert loaded.score(["the cat"], context="on", detail=True)[0].text == "the cat"
