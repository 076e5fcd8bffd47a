"""Make the mistakes of notebook 05 that need no right answer to start from.  Like solutions.py, not for students."""
from __future__ import annotations

import math
import re

from einops import rearrange


def llama(V, D, L, H, K, F, *, width=None, q_and_o=2, k_and_v=2, mlp=3, block_norms=2, last_norms=1, shift=0, biases=0):
    """LLaMA's parameters with one thing changed; `width` is that of all key heads together."""
    width = D // H * K if width is None else width
    block = q_and_o * D * D + k_and_v * D * width + mlp * D * F + block_norms * D + biases
    return 2 * V * D + L * block + last_norms * D + shift


def window_alone(n_layers, n_kv_heads, d_head, seq, window, bytes_per_number):
    return 2 * n_layers * n_kv_heads * d_head * min(seq, window) * bytes_per_number


def cache(kept):
    """The cache's bytes where `kept(seq, window)` positions are kept."""
    return lambda layers, heads, d_head, seq, window, size: 2 * layers * heads * d_head * kept(seq, window) * size


def renamed(*pairs, prefix="model."):
    """Replace one after the other, as a chain of .replace does."""
    def rename(name):
        name = name.removeprefix(prefix)
        for theirs, ours in pairs:
            name = name.replace(theirs, ours)
        return name
    return rename


def stripped(name):
    """`lstrip` takes away letters, not a word."""
    return renamed(*ALL, prefix="")(name.lstrip("model."))


def one_digit(name):
    parts = name.split(".")
    if len(parts) > 2 and parts[1] == "layers":
        parts[2] = parts[2][0]
    return renamed(*ALL)(".".join(parts))


def one_digit_found(name):
    return re.sub(r"blocks\.(?=\d\d)", "layers.", renamed(*ALL)(name))


ALL = (("embed_tokens", "embed"), ("layers", "blocks"), ("self_attn", "attention"),
       ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "mlp_norm"), ("lm_head", "unembed"))


def cut(pattern, *, join="part (head d_head) d_model", order=(0, 1, 2)):
    def unfuse(fused, n_heads):
        parts = rearrange(fused, f"{pattern} d_model -> {join}", head=n_heads, part=3)
        return tuple(parts[i] for i in order)
    return unfuse


def first_head(fused, n_heads):
    return fused[:fused.shape[0] // n_heads].chunk(3)


def float_size(fused, n_heads):
    return tuple(fused.reshape(n_heads, 3, fused.shape[0] / (3 * n_heads), -1).unbind(1))


def columns(fused, n_heads):
    return fused.T.chunk(3)


def p_ln_p(vocab_size):
    return -math.log(1 / vocab_size) / vocab_size
