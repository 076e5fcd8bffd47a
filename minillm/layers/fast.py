"""Compute the same in fewer passes: the fast twins of lines that are written to be read."""
from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minillm.layers.sight import visible


def by(twin: Callable, *, when: Callable[..., bool] = lambda *given, **named: True) -> Callable[[Callable], Callable]:
    """Run `twin` in place of the function below, which stays to be read, shown and ejected (`inspect.unwrap`).

    Tests hold the two equal, in values, gradients and second derivatives; the benchmarks say what the twin gains.
    """
    def replace(readable: Callable) -> Callable:
        return wraps(readable)(
            lambda *given, **named: (twin if when(*given, **named) else readable)(*given, **named))
    return replace


def rms_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """RMSNorm's line with half the passes, and with statistics in fp32: the square of 256 is beyond fp16.  Where
    nothing is learned, PyTorch's one kernel: to keep what a gradient needs takes longer than a token's norm itself."""
    if not torch.is_grad_enabled() and getattr(norm.weight, "dtype", x.dtype) == x.dtype:
        return F.rms_norm(x, x.shape[-1:], norm.weight if isinstance(norm.weight, Tensor) else None, norm.eps)
    y, _ = Normalised.apply(x, norm.eps)
    return norm.weight * y if isinstance(norm.weight, Tensor) else y


class Normalised(torch.autograd.Function):
    """x / rms(x) and 1 / rms(x); both are outputs, so that what is kept of them can be differentiated again."""

    @staticmethod
    def forward(ctx, x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        y = (x * scale).to(x.dtype)
        ctx.save_for_backward(y, scale)
        ctx.set_materialize_grads(False)
        return y, scale

    @staticmethod
    def backward(ctx, along_y: Tensor | None, along_scale: Tensor | None) -> tuple[Tensor | None, None]:
        """(g - y mean(g y)) / rms for a gradient g of y; of the scale, whose slope is -y / (D rms²), only if asked."""
        (y, scale), gradient = ctx.saved_tensors, None
        if along_y is not None:
            mean = (along_y * y).mean(-1, keepdim=True)
            gradient = torch.addcmul(along_y, y, mean, value=-1).mul_(scale)
        if along_scale is not None:
            slope = y * (along_scale * scale.square() / -y.shape[-1])
            gradient = slope if gradient is None else gradient + slope
        return gradient if gradient is None else gradient.to(y.dtype), None


def relu2_mlp(mlp: nn.Module, x: Tensor) -> Tensor:
    """ReLU2's line, keeping one tensor for its gradient instead of two."""
    u = mlp.up_proj(x)
    return mlp.down_proj(SquaredReLU.apply(u)[0] if torch.is_grad_enabled() else F.relu(u).square())


class SquaredReLU(torch.autograd.Function):
    """max(0, u)² and max(0, u); both are outputs, so that what is kept can be differentiated again."""

    @staticmethod
    def forward(ctx, u: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(u)
        ctx.save_for_backward(h)
        ctx.set_materialize_grads(False)
        return h * h, h

    @staticmethod
    def backward(ctx, along_square: Tensor | None, along_h: Tensor | None) -> Tensor | None:
        """2 g h for a gradient g of the square; 1 where h is positive, for one of h."""
        (h,), gradient = ctx.saved_tensors, None
        if along_square is not None:
            gradient = (along_square * h).mul_(2)
        if along_h is not None:
            slope = along_h * (h > 0)
            gradient = slope if gradient is None else gradient + slope
        return gradient


def turn(rope: nn.Module, x: Tensor, positions: Tensor) -> Tensor:
    """RoPE's lines for halves with fewer passes, the same to the bit: each half is added where it belongs.
    Where nothing is learned, the partner is half a turn of the axis away."""
    turns = positions[:, None] * rope.speeds
    cos, sin = turns.cos().to(x.dtype), turns.sin().to(x.dtype)
    turned = x if rope.d_turned == x.shape[-1] else x[..., :rope.d_turned]
    y = (Turned.apply(turned, cos, sin) if torch.is_grad_enabled()
         else turned * cos + turned.roll(rope.d_turned // 2, -1) * sin)
    return y if turned is x else torch.cat([y, x[..., rope.d_turned:]], dim=-1)


def can_turn(rope: nn.Module, x: Tensor, positions: Tensor) -> bool:
    """Halves, and not in 16 bits where a gradient is wanted: there the line itself is faster."""
    return rope.half == -2 and (x.itemsize > 2 or not torch.is_grad_enabled())


class Turned(torch.autograd.Function):
    """x cos + partner(x) sin, for halves; the sine of the first half is negative."""
    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx, given: tuple[Tensor, Tensor, Tensor], y: Tensor) -> None:
        ctx.save_for_backward(*given[1:])

    @staticmethod
    def forward(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        y, half = x * cos, x.shape[-1] // 2
        y[..., :half] += x[..., half:] * sin[..., :half]
        y[..., half:] += x[..., :half] * sin[..., half:]
        return y

    @staticmethod
    def backward(ctx, along: Tensor) -> tuple[Tensor, None, None]:
        """A gradient is turned back, by the same lines."""
        cos, sin = ctx.saved_tensors
        return Turned.apply(along, cos, -sin), None, None


def attend(attention: nn.Module, q: Tensor, k: Tensor, v: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Attention's three lines in one kernel, which keeps no pattern, or (where that is faster) in three larger ones.

    On a CPU PyTorch's kernel wins for one query, and in fp32 for long texts; in bf16 it is 3 to 8 times slower
    than three products.
    """
    dropout, scale = attention.dropout.p if attention.training else 0.0, attention.scale
    n_query, n_key = len(query), len(key)
    if n_query == 1 or q.is_cuda or (v.dtype == torch.float32 and n_key >= 256):
        causal = n_query == n_key > 1
        mask = None if causal or n_query == 1 else visible(query, key)
        return F.scaled_dot_product_attention(q, k, v, mask, dropout, causal, scale=scale)
    later = q.new_full((n_query, n_key), -torch.inf).triu_(1 + n_key - n_query)
    scores = torch.baddbmm(later, q.flatten(0, 1), k.flatten(0, 1).mT, alpha=scale)
    pattern = attention.dropout(scores.softmax(dim=-1)).to(v.dtype)
    return (pattern @ v.flatten(0, 1)).unflatten(0, q.shape[:2])
