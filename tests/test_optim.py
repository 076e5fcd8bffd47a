"""What the optimizers move, how far, and when."""
from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minillm.config import ModelConfig
from minillm.model import Transformer
from minillm.optim import (
    Muon,
    adamw,
    constant,
    heads_of,
    hidden_matrices,
    muon,
    orthogonalize,
    orthogonalize_quickly,
    warmup_cosine,
    warmup_linear,
    warmup_stable_decay,
)

SCHEDULES = {"cosine": warmup_cosine, "linear": warmup_linear, "stable": warmup_stable_decay}


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
@given(n_steps=st.integers(2, 500), warmup=st.integers(0, 50), floor=st.floats(0, 0.5))
def test_a_schedule_rises_to_one_and_falls_to_its_floor(make, n_steps, warmup, floor):
    factor = make(n_steps + warmup, warmup=warmup, floor=floor)
    values = [factor(step) for step in range(n_steps + warmup + 1)]
    top = values.index(max(values))
    assert values[:top] == sorted(values[:top]) and values[top:] == sorted(values[top:], reverse=True)
    assert max(values) <= 1.0 and values[0] > 0.0
    assert values[-1] == pytest.approx(floor) == factor(10 * n_steps + 500)


def test_schedules_by_hand():
    cosine = warmup_cosine(104, warmup=4)
    assert [cosine(s) for s in (0, 3)] == pytest.approx([1 / 5, 4 / 5])
    assert [cosine(s) for s in (4, 29, 54, 104)] == pytest.approx([1.0, 0.5 + 0.5 * math.sqrt(0.5), 0.5, 0.0])
    assert warmup_linear(100)(25) == pytest.approx(0.75)
    stable = warmup_stable_decay(100, decay=0.2)
    assert [stable(s) for s in (50, 80, 90)] == pytest.approx([1.0, 1.0, 0.5])
    assert [constant(warmup=3)(s) for s in (0, 3, 1000)] == pytest.approx([0.25, 1.0, 1.0])


def model(**choices) -> Transformer:
    return Transformer(ModelConfig(vocab_size=11, d_model=16, n_layers=2, n_heads=2, context_length=8, **choices))


@pytest.mark.parametrize("tied", [True, False])
def test_adamw_decays_matrices_and_nothing_else(tied):
    m = model(bias="all", position="learned", norm="layernorm", tie_embeddings=tied)
    before = {name: p.detach().clone() for name, p in m.named_parameters()}
    for p in m.parameters():
        p.grad = torch.zeros_like(p)  # no gradient: whatever changes, decay changed
    adamw(m, lr=0.1, weight_decay=0.5).step()
    shrunk = {name for name, p in m.named_parameters() if not torch.equal(p, before[name])}
    expected = {n for n in before if n.endswith("proj.weight")} | (set() if tied else {"unembed.weight"})
    assert shrunk == expected
    for name in shrunk:
        torch.testing.assert_close(dict(m.named_parameters())[name], before[name] * (1 - 0.1 * 0.5))


@pytest.fixture(params=[True, False], ids=["with units for bf16", "without"])
def units(request, monkeypatch):
    """What a machine has decides in which numbers matrices are levelled."""
    monkeypatch.setattr("minillm.optim.has_bf16", lambda device: request.param)


@pytest.mark.parametrize("level", [orthogonalize, orthogonalize_quickly])
@pytest.mark.parametrize("shape", [(8, 8), (6, 20), (20, 6)])
def test_orthogonalize_keeps_directions_and_evens_their_sizes(shape, level, units):
    g = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    u, s, vt = torch.linalg.svd(g, full_matrices=False)
    ours = u.mT @ level(g) @ vt.mT  # diagonal, if the singular vectors are kept
    sizes = ours.diagonal(dim1=-2, dim2=-1)
    large = s > 0.05 * s.norm(dim=-1, keepdim=True)
    assert large.any() and (sizes[large] > 0.6).all() and (sizes < 1.25).all()
    assert (ours - torch.diag_embed(sizes)).abs().max() < 0.05  # bfloat16 has 8 bits


def test_muon_moves_every_direction_equally_far():
    """One step from zero weights: W = -lr sqrt(max(1, out / in)) U V^T, however lopsided the gradient."""
    linear = nn.Linear(8, 32, bias=False)
    nn.init.zeros_(linear.weight)
    u, v = (torch.linalg.qr(torch.randn(n, 8)).Q for n in (32, 8))
    linear.weight.grad = u @ torch.diag(torch.linspace(1.0, 10.0, 8)) @ v.T
    Muon([linear.weight], lr=0.1).step()
    moved = -(u.T @ linear.weight.detach() @ v).diagonal() / (0.1 * 2.0)
    assert moved.min() > 0.6 and moved.max() < 1.25  # the gradient's own sizes were 1 to 10


def test_four_quick_rounds_are_as_even_as_five(units):
    """From 1/200 of the root of |XXᵀ| on within a fifth of one; the five reach 0.65 to 1.2."""
    u, v = (torch.linalg.qr(torch.randn(n, 32)).Q for n in (32, 128))
    g = (u * torch.logspace(0, math.log10(1 / 100), 32)) @ v.T
    assert 1 / 100 > (g @ g.T).norm().sqrt() / 200

    def sizes(level):
        return (u.T @ level(g[None])[0] @ v).diagonal()

    quick, five = sizes(orthogonalize_quickly), sizes(orthogonalize)
    assert (quick - 1).abs().max() < 0.21 < 0.25 < (five - 1).abs().max()


