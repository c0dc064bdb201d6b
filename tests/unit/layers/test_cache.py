"""The key-value cache: token by token gives what all at once gives, whatever the padding and the order of rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from polyseme.core.types import Batch
from polyseme.errors import InputError
from polyseme.layers.cache import KeyValueCache
from small import VOCABULARY, make_encoder

DECODERS = ["gpt", "qwen3"]


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def some_ids(rows: int, length: int) -> torch.Tensor:
    return torch.randint(5, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(0))


def at_once(encoder: Any, ids: torch.Tensor) -> torch.Tensor:
    rows, length = ids.shape
    position = torch.arange(length).expand_as(ids).contiguous()
    one = torch.ones_like(ids)
    batch = Batch(ids, one, position, torch.zeros_like(ids), torch.arange(rows) * length, packed=False)
    return encoder.encode(batch).last  # type: ignore[no-any-return]


@pytest.fixture(params=DECODERS)
def encoder(request: pytest.FixtureRequest) -> Any:
    made = make_encoder(request.param).eval()
    with torch.no_grad():
        yield made


@pytest.mark.parametrize("steps", [[20], [1] * 20, [7, 1, 5, 1, 6], [1, 19]])
def test_in_steps_as_at_once(encoder: Any, steps: list[int]) -> None:
    ids = some_ids(3, 20)
    cache = encoder.new_cache(3, 24)
    parts = [encoder.decode(part, cache) for part in ids.split(steps, dim=1)]
    assert cache.length == 20
    close(torch.cat(parts, dim=1), at_once(encoder, ids))


@pytest.mark.parametrize("steps", [[12, 1, 1, 4], [18]])
def test_left_padded_rows_as_alone(encoder: Any, steps: list[int]) -> None:
    start = torch.tensor([0, 5, 9])
    ids = some_ids(3, 18)
    ids[torch.arange(18) < start[:, None]] = 0
    cache = encoder.new_cache(3, 18, start=start)
    together = torch.cat([encoder.decode(part, cache) for part in ids.split(steps, dim=1)], dim=1)
    assert together.isfinite().all()
    for row, begin in enumerate(start.tolist()):
        close(together[row : row + 1, begin:], at_once(encoder, ids[row : row + 1, begin:]))


def test_rows_follow_their_beams(encoder: Any) -> None:
    start = torch.tensor([0, 2, 0])
    ids, more = some_ids(3, 12), some_ids(5, 3)
    ids[1, :2] = 0
    for index in (torch.tensor([2, 0, 0]), torch.tensor([1, 1, 2, 0, 2]), torch.tensor([1])):
        cache = encoder.new_cache(3, 15, start=start)
        encoder.decode(ids, cache)
        cache.reorder(index)
        new = more[: len(index)]
        after = encoder.decode(new, cache)
        for row, source in enumerate(index.tolist()):
            alone = torch.cat([ids[source, int(start[source]) :], new[row]])[None]
            close(after[row], at_once(encoder, alone)[0, -3:])


def test_a_truncated_text_goes_on_differently(encoder: Any) -> None:
    ids, other = some_ids(2, 14), some_ids(2, 30)[:, -4:]
    cache = encoder.new_cache(2, 14)
    encoder.decode(ids, cache)
    cache.truncate(9)
    assert cache.length == 9
    close(encoder.decode(other, cache), at_once(encoder, torch.cat([ids[:, :9], other], dim=1))[:, -4:])


def test_no_room(encoder: Any) -> None:
    cache = encoder.new_cache(1, 4)
    with pytest.raises(InputError, match="room"):
        encoder.decode(some_ids(1, 5), cache)
    with pytest.raises(InputError, match="positions"):
        encoder.new_cache(1, encoder.max_length + 1)


def test_a_cheap_view_says_what_the_mask_says() -> None:
    """Where `view` gives no mask, the mask is full or plain causal."""
    cache = KeyValueCache(1, 2, 1, 8, 2)
    assert cache.view(1) == (None, False)
    assert cache.view(3) == (None, True)
    mask = cache.mask(3)
    assert mask is not None
    assert torch.equal(mask[0, 0], torch.ones(3, 3).tril().bool())
    cache.advance(3)
    mask, causal = cache.view(2)
    assert not causal
    assert mask is not None
    assert mask.shape == (2, 1, 2, 5)
    assert mask[0, 0].tolist() == [[True] * 4 + [False], [True] * 5]
    padded = KeyValueCache(1, 2, 1, 8, 2, start=torch.tensor([0, 2]))
    mask = padded.mask(3)
    assert mask is not None
    assert mask[1, 0].tolist() == [[True, False, False], [False, True, False], [False, False, True]]
    assert mask[0, 0].tolist() == [[True, False, False], [True, True, False], [True, True, True]]
