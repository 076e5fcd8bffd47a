"""The MLPs by hand, and the mixture against the sum that defines it."""
from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from minillm.config import ModelConfig
from minillm.layers import MLPS, Mixture, balance_loss, nudge

CONFIG = ModelConfig(d_model=8, n_heads=2, d_ff=12, n_experts=4, experts_per_token=2)
X = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))


def gelu(u: float) -> float:
    return 0.5 * u * (1 + math.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u ** 3)))


@pytest.mark.parametrize(("name", "at_2", "at_minus_2"), [
    ("relu", 2.0, 0.0), ("relu2", 4.0, 0.0), ("gelu", gelu(2), gelu(-2)),
    ("gelu-exact", 2 * 0.5 * (1 + math.erf(2 / 2 ** 0.5)), -2 * 0.5 * (1 + math.erf(-2 / 2 ** 0.5))),
    ("swiglu", 2 * 2 / (1 + math.exp(-2)), 4 / (1 + math.exp(2))), ("geglu", 2 * gelu(2), -2 * gelu(-2))])
def test_by_hand_on_one_unit(name, at_2, at_minus_2):
    mlp = MLPS[name](1, 1)
    with torch.no_grad():
        for p in mlp.parameters():
            p.fill_(1.0)
        torch.testing.assert_close(mlp(torch.tensor([[2.0], [-2.0]])), torch.tensor([[at_2], [at_minus_2]]))


def made(config: ModelConfig) -> Mixture:
    torch.manual_seed(0)
    return Mixture(config)


@pytest.mark.parametrize("mlp", MLPS)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("shared", [0, 2])
def test_a_mixture_is_the_weighted_sum_of_its_chosen_experts(mlp, normalize, shared):
    mix = made(replace(CONFIG, mlp=mlp, normalize_experts=normalize, n_shared_experts=shared))
    p = mix.router(X).softmax(-1)
    best = p.topk(2).values
    gates = torch.where(p >= best[..., 1:], p, 0.0)
    if normalize:
        gates = gates / gates.sum(-1, keepdim=True)
    expected = sum(gates[..., e, None] * expert(X) for e, expert in enumerate(mix.experts)) + mix.shared(X)
    torch.testing.assert_close(mix(X), expected)


def test_one_expert_is_a_dense_mlp():
    mix = made(replace(CONFIG, n_experts=1, experts_per_token=1))
    torch.testing.assert_close(mix(X), mix.experts[0](X))


def test_only_the_chosen_experts_run():
    mix, seen = made(CONFIG), []
    for expert in mix.experts:
        expert.register_forward_hook(lambda m, inputs, y: seen.append(len(inputs[0])))
    mix(X)
    assert sum(seen) == 15 * 2


def test_balance_loss_is_one_when_even_and_n_when_one_takes_all():
    even = 20 * torch.eye(4).repeat(5, 1)
    torch.testing.assert_close(balance_loss(even, 1), torch.tensor(1.0), atol=1e-5, rtol=0)
    greedy = torch.tensor([20.0, 0, 0, 0]).expand(20, 4)
    torch.testing.assert_close(balance_loss(greedy, 1), torch.tensor(4.0), atol=1e-5, rtol=0)


def test_balance_loss_pushes_the_favourite_down():
    scores = torch.tensor([[2.0, 0.0, 0.0, 0.0]], requires_grad=True)
    balance_loss(scores, 1).backward()
    assert scores.grad[0, 0] > 0


def test_sigmoid_scores_judge_each_expert_by_itself():
    mix = made(replace(CONFIG, router="sigmoid", normalize_experts=False))
    p = mix.router(X).sigmoid()
    best = p.topk(2).values
    gates = torch.where(p >= best[..., 1:], p, 0.0)
    torch.testing.assert_close(mix(X), sum(gates[..., e, None] * expert(X) for e, expert in enumerate(mix.experts)))


@pytest.mark.parametrize("router", ["softmax", "sigmoid"])
def test_a_bias_chooses_and_does_not_weigh(router):
    mix = made(replace(CONFIG, router=router, balance_bias=True))
    scores = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    mix.balance += torch.tensor([0.0, 0.0, 0.0, 10.0])
    weights, chosen = mix.route(scores)
    assert (chosen == 3).any(-1).all()
    p = mix.judge(scores).gather(-1, chosen)
    torch.testing.assert_close(weights, p / p.sum(-1, keepdim=True))


def test_nudging_levels_the_load_without_a_gradient():
    mix = made(replace(CONFIG, router="sigmoid", balance_bias=True))
    scores = torch.randn(400, 4, generator=torch.Generator().manual_seed(0)) + torch.tensor([3.0, 0.0, 0.0, -3.0])
    def load():
        return torch.bincount(mix.route(scores)[1].flatten(), minlength=4) / 800
    assert load().max() > 0.45 and load().min() < 0.05
    for _ in range(400):
        nudge(mix, scores, rate=5e-3)
    assert load().max() - load().min() < 0.05
    assert "balance" in mix.state_dict() and not mix.balance.requires_grad


def test_without_a_bias_there_is_nothing_to_nudge():
    mix = made(CONFIG)
    assert "balance" not in mix.state_dict()
    with pytest.raises(ValueError, match="balance_bias=False"):
        nudge(mix, torch.zeros(3, 4))
