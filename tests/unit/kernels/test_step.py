"""The compiled step gives what decoding gives, whatever the sizes, the padding, the rows and the threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from polyseme.kernels.int8 import Int8Embedding, in_int8
from polyseme.kernels.step import MOST_ROWS, Step
from polyseme.kernels.team import Team
from polyseme.objectives.causal_lm import CausalLMHead
from small import VOCABULARY, make_encoder

SIZES: list[dict[str, Any]] = [
    {},
    {"hidden_size": 72, "intermediate_size": 100, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 12},
    {"hidden_size": 160, "intermediate_size": 1600, "hidden_act": "gelu", "tie_word_embeddings": False},
    {"hidden_size": 16, "intermediate_size": 7, "hidden_act": "tanh", "num_hidden_layers": 1},
    {"vocab_size": 211, "hidden_act": "relu"},
    {"vocab_size": 199, "hidden_act": "silu"},
]  # fmt: skip


def make(model: str, int8: bool, **changes: Any) -> tuple[Any, Any]:
    encoder = make_encoder(model, **changes).eval()
    head = CausalLMHead(encoder).eval()
    with torch.no_grad():
        for p in encoder.parameters():
            if p.ndim == 1:
                p.add_(0.1 * torch.randn_like(p))
    return in_int8((encoder, head), [encoder.token_embedding()]) if int8 else (encoder, head)


def assert_equal(found: torch.Tensor, expected: torch.Tensor, int8: bool) -> None:
    """But for rounding: an input between two whole numbers may become the one or the other."""
    if int8:
        step = expected.amax(1) - expected.amin(1)  # (R,)
        assert ((found - expected).abs().amax(1) < 0.03 * step).all()
        assert ((found - expected).square().mean().sqrt() < 0.002 * step.mean()).all()
    else:
        torch.testing.assert_close(found, expected, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("model", ["gpt", "qwen3"])
def test_equal_to_decode(model: str, sizes: dict[str, Any], int8: bool) -> None:
    encoder, head = make(model, int8, **sizes)
    assert Step.serves(encoder, head)
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        for rows in (1, 2, 3, 4, 5, 8, 9, MOST_ROWS):
            ids = torch.randint(5, VOCABULARY, (rows, 12), generator=generator)
            start = torch.arange(rows) % 5 if rows % 2 else None
            plain, fast = (encoder.new_cache(rows, 14, start) for _ in range(2))
            for cache in (plain, fast):
                encoder.decode(ids[:, :6], cache)
            step = Step(encoder, head, fast)
            for t in range(6, 12):
                expected = head.logits(encoder.decode(ids[:, t : t + 1], plain)[:, -1])
                assert_equal(step.logits(ids[:, t]), expected, int8)
            assert fast.length == plain.length == 12


@pytest.mark.parametrize("int8", [False, True])
def test_rows_may_go_and_come(int8: bool) -> None:
    encoder, head = make("qwen3", int8)
    with torch.inference_mode():
        ids = torch.randint(5, VOCABULARY, (3, 9), generator=torch.Generator().manual_seed(2))
        plain, fast = (encoder.new_cache(3, 20, torch.tensor([0, 2, 1])) for _ in range(2))
        for cache in (plain, fast):
            encoder.decode(ids, cache)
        step = Step(encoder, head, fast)
        for index in ([2, 0, 1], [0, 0, 1, 2, 2], [3, 1], [1], [0, 0]):
            for cache in (plain, fast):
                cache.reorder(torch.tensor(index))
            new = torch.arange(7, 7 + len(index))
            expected = head.logits(encoder.decode(new[:, None], plain)[:, -1])
            assert_equal(step.logits(new), expected, int8)


@pytest.mark.parametrize("model", ["gpt", "qwen3"])
def test_the_number_of_threads_changes_no_bit(model: str) -> None:
    encoder, head = make(model, False, vocab_size=211, hidden_size=64)
    found = []
    with torch.inference_mode():
        for threads in (1, 2, 5):
            cache = encoder.new_cache(5, 20)
            step = Step(encoder, head, cache, Team(threads))
            found.append(torch.stack([step.logits(torch.full((5,), 7 + t)).clone() for t in range(12)]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_threads_that_come_and_go_change_no_bit() -> None:
    """As they do while other programs use the cores."""
    encoder, head = make("gpt", False, vocab_size=211, hidden_size=64)

    def go_on(sizes: tuple[int, ...]) -> torch.Tensor:
        with torch.inference_mode():
            step, found = Step(encoder, head, encoder.new_cache(2, 20), Team(3)), []
            for t, size in enumerate(sizes):
                step._use(size)
                found.append(step.logits(torch.full((2,), 7 + t)).clone())
                assert step.threads == 3
            return torch.stack(found)

    assert torch.equal(go_on((3, 3, 3, 3, 3, 3)), go_on((3, 1, 2, 1, 3, 2)))


def test_the_next_text_begins_with_the_threads_that_were_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Step, "_lately", (0, 0.0))
    encoder, head = make("gpt", False)

    def size() -> int:
        return Step(encoder, head, encoder.new_cache(1, 8), Team(3))._team.size

    assert size() == 3
    Step._keep(2)
    assert size() == 2
    Step._lately = 2, 0.0  # long ago
    assert size() == 3


def test_a_team_that_cannot_start_gives_up() -> None:
    """Members that wait for one that never comes are released, and the error is passed on."""
    encoder, head = make("gpt", False)
    with torch.inference_mode():
        team = Team(3)
        step = Step(encoder, head, encoder.new_cache(1, 8), team)
        submit = team._pool.submit  # type: ignore[union-attr]

        def refuse(work: Any, member: int) -> Any:
            if member == 2:
                raise RuntimeError("no thread can be started")
            return submit(work, member)

        team._pool.submit = refuse  # type: ignore[union-attr, method-assign, assignment]
        with pytest.raises(RuntimeError, match="no thread"):
            step.logits(torch.tensor([7]))
        team._pool.submit = submit  # type: ignore[union-attr, method-assign]
        assert step.logits(torch.tensor([7])).isfinite().all()


def test_callers_on_several_threads_take_turns() -> None:
    encoder, head = make("gpt", False)
    team, found = Team(2), {}

    def go_on(seed: int) -> None:
        with torch.inference_mode():
            step = Step(encoder, head, encoder.new_cache(1, 40), team)
            found[seed] = [int(step.logits(torch.tensor([5 + (seed + t) % 50])).argmax()) for t in range(30)]

    for seed in (1, 2):
        go_on(seed)
    alone = dict(found)
    threads = [threading.Thread(target=go_on, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone


def test_what_it_does_not_serve() -> None:
    encoder, head = make("gpt", False)
    assert not Step.serves(encoder.train(), head)
    assert not Step.serves(encoder.eval().double(), head)
    bert = make_encoder("bert").eval()
    assert not Step.serves(bert, CausalLMHead(bert))
    mixed, head = make("gpt", False)
    mixed.blocks[0].output = in_int8(mixed.blocks[0].output, [])
    assert not Step.serves(mixed, head)


def test_rounding_is_half_a_step_at_most_and_shares_the_rest() -> None:
    encoder, head = make("gpt", False)
    rounded, other = in_int8((encoder, head), [encoder.token_embedding()])
    assert isinstance(rounded.word_embeddings, Int8Embedding)
    assert other.matrix is rounded.word_embeddings
    assert encoder.word_embeddings.weight.dtype == torch.float32
    assert rounded.position_embeddings.weight is encoder.position_embeddings.weight
    assert rounded.final_norm.weight is encoder.final_norm.weight
    for name in ("query_key_value", "attention_output", "intermediate", "output"):
        before, after = getattr(encoder.blocks[1], name), getattr(rounded.blocks[1], name)
        step = before.weight.abs().amax(1, keepdim=True) / 127
        assert ((after.weight - before.weight).abs() <= 0.5001 * step).all()
        assert after.bias is before.bias
    zero = torch.nn.Linear(4, 3)
    torch.nn.init.zeros_(zero.weight)
    assert np.array_equal(in_int8(zero, []).weight, np.zeros((3, 4)))