@pytest.mark.parametrize("level", [orthogonalize, orthogonalize_quickly])
def test_no_gradient_is_no_step(level, units):
    assert not level(torch.zeros(2, 4, 8)).any()


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e12])
def test_however_large_a_gradient_its_step_is_as_long_and_one_direction_alone_does_not_grow(size, units):
    g = size * torch.outer(torch.randn(64), torch.randn(96))[None]
    assert torch.linalg.matrix_norm(orthogonalize_quickly(g), 2).item() == pytest.approx(1, abs=0.22)


@pytest.mark.parametrize("choices", [
    dict(), dict(n_kv_heads=1), dict(attention="latent"), dict(linear_attention="delta", conv_width=3),
    dict(n_experts=2, bias="all"), dict(d_head=12)])
def test_quick_muon_levels_each_head_by_itself(choices):
    m = model(**choices)
    for p in m.parameters():
        p.grad = torch.randn_like(p)
    before = {name: p.detach().clone() for name, p in m.named_parameters()}
    heads = {name: heads_of(m)[p] for name, p in m.named_parameters() if p in heads_of(m)}
    assert sorted(heads) == sorted(n for n in before if n.split(".")[-2] in ("q_proj", "k_proj", "v_proj", "o_proj")
                                   and n.endswith("weight"))
    muon(m, lr=0.1, quick=True).step()
    config = m.config.resolve()
    for name, (n, axis) in heads.items():
        assert axis == (name.split(".")[-2] == "o_proj")
        assert n == (config.n_kv_heads if name.split(".")[-2] in ("k_proj", "v_proj") else config.n_heads)
        old, new = before[name], dict(m.named_parameters())[name].detach()
        moved = (old - new) / (0.1 * math.sqrt(max(1.0, old.shape[0] / old.shape[1])))
        for part in moved.chunk(n, dim=axis):
            rank = min(part.shape)
            assert part.square().sum().item() == pytest.approx(rank, rel=0.3)  # all singular values near one


def test_muon_takes_the_hidden_matrices_and_adam_the_rest():
    m = model(tie_embeddings=False, n_experts=2, position="learned")
    names = {id(p): name for name, p in m.named_parameters()}
    chosen = {names[id(p)] for p in hidden_matrices(m)}
    assert chosen == {n for n in names.values() if n.endswith("proj.weight")}
    optimizer = muon(m)
    assert sorted(id(p) for g in optimizer.param_groups for p in g["params"]) == sorted(names)


def test_muons_adam_is_pytorchs():
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4)) for _ in range(2))
    optimizers = [Muon([], [ours], adam_lr=0.01, betas=(0.8, 0.9)), torch.optim.Adam([theirs], 0.01, (0.8, 0.9))]
    for i in range(5):
        for p, optimizer in zip((ours, theirs), optimizers, strict=True):
            p.grad = torch.sin(p.detach() * 3 + i)
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_muon_refuses_what_is_no_matrix():
    with pytest.raises(ValueError, match=r"\(3,\).*others"):
        Muon([nn.Parameter(torch.zeros(3))])


@pytest.mark.parametrize("make", [adamw, muon])
def test_frozen_weights_stay(make):
    m = model()
    m.blocks[0].requires_grad_(False)
    optimizer = make(m)
    held = [p for g in optimizer.param_groups for p in g["params"]]
    assert all(p.requires_grad for p in held) and len(held) == sum(p.requires_grad for p in m.parameters())


@pytest.mark.parametrize("lie", [
    lambda x: x.T.contiguous().T, lambda x: torch.cat([x, -x], 1)[:, :8], lambda x: x.repeat_interleave(2, 0)[::2],
    lambda x: torch.stack([x, -x], 2)[:, :, 0]], ids=["turned", "cut out", "every other row", "every other number"])
@pytest.mark.parametrize("make", [adamw, muon])
def test_a_weight_moves_alike_however_it_lies_in_memory(make, lie):
    start = torch.randn(8, 8)
    moved = []
    for weight in (start.clone(), lie(start)):
        linear = nn.Linear(8, 8)
        linear.weight = nn.Parameter(weight)
        optimizer = make(linear, lr=0.1)
        for i in range(2):
            linear.weight.grad = torch.sin(start * 3 + i)
            linear.bias.grad = torch.ones(8)
            optimizer.step()
        moved.append(linear.weight.detach())
    torch.testing.assert_close(*moved)
    assert (moved[0] - start).abs().min() > 0


@pytest.mark.parametrize("make", [adamw, muon, partial(muon, quick=True)])
def test_a_copy_of_model_and_optimizer_makes_the_same_step(make):
    m = model()
    optimizer = make(m)
    copied, its_optimizer = copy.deepcopy((m, optimizer))
    for each, rule in ((m, optimizer), (copied, its_optimizer)):
        for p in each.parameters():
            p.grad = torch.linspace(-1, 1, p.numel()).reshape(p.shape)
        rule.step()
    assert all(torch.equal(a, b) and a is not b for a, b in zip(m.parameters(), copied.parameters(), strict=True))
    assert not torch.equal(next(m.parameters()), next(model().parameters()))
