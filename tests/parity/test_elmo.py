"""ELMo's fast paths against their plain forms and against torch's own, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from polyseme.layers.charcnn import CharacterCNN, Spelling, table_of
from polyseme.layers.cross_entropy import cross_entropy_sum, log_uniform, sampled_cross_entropy_sum
from polyseme.layers.lstm import ProjectedLSTM, starts, turn

STEPS, ROWS, WIDTH, CELLS, PROJECTION = 9, 4, 5, 7, 6


def layer(directions: int = 2, clip: float = 0.0) -> ProjectedLSTM:
    torch.manual_seed(0)
    return ProjectedLSTM(WIDTH, CELLS, PROJECTION, directions, clip, 0.7 * clip)


def weights(module: ProjectedLSTM) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return module.input_weight, module.recurrent_weight, module.bias, module.projection_weight


def packed(directions: int) -> Tensor:
    segment = torch.tensor([[1] * 9, [1, 1, 2, 2, 2, 3, 3, 3, 3], [1] * 5 + [0] * 4, [1, 2] + [3] * 7]).T
    both = torch.stack([starts(segment), starts(segment.flip(0))])
    return both[:directions]


def test_lstm_under_autocast_is_near_float32() -> None:
    module, begins = layer(), packed(2)
    x = torch.randn(2, STEPS, ROWS, WIDTH, requires_grad=True)
    exact = module(x, begins)
    exact.square().sum().backward()
    gradients = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rough = module(x, begins)
    rough.float().square().sum().backward()
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, atol=0.03, rtol=0.03)
    for parameter, reference in zip(module.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32
        assert (parameter.grad - reference).norm() < 0.05 * reference.norm()


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")
@pytest.mark.parametrize("backward", [False, True])
def test_lstm_equals_torch_nn_lstm(backward: bool) -> None:
    module = layer(1)
    reference = nn.LSTM(WIDTH, CELLS, proj_size=PROJECTION)
    i, f, o, g = (slice(k * CELLS, (k + 1) * CELLS) for k in range(4))
    order = [i, f, g, o]  # torch's order of the gates
    with torch.no_grad():
        reference.weight_ih_l0.copy_(torch.cat([module.input_weight[0, s] for s in order]))
        reference.weight_hh_l0.copy_(torch.cat([module.recurrent_weight[0, s] for s in order]))
        reference.bias_ih_l0.copy_(torch.cat([module.bias[0, s] for s in order]))
        reference.bias_hh_l0.zero_()
        reference.weight_hr_l0.copy_(module.projection_weight[0])
    x = torch.randn(STEPS, ROWS, WIDTH)
    begins = starts(torch.ones(STEPS, ROWS, dtype=torch.long))[None]
    if backward:  # from right to left is: turn round, go, turn back
        theirs = reference(x.flip(0))[0].flip(0)
        both = turn(torch.stack([x, x]))
        mine = module(both[1:], begins)[0].flip(0)
    else:
        theirs, mine = reference(x)[0], module(x[None], begins)[0]
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


def test_a_word_is_the_same_beside_longer_ones_and_alone() -> None:
    words = ["a", "bad", "cab", "aaaaabbbbbccccc", "[UNK]", "dd"]
    spelling = Spelling(words, ["[UNK]"], 12)
    torch.manual_seed(0)
    network = CharacterCNN(spelling.size, 4, ((1, 3), (2, 4), (5, 6)), 2, 8)
    together = network(*table_of([spelling.of_token(w) for w in words]))
    alone = torch.cat([network(*table_of([spelling.of_token(w)])) for w in words])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    assert len(together.unique(dim=0)) == len(words)


@pytest.fixture
def scores() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (torch.randn(*s, generator=generator) for s in ((40, 6), (50, 6), (50,)))
    return hidden, weight, bias, torch.randint(0, 50, (40,), generator=generator)


def gradients(form: object, scores: tuple[Tensor, ...], *sample: Tensor) -> list[Tensor]:
    leaves = [v.clone().requires_grad_() for v in scores[:3]]
    loss = form(*leaves, scores[3], *sample)  # type: ignore[operator]
    (2.0 * loss).backward()
    return [loss.detach(), *(v.grad for v in leaves if v.grad is not None)]


def draw(seed: int, n: int) -> tuple[Tensor, Tensor]:
    ranks, q = log_uniform(np.random.default_rng(seed).random(n), 50)
    return torch.from_numpy(ranks), torch.from_numpy(np.log(q)).float()


def test_sampled_softmax_with_every_class_is_the_softmax(scores: tuple[Tensor, ...]) -> None:
    everything = torch.randperm(50), torch.zeros(50)
    full = gradients(cross_entropy_sum, scores)
    sampled = gradients(sampled_cross_entropy_sum, scores, *everything)
    for a, b in zip(full, sampled, strict=True):
        torch.testing.assert_close(b, a, atol=1e-4, rtol=1e-4)


def test_sampled_softmax_estimates_the_denominator_without_bias(scores: tuple[Tensor, ...]) -> None:
    hidden, weight, bias, labels = scores
    exact = (0.5 * hidden[:1] @ weight.T + bias).double()
    total = []
    for seed in range(3000):
        sample, log_q = draw(seed, 25)
        gold = exact[0, labels[0]]
        loss = sampled_cross_entropy_sum.plain(
            0.5 * hidden[:1].double(), weight.double(), bias.double(), labels[:1], sample, log_q.double()
        )
        total.append(float((loss + gold).exp()))
    assert np.mean(total) == pytest.approx(float(exact.exp().sum()), abs=4 * np.std(total) / 3000**0.5)


def test_more_samples_come_nearer_to_the_full_gradient(scores: tuple[Tensor, ...]) -> None:
    full = gradients(cross_entropy_sum, scores)[2]

    def distance(n: int) -> float:
        found = [gradients(sampled_cross_entropy_sum, scores, *draw(s, n))[2] for s in range(20)]
        return float((torch.stack(found).mean(0) - full).norm() / full.norm())

    assert distance(400) < 0.5 * distance(20)
    assert distance(4000) < 0.1 * distance(20)


def test_log_uniform_inclusion_probabilities_are_exact() -> None:
    counts = np.zeros(50)
    for seed in range(4000):
        counts[log_uniform(np.random.default_rng(seed).random(20), 50)[0]] += 1
    p = np.log1p(1 / (np.arange(50) + 1)) / np.log(51)
    assert p.sum() == pytest.approx(1.0)
    q = 1 - (1 - p) ** 20
    assert np.abs(counts / 4000 - q).max() < 4.5 * 0.5 / 4000**0.5
