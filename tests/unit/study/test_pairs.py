"""Minimal pairs: ties, means over paradigms, intervals, a second run; and that speed changes no score."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoding import make_loaded
from polyseme.errors import ConfigError, CorpusError
from polyseme.infer import hidden, likelihood
from polyseme.infer.model import Model
from polyseme.infer.score import Score, score
from polyseme.study import pairs as study
from polyseme.study.pairs import pairs
from polyseme.tasks.metrics.intervals import wilson
from polyseme.text.tokens import Tokens

GOOD = ["the cat sat", "a good day", "one mat", "the mat and the cat", "two cat", "zzz mat", "a good day"]
BAD = ["the cat cat", "a day", "one day", "the cat and the mat", "two two two", "xxx mat", "a good day"]


def write(folder: Path, name: str, rows: Sequence[tuple[str, str, str, str]]) -> Path:
    file = folder / name
    lines = (
        json.dumps({"sentence_good": g, "sentence_bad": b, "UID": p, "linguistics_term": t})
        for g, b, p, t in rows
    )
    file.write_text("".join(line + "\n" for line in lines), "utf-8")
    return file


@pytest.fixture
def shorter_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scorer that is known: a nat for every token."""

    def known(loaded: Model, encoded: Sequence[Tokens], within_word: bool, masked: bool) -> list[Score]:
        return [Score(-float(len(t)), len(t), t.ids.count(loaded.tokenizer.unk_id)) for t in encoded]

    monkeypatch.setattr(study, "score_tokens", known)


@pytest.mark.usefixtures("shorter_is_better")
def test_a_known_scorer(tmp_path: Path) -> None:
    rows = [
        ("the", "the cat", "p", "x"),
        ("the", "the cat sat", "p", "x"),
        ("the cat", "the mat", "p", "x"),
        ("the cat", "the", "p", "x"),
        *[("the cat", "the", "q", "x")] * 4,
        ("zzz", "xxx", "r", "y"),
        ("the", "the cat", "r", "y"),
    ]
    found = pairs(make_loaded("gpt", "words"), [write(tmp_path, "a.jsonl", rows)])
    p, q, r = found.paradigms
    assert [one["accuracy"]["value"] for one in (p, q, r)] == [2.5 / 4, 0.0, 1.5 / 2]
    assert [one["ties"] for one in (p, q, r)] == [1, 0, 1]
    assert (p["accuracy"]["low"], p["accuracy"]["high"]) == wilson(2.5, 4)
    assert p["margin"]["value"] == pytest.approx((1 + 2 + 0 - 1) / 4)
    x, y = found.phenomena
    assert x["accuracy"]["value"] == pytest.approx(2.5 / 8)
    assert (x["paradigms"], x["pairs"], y["accuracy"]) == (2, 8, r["accuracy"])
    total = found.figures["accuracy"]
    assert total["value"] == pytest.approx((2.5 / 4 + 0 + 1.5 / 2) / 3)
    assert total["low"] < total["value"] < total["high"]
    assert found.same_tokens == 1  # both [UNK]
    assert (found.figures["unknown"], found.unknown_tokens) == (1, 2)
    assert any("different texts of the same tokens" in note for note in found.notes)
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert document["wrong"] == 5
    assert document["errors"][0]["where"].endswith("a.jsonl:4")
    assert document["kind"] == "log-likelihood"
    assert document["scoring"] is None
    assert len(found.pairs) == len(rows)


