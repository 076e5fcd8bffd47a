"""Attention against the sums of its equation, and against PyTorch's own."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from minillm.config import ModelConfig
from minillm.inspection import capture, intervene
from minillm.layers import Attention

CONFIG = ModelConfig(d_model=16, n_heads=4, context_length=12, position="none")
X = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(0))


def made(config: ModelConfig, std: float = 0.5) -> Attention:
    attention, g = Attention(config).eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in attention.parameters():
            p.normal_(std=std, generator=g)
    return attention


@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
@torch.no_grad()
def test_it_is_the_sums_of_its_equation(n_kv_heads):
    a = made(replace(CONFIG, n_kv_heads=n_kv_heads))
    q, k, v = a.q_proj(X), a.k_proj(X), a.v_proj(X)
    z = torch.zeros(2, 12, 16)
    for b in range(2):
        for h in range(4):
            mine, shared = slice(4 * h, 4 * h + 4), slice(4 * (h * n_kv_heads // 4), 4 * (h * n_kv_heads // 4) + 4)
            for t in range(12):
                scores = torch.stack([q[b, t, mine] @ k[b, s, shared] / 4 ** 0.5 for s in range(t + 1)])
                z[b, t, mine] = sum(w * v[b, s, shared] for s, w in enumerate(scores.softmax(0)))
    torch.testing.assert_close(a(X), a.o_proj(z), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_it_is_pytorchs():
    a = made(CONFIG)
    q, k, v = (p(X).unflatten(-1, (4, 4)).transpose(1, 2) for p in (a.q_proj, a.k_proj, a.v_proj))
    z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(a(X), a.o_proj(z.transpose(1, 2).flatten(2)))


@torch.no_grad()
def test_without_positions_attention_cannot_tell_order():
    a = made(CONFIG)
    shuffled = X[:, [3, 1, 0, 2, *range(4, 12)]]
    torch.testing.assert_close(a(shuffled)[:, 4:], a(X)[:, 4:])
    a = made(replace(CONFIG, position="rope"))
    assert not torch.allclose(a(shuffled)[:, 4:], a(X)[:, 4:], atol=1e-3)


@torch.no_grad()
def test_a_head_can_be_switched_off():
    model = torch.nn.Sequential(made(CONFIG))
    def off(pattern):
        return pattern.index_fill(1, torch.tensor([2]), 0.0)
    before = model(X)
    with intervene(model, {"0.pattern": off}):
        without = model(X)
    with torch.no_grad():
        model[0].o_proj.weight[:, 8:12] = 0
    torch.testing.assert_close(model(X), without)
    assert not torch.allclose(before, without)


@torch.no_grad()
def test_the_pattern_that_is_seen_is_the_one_that_acts():
    model = torch.nn.Sequential(made(CONFIG))
    with capture(model, "0.pattern", "0.v_proj") as seen:
        out = model(X)
    v = seen["0.v_proj"].unflatten(-1, (4, 4)).transpose(1, 2)
    torch.testing.assert_close(out, model[0].o_proj((seen["0.pattern"] @ v).transpose(1, 2).flatten(2)))


@torch.no_grad()
def test_a_closed_gate_silences_its_head_alone():
    a = made(replace(CONFIG, attention_gate=True))
    a.gate.gate_proj.weight[2] = -1000 * X.mean((0, 1))
    model, x = torch.nn.Sequential(a), X.mean((0, 1)).expand(1, 4, 16)
    with capture(model, "0.gate") as seen:
        model(x)
    silent = seen["0.gate"][0].abs().amax((1, 2)) < 1e-6
    assert silent.tolist() == [False, False, True, False]


@torch.no_grad()
def test_a_sink_takes_its_share_of_every_query_and_none_at_minus_infinity():
    plain, a = made(CONFIG, std=0.2), made(replace(CONFIG, attention_sinks=True), std=0.2)
    a.softmax.sinks.copy_(torch.tensor([-torch.inf, 0.0, 3.0, 30.0]))
    seen = {}
    for name, module in (("plain", plain), ("sinks", a)):
        with capture(torch.nn.Sequential(module), "0.pattern") as found:
            module(X)
        seen[name] = found["0.pattern"]
    torch.testing.assert_close(seen["sinks"][:, 0], seen["plain"][:, 0])
    assert (seen["sinks"][:, 2].sum(-1) < 0.99).all()
    assert seen["sinks"][:, 3].sum(-1).max() < 1e-3


@torch.no_grad()
def test_scores_can_be_cooled_until_every_head_looks_at_one_key():
    model = torch.nn.Sequential(made(CONFIG))
    with intervene(model, {"0.scores": lambda scores: scores * 1e4}), capture(model, "0.pattern") as seen:
        model(X)
    torch.testing.assert_close(seen["0.pattern"].amax(-1), torch.ones(2, 4, 12), atol=1e-3, rtol=0)
    assert (seen["0.pattern"].triu(1) == 0).all()  # what is to come stays unseen, whatever the scores say
