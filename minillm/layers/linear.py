"""Let tokens look back without a softmax: all that was read is one matrix for each head, whatever the length."""
from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from minillm.cache import StateCache
from minillm.config import ModelConfig
from minillm.layers.attention import Attention
from minillm.layers.gating import HeadGate, Ungated
from minillm.layers.latent import LatentAttention
from minillm.layers.norm import RMSNorm
from minillm.layers.position import RoPE


class LinearAttention(Attention):
    r"""Attention without its softmax: a masked product, or a state that grows by one product for each token.
    Katharopoulos et al. 2020, arXiv:2006.16236; a norm in place of the missing quotient: Qin et al. 2022,
    arXiv:2210.10340.

    $$ S_{hqk} = \sum_{e=1}^{E} \mathbf{q}_{hqe} \, \mathbf{k}_{h'ke}, \qquad
       z_{hqe} = \sum_{k \le q} S_{hqk} \, \mathbf{v}_{h'ke}
               = \sum_{i=1}^{E} \mathbf{q}_{hqi} \, \mathrm{state}_{h'qie}, \qquad
       \mathrm{state}_{h'kie} = \mathrm{state}_{h',k-1,ie} + \mathbf{k}_{h'ki} \, \mathbf{v}_{h'ke} $$

    Queries and keys are scaled to length one; z passes a norm.  The cache holds the state alone: E² numbers for each
    key head.  Order is told by what was read first, so nothing turns; a short convolution tells neighbours apart.
    """
    label = "linear"

    def __init__(self, config: ModelConfig, layer: int = 0, *, rope: RoPE | None = None):
        nn.Module.__init__(self)
        c = replace(config.resolve(), qk_norm=None)
        self.group, self.d_head, self.fused = c.n_heads // c.n_kv_heads, c.d_head, True
        self.project(c)
        self.convolve = ShortConvolution(c.d_model, c.conv_width) if c.conv_width else Unconvolved()
        self.out_norm = RMSNorm(c.d_head, eps=c.norm_eps)
        self.gate = HeadGate(c.d_model, c.n_heads) if c.attention_gate else Ungated()
        self.scores = nn.Identity()

    def forward(self, x: Float[Tensor, "batch seq d_model"], cache: StateCache | None = None
                ) -> Float[Tensor, "batch seq d_model"]:
        state = None if cache is None else cache.state
        read = self.convolve(x, cache)
        q, k = (F.normalize(self.split(project(read)), dim=-1) for project in (self.q_proj, self.k_proj))
        v = self.written(k, self.split(self.v_proj(read)), x, state)
        scores = self.scores(q @ self.share(k).mT).tril()  # batch head query key
        z = scores @ self.share(v) + (0.0 if state is None else q @ self.share(state))
        if cache is not None:
            cache.keep(k.mT @ v + (0.0 if state is None else state), x.shape[1])
        return self.o_proj(self.join(self.gate(self.out_norm(z), x)))

    def written(self, k: Float[Tensor, "batch kv_head key d_head"], v: Float[Tensor, "batch kv_head key d_head"],
                x: Float[Tensor, "batch key d_model"], state: Float[Tensor, "batch kv_head d_head d_value"] | None
                ) -> Float[Tensor, "batch kv_head key d_head"]:
        """What each token writes under its key: its value."""
        return v


class DeltaAttention(LinearAttention):
    r"""A token writes what is new: its value less what its key already brings back.  Schlag et al. 2021,
    arXiv:2102.11174; all tokens at once: Yang et al. 2024, arXiv:2406.06484.

    $$ \mathrm{new}_{h'ke} = \mathrm{rate}_{h'k} \left( \mathbf{v}_{h'ke}
           - \sum_{i=1}^{E} \mathbf{k}_{h'ki} \, \mathrm{state}_{h',k-1,ie} \right), \qquad
       \mathrm{state}_{h'kie} = \mathrm{state}_{h',k-1,ie} + \mathbf{k}_{h'ki} \, \mathrm{new}_{h'ke}, \qquad
       z_{hqe} = \sum_{i=1}^{E} \mathbf{q}_{hqi} \, \mathrm{state}_{h'qie} $$

    The rate is the sigmoid of a number read from x.  What token k writes depends on what those before it wrote: a
    triangle of linear equations, solved at once.
    """
    label = "delta rule"

    def project(self, c: ModelConfig) -> None:
        """The same matrices, and the one that reads the rates."""
        super().project(c)
        self.rate_proj = nn.Linear(c.d_model, c.n_kv_heads, bias=False)

    def written(self, k: Tensor, v: Tensor, x: Tensor, state: Tensor | None) -> Tensor:
        """What each token writes: the unknowns of new + rate · (earlier keys' likeness to its own) new = rate · v."""
        rate = self.rate_proj(x).sigmoid().mT[..., None]
        v = rate * (v - (0.0 if state is None else k @ state))
        likeness = (rate * (k @ k.mT)).tril(-1)
        wide = torch.promote_types(v.dtype, torch.float32)
        return torch.linalg.solve_triangular(likeness.to(wide), v.to(wide), upper=False, unitriangular=True).to(v.dtype)


class ShortConvolution(nn.Module):
    r"""Mix each component with its last few values, before anything is read.  Poli et al. 2023, arXiv:2302.10866.

    $$ y_{td} = \sum_{i=1}^{N_{width}} W_{di} \, x_{t - N_{width} + i,\, d} $$

    It starts as no mixture at all: the last weight is 1, the others 0.  Before the first token stand zeros.
    """

    def __init__(self, d_model: int, width: int):
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(F.one_hot(torch.full((d_model,), width - 1), width).float())

    def forward(self, x: Float[Tensor, "batch seq d_model"], cache: StateCache | None = None
                ) -> Float[Tensor, "batch seq d_model"]:
        before = x.new_zeros(len(x), self.width - 1, x.shape[-1]) if cache is None else cache.before(x, self.width - 1)
        stretch = torch.cat([before, x], dim=1).unfold(1, self.width, 1)  # batch seq d_model width
        return (stretch * self.weight).sum(-1)


class Unconvolved(nn.Module):
    """Leave x as it is."""

    def forward(self, x: Tensor, cache: StateCache | None = None) -> Tensor:
        return x


ATTENTIONS = {"heads": Attention, "latent": LatentAttention, "sum": LinearAttention, "delta": DeltaAttention}
