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
    """RMSNorm's line with half the passes, in the dtype of x; fp16 by way of fp32, for the square of 256 is beyond it.
    Where nothing is learned, PyTorch's one kernel: to keep what a gradient needs takes longer than a token's norm."""
    gain = norm.weight if isinstance(norm.weight, Tensor) else None
    if not torch.is_grad_enabled() and (gain is None or gain.dtype == x.dtype):
        return F.rms_norm(x, x.shape[-1:], gain, norm.eps)
    gain = torch.ones(x.shape[-1], device=x.device) if gain is None else gain
    return Normalised.apply(x.float() if x.dtype == torch.float16 else x, gain, norm.eps).to(x.dtype)


class Normalised(torch.autograd.Function):
    """w x / rms(x) for a gain w; x and one number for each vector are all that is kept."""

    @staticmethod
    def forward(ctx, x: Tensor, gain: Tensor, eps: float) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
        scale = torch.rsqrt(size.square_() / x.shape[-1] + eps)
        ctx.save_for_backward(x, gain, scale)
        ctx.eps = eps
        return (x * scale.to(x.dtype)).mul_(gain.to(x.dtype))

    @staticmethod
    def backward(ctx, along: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """g w / rms - x mean(g w x) / rms³ for a gradient g, and for w the sum of g x / rms over the vectors; by the
        line that is read, where they shall be differentiated again."""
        x, gain, scale = ctx.saved_tensors
        if torch.is_grad_enabled():
            y = gain * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + ctx.eps)
            learned = [each for each in (x, gain) if each.requires_grad]
            slopes = torch.autograd.grad(y, learned, along, create_graph=True)
            return slopes[0] if x.requires_grad else None, slopes[-1] if gain.requires_grad else None, None
        both = (along * x).reshape(-1, x.shape[-1]).to(scale.dtype)
        mean = (both * gain).mean(-1).view_as(scale)
        slope = (along * gain.to(x.dtype)).mul_(scale.to(x.dtype))
        slope.addcmul_(x, (mean * scale ** 3).to(x.dtype), value=-1)
        return slope, (both * scale.flatten()[:, None]).sum(0) if gain.requires_grad else None, None


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
    """RoPE's lines for halves with fewer passes, the same to the bit: the partner is half a turn of the axis away."""
    turns = positions[:, None] * rope.speeds
    cos, sin = turns.cos().to(x.dtype), turns.sin().to(x.dtype)
    turned = x if rope.d_turned == x.shape[-1] else x[..., :rope.d_turned]
    y = (Turned.apply if torch.is_grad_enabled() else Turned.forward)(turned, cos, sin)
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
        return (x * cos).add_(x.roll(x.shape[-1] // 2, -1).mul_(sin))

    @staticmethod
    def backward(ctx, along: Tensor) -> tuple[Tensor, None, None]:
        """A gradient is turned back, by the same line."""
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
