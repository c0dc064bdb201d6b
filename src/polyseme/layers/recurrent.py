"""LSTMs with projection over packed rows: one function for any number of directions, plain and fast.

    a_t = W_x x_t + W_r r_{t-1} + b                     (four gates, stacked: input, forget, output, candidate)
    i, f, o = σ(a_i), σ(a_f), σ(a_o),   g = tanh(a_g)
    c_t = f ⊙ c_{t-1} + i ⊙ g                           (cut to ± cell_clip)
    r_t = W_p (o ⊙ tanh(c_t))                           (cut to ± projection_clip)

r_{t-1} and c_{t-1} are zero where an example begins, so examples packed into one row do not see each other. A
direction that runs backward in time is the same recurrence over a row that was turned round (`turn`).

Source:  Sak, Senior and Beaufays (2014), section 2, without peepholes; the clipping: Peters et al. (2018)'s code.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

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


def lstm_plain(
    x: Tensor,
    begins: Tensor,
    w_x: Tensor,
    w_r: Tensor,
    bias: Tensor,
    w_p: Tensor,
    cell_clip: float = 0.0,
    projection_clip: float = 0.0,
) -> Tensor:
    """The equations of this file's head, one after the other.

    Args:
        begins: where the state starts anew.
        cell_clip, projection_clip: bounds of c and r; 0 = none.
    Shapes:  D directions, m cells, p numbers after the projection.
             x: (D, T, B, n).  begins: (D, T, B).  w_x: (D, 4m, n).  w_r: (D, 4m, p).  bias: (D, 4m).
             w_p: (D, p, m) -> r: (D, T, B, p)
    """
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
    x: Tensor,
    begins: Tensor,
    w_x: Tensor,
    w_r: Tensor,
    bias: Tensor,
    w_p: Tensor,
    cell_clip: float = 0.0,
    projection_clip: float = 0.0,
) -> Tensor:
    """`lstm_plain` as one operation over time, so that an exported graph serves every length.

    Shapes:  as of `lstm_plain`
    """
    from torch._higher_order_ops.scan import scan

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


def _tanh(twice_x: Tensor) -> Tensor:
    """Tanh x = 2 σ(2x) - 1, in place and in a fifth of the time of torch's tanh on CPUs.  Shapes: any"""
    return twice_x.sigmoid_().mul_(2.0).sub_(1.0)


