"""Read one token more without what modules ask at every call: the fast twin of a model that goes on from its cache.

A token costs some forty small products.  Around each, a module looks for hooks, modes and parameters, and together
that takes longer than to multiply.  The lines stay those of `model.py` and `layers/`: each `forward` is run as it is
written, on a stand-in whose parts are plain functions.  Only what such a line is made of has a twin here: linear
layers, norms, and attention where one query looks back.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from minillm.cache import KVCache, LayerCache
from minillm.layers.attention import Attention, Unrotated
from minillm.layers.gating import HeadGate, Ungated
from minillm.layers.mlp import MLPS
from minillm.layers.norm import HeadNorm, LayerNorm, RMSNorm
from minillm.layers.position import RoPE
from minillm.layers.residual import Plain
from minillm.model import BLOCKS, Transformer, Unplaced, evaluating


class Quick:
    """`Quick(model)(tokens, cache)` is `model(tokens, cache)[:, -1]`, sooner where each text has one token more.

    It computes with the model's own weights, so it sees every change of them.  Where a part is exchanged it begins
    anew, and while there are hooks the model itself runs: what `capture` and `intervene` name is called as ever.
    """

    def __init__(self, model: nn.Module):
        self.model, self.parts, self.hooks = model, None, []

    def __call__(self, tokens: Int[Tensor, "batch seq"], cache: KVCache) -> Float[Tensor, "batch vocab"]:
        with evaluating(self.model):  # a reader may train it between two tokens
            if tokens.shape[1] > 1 or type(self.model) is not Transformer:
                return self.model(tokens, cache)[:, -1]
            if self.parts is None or any(now != then for now, then in self.parts):
                self._begin()
            return (self.model if any(self.hooks) else self.forward)(tokens, cache)[:, -1]

    def _begin(self) -> None:
        modules = list(self.model.modules())
        self.parts = [(m._modules, dict(m._modules)) for m in modules if m._modules]
        self.hooks = [hooks for m in modules for hooks in (m._forward_hooks, m._forward_pre_hooks)]
        self.hooks += [nn.modules.module._global_forward_hooks, nn.modules.module._global_forward_pre_hooks]
        self.forward = plain(self.model, {})


def plain(part: nn.Module, made: dict[nn.Module, Callable]) -> Callable:
    """What a part computes for one token of each text, without dropout, as a function; `made` holds those there are."""
    kind = type(part)
    if "forward" in vars(part):  # somebody's own
        return part
    if kind in TWINS:
        return made[part] if part in made else made.setdefault(part, TWINS[kind](part, made))
    if kind in WRITTEN:
        own = {name: value for name, value in vars(part).items() if not name.startswith("_")}
        parts = {name: [plain(one, made) for one in child] if type(child) is nn.ModuleList else plain(child, made)
                 for name, child in part.named_children()}
        return partial(inspect.unwrap(kind.forward), SimpleNamespace(**own | parts))
    return part


def linear(part: nn.Linear, made: dict) -> Callable:
    """y = W x + b; for a few texts in fp32 as W X, which MKL multiplies half as fast again as the usual X W."""
    own = part._parameters  # a dictionary; the module would be asked for each by a function of its own

    def run(x: Float[Tensor, "batch 1 d_in"]) -> Float[Tensor, "batch 1 d_out"]:
        weight, bias = own["weight"], own["bias"]
        if not (1 < len(x) <= FEW and x.dtype == torch.float32 and x.device.type == "cpu"):
            return F.linear(x, weight, bias)
        columns = x[:, 0].t()
        y = weight @ columns if bias is None else torch.addmm(bias[:, None], weight, columns)
        return y.t().contiguous()[:, None]
    return run


def layer_norm(part: LayerNorm, made: dict) -> Callable:
    """LayerNorm's kernel."""
    own, eps = part._parameters, part.eps
    return lambda x: F.layer_norm(x, x.shape[-1:], own.get("weight"), own.get("bias"), eps)


def rms_norm(part: RMSNorm, made: dict) -> Callable:
    """RMSNorm, its mean of squares a vector's product with itself; 16 bits keep the kernel that sums in 32."""
    own, eps = part._parameters, torch.full((1, 1, 1), part.eps)

    def run(x: Tensor) -> Tensor:
        if x.dtype != eps.dtype or x.device != eps.device:
            return F.rms_norm(x, x.shape[-1:], own.get("weight"), part.eps)
        rows = x.view(-1, 1, x.shape[-1])
        y = torch.baddbmm(eps, rows, rows.mT, alpha=1 / rows.shape[-1]).rsqrt_().mul(rows).view_as(x)
        return y.mul_(own.get("weight", 1.0))
    return run


def head_norm(part: HeadNorm, made: dict) -> Callable:
    """Every head by itself."""
    run = rms_norm(part, made)
    return lambda x: run(x.unflatten(-1, (-1, len(part.weight)))).view_as(x)


def turning(part: RoPE, made: dict) -> Callable:
    """A rotation is a matrix, whose rows are the unit vectors turned: all layers and heads share that of a position."""
    at, matrix = None, None

    def turn(x: Float[Tensor, "batch kv_head group d_head"], position: int) -> Tensor:
        nonlocal at, matrix
        if at != (position, x.dtype, x.device):
            at, units = (position, x.dtype, x.device), torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
            matrix = part(units[:, None], torch.tensor([position], device=x.device))[:, 0]
        return (x.view(-1, x.shape[-1]) @ matrix).view_as(x)
    return turn


def attention(part: Attention, made: dict) -> Callable:
    """One query, which sees all that its layer's cache holds: no mask, and those who share a key ask it together."""
    if not part.everything:
        return part
    q_proj, k_proj, v_proj, o_proj, q_norm, k_norm, turn, gate = (plain(getattr(part, name), made) for name in (
        "q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm", "rotate", "gate"))

    def run(x: Float[Tensor, "batch 1 d_model"], cache: LayerCache) -> Tensor:
        if not (part.fused and cache.has_room(len(x))):
            return part(x, cache)
        heads, position = (len(x), part.n_kv_heads, -1, part.d_head), cache.length
        keys, values = cache.append(turn(k_norm(k_proj(x)).view(heads), position), v_proj(x).view(heads))
        q = turn(q_norm(q_proj(x)).view(heads), position)
        z = F.scaled_dot_product_attention(q, keys, values, scale=part.scale)
        return o_proj(gate(z.view(len(x), -1, 1, z.shape[-1]), x).view(len(x), 1, -1))
    return run


def same(x: Tensor, *others: object) -> Tensor:
    """Leave x as it is."""
    return x


FEW = 64  # texts
WRITTEN = {Transformer, HeadGate, *BLOCKS.values(), *MLPS.values()}  # their lines are run as they are written
TWINS = {nn.Linear: linear, LayerNorm: layer_norm, RMSNorm: rms_norm, HeadNorm: head_norm, RoPE: turning,
         Attention: attention,
         **dict.fromkeys((nn.Identity, nn.Dropout, Unplaced, Plain, Unrotated, Ungated), lambda part, made: same)}
