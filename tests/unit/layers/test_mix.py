from __future__ import annotations

import torch

from polyseme.layers.mix import ScalarMix, masked_norm


def test_starts_as_the_plain_mean() -> None:
    layers = list(torch.randn(3, 2, 4, 5))
    torch.testing.assert_close(ScalarMix(3)(layers), torch.stack(layers).mean(0))


def test_formula_and_gradient() -> None:
    layers = list(torch.randn(3, 2, 4, 5, dtype=torch.float64))
    mix = ScalarMix(3).double()
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.3, -1.0, 2.0]))
        mix.gamma.fill_(1.5)
    e = mix.weights.detach().exp()
    expected = 1.5 * sum(e[k] / e.sum() * layers[k] for k in range(3))
    torch.testing.assert_close(mix(layers), expected)

    def of(weights: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(mix, {"weights": weights, "gamma": gamma}, (layers,))

    inputs = (mix.weights.detach().requires_grad_(), mix.gamma.detach().requires_grad_())
    assert torch.autograd.gradcheck(of, inputs)


def test_masked_norm_sees_tokens_only() -> None:
    h = torch.randn(2, 4, 5)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    inside = h[mask.bool()]
    expected = (h - inside.mean()) / inside.var(unbiased=False).sqrt()
    torch.testing.assert_close(masked_norm(h, mask), expected)
    changed = h.masked_fill(mask[..., None] == 0, 100.0)
    torch.testing.assert_close(masked_norm(changed, mask)[mask.bool()], masked_norm(h, mask)[mask.bool()])


def test_layer_norm_makes_scales_irrelevant() -> None:
    layers = list(torch.randn(3, 2, 4, 5))
    mix = ScalarMix(3, layer_norm=True)
    torch.testing.assert_close(
        mix([layers[0] * 7, layers[1] + 3, layers[2]]), mix(layers), atol=1e-5, rtol=1e-4
    )