class _LSTM(torch.autograd.Function):
    """The same recurrence; what does not depend on the state before is one large product for all time steps.

    The gates of all steps stand in one buffer, which the way back overwrites with their gradients; then the gradients
    of the three weights and of the input are one product each. Products are in the weights' type, all else in float32.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        begins: Tensor,
        w_x: Tensor,
        w_r: Tensor,
        bias: Tensor,
        w_p: Tensor,
        cell_clip: float,
        projection_clip: float,
    ) -> Tensor:
        d, steps, b, n = x.shape
        p, m = w_p.shape[1:]
        twice = torch.ones(4 * m, 1, dtype=x.dtype, device=x.device)
        twice[3 * m :] = 2.0  # tanh(a) = 2 σ(2a) - 1: all four gates are one σ
        start = (bias[:, None] * twice.T.float()).to(x.dtype)
        gates = torch.baddbmm(start, x.reshape(d, -1, n), (w_x * twice).mT).view(d, steps, b, 4 * m)
        recurrent = (w_r * twice).mT
        cells = torch.empty(d, steps, b, m, dtype=torch.float32, device=x.device)
        hidden, out = x.new_empty(d, steps, b, m), x.new_empty(d, steps, b, p)
        resets = _resets(begins)
        c = torch.zeros(d, b, m, dtype=torch.float32, device=x.device)
        r = x.new_zeros(d, b, p)
        squashed = torch.empty_like(c)
        for t in range(steps):
            a = gates[:, t]  # (D, B, 4m)
            if t:
                if t in resets:
                    r, c = r * resets[t].to(r.dtype), c * resets[t]
                _add_products(a, r, recurrent)
            a.sigmoid_()
            i, f, o, g = a.chunk(4, dim=-1)
            g.mul_(2.0).sub_(1.0)
            c = torch.mul(f.float(), c, out=cells[:, t]).add_(i * g)
            if cell_clip:
                c.clamp_(-cell_clip, cell_clip)
            _tanh(torch.mul(c, 2.0, out=squashed))
            torch.mul(o, squashed.to(o.dtype), out=hidden[:, t])
            r = _products(hidden[:, t], w_p.mT, out[:, t])
            if projection_clip:
                r.clamp_(-projection_clip, projection_clip)
        ctx.save_for_backward(x, w_x, w_r, w_p, gates, cells, hidden, out)
        ctx.resets, ctx.clips = resets, (cell_clip, projection_clip)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, w_x, w_r, w_p, gates, cells, hidden, out = ctx.saved_tensors
        cell_clip, projection_clip = ctx.clips
        d, steps, b, n = x.shape
        p, m = w_p.shape[1:]
        cell_clip = _if_reached(cell_clip, cells)
        projection_clip = _if_reached(projection_clip, out)
        d_out = grads[0].to(x.dtype).clone(memory_format=torch.contiguous_format)  # becomes dL/dr
        d_r, d_m = x.new_empty(d, b, p), x.new_empty(d, b, m)
        d_c = torch.zeros(d, b, m, dtype=torch.float32, device=x.device)
        slope = torch.empty(d, b, 4 * m, dtype=torch.float32, device=x.device)
        zero = torch.zeros_like(d_c)
        for t in reversed(range(steps)):
            if t + 1 < steps:
                back = _products(gates[:, t + 1], w_r, d_r)
                if t + 1 in ctx.resets:
                    kept = ctx.resets[t + 1]
                    back.mul_(kept.to(back.dtype))
                    d_c.mul_(kept)
                d_out[:, t] += back
            if projection_clip:
                d_out[:, t].mul_(out[:, t].abs() < projection_clip)
            a = gates[:, t].float()
            i, f, o, g = a.chunk(4, dim=-1)
            c = cells[:, t]
            d_h = _products(d_out[:, t], w_p, d_m).float()
            squashed = _tanh(c * 2.0)
            d_i, d_f, d_o, d_g = slope.chunk(4, dim=-1)
            torch.mul(d_h, squashed, out=d_o)
            d_c += torch.ops.aten.tanh_backward(d_h.mul(o), squashed)
            if cell_clip:
                d_c.mul_(c.abs() < cell_clip)
            before = cells[:, t - 1] if t else zero
            if t in ctx.resets:
                before = before * ctx.resets[t]
            torch.mul(d_c, g, out=d_i)
            torch.mul(d_c, before, out=d_f)
            torch.mul(d_c, i, out=d_g)
            d_c.mul_(f)
            three = slope[..., : 3 * m]
            gates[:, t, :, 3 * m :] = torch.ops.aten.tanh_backward(d_g, g)
            gates[:, t, :, : 3 * m] = torch.ops.aten.sigmoid_backward(three, a[..., : 3 * m])
        flat = gates.view(d, -1, 4 * m)
        previous = torch.zeros_like(out)
        previous[:, 1:] = out[:, :-1]
        for t, kept in ctx.resets.items():
            if t:
                previous[:, t].mul_(kept.to(out.dtype))
        d_x = torch.bmm(flat, w_x).view(x.shape) if ctx.needs_input_grad[0] else None
        d_wx = torch.bmm(flat.mT, x.reshape(d, -1, n))
        d_wr = torch.bmm(flat.mT, previous.view(d, -1, p))
        d_b = flat.sum(1).float()
        d_wp = torch.bmm(d_out.view(d, -1, p).mT, hidden.view(d, -1, m))
        return d_x, None, d_wx, d_wr, d_b, d_wp, None, None


def _resets(begins: Tensor) -> dict[int, Tensor]:
    """The time steps after the first at which some state starts anew: 0 where it does, 1 elsewhere.

    Shapes:  begins: (D, T, B) -> each (D, B, 1)
    """
    steps = begins.any(dim=2).any(dim=0).nonzero().squeeze(1).tolist()
    return {t: (~begins[:, t, :, None]).float() for t in steps if t}


def _if_reached(bound: float, values: Tensor) -> float:
    """The bound if some value is at it, else 0: then no gradient has to be masked."""
    return bound if bound and bool(values.amax() >= bound or values.amin() <= -bound) else 0.0


def _add_products(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Total += a @ b for each direction.  Shapes: total: (D, B, j), a: (D, B, i), b: (D, i, j)"""
    if a.is_cuda:
        total += torch.bmm(a, b)
    else:
        for k in range(a.size(0)):
            torch.addmm(total[k], a[k], b[k], out=total[k])


def _products(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """A @ b for each direction, into `out`.  Shapes: a: (D, B, i), b: (D, i, j) -> (D, B, j)"""
    if a.is_cuda:
        out.copy_(torch.bmm(a, b))
    else:
        for k in range(a.size(0)):
            torch.mm(a[k], b[k], out=out[k])
    return out


@torch.compiler.disable  # type: ignore[untyped-decorator]
def lstm(
    x: Tensor,
    begins: Tensor,
    w_x: Tensor,
    w_r: Tensor,
    bias: Tensor,
    w_p: Tensor,
    cell_clip: float = 0.0,
    projection_clip: float = 0.0,
) -> Tensor:
    """`lstm_plain`, several times as fast; under autocast its products are in autocast's type.

    Shapes:  as of `lstm_plain`
    """
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        x, w_x, w_r, w_p = (v.to(dtype) for v in (x, w_x, w_r, w_p))
    with torch.autocast(kind, enabled=False):
        return _LSTM.apply(x, begins, w_x, w_r, bias, w_p, cell_clip, projection_clip)  # type: ignore[no-any-return, no-untyped-call]


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
        w_x, w_r, w_p = self.input_weight, self.recurrent_weight, self.projection_weight
        if torch.compiler.is_exporting():
            return lstm_scanned(x, begins, w_x, w_r, self.bias, w_p, *self.clips)
        return lstm(x, begins, w_x, w_r, self.bias, w_p, *self.clips)  # type: ignore[no-any-return]
