"""Let tokens look back at each other, and remember of each only a few numbers."""
from __future__ import annotations

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from minillm.cache import LayerCache
from minillm.config import ModelConfig
from minillm.layers.attention import Attention
from minillm.layers.norm import RMSNorm


class LatentAttention(Attention):
    r"""Keys and values of all heads are read from one short latent vector, and only that is cached (MLA).
    DeepSeek-AI 2024, arXiv:2405.04434, section 2.1.

    $$ \mathrm{latent}_k = \mathrm{norm}(W_{latent} \, x_k), \qquad
       \mathrm{turned}_k = \mathrm{RoPE}(W_{rotary} \, x_k), \qquad
       S_{hqk} = \frac{1}{\sqrt{E + D_{rotary}}} \left(
                 \sum_{e=1}^{E} \mathbf{q}_{hqe} \, (W_k \, \mathrm{latent}_k)_{he}
                 + \sum_{i=1}^{D_{rotary}} \mathrm{turned}_{hqi} \, \mathrm{turned}_{ki} \right), \qquad
       z_{hqe} = \sum_{k \le q} A_{hqk} \, (W_v \, \mathrm{latent}_k)_{he} $$

    A is the softmax of S over k <= q.  A query has E components that stay and D_rotary that RoPE has turned; both
    are linear in x, or in a latent of x (`QueryLatent`).  The latent of keys tells no position: a key that was turned
    could not be read from it later.  So the turned key, shared by all heads, does.  The cache holds turned key and
    latent: D_rotary + D_latent numbers for each position, instead of 2 H E.
    """
    label = "latent (MLA)"

    def project(self, c: ModelConfig) -> None:
        """Make the matrices that read from x, those that read from the latent, and the one that writes to x."""
        self.n_heads, self.widths, n_kv = c.n_heads, (c.d_head, c.d_rotary), c.n_heads * c.d_head
        self.q_latent = QueryLatent(c) if c.d_query else nn.Identity()
        self.q_proj = nn.Linear(c.d_query or c.d_model, n_kv + c.n_heads * c.d_rotary,
                                bias=c.is_biased("qkv") and not c.d_query)
        self.latent_proj = nn.Linear(c.d_model, c.d_latent, bias=c.is_biased("qkv"))
        self.rotary_proj = nn.Linear(c.d_model, c.d_rotary, bias=c.is_biased("qkv"))
        self.latent_norm = RMSNorm(c.d_latent, eps=c.norm_eps)
        self.k_proj = nn.Linear(c.d_latent, n_kv, bias=False)
        self.v_proj = nn.Linear(c.d_latent, n_kv, bias=False)
        self.o_proj = nn.Linear(n_kv, c.d_model, bias=c.is_biased("out"))

    def forward(self, x: Float[Tensor, "batch seq d_model"], cache: LayerCache | None = None
                ) -> Float[Tensor, "batch seq d_model"]:
        start = 0 if cache is None else cache.length
        query = key = torch.arange(start, start + x.shape[1], device=x.device)
        q, p = self.split(self.q_proj(self.q_latent(x))).split(self.widths, dim=-1)
        p, r = self.rotate(p, query), self.rotate(self.rotary_proj(x)[:, None], key)
        latent = self.latent_norm(self.latent_proj(x))[:, None]
        if cache is not None:
            r, latent, key = cache.extend(r, latent)
        read = self.expand if len(query) > 1 else self.absorb
        return self.o_proj(self.join(self.gate(read(q, p, latent, r, query, key), x)))

    def expand(self, q: Float[Tensor, "batch head query d_head"], p: Float[Tensor, "batch head query d_rotary"],
               latent: Float[Tensor, "batch 1 key d_latent"], r: Float[Tensor, "batch 1 key d_rotary"],
               query: Int[Tensor, "query"], key: Int[Tensor, "key"]) -> Float[Tensor, "batch head query d_head"]:
        """Read the keys and values of every head from the latents, as the equation says."""
        k, v = self.split(self.k_proj(latent[:, 0])), self.split(self.v_proj(latent[:, 0]))
        return self.attend(torch.cat([q, p], -1), torch.cat([k, self.share(r)], -1), v, query, key)

    def absorb(self, q: Tensor, p: Tensor, latent: Tensor, r: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """The same for one query, at less cost: W_K goes to the query and W_V to the mixture, not to every latent."""
        w_k, w_v = (w.weight.unflatten(0, (self.n_heads, -1)) for w in (self.k_proj, self.v_proj))
        q = einsum(q, w_k, "batch head query d_head, head d_head d_latent -> batch head query d_latent")
        k, v = self.share(torch.cat([latent, r], -1)), self.share(latent)
        z = self.attend(torch.cat([q, p], -1), k, v, query, key)
        return einsum(z, w_v, "batch head query d_latent, head d_head d_latent -> batch head query d_head")

    def split(self, x: Float[Tensor, "batch seq heads"]) -> Float[Tensor, "batch head seq d_head"]:
        """Cut the last axis into heads: those of queries are wider."""
        return rearrange(x, "batch seq (head d_head) -> batch head seq d_head", head=self.n_heads)

    def share(self, x: Float[Tensor, "batch 1 key width"]) -> Float[Tensor, "batch head key width"]:
        """Hand to every head what there is only one of."""
        return x.expand(-1, self.n_heads, -1, -1)


class QueryLatent(nn.Module):
    r"""Read queries, too, from a short latent: fewer numbers to learn, and to keep while learning.  DeepSeek-AI 2024,
    arXiv:2405.04434, section 2.1.2.

    $$ y_q = \mathrm{norm}(W_{query} \, x_q) $$
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.query_proj = nn.Linear(config.d_model, config.d_query, bias=config.is_biased("qkv"))
        self.norm = RMSNorm(config.d_query, eps=config.norm_eps)

    def forward(self, x: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch seq d_query"]:
        return self.norm(self.query_proj(x))
