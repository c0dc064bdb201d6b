from __future__ import annotations

import torch

from polyseme.layers.mix import ScalarMix
from polyseme.study.probing.cache import Active
from polyseme.study.probing.targets import ProbeConfig
from polyseme.study.probing.training import EdgeProbe, Side, attentive_pooling, mixed_rows

SMALL = ProbeConfig(projection=6, hidden=5, dropout=0.0)


def test_mixed_rows_is_the_scalar_mix() -> None:
    torch.manual_seed(0)
    states = torch.randn(7, 4, 5)
    fast, plain = ScalarMix(4), ScalarMix(4)
    for mix in (fast, plain):
        with torch.no_grad():
            mix.weights.copy_(torch.tensor([0.3, -1.0, 2.0, 0.5]))
            mix.gamma.fill_(1.7)
    weight = torch.randn(7, 5)
    (mixed_rows(fast, states) * weight).sum().backward()
    (plain(states.unbind(1)) * weight).sum().backward()
    torch.testing.assert_close(mixed_rows(fast, states), plain(states.unbind(1)))
    for a, b in zip(fast.parameters(), plain.parameters(), strict=True):
        assert a.grad is not None
        torch.testing.assert_close(a.grad, b.grad)


def test_pooling_is_a_softmax_over_each_span() -> None:
    torch.manual_seed(0)
    lengths = [1, 3, 2]
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    z, scores = torch.randn(6, 4, requires_grad=True), 50 * torch.randn(6)
    scores.requires_grad_()
    weight = torch.randn(3, 4)
    rows = [
        torch.softmax(s, 0) @ part for part, s in zip(z.split(lengths), scores.split(lengths), strict=True)
    ]
    plain = torch.stack(rows)
    fast = attentive_pooling(z, scores, owner, 3)
    torch.testing.assert_close(fast, plain)
    for a, b in zip(
        torch.autograd.grad((fast * weight).sum(), (z, scores)),
        torch.autograd.grad((plain * weight).sum(), (z, scores)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_spans_of_one_token_are_their_tokens() -> None:
    z = torch.randn(3, 4)
    assert torch.equal(attentive_pooling(z, torch.randn(3), torch.arange(3), 3), z)


def test_a_target_does_not_depend_on_the_others_in_its_batch() -> None:
    torch.manual_seed(0)
    probe = EdgeProbe(3, 8, 4, 2, SMALL).eval()
    first, second = torch.randn(5, 3, 8), torch.randn(3, 3, 8)
    whole = probe(Side(first, torch.tensor([0, 0, 1, 2, 2]), 3), Side(second, torch.arange(3), 3))
    alone = probe(Side(first[3:], torch.tensor([0, 0]), 1), Side(second[2:], torch.tensor([0]), 1))
    torch.testing.assert_close(alone[0], whole[2])


def test_every_parameter_of_a_probe_of_pairs_learns() -> None:
    torch.manual_seed(0)
    probe = EdgeProbe(3, 8, 4, 2, SMALL)
    sides = [Side(torch.randn(5, 3, 8), torch.tensor([0, 0, 1, 2, 2]), 3) for _ in range(2)]
    probe(*sides).square().sum().backward()
    for name, parameter in probe.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_sparse_states_are_projected_like_their_dense_form() -> None:
    torch.manual_seed(0)
    sparse = EdgeProbe(1, 10, 4, 1, SMALL, sparse=True).eval()
    dense = EdgeProbe(1, 10, 4, 1, SMALL).eval()
    weights = sparse.state_dict()
    weights["projections.0.weight"] = weights["projections.0.weight"].T
    dense.load_state_dict(weights)
    columns, starts = torch.tensor([3, 1, 9, 4]), torch.tensor([0, 1, 3])
    vectors = torch.zeros(3, 1, 10)
    vectors[0, 0, 3] = vectors[1, 0, 1] = vectors[1, 0, 9] = vectors[2, 0, 4] = 1.0
    owner = torch.tensor([0, 1, 1])
    torch.testing.assert_close(
        sparse(Side(Active(columns, starts), owner, 2)), dense(Side(vectors, owner, 2))
    )
    assert sparse.shares == dense.shares == [1.0]
