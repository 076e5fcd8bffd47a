"""Let tokens look back at each other."""
from __future__ import annotations

import sys

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor, nn

from minillm.cache import LayerCache
from minillm.config import ModelConfig
from minillm.layers import fast
from minillm.layers.gating import HeadGate, SinkSoftmax, Ungated
from minillm.layers.norm import HeadNorm, RMSNorm, Softcap
from minillm.layers.position import BIASED, ROTATED, RoPE
from minillm.layers.sight import visible


class Attention(nn.Module):
    r"""Every position gathers values from the positions before it.  Vaswani et al. 2017, arXiv:1706.03762;
    shared keys: Shazeer 2019, arXiv:1911.02150 (MQA); Ainslie et al. 2023, arXiv:2305.13245 (GQA).

    $$ S_{hqk} = \frac{1}{\sqrt{E}} \sum_{e=1}^{E} \mathbf{q}_{hqe} \, \mathbf{k}_{h'ke}, \qquad
       A_{hqk} = \frac{\exp S_{hqk}}{\sum_{k' \le q} \exp S_{hqk'}}, \qquad
       z_{hqe} = \sum_{k \le q} A_{hqk} \, \mathbf{v}_{h'ke}, \qquad h' = \lfloor h \, H_{kv} / H \rfloor $$

    Queries, keys and values are linear in x, cut into heads of width E.  Query head h reads key head h': H / H_kv
    query heads share one (H_kv = H: MHA).  RoPE turns queries and keys, ALiBi lowers S, a window takes away all
    k <= q - window.  S and A pass through the submodules `scores` and `pattern`, where a hook sees or changes them.
    `fused`: three lines in one.
    """
    label = "heads"

    def __init__(self, config: ModelConfig, layer: int = 0, *, rope: RoPE | None = None):
        super().__init__()
        c = config.resolve()
        self.n_kv_heads, self.group, self.d_head = c.n_kv_heads, c.n_heads // c.n_kv_heads, c.d_head
        self.scale = c.attention_scale
        self.window = c.window if c.is_windowed(layer) else sys.maxsize
        self.everything = c.position not in BIASED and not c.is_windowed(layer) and not (
            c.attention_softcap or c.attention_sinks)
        self.fused = True
        self.project(c)
        self.rotate = (rope or rope_of(c, layer)) if c.is_turned(layer) else Unrotated()
        self.bias = BIASED[c.position](c.n_heads) if c.position in BIASED else Unbiased()
        self.softcap = Softcap(c.attention_softcap) if c.attention_softcap else nn.Identity()
        self.softmax = SinkSoftmax(c.n_heads) if c.attention_sinks else nn.Softmax(dim=-1)
        self.gate = HeadGate(c.d_model, c.n_heads) if c.attention_gate else Ungated()
        self.scores, self.pattern = nn.Identity(), nn.Identity()
        self.dropout = nn.Dropout(c.dropout)

    def project(self, c: ModelConfig) -> None:
        """Make the matrices that read queries, keys and values from x, and the one that writes to it."""
        n_q, n_kv = c.n_heads * c.d_head, c.n_kv_heads * c.d_head
        self.q_proj = nn.Linear(c.d_model, n_q, bias=c.is_biased("qkv"))
        self.k_proj = nn.Linear(c.d_model, n_kv, bias=c.is_biased("qkv"))
        self.v_proj = nn.Linear(c.d_model, n_kv, bias=c.is_biased("qkv"))
        self.o_proj = nn.Linear(n_q, c.d_model, bias=c.is_biased("out"))
        self.q_norm, self.k_norm = QK_NORMS[c.qk_norm](n_q, c), QK_NORMS[c.qk_norm](n_kv, c)

    def forward(self, x: Float[Tensor, "batch seq d_model"], cache: LayerCache | None = None
                ) -> Float[Tensor, "batch seq d_model"]:
        start = 0 if cache is None else cache.length
        query = key = torch.arange(start, start + x.shape[1], device=x.device)
        q = self.rotate(self.split(self.q_norm(self.q_proj(x))), query)
        k = self.rotate(self.split(self.k_norm(self.k_proj(x))), key)
        v = self.split(self.v_proj(x))
        if cache is not None:
            k, v, key = cache.extend(k, v)
        z = self.attend(q, self.share(k), self.share(v), query, key)
        return self.o_proj(self.join(self.gate(z, x)))

    @fast.by(fast.attend, when=lambda attention, *given: attention.fused and attention.everything)
    def attend(self, q: Float[Tensor, "batch head query d_head"], k: Float[Tensor, "batch head key d_head"],
               v: Float[Tensor, "batch head key d_value"], query: Int[Tensor, "query"], key: Int[Tensor, "key"]
               ) -> Float[Tensor, "batch head query d_value"]:
        """Scores, softmax, mixture: the three lines of the equation."""
        scores = einsum(q, k, "batch head query d_head, batch head key d_head -> batch head query key")
        scores = self.scores(self.softcap(scores * self.scale) + self.bias(query, key))
        scores = scores.masked_fill(~visible(query, key, self.window), -torch.inf)
        pattern = self.pattern(self.dropout(self.softmax(scores)))
        return einsum(pattern, v, "batch head query key, batch head key d_head -> batch head query d_head")

    def split(self, x: Float[Tensor, "batch seq heads"]) -> Float[Tensor, "batch head seq d_head"]:
        """Cut the last axis into heads."""
        return x.unflatten(-1, (-1, self.d_head)).transpose(1, 2)  # hot path: a view, as rearrange would give

    def join(self, x: Float[Tensor, "batch head seq d_head"]) -> Float[Tensor, "batch seq heads"]:
        """Put the heads side by side again."""
        return x.transpose(1, 2).flatten(2)  # hot path

    def share(self, x: Float[Tensor, "batch kv_head key d_head"]) -> Float[Tensor, "batch head key d_head"]:
        """Hand each key head to its group of query heads."""
        return x if self.group == 1 else x.repeat_interleave(self.group, dim=1)


class Unrotated(nn.Module):
    """Leave queries and keys as they are: the position is told elsewhere, or not at all."""

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        return x


class Unbiased(nn.Module):
    """Add nothing to the scores."""

    def forward(self, query: Tensor, key: Tensor) -> float:
        return 0.0


def rope_of(config: ModelConfig, layer: int) -> RoPE:
    """The rotation that a layer uses: windowed layers may have their own theta, and are never stretched."""
    c, local = config.resolve(), config.is_windowed(layer) and config.rope_theta_local is not None
    return ROTATED[c.position](
        c.d_rotary, theta=c.rope_theta_local if local else c.rope_theta, fraction=c.rope_fraction, pairs=c.rope_pairs,
        scaling=None if local else c.rope_scaling)


QK_NORMS = {
    None: lambda width, c: nn.Identity(),
    "head": lambda width, c: HeadNorm(c.d_head, eps=c.norm_eps),
    "full": lambda width, c: RMSNorm(width, eps=c.norm_eps),
}
