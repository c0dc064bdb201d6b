"""LSTMs with projection over packed rows: one function for any number of directions.

    a_t = W_x x_t + W_r r_{t-1} + b                     (four gates, stacked: input, forget, output, candidate)
    i, f, o = σ(a_i), σ(a_f), σ(a_o),   g = tanh(a_g)
    c_t = f ⊙ c_{t-1} + i ⊙ g                           (cut to ± cell_clip)
    r_t = W_p (o ⊙ tanh(c_t))                           (cut to ± projection_clip)

r_{t-1} and c_{t-1} are zero where an example begins, so examples packed into one row do not see each other. A
direction that runs backward in time is the same recurrence over a row that was turned round (`turn`).

Source:  Sak, Senior and Beaufays (2014), section 2, without peepholes; the clipping: Peters et al. (2018)'s code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polyseme.kernels import lstm as kernel
from polyseme.kernels.lstm import Weights
from polyseme.kernels.twins import faster

FORGET_BIAS = 1.0
"""Start of the forget gates' bias: Jozefowicz, Zaremba and Sutskever (2015)."""


def starts(segment: Tensor) -> Tensor:
    """Where an example, or padding, begins.

    Shapes:  segment: (T, B) in the order of processing -> (T, B) boolean; the first step is always a start
    """
    begins = torch.ones_like(segment, dtype=torch.bool)
    begins[1:] = segment[1:] != segment[:-1]
    return begins


def turn(h: Tensor) -> Tensor:
    """Turn the second of two directions round in time; twice is the identity.  Shapes: (2, T, …) -> (2, T, …)"""
    return torch.stack([h[0], h[1].flip(0)])


@faster(kernel.lstm)
def lstm(
    x: Tensor, begins: Tensor, weights: Weights, cell_clip: float = 0.0, projection_clip: float = 0.0
) -> Tensor:
    """The equations of this file's head, one after the other.

    Args:
        begins: where the state starts anew.
        cell_clip, projection_clip: bounds of c and r; 0 = none.
    Shapes:  D directions, m cells, p numbers after the projection.
             x: (D, T, B, n).  begins: (D, T, B) -> r: (D, T, B, p)
    """
    w_x, w_r, bias, w_p = weights
    d, steps, b, _ = x.shape
    r, c = x.new_zeros(d, b, w_p.size(1)), x.new_zeros(d, b, w_p.size(2))
    outputs = []
    for t in range(steps):
        kept = (~begins[:, t, :, None]).to(x.dtype)
        r, c = r * kept, c * kept
        a = x[:, t] @ w_x.mT + r @ w_r.mT + bias[:, None]
        i, f, o, g = a.chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        if cell_clip:
            c = c.clamp(-cell_clip, cell_clip)
        r = (o.sigmoid() * c.tanh()) @ w_p.mT
        if projection_clip:
            r = r.clamp(-projection_clip, projection_clip)
        outputs.append(r)
    return torch.stack(outputs, dim=1)


def lstm_scanned(
    x: Tensor, begins: Tensor, weights: Weights, cell_clip: float = 0.0, projection_clip: float = 0.0
) -> Tensor:
    """`lstm` as one operation over time, so that an exported graph serves every length.

    Shapes:  as of `lstm`
    """
    from torch._higher_order_ops.scan import scan

    w_x, w_r, bias, w_p = weights
    d, _, b, _ = x.shape
    gates = x @ w_x.mT[:, None] + bias[:, None, None]  # (D, T, B, 4m)
    kept = (~begins[..., None]).to(x.dtype)

    def step(
        state: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        (r, c), (a, stays) = state, now
        i, f, o, g = (a + (r * stays) @ w_r.mT).chunk(4, dim=-1)
        c = f.sigmoid() * (c * stays) + i.sigmoid() * g.tanh()
        if cell_clip:
            c = c.clamp(-cell_clip, cell_clip)
        r = (o.sigmoid() * c.tanh()) @ w_p.mT
        if projection_clip:
            r = r.clamp(-projection_clip, projection_clip)
        return (r, c), r.clone()

    start = (x.new_zeros(d, b, w_p.size(1)), x.new_zeros(d, b, w_p.size(2)))
    _, r = scan(step, start, (gates.transpose(0, 1), kept.transpose(0, 1)))
    return r.transpose(0, 1)  # type: ignore[no-any-return]


class ProjectedLSTM(nn.Module):
    """One layer of LSTMs with projection, one for each direction, which do not see each other.

    Args:
        input_size: numbers of an input.
        cells: numbers of a cell state.
        projection: numbers of an output.
        directions: how many.
        cell_clip, projection_clip: bounds of c and r; 0 = none.
    Shapes:  x: (D, T, B, input_size), begins: (D, T, B) -> (D, T, B, projection)
    """

    def __init__(
        self,
        input_size: int,
        cells: int,
        projection: int,
        directions: int = 2,
        cell_clip: float = 0.0,
        projection_clip: float = 0.0,
    ) -> None:
        super().__init__()
        self.cells, self.clips = cells, (cell_clip, projection_clip)
        self.input_weight = nn.Parameter(torch.empty(directions, 4 * cells, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(directions, 4 * cells, projection))
        self.bias = nn.Parameter(torch.empty(directions, 4 * cells))
        self.projection_weight = nn.Parameter(torch.empty(directions, projection, cells))
        self.initialise()

    def initialise(self) -> None:
        """Weights of variance 1 / fan-in; biases zero, but one at the forget gates."""
        for weight in (self.input_weight, self.recurrent_weight, self.projection_weight):
            nn.init.normal_(weight, std=weight.size(-1) ** -0.5)
        nn.init.zeros_(self.bias)
        with torch.no_grad():
            self.bias[:, self.cells : 2 * self.cells] = FORGET_BIAS

    def forward(self, x: Tensor, begins: Tensor) -> Tensor:
        weights = Weights(self.input_weight, self.recurrent_weight, self.bias, self.projection_weight)
        form = lstm_scanned if torch.compiler.is_exporting() else lstm
        return form(x, begins, weights, *self.clips)
