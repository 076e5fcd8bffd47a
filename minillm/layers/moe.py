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

    Chosen are the k with the largest p, and only these run.  With `normalize_experts=False`, ρ_i = p_i; with
    `router="sigmoid"`, p is each score's own sigmoid; with `balance_bias`, the k with the largest p + bias are chosen,
    and `nudge` moves the bias; with `n_expert_groups`, from the best groups alone (`Groups`).  The output of `router`
    (the scores before the softmax) is what `balance_loss` and `nudge` need; capture it, the forward pass returns y
    alone.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        c = config.resolve()
        mlp, bias = MLPS[c.mlp], c.is_biased("mlp")
        self.experts_per_token, self.normalize = c.experts_per_token, c.normalize_experts
        self.router, self.judge = nn.Linear(c.d_model, c.n_experts, bias=c.router_bias), JUDGES[c.router]()
        self.within = Groups(c) if c.groups_per_token < c.n_expert_groups else nn.Identity()
        if c.balance_bias:
            self.register_buffer("balance", torch.zeros(c.n_experts))
        else:
            self.balance = 0.0
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
        p = self.judge(scores.float())
        chosen = self.within(p + self.balance).topk(self.experts_per_token, dim=-1).indices
        weights = p.gather(-1, chosen)
        return weights / weights.sum(-1, keepdim=True) if self.normalize else weights, chosen


class Groups(nn.Module):
    r"""Let a token visit experts of few groups only, each of which may stand on a machine of its own.  DeepSeek-AI
    2024, arXiv:2405.04434, section 2.2.2, and arXiv:2412.19437, section 2.1.2.

    $$ y_i = x_i \;\; \mathrm{where} \;\; \mathrm{group}_i \in \mathrm{best}, \qquad y_i = -\infty \;\;
       \mathrm{elsewhere} $$

    A group is as good as its best expert, or with a sigmoid router as its best two together.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.n_groups, self.groups_per_token = config.n_expert_groups, config.groups_per_token
        self.n_best = {"softmax": 1, "sigmoid": 2}[config.router]

    def forward(self, x: Float[Tensor, "token expert"]) -> Float[Tensor, "token expert"]:
        grouped = x.unflatten(-1, (self.n_groups, -1))  # token group expert
        best = grouped.topk(self.n_best, dim=-1).values.sum(-1).topk(self.groups_per_token, dim=-1).indices
        visited = torch.zeros(grouped.shape[:2], dtype=torch.bool, device=x.device).scatter(-1, best, True)
        return grouped.masked_fill(~visited[..., None], -torch.inf).flatten(1)


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


@torch.no_grad()
def nudge(mixture: Mixture, scores: Float[Tensor, "*axes expert"], *, rate: float = 1e-3) -> None:
    r"""Raise the bias of experts that were chosen too seldom, lower the others'.  Wang et al. 2024, arXiv:2408.15664;
    DeepSeek-AI 2024, arXiv:2412.19437.

    $$ \mathrm{bias}_i \leftarrow \mathrm{bias}_i + \mathrm{rate} \cdot \mathrm{sign}(1 / N_{experts} - f_i) $$

    f_i is the share of assignments that went to expert i.  Call it after each step with the captured scores of its
    router; no gradient is sent to anything, so the loss is that of the text alone.  Needs `balance_bias`.
    """
    if not isinstance(mixture.balance, Tensor):
        raise ValueError("this mixture has balance_bias=False, so it keeps no bias to nudge; build it with True")
    _, chosen = mixture.route(scores.flatten(0, -2))
    share = F.one_hot(chosen, scores.shape[-1]).float().mean(dim=(0, 1))
    mixture.balance += rate * (1 / scores.shape[-1] - share).sign()


JUDGES = {"softmax": lambda: nn.Softmax(dim=-1), "sigmoid": nn.Sigmoid}
