"""LSTMs with projection, several times as fast as their equations one after the other (layers/lstm.py)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Weights(NamedTuple):
    """Of D directions with m cells, n numbers of an input and p after the projection.

    Shapes:  x: (D, 4m, n).  r: (D, 4m, p).  bias: (D, 4m).  p: (D, p, m)
    """

    x: Tensor
    r: Tensor
    bias: Tensor
    p: Tensor


def lstm(
    x: Tensor, begins: Tensor, weights: Weights, cell_clip: float = 0.0, projection_clip: float = 0.0
) -> Tensor:
    """As layers/lstm.py's, several times as fast; under autocast its products are in autocast's type."""
    kind = x.device.type
    w_x, w_r, bias, w_p = weights
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        x, w_x, w_r, w_p = (v.to(dtype) for v in (x, w_x, w_r, w_p))
    with torch.autocast(kind, enabled=False):
        return _LSTM.apply(x, begins, w_x, w_r, bias, w_p, cell_clip, projection_clip)  # type: ignore[no-any-return, no-untyped-call]


lstm._torchdynamo_disable = True  # type: ignore[attr-defined]  # torch.compiler.disable, which loads the compiler: two seconds


def _tanh(twice_x: Tensor) -> Tensor:
    """Tanh x = 2 σ(2x) - 1, in place and in a fifth of the time of torch's tanh on CPUs.  Shapes: any"""
    return twice_x.sigmoid_().mul_(2.0).sub_(1.0)


class _LSTM(torch.autograd.Function):
    """The recurrence; what does not depend on the state before is one large product for all time steps.

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
