from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from decoding import make_loaded
from polyseme.core import registry
from polyseme.core.types import Batch
from polyseme.data.loader import collate, to_batch
from polyseme.errors import ConfigError
from polyseme.infer import likelihood
from polyseme.infer.model import Model
from polyseme.infer.score import kind_of, score, score_continuations, score_file
from polyseme.text.clean import CleaningReport
from small import make_objectives

LINES = ["the cat sat", "", "北京", "on the mat and a good day " * 9, "a", "the cat sat on a mat"]


def plain(loaded: Model, text: str, end: bool = False) -> tuple[float, int]:
    """One token at a time, the whole softmax, no batches; texts within the model's length."""
    ids = [loaded.special.cls, *loaded.tokenizer.encode(text).ids, *([loaded.special.sep] if end else [])]
    if len(ids) == 1 or not text:
        return 0.0, 0
    total = 0.0
    with torch.no_grad():
        for i in range(1, len(ids)):
            hidden = loaded.encoder.decode(torch.tensor([ids[:i]]), loaded.encoder.new_cache(1, i))[0, -1]
            total += float(torch.log_softmax(loaded.heads["causal_lm"].logits(hidden).double(), 0)[ids[i]])
    return total, len(ids) - 1


def plain_masked(loaded: Model, text: str) -> float:
    ids = loaded.tokenizer.encode(text).ids
    total = 0.0
    with torch.no_grad():
        for i, token in enumerate(ids):
            hidden = loaded.encoder.encode(
                loaded.batch([[*ids[:i], loaded.special.mask, *ids[i + 1 :]]])
            ).last
            logits = loaded.heads["masked_lm"].logits(hidden[0, i + 1]).double()
            total += float(torch.log_softmax(logits, 0)[token])
    return total


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("model", ["gpt", "qwen3"])
def test_a_decoder_gives_the_sum_over_tokens(model: str, end: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded(model)
    lines = [line for line in LINES if len(line) < 60]
    expected = [plain(loaded, line, end) for line in lines]
    for size in (8192, 8):
        monkeypatch.setattr(likelihood, "TOKENS_PER_BATCH", size)
        found = score(loaded, lines, end)
        assert [s.tokens for s in found] == [n for _, n in expected]
        assert [s.log_likelihood for s in found] == pytest.approx([v for v, _ in expected], abs=1e-3)
    assert found[0].per_token == pytest.approx(expected[0][0] / expected[0][1], abs=1e-3)
    assert found[1].per_token == 0.0


def test_logits_are_formed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded()
    whole = score(loaded, LINES)
    monkeypatch.setattr(likelihood, "CHUNK_BYTES", 4 * loaded.tokenizer.vocab_size * 3)
    sizes = []
    head: Any = loaded.heads["causal_lm"]
    logits = head.logits
    monkeypatch.setattr(head, "logits", lambda h: (sizes.append(len(h)), logits(h))[1])
    parts = score(loaded, LINES)
    assert max(sizes) == 3
    assert [s.log_likelihood for s in parts] == pytest.approx([s.log_likelihood for s in whole], abs=1e-3)


def test_a_long_text_is_read_in_windows_that_overlap_by_half() -> None:
    loaded = make_loaded()
    text = "the cat sat on a good mat and one day it's two " * 12
    ids = [loaded.special.cls, *loaded.tokenizer.encode(text).ids]
    total, window = 0.0, ids[:1]
    with torch.no_grad():
        for token in ids[1:]:
            if len(window) > 64:
                window = window[-32:]
            hidden = loaded.encoder.decode(torch.tensor([window]), loaded.encoder.new_cache(1, 64))[0, -1]
            total += float(torch.log_softmax(loaded.heads["causal_lm"].logits(hidden), 0)[token])
            window.append(token)
    (found,) = score(loaded, [text])
    assert found.tokens == len(ids) - 1 > 128
    assert found.log_likelihood == pytest.approx(total, abs=1e-2)


@pytest.mark.parametrize("model", ["bert", "modernbert"])
def test_a_masked_model_hides_one_token_at_a_time(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded(model)
    lines = [line for line in LINES if len(line) < 60]
    for size in (8192, 8):
        monkeypatch.setattr(likelihood, "TOKENS_PER_BATCH", size)
        found = score(loaded, lines)
        for line, one in zip(lines, found, strict=True):
            assert one.tokens == len(loaded.tokenizer.encode(line).ids)
            assert one.log_likelihood == pytest.approx(plain_masked(loaded, line), abs=1e-3)


def test_a_masked_model_sees_the_nearest_neighbours_in_a_long_text() -> None:
    loaded = make_loaded("bert")
    ids = loaded.tokenizer.encode("the cat sat on a good mat and one day it's two " * 5).ids
    (found,) = score(loaded, ["the cat sat on a good mat and one day it's two " * 5])
    assert found.tokens == len(ids) > loaded.max_content
    total = 0.0
    with torch.no_grad():
        for i, token in enumerate(ids):
            begin = max(0, min(i - loaded.max_content // 2, len(ids) - loaded.max_content))
            window = ids[begin : begin + loaded.max_content]
            window[i - begin] = loaded.special.mask
            hidden = loaded.encoder.encode(loaded.batch([window])).last[0, i - begin + 1]
            total += float(torch.log_softmax(loaded.heads["masked_lm"].logits(hidden), 0)[token])
    assert found.log_likelihood == pytest.approx(total, abs=1e-2)


CONTINUATIONS = [" sat", " sat on the mat", "", " 北京", " and a", "s", " a good day on the mat " * 6]


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "characters"])
@pytest.mark.parametrize("model", ["gpt", "qwen3"])
def test_continuations_share_their_context(model: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded(model, kind)
    context = "the cat"
    given = len(loaded.tokenizer.encode(context).ids)
    for size in (8192, 90):
        monkeypatch.setattr(likelihood, "TOKENS_PER_BATCH", size)
        found = score_continuations(loaded, context, CONTINUATIONS)
        for text, one in zip(CONTINUATIONS, found, strict=True):
            tokens = loaded.tokenizer.encode(context + text)
            if tokens.ids[:given] == loaded.tokenizer.encode(context).ids:
                whole, prefix = score(loaded, [context + text, context])
                assert one.tokens == whole.tokens - prefix.tokens
                assert one.log_likelihood == pytest.approx(
                    whole.log_likelihood - prefix.log_likelihood, abs=2e-3
                )
    assert found[2].tokens == 0


def test_the_context_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded()
    read = []
    decode = loaded.encoder.decode
    monkeypatch.setattr(
        loaded.encoder, "decode", lambda ids, cache: (read.append(ids.numel()), decode(ids, cache))[1]
    )
    context = "on the mat and a good day " * 3
    score_continuations(loaded, context, [" one", " two", " three"])
    n = len(loaded.tokenizer.encode(context).ids)
    assert read[0] == n  # [CLS] and the context but its last token
    assert sum(read[1:]) <= 3 * 6


def test_continuations_of_a_masked_model_count_their_own_tokens_only() -> None:
    loaded = make_loaded("bert")
    whole, given, part = (
        score_continuations(loaded, context, [text])[0]
        for context, text in (("", "the cat sat"), ("the cat sat", ""), ("the cat", " sat"))
    )
    assert whole.tokens > part.tokens > given.tokens == 0
    assert whole.log_likelihood < part.log_likelihood < 0


def test_a_file_line_by_line(tmp_path: Path) -> None:
    loaded = make_loaded()
    file = tmp_path / "lines.txt"
    file.write_bytes("the cat  \r\n\r\nthe\x00 ma\rt\nzzz☃\n".encode())
    report = CleaningReport()
    found = list(score_file(loaded, file, report=report))
    lines = ["the cat  ", "", "the\x00 ma\rt", "zzz☃"]  # as they stand
    assert [line for line, _ in found] == lines
    assert [s for _, s in found] == score(loaded, lines)
    assert found[3][1].unknown > 0
    assert report.counts == {"cr_inside": 1}
    with_context = [s for _, s in score_file(loaded, file, context="on")]
    assert with_context == score_continuations(loaded, "on", [f" {line}" if line else "" for line in lines])


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "unigram", "words"])
@pytest.mark.parametrize("model", ["gpt", "bert"])
def test_no_continuation_is_free(model: str, kind: str) -> None:
    loaded = make_loaded(model, kind)
    for context, texts in (("北京欢", ["迎", "你"]), ("the ca", ["t", "r"]), ("", ["the", "北京"])):
        for one in score_continuations(loaded, context, texts):
            assert one.tokens > 0
            assert one.log_likelihood < 0
        assert np.isfinite(loaded.score(texts, context=context, per_token=True)).all()


def test_continuations_of_one_context_are_compared_on_the_same_tokens() -> None:
    loaded = make_loaded("gpt", "byte-bpe")
    context, text = "北京欢", "迎"  # one token holds the end of the one and all of the other
    tokenizer = loaded.tokenizer
    assert any(begin < 3 < end for begin, end in tokenizer.encode(context + text).offsets)
    given, more = tokenizer.encode(context).ids, tokenizer.encode(text).ids
    ids, total = [loaded.special.cls, *given], 0.0
    with torch.no_grad():
        for token in more:
            hidden = loaded.encoder.decode(torch.tensor([ids]), loaded.encoder.new_cache(1, len(ids)))[0, -1]
            total += float(torch.log_softmax(loaded.heads["causal_lm"].logits(hidden).double(), 0)[token])
            ids.append(token)
    found = score_continuations(loaded, context, text)
    assert (found.tokens, found.log_likelihood) == (len(more), pytest.approx(total, abs=1e-3))


@pytest.mark.skipif("elmo" not in registry.models.names(), reason="no two-way language model")
def test_a_two_way_model_gives_the_sum_of_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded("elmo", "words")
    objective = make_objectives(("bidirectional_lm",), loaded.special)[0]
    lines = [line for line in LINES if len(line) < 60] + ["zzz cat"]
    for size in (8192, 8):
        monkeypatch.setattr(likelihood, "TOKENS_PER_BATCH", size)
        for line, one in zip(lines, score(loaded, lines), strict=True):
            ids = loaded.tokenizer.encode(line).ids
            assert one.tokens == len(ids)
            if not ids:
                continue
            rows = collate([[loaded.example(ids)]], len(ids) + 2, loaded.special)
            batch = to_batch(rows, [objective])
            with torch.no_grad():
                encoding = loaded.encoder.encode(batch)
                total, count = objective.score(encoding, loaded.heads["bidirectional_lm"], batch)["loss"]
            assert count == 2 * len(ids)
            assert one.log_likelihood == pytest.approx(-total, abs=1e-3)
    long = "the cat sat on a good mat and one day it's two " * 12
    (whole,) = score(loaded, [long])
    assert whole.tokens == len(loaded.tokenizer.encode(long).ids) > loaded.max_content
    assert whole.log_likelihood < 0
    given, rest = "the cat", " sat on a mat"
    (after,) = score_continuations(loaded, given, [rest])
    (both,), (alone,) = score(loaded, [given + rest]), score_continuations(loaded, given + rest, [""])
    assert alone.tokens == 0
    assert 0 > after.log_likelihood > both.log_likelihood


def test_errors_name_what_to_do() -> None:
    with pytest.raises(ConfigError, match="only decoders say"):
        score(make_loaded("bert"), ["the"], end=True)
    neither = make_loaded("bert")
    neither.heads.clear()
    with pytest.raises(ConfigError, match="gives texts no probability") as error:
        score(neither, ["the"])
    assert "polyseme neighbours" in str(error.value)


def test_a_hybrid_run_gives_either_kind() -> None:
    loaded = make_loaded("modernbert", hybrid=True, local_attention=4)
    assert kind_of(loaded) == "log-likelihood"
    lines = [line for line in LINES if line and len(line) < 60]
    head: Any = loaded.heads["hybrid"]
    lefts, masks = [], []
    with torch.no_grad():
        for line in lines:
            ids = [loaded.special.cls, *loaded.tokenizer.encode(line).ids]
            log_p = []
            for i in range(1, len(ids)):
                row = torch.tensor([ids[:i]])
                ones = torch.ones_like(row)
                batch = Batch(row, ones, torch.arange(i)[None], 0 * ones, torch.zeros(1).long(), causal=True)
                state = loaded.encoder.encode(batch).last[0, -1]
                log_p.append(torch.log_softmax(head.logits(state).double(), 0)[ids[i]])
            lefts.append(float(sum(log_p)))
            model = make_loaded("modernbert", local_attention=4)
            masks.append(
                plain_masked(replace(model, encoder=loaded.encoder, heads={"masked_lm": head}), line)
            )
    assert loaded.score(lines).tolist() == pytest.approx(lefts, abs=1e-3)
    assert loaded.score(lines, masked=True).tolist() == pytest.approx(masks, abs=1e-3)
    assert loaded.score(lines, end=True)[0] < loaded.score(lines)[0]
    within = loaded.score(lines, within_word=True).tolist()
    assert within == loaded.score(lines, within_word=True, masked=True).tolist()
    context = score_continuations(loaded, "the cat", [" sat", " sat on the mat"])
    assert context[0].log_likelihood > context[1].log_likelihood
    with pytest.raises(ConfigError, match="text ends"):
        loaded.score(lines, end=True, masked=True)
    with pytest.raises(ConfigError, match="only masked models"):
        make_loaded("gpt").score(lines, masked=True)
