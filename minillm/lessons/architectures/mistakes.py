"""Make the mistakes of notebook 05 that need no right answer to start from.  Like solutions.py, not for students."""
from __future__ import annotations

import math
import re

import torch
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


def halves(before="(head pair member)", after="(head member pair) d_model", **sizes):
    """Rows rearranged in another way; `sizes` are those given instead of the number of heads."""
    def moved(weight, n_heads):
        known = {name: size(weight, n_heads) for name, size in sizes.items()} or {"head": n_heads, "member": 2}
        return rearrange(weight, f"{before} d_model -> {after}", **known)
    return moved


def columns_halved(weight, n_heads):
    return torch.cat([weight[:, ::2], weight[:, 1::2]], 1)


def first_head_halved(weight, n_heads):
    return halves()(weight[:len(weight) // n_heads], 1)


def float_pairs(weight, n_heads):
    return weight.reshape(n_heads, weight.shape[0] / (2 * n_heads), 2, -1).transpose(1, 2).flatten(0, 2)


HALVES = {
    "That is the way back, from halves to neighbours.": halves("(head member pair)", "(head pair member) d_model"),
    "The halves are those of each head, not of the whole matrix.": lambda weight, n_heads: torch.cat(
        [weight[::2], weight[1::2]]),
    "Nothing has changed its place.": lambda weight, n_heads: weight,
    "The rows are a head's components; the columns are the stream's, and stay.": columns_halved,
    "The first members of the pairs make the first half, the second members the second.": lambda weight, n_heads:
        halves()(weight.reshape(-1, 2, weight.shape[1]).flip(1).reshape(weight.shape), n_heads),
    "Join the three axes again: a matrix of as many rows as before.": halves(after="head (member pair) d_model"),
    "That is the first head alone; every head has pairs.": first_head_halved,
    "n_heads says how many heads there are, not how wide one is.": halves(
        head=lambda weight, n_heads: len(weight) // n_heads // (2 if len(weight) // n_heads % 2 == 0 else 1),
        member=lambda weight, n_heads: 2),
    "The head is the slowest axis: first all rows of head 0, then those of head 1.": halves("(pair member head)"),
    "Give it back as it lay, rows for components: not transposed.": lambda weight, n_heads: halves()(weight, n_heads).T,
    "Only rows move; no sign changes.": lambda weight, n_heads: halves()(weight, n_heads) * torch.tensor(
        [1.0, -1.0]).repeat_interleave(len(weight) // n_heads // 2).repeat(n_heads)[:, None],
    "A size is a whole number: divide with //.": float_pairs,
    "The order of a head's rows is turned round; pairs keep their order.": lambda weight, n_heads: rearrange(
        weight, "(head d_head) d_model -> head d_head d_model", head=n_heads).flip(1).flatten(0, 1),
}


def kept(is_global=lambda i, every, n: every is not None and (i + 1) % every == 0,
         wide=lambda seq, window: seq, narrow=lambda seq, window: min(seq, window)):
    """What each layer keeps where one thing is told otherwise."""
    return lambda n_layers, window, global_every, seq: [
        wide(seq, window) if is_global(i, global_every, n_layers) else narrow(seq, window) for i in range(n_layers)]


KEPT = {
    "Of each group the last layer sees everything, not the first.": kept(
        lambda i, every, n: every is not None and i % every == 0),
    "The layers that see everything keep all seq positions, the others a window: it is the other way round.": kept(
        lambda i, every, n: not (every is not None and (i + 1) % every == 0)),
    "A text shorter than the window has only seq positions to keep.": kept(narrow=lambda seq, window: window),
    "The smaller of seq and window is kept, not the larger.": kept(narrow=max),
    "A number for each layer is asked for, not their sum.": lambda *given: sum(kept()(*given)),
    "`global_every` may be None, and then every layer has its window; % cannot divide by None.": kept(
        lambda i, every, n: (i + 1) % every == 0),
    "Every global_every-th layer sees everything; here all have their window.": kept(lambda i, every, n: False),
    "Only every global_every-th layer sees everything; here all do.": kept(lambda i, every, n: True),
    "A window holds `window` positions, not one less.": kept(narrow=lambda seq, window: min(seq, window - 1)),
    "Without global_every no layer sees everything: each has its window.": kept(
        lambda i, every, n: every is None or (i + 1) % every == 0),
    "Layers beyond the last whole group are there as well.": lambda n_layers, window, global_every, seq: kept()(
        n_layers - n_layers % (global_every or 1), window, global_every, seq),
    "One layer in global_every sees everything, not all but one.": kept(
        lambda i, every, n: every is not None and (i + 1) % every != 0),
    "Not the first few have windows and the rest none: it repeats through all layers.": kept(
        lambda i, every, n: every is not None and i + 1 >= every),
    "Groups are counted from the first layer, not from the last.": kept(
        lambda i, every, n: every is not None and (n - i) % every == 0),
    "The number of positions is asked for, not whether a layer sees all.": kept(
        wide=lambda seq, window: True, narrow=lambda seq, window: False),
    "That is the layer's number; what it keeps is asked for.": lambda n_layers, *rest: list(range(n_layers)),
}
