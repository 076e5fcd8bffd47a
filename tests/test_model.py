"""Properties that every model has, whatever it is made of."""
from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from minillm.cache import KVCache
from minillm.config import CHOICES, ModelConfig
from minillm.inspection import capture
from minillm.layers.attention import rope_of
from minillm.model import Transformer
from tests.variants import OTHERS, SMALL, name_of, variants

VARIANTS = variants(90)
every_variant = pytest.mark.parametrize("config", VARIANTS, ids=name_of)


def made(config: ModelConfig, *, lively: bool = True) -> Transformer:
    """A model in evaluation mode; `lively` draws larger weights, so that every part has a say in the output."""
    torch.manual_seed(0)
    model = Transformer(config).eval()
    if lively:
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.2 * torch.randn(p.shape))
    return model


def some_tokens(config: ModelConfig, batch: int = 2, seq: int | None = None) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    return torch.randint(config.vocab_size, (batch, seq or config.context_length), generator=g)


def test_variants_cover_every_value():
    for name, values in {**CHOICES, **OTHERS}.items():
        assert {getattr(c, name) for c in VARIANTS} >= set(values), name


@every_variant
@torch.no_grad()
def test_fused_attention_is_the_readable_one(config):
    model, tokens = made(config), some_tokens(config)
    torch.testing.assert_close(model(tokens), model.fuse()(tokens), atol=1e-4, rtol=1e-4)


@every_variant
@pytest.mark.parametrize("fused", [False, True], ids=["readable", "fused"])
@torch.no_grad()
def test_cache_changes_nothing(config, fused):
    model, tokens = made(config).fuse(fused), some_tokens(config)
    cache = KVCache(config)
    cuts = [0, 9, 14, *range(15, config.context_length + 1)]  # a prompt, some more, one by one
    pieces = [model(tokens[:, a:b], cache=cache) for a, b in zip(cuts, cuts[1:], strict=False)]
    torch.testing.assert_close(torch.cat(pieces, 1), model(tokens), atol=1e-4, rtol=1e-4)
    assert cache.length == config.context_length


@every_variant
def test_nothing_leaks_from_the_future(config):
    model, tokens = made(config), some_tokens(config, batch=1)
    embedded = model.embed(tokens).detach().requires_grad_()
    handle = model.embed.register_forward_hook(lambda *_: embedded)
    model(tokens)[0, 10].sum().backward()
    handle.remove()
    reached = embedded.grad[0].abs().sum(-1)
    assert (reached[11:] == 0).all()
    assert reached[10] > 0


@every_variant
@torch.no_grad()
def test_patterns_sum_to_one_and_are_causal(config):
    full = [layer for layer in range(config.n_layers) if not config.is_linear(layer)]
    model = made(config).fuse()  # capturing must switch the readable path on
    with capture(model, *(f"blocks.{layer}.attention.pattern" for layer in full)) as seen:
        model(some_tokens(config))
    assert len(seen) == len(full)
    for layer, pattern in zip(full, seen.values(), strict=True):
        assert pattern.shape == (2, config.n_heads, config.context_length, config.context_length)
        whole = pattern.sum(-1)
        if config.attention_sinks:  # the rest of the gaze goes nowhere
            assert (whole < 1.0001).all() and whole.min() < 0.9
        else:
            torch.testing.assert_close(whole, torch.ones_like(whole))
        assert (pattern.triu(1) == 0).all()
        if config.is_windowed(layer):
            assert (pattern.tril(-config.window) == 0).all()


@every_variant
def test_gradients_are_finite_and_reach_every_weight(config):
    model, tokens = made(config).train(), some_tokens(config, batch=4)
    F.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all(), name
        # softmax ignores a constant, so a bias on all keys has none; an expert may have met no token
        if not (name.endswith("k_proj.bias") or ".experts." in name):
            assert p.grad.abs().max() > 0, name


@pytest.mark.parametrize("d_model", [32, 128])
@pytest.mark.parametrize("config", VARIANTS[::3], ids=name_of)
@torch.no_grad()
def test_first_loss_is_that_of_a_blind_guess(config, d_model):
    config = replace(config, d_model=d_model, d_head=None, vocab_size=101)
    model, tokens = made(config, lively=False), some_tokens(config, batch=32)
    loss = F.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    assert loss == pytest.approx(math.log(config.vocab_size), rel=0.05)


@torch.no_grad()
def test_a_window_as_long_as_the_text_is_no_window():
    tokens = some_tokens(SMALL)
    wide = made(replace(SMALL, window=SMALL.context_length))
    torch.testing.assert_close(wide(tokens), made(SMALL)(tokens))
    narrow = made(replace(SMALL, window=3))
    assert not torch.allclose(narrow(tokens), made(SMALL)(tokens), atol=1e-3)