@pytest.mark.usefixtures("shorter_is_better")
def test_the_interval_is_that_of_a_stratified_bootstrap(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, variance, value = [], 0.0, 0.0
    for name, share, n in (("p", 0.9, 100), ("q", 0.4, 300)):
        right = rng.random(n) < share
        value += right.mean() / 2
        variance += right.var() / n / 4
        rows += [("the", "the cat", name, "x") if one else ("the cat", "the", name, "x") for one in right]
    found = pairs(make_loaded("gpt", "words"), [write(tmp_path, "a.jsonl", rows)], resamples=4000)
    total = found.figures["accuracy"]
    assert total["value"] == pytest.approx(value)
    assert total["high"] - total["low"] == pytest.approx(2 * 1.96 * variance**0.5, rel=0.08)


@pytest.mark.usefixtures("shorter_is_better")
def test_paradigms_of_one_pair_do_not_make_certain(tmp_path: Path) -> None:
    rows = [("the", "the cat", "p", "x"), ("the cat", "the", "q", "x")]
    found = pairs(make_loaded("gpt", "words"), [write(tmp_path, "a.jsonl", rows)])
    total = found.figures["accuracy"]
    assert (total["value"], (total["low"], total["high"])) == (0.5, wilson(1, 2))


def test_two_runs_are_compared_on_the_same_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def known(loaded: Model, encoded: Sequence[Tokens], within_word: bool, masked: bool) -> list[Score]:
        sign = -1.0 if loaded.recipe.architecture == "gpt" else 1.0
        return [Score(sign * len(t), len(t)) for t in encoded]

    monkeypatch.setattr(study, "score_tokens", known)
    rows = [("the", "the cat", "p", "x")] * 30 + [("the cat", "the", "p", "x")] * 10
    file = write(tmp_path, "a.jsonl", rows)
    gpt, elmo = make_loaded("gpt", "words"), make_loaded("elmo", "words")
    found = pairs(gpt, [file], against=elmo)
    total = found.figures
    assert total["accuracy"]["value"] == 0.75
    assert total["against"]["value"] == 0.25
    difference = total["difference"]
    assert difference["value"] == 0.5
    assert difference["low"] < 0.5 < difference["high"]
    assert max(difference["p"], difference["p_randomisation"]) < 0.01
    assert found.document()["against"]["model"] == "elmo"
    same = pairs(gpt, [file], against=gpt)
    assert same.figures["difference"]["value"] == 0
    assert same.figures["difference"]["p_randomisation"] == 1.0


@pytest.mark.parametrize(
    ("model", "kind"),
    [("bert", "wordpiece"), ("modernbert", "wordpiece"), ("gpt", "byte-bpe"), ("elmo", "words")],
)
def test_many_at_once_are_scored_as_one_by_one(
    tmp_path: Path, model: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is shared between texts in the plain form: one text a call, the encoder as it is."""
    loaded = make_loaded(model, kind)
    rows = [(g, b, "p", "x") for g, b in zip(GOOD, BAD, strict=True)]
    file = write(tmp_path, "a.jsonl", rows)
    found = []
    for size in (2048, 20):
        monkeypatch.setattr(hidden, "TOKENS_PER_BATCH", size)
        found.append(pairs(loaded, [file]).pairs)
    monkeypatch.setattr(likelihood, "packed", lambda encoder: encoder)
    within = model in ("bert", "modernbert")
    for rows_found in found:
        for one, good, bad in zip(rows_found, GOOD, BAD, strict=True):
            expected = [score(loaded, text, within_word=within).log_likelihood for text in (good, bad)]
            assert [one["good_score"], one["bad_score"]] == pytest.approx(expected, abs=1e-4)
        assert rows_found[-1]["margin"] == 0.0
        if model == "elmo":
            assert rows_found[5]["margin"] == 0.0  # both words are [UNK]


def test_a_window_that_two_texts_share_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded("bert", "words")
    read: list[int] = []
    encode = type(loaded.encoder).encode

    def counted(self: Any, batch: Any, *rest: Any, **options: Any) -> Any:
        read.append(len(batch.ids))
        return encode(self, batch, *rest, **options)

    monkeypatch.setattr(type(loaded.encoder), "encode", counted)
    pairs(loaded, [write(tmp_path, "a.jsonl", [("the cat sat", "the mat sat", "p", "x")])])
    assert sum(read) == 2 * 3 - 1
    read.clear()
    pairs(loaded, [write(tmp_path, "b.jsonl", [("the cat sat", "the cat sat", "p", "x")] * 3)])
    assert sum(read) == 3


def test_scoring_is_for_masked_models(tmp_path: Path) -> None:
    rows = [("the cat", "the mat mat", "p", "x")]
    file = write(tmp_path, "a.jsonl", rows)
    with pytest.raises(ConfigError, match="masked models alone"):
        pairs(make_loaded("gpt"), [file], scoring="original")
    bert = make_loaded("bert", "characters")
    assert pairs(bert, [file]).run["scoring"] == "within-word"
    margins = [
        pairs(bert, [file], scoring=scoring).pairs[0]["margin"] for scoring in ("original", "within-word")
    ]
    assert margins[0] != pytest.approx(margins[1], abs=1e-3)
    with pytest.raises(ConfigError, match="no such scoring"):
        pairs(bert, [file], scoring="both")  # type: ignore[arg-type]


def test_limit_and_errors(tmp_path: Path) -> None:
    rows = [("the cat", "the mat", name, "x") for name in "ppppqq"]
    file = write(tmp_path, "a.jsonl", rows)
    gpt = make_loaded("gpt")
    assert [one["pairs"] for one in pairs(gpt, [file], limit=3).paradigms] == [3, 2]
    with pytest.raises(ConfigError, match="limit"):
        pairs(gpt, [file], limit=0)
    with pytest.raises(CorpusError, match="no such file"):
        pairs(gpt, [tmp_path / "none.jsonl"])
    with pytest.raises(CorpusError, match="no file"):
        pairs(gpt, [])
    neither = make_loaded("bert")
    neither.heads.clear()
    with pytest.raises(ConfigError, match="gives texts no probability"):
        pairs(neither, [file])
