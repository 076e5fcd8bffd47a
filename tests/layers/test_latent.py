"""Latent attention: little is kept, and it is many heads' worth."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minillm.cache import KVCache, LayerCache
from minillm.config import ModelConfig
from minillm.inspection import capture, intervene
from minillm.layers import LatentAttention, RoPE
from minillm.lora import LoRALinear, add_lora
from minillm.model import Transformer

CONFIG = ModelConfig(vocab_size=31, d_model=16, n_layers=2, n_heads=4, context_length=12, attention="latent",
                     d_latent=6, d_rotary=2)
X = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(0))


def made(config: ModelConfig = CONFIG) -> LatentAttention:
    attention, g = LatentAttention(config).eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in attention.parameters():
            p.normal_(std=0.5, generator=g)
    return attention


@torch.no_grad()
def test_the_cache_holds_the_latent_and_one_rotary_key():
    attention, cache = made(), LayerCache(12, ring=False)
    attention(X, cache)
    torch.testing.assert_close(cache.values[:, 0], attention.latent_norm(attention.latent_proj(X)))
    torch.testing.assert_close(cache.keys[:, 0], RoPE(2)(attention.rotary_proj(X), torch.arange(12)))


@torch.no_grad()
def test_it_keeps_fewer_numbers_than_heads_do():
    caches = {}
    for kind in ("latent", "heads"):
        config = replace(CONFIG, attention=kind)
        caches[kind] = KVCache(config)
        Transformer(config)(torch.randint(31, (2, 12)), cache=caches[kind])
    assert caches["latent"].bytes == 2 * 2 * 12 * (6 + 2) * 4  # layers, texts, positions, numbers, bytes
    assert caches["heads"].bytes == 2 * 2 * 12 * (2 * 16) * 4


@pytest.mark.parametrize("fused", [True, False])
@torch.no_grad()
def test_one_query_may_as_well_be_brought_to_the_latents(fused):
    """Section 2.1.2: W_K moves to the query, W_V behind the mixture; every head then reads the same latents."""
    attention, g = made(), torch.Generator().manual_seed(2)
    attention.fused = fused
    q, p = torch.randn(2, 4, 1, 4, generator=g), torch.randn(2, 4, 1, 2, generator=g)
    latent, r = torch.randn(2, 1, 9, 6, generator=g), torch.randn(2, 1, 9, 2, generator=g)
    given = q, p, latent, r, torch.tensor([8]), torch.arange(9)
    torch.testing.assert_close(attention.absorb(*given), attention.expand(*given), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_what_lora_corrects_is_absorbed_too():
    model = Transformer(CONFIG).eval()
    for module in add_lora(model, targets=("q_proj", "k_proj", "v_proj"), rank=2).modules():
        if isinstance(module, LoRALinear):
            torch.nn.init.normal_(module.lora_B.weight)
    tokens, cache = torch.randint(31, (1, 12)), KVCache(CONFIG)
    steps = [model(tokens[:, i:i + 1], cache=cache) for i in range(12)]
    torch.testing.assert_close(torch.cat(steps, 1), model(tokens), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_only_the_rotary_key_tells_the_order():
    a = made()
    shuffled = X[:, [3, 1, 0, 2, *range(4, 12)]]
    assert not torch.allclose(a(shuffled)[:, 4:], a(X)[:, 4:], atol=1e-3)
    a.rotary_proj.weight.zero_()
    torch.testing.assert_close(a(shuffled)[:, 4:], a(X)[:, 4:])


@pytest.mark.parametrize("change", [{}, {"d_latent": 40}, {"n_heads": 2, "d_head": 6}, {"bias": "all"}], ids=str)
@torch.no_grad()
def test_the_kernel_computes_the_same(change):
    attention = made(replace(CONFIG, **change))
    fused = attention(X)
    attention.fused = False
    torch.testing.assert_close(attention(X), fused, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_head_can_be_seen_and_switched_off():
    model = torch.nn.Sequential(made())
    with capture(model, "0.pattern") as seen:
        before = model(X)
    assert seen["0.pattern"].shape == (2, 4, 12, 12)
    with intervene(model, {"0.pattern": lambda pattern: pattern.index_fill(1, torch.tensor([2]), 0.0)}):
        without = model(X)
    model[0].o_proj.weight[:, 8:12] = 0
    torch.testing.assert_close(model(X), without)
    assert not torch.allclose(before, without)
