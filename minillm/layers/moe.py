"""Give each token the few experts that suit it, instead of one MLP for all."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from minillm.config import ModelConfig
from minillm.layers.mlp import MLPS


class Mixture(nn.Module):
    r"""Route every token to its top-k experts, and to the shared ones.  Jiang et al. 2024, arXiv:2401.04088;
    shared experts: Dai et al. 2024, arXiv:2401.06066.

    $$ y = \sum_{i \in \mathrm{chosen}} \rho_i \, \mathrm{expert}_i(x) + \mathrm{shared}(x), \qquad
       p = \mathrm{softmax}(W_{router} \, x), \qquad
       \rho_i = \frac{p_i}{\sum_{j \in \mathrm{chosen}} p_j} $$

    Chosen are the k with the largest p, and only these run.  With `normalize_experts=False`, ρ_i = p_i.  The
    output of `router` (the scores before the softmax) is what `balance_loss` needs; capture it, the forward pass
    returns y alone.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        c = config.resolve()
        mlp, bias = MLPS[c.mlp], c.bias == "all"
        self.experts_per_token, self.normalize = c.experts_per_token, c.normalize_experts
        self.router = nn.Linear(c.d_model, c.n_experts, bias=False)
        self.experts = nn.ModuleList(mlp(c.d_model, c.d_expert, bias=bias) for _ in range(c.n_experts))
        self.shared = mlp(c.d_model, c.n_shared_experts * c.d_expert, bias=bias) if c.n_shared_experts else Zero()

    def forward(self, x: Float[Tensor, "*axes d_model"]) -> Float[Tensor, "*axes d_model"]:
        tokens = x.flatten(0, -2)
        weights, chosen = self.route(self.router(tokens))
        routed = torch.zeros_like(tokens)
        for e, expert in enumerate(self.experts):
            token, place = torch.where(chosen == e)
            y = weights[token, place, None] * expert(tokens[token])
            routed = routed.index_add(0, token, y.to(routed.dtype))
        return self.shared(x) + routed.unflatten(0, x.shape[:-1])

    def route(self, scores: Float[Tensor, "token expert"]
              ) -> tuple[Float[Tensor, "token k"], Int[Tensor, "token k"]]:
        """The weights and the numbers of each token's experts."""
        weights, chosen = scores.float().softmax(dim=-1).topk(self.experts_per_token, dim=-1)
        return weights / weights.sum(-1, keepdim=True) if self.normalize else weights, chosen


class Zero(nn.Module):
    """No shared experts: add nothing."""

    def forward(self, x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        return torch.zeros_like(x)


def balance_loss(scores: Float[Tensor, "*axes expert"], experts_per_token: int) -> Float[Tensor, ""]:
    r"""Punish favourites among the experts.  Fedus et al. 2021, arXiv:2101.03961, for top-k.

    $$ \mathcal{L} = N_{experts} \sum_{i=1}^{N_{experts}} f_i \, \bar p_i $$

    f_i is the share of assignments that went to expert i, p̄_i its mean probability.  1 when all are used alike,
    N_experts when one takes everything.
    """
    p = rearrange(scores.float(), "... expert -> (...) expert").softmax(dim=-1)
    chosen = p.topk(experts_per_token, dim=-1).indices
    load = F.one_hot(chosen, p.shape[-1]).float().mean(dim=(0, 1))
    return p.shape[-1] * (load * p.mean(0)).sum()