@torch.no_grad()
def test_a_layer_without_positions_cannot_tell_order():
    """Its last query sees the same set of keys and values, in whatever order they stand."""
    config = replace(SMALL, nope_every=2)
    model, x = made(config), torch.randn(1, 9, SMALL.d_model)
    shuffled = x[:, [3, 0, 5, 1, 7, 2, 4, 6, 8]]
    told, untold = (block.attention for block in model.blocks)
    torch.testing.assert_close(untold(shuffled)[:, -1], untold(x)[:, -1])
    assert not torch.allclose(told(shuffled)[:, -1], told(x)[:, -1], atol=1e-3)
    assert [config.is_turned(layer) for layer in range(8)] == 4 * [True, False]  # SmolLM3's no_rope_layers, for 2


@torch.no_grad()
def test_grouped_queries_with_a_key_head_each_are_plain_heads():
    tokens = some_tokens(SMALL)
    torch.testing.assert_close(made(replace(SMALL, n_kv_heads=4))(tokens), made(SMALL)(tokens))


@torch.no_grad()
def test_a_ring_takes_the_room_of_its_window():
    cache, config = KVCache(replace(SMALL, window=5)), replace(SMALL, window=5)
    made(config)(some_tokens(config), cache=cache)
    heads = config.n_heads * config.resolve().d_head
    assert cache.bytes == 2 * config.n_layers * 2 * heads * 5 * 4


def test_tied_embeddings_are_one_matrix():
    model = Transformer(SMALL)
    assert model.unembed.weight is model.embed.weight
    model = Transformer(replace(SMALL, tie_embeddings=False))
    assert model.unembed.weight is not model.embed.weight


def test_dropout_acts_in_training_alone():
    model, tokens = made(replace(SMALL, dropout=0.5)), some_tokens(SMALL)
    torch.testing.assert_close(model(tokens), model(tokens))
    model.train()
    assert not torch.allclose(model(tokens), model(tokens))


def test_more_tokens_than_the_context_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"seq=25 exceeds context_length=24"):
        made(SMALL)(some_tokens(SMALL, seq=25))
    cache = KVCache(SMALL)
    made(SMALL)(some_tokens(SMALL, seq=20), cache=cache)
    with pytest.raises(ValueError, match=r"seq=25 exceeds context_length=24"):
        made(SMALL)(some_tokens(SMALL, seq=5), cache=cache)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, window=5)])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_cache_goes_on_with_the_texts_it_holds(config, batch):
    cache = KVCache(config)
    made(config)(some_tokens(config, seq=6), cache)
    with pytest.raises(ValueError, match=f"batch={batch} texts cannot continue the batch=2 in the cache"):
        made(config)(torch.zeros(batch, 1, dtype=torch.long), cache)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, window=5)])
def test_no_gradient_flows_back_through_the_cache(config):
    model, cache, tokens = made(config), KVCache(config), some_tokens(config)
    for part in tokens.split(5, dim=1):
        logits = model(part, cache)
    assert not any(layer.keys.requires_grad or layer.values.requires_grad for layer in cache.layers)
    logits.sum().backward()  # what later calls wrote into the cache does not stand in its way
    assert model.embed.weight.grad.isfinite().all()


def test_angles_are_worked_out_once_for_each_kind_of_layer(monkeypatch):
    worked_out = []
    monkeypatch.setattr("minillm.model.rope_of", lambda c, layer: worked_out.append(layer) or rope_of(c, layer))
    Transformer(replace(SMALL, n_layers=6, window=5, global_every=2))
    assert len(worked_out) == 2


def test_one_text_without_a_batch_axis_is_told_how_to_get_one():
    plain = inspect.unwrap(Transformer.forward)  # without the tests' own check of shapes, as a reader has it
    with pytest.raises(ValueError, match=r"tokens\[None\]"):
        plain(made(SMALL), torch.tensor([1, 2, 3]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
def test_what_is_no_id_is_told_how_to_become_one(dtype):
    plain = inspect.unwrap(Transformer.forward)
    with pytest.raises(ValueError, match=r"no batch of ids.*tokens\.long\(\)"):
        plain(made(SMALL), torch.ones(1, 3, dtype=dtype))
    assert plain(made(SMALL), torch.ones(1, 3, dtype=torch.int32)).shape[:2] == (1, 3)


def test_a_model_cast_to_bf16_keeps_its_angles():
    model = made(SMALL)
    exact = model.blocks[0].attention.rotate.speeds.clone()
    model.bfloat16()
    assert torch.equal(model.blocks[0].attention.rotate.speeds, exact)
