"""Ask about whole models: how large, how dear, where they start, and how their files are read."""
from __future__ import annotations

import random

import torch

from minillm.notebook.checks import Exercise


def _llamas(source: random.Random) -> list[tuple]:
    """vocab, d_model, n_layers, n_heads, n_kv_heads, d_ff"""
    drawn = [(source.randrange(50, 900), 8 * source.randrange(2, 9), source.randrange(1, 9), 8,
              source.choice([1, 2, 4]), source.randrange(20, 300)) for _ in range(4)]
    return [(10, 4, 1, 2, 1, 6), (32000, 4096, 32, 32, 32, 11008), (128256, 4096, 32, 32, 8, 14336), *drawn]


def _vocabularies(source: random.Random) -> list[tuple]:
    return [(2,), (65,), (50257,), *((source.randrange(3, 100_000),) for _ in range(3))]


def _caches(source: random.Random) -> list[tuple]:
    """n_layers, n_kv_heads, d_head, seq, window, bytes_per_number"""
    drawn = [(source.randrange(1, 40), source.choice([1, 2, 8]), 64, source.randrange(1, 5000),
              source.choice([None, 512, 1024]), source.choice([2, 4])) for _ in range(5)]
    return [(1, 1, 4, 3, None, 2), (32, 8, 128, 8192, None, 2), (32, 8, 128, 8192, 4096, 2),
            (2, 8, 128, 100, 4096, 2), *drawn]


def _steps(source: random.Random) -> list[tuple]:
    """n_matrix_parameters, n_layers, n_heads, d_head, seen"""
    drawn = [(source.randrange(1000, 10 ** 6), source.randrange(1, 30), source.choice([4, 8]), 32,
              source.randrange(1, 3000)) for _ in range(4)]
    return [(100, 1, 2, 4, 3), (6_607_077_376, 32, 32, 128, 4096), *drawn]


def _mixtures(source: random.Random) -> list[tuple]:
    """total, n_layers, expert_size, n_experts, experts_per_token"""
    cases = [(1000, 2, 50, 8, 2), (46_702_792_704, 32, 176_160_768, 8, 2)]
    for _ in range(4):
        layers, size, n = source.randrange(1, 30), source.randrange(100, 900), source.randrange(2, 60)
        cases.append((layers * size * n + source.randrange(10 ** 5), layers, size, n, source.randrange(1, n + 1)))
    return cases


def _names(source: random.Random) -> list[tuple]:
    layer = source.randrange(2, 80)
    return [(name.format(layer),) for name in (
        "model.embed_tokens.weight", "model.layers.{}.self_attn.q_proj.weight",
        "model.layers.{}.input_layernorm.weight", "model.layers.{}.post_attention_layernorm.weight",
        "model.layers.{}.mlp.gate_proj.weight", "model.norm.weight", "lm_head.weight",
        "model.layers.3.self_attn.q_proj.weight", "model.layers.11.self_attn.q_proj.weight")]


def _fused(source: random.Random) -> list[tuple]:
    """rows that alternate head by head: (head part d_head) rows, d_model columns"""
    cases = [(torch.arange(12.0)[:, None], 2)]
    for _ in range(3):
        heads, d_head = source.choice([2, 3, 4]), source.choice([2, 4])
        rows = 3 * heads * d_head
        cases.append((torch.tensor([[source.gauss(0, 1) for _ in range(5)] for _ in range(rows)]), heads))
    return cases


def _paired(source: random.Random) -> list[tuple]:
    """rows of each head in neighbouring pairs, (head pair member) rows, d_model columns"""
    cases = [(torch.arange(6.0)[:, None], 1), (torch.arange(16.0)[:, None], 2)]
    for _ in range(3):
        heads, d_head = source.choice([2, 3, 4]), source.choice([6, 8])
        cases.append((torch.tensor([[source.gauss(0, 1) for _ in range(5)] for _ in range(heads * d_head)]), heads))
    return cases


def _layers(source: random.Random) -> list[tuple]:
    """n_layers, window, global_every, seq"""
    drawn = [(source.randrange(5, 30), source.randrange(3, 900), source.choice([2, 3, 4, 6]), source.randrange(2, 2000))
             for _ in range(4)]
    return [(6, 4, 3, 10), (5, 4, 2, 3), (3, 4, None, 10), (26, 512, 6, 8192), (7, 100, 3, 400), *drawn]


EXERCISES = [
    Exercise("05.1", "The loss before the first step", points=1, minutes=3, difficulty="easy", cases=_vocabularies,
             properties={"a loss is not negative": lambda out, vocab: out >= 0}, forbid=("minillm",)),
    Exercise("05.2", "Count LLaMA", points=3, minutes=12, difficulty="medium", cases=_llamas, forbid=("minillm",),
             properties={"a count is a whole number": lambda out, *_: out == int(out),
                         "the two embedding matrices alone are more than that":
                             lambda out, vocab, d_model, *_: out > 2 * vocab * d_model}),
    Exercise("05.3", "What a token costs", points=2, minutes=8, difficulty="medium", cases=_steps,
             forbid=("minillm",)),
    Exercise("05.4", "The price of memory", points=2, minutes=4, difficulty="easy", cases=_caches,
             forbid=("minillm",)),
    Exercise("05.5", "Forty-seven billion, thirteen at work", points=2, minutes=6, difficulty="easy",
             cases=_mixtures, forbid=("minillm",),
             properties={"no token reads more than there is": lambda out, total, *_: out <= total}),
    Exercise("05.6", "Other names for the same thing", points=2, minutes=10, difficulty="medium", cases=_names,
             forbid=("minillm",),
             properties={"a name is a string": lambda out, name: isinstance(out, str)}),
    Exercise("05.7", "Three matrices in one", points=3, minutes=12, difficulty="hard", cases=_fused,
             forbid=("minillm",),
             properties={"three matrices are asked for": lambda out, *_: len(out) == 3,
                         "together they hold every row once":
                             lambda out, fused, n_heads: sum(each.shape[0] for each in out) == fused.shape[0]}),
    Exercise("05.8", "Neighbours into halves", points=3, minutes=10, difficulty="hard", cases=_paired,
             forbid=("minillm",),
             properties={"rows change places, nothing else": lambda out, weight, n_heads: out.shape == weight.shape}),
    Exercise("05.9", "What each layer keeps", points=2, minutes=8, difficulty="medium", cases=_layers,
             forbid=("minillm",),
             properties={"a number for each layer": lambda out, n_layers, *_: len(out) == n_layers}),
]
