"""Answer the exercises on whole models, and know the usual mistakes."""
from __future__ import annotations

import math

import torch
from einops import rearrange

from minillm.notebook.checks import Solution


def first_loss(vocab_size):
    return math.log(vocab_size)


def count_llama(vocab_size, d_model, n_layers, n_heads, n_kv_heads, d_ff):
    d_kv = d_model // n_heads * n_kv_heads
    attention = 2 * d_model * d_model + 2 * d_model * d_kv
    block = attention + 3 * d_model * d_ff + 2 * d_model
    return 2 * vocab_size * d_model + n_layers * block + d_model


def _with_all_key_heads(vocab_size, d_model, n_layers, n_heads, n_kv_heads, d_ff):
    return count_llama(vocab_size, d_model, n_layers, n_heads, n_heads, d_ff)


def _with_two_matrices(vocab_size, d_model, n_layers, n_heads, n_kv_heads, d_ff):
    return count_llama(vocab_size, d_model, n_layers, n_heads, n_kv_heads, d_ff) - n_layers * d_model * d_ff


def _tied(vocab_size, d_model, *rest):
    return count_llama(vocab_size, d_model, *rest) - vocab_size * d_model


def _without_last_norm(vocab_size, d_model, *rest):
    return count_llama(vocab_size, d_model, *rest) - d_model


def _without_norms(vocab_size, d_model, n_layers, *rest):
    return count_llama(vocab_size, d_model, n_layers, *rest) - (2 * n_layers + 1) * d_model


def _with_one_norm_a_block(vocab_size, d_model, n_layers, *rest):
    return count_llama(vocab_size, d_model, n_layers, *rest) - n_layers * d_model


def _with_wide_values(vocab_size, d_model, n_layers, n_heads, n_kv_heads, d_ff):
    narrow, wide = (count_llama(vocab_size, d_model, n_layers, n_heads, n, d_ff) for n in (n_kv_heads, n_heads))
    return (narrow + wide) // 2


def cache_bytes(n_layers, n_kv_heads, d_head, seq, window, bytes_per_number):
    positions = seq if window is None else min(seq, window)
    return 2 * n_layers * n_kv_heads * d_head * positions * bytes_per_number


def token_flops(n_matrix_parameters, n_layers, n_heads, d_head, seen):
    return 2 * n_matrix_parameters + 4 * n_layers * n_heads * d_head * seen


def active_parameters(total, n_layers, expert_size, n_experts, experts_per_token):
    return total - n_layers * (n_experts - experts_per_token) * expert_size


NAMES = {"model.": "", "embed_tokens": "embed", "layers": "blocks", "self_attn": "attention",
         "input_layernorm": "attention_norm", "post_attention_layernorm": "mlp_norm", "lm_head": "unembed"}


def our_name(name):
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def _norms_exchanged(name):
    if "layernorm" in name:
        other = {"input_layernorm": "post_attention_layernorm", "post_attention_layernorm": "input_layernorm"}
        return our_name(".".join(other.get(part, part) for part in name.split(".")))
    return our_name(name)


def unfuse(fused, n_heads):
    return tuple(rearrange(fused, "(head part d_head) d_model -> part (head d_head) d_model", head=n_heads, part=3))


SOLUTIONS = {
    "05.1": Solution(first_loss, {
        "That is in bits. Cross-entropy counts in nats: the natural logarithm.": lambda vocab: math.log2(vocab),
        "1 / V is the probability of each token; the loss is its negative logarithm.": lambda vocab: 1 / vocab,
        "The logarithm of a probability is negative; the loss is minus that.": lambda vocab: -math.log(vocab),
    }),
    "05.2": Solution(count_llama, {
        "Keys and values have n_kv_heads heads, not n_heads: their matrices are smaller.": _with_all_key_heads,
        "SwiGLU has three matrices: gate, up and down.": _with_two_matrices,
        "LLaMA's unembedding is a matrix of its own, beside the embedding.": _tied,
        "One more norm stands after the last block.": _without_last_norm,
        "Each RMSNorm has d_model gains: two in every block, one after the last.": _without_norms,
        "Two norms stand in every block, one before each part.": _with_one_norm_a_block,
        "Keys as well as values have n_kv_heads heads: both their matrices are smaller.": _with_wide_values,
    }),
    "05.3": Solution(token_flops, {
        "A multiplication and an addition per weight: two operations, not one.":
            lambda n, *rest: token_flops(n, *rest) - n,
        "Attention compares with every position seen, and then mixes their values.":
            lambda n, *rest: 2 * n,
        "The scores are one product with every position; mixing the values is a second one.":
            lambda n, layers, heads, d_head, seen: 2 * n + 2 * layers * heads * d_head * seen,
        "Every head compares and mixes.": lambda n, layers, heads, d_head, seen: 2 * n + 4 * layers * d_head * seen,
        "Every layer compares and mixes.": lambda n, layers, heads, d_head, seen: 2 * n + 4 * heads * d_head * seen,
    }),
    "05.4": Solution(cache_bytes, {
        "Keys and values are kept: two numbers for each component.":
            lambda *given: cache_bytes(*given) // 2,
        "A layer with a window keeps no more positions than its window.":
            lambda layers, heads, d_head, seq, window, size: cache_bytes(layers, heads, d_head, seq, None, size),
        "A text that is shorter than the window has only seq positions to keep.":
            lambda layers, heads, d_head, seq, window, size:
                cache_bytes(layers, heads, d_head, seq if window is None else window, None, size),
        "That counts numbers; each takes bytes_per_number bytes.":
            lambda *given: cache_bytes(*given[:-1], 1),
    }),
    "05.5": Solution(active_parameters, {
        "Only the experts are chosen among; attention, embeddings and norms are read by every token.":
            lambda total, layers, size, n, k: total * k // n,
        "Every layer has experts of its own: leave the idle ones of all layers out.":
            lambda total, layers, size, n, k: total - (n - k) * size,
        "Those are the experts alone; attention, embeddings and norms are read as well.":
            lambda total, layers, size, n, k: layers * k * size,
        "Those are the idle ones.": lambda total, layers, size, n, k: layers * (n - k) * size,
    }),
    "05.6": Solution(our_name, {
        "post_attention_layernorm stands after attention and before the MLP: it is mlp_norm here.": _norms_exchanged,
        "Names lose their first word: model.layers… begins with blocks here.":
            lambda name: ("model." if name.startswith("model.") else "") + our_name(name),
        "lm_head is the matrix that turns the last stream into logits: unembed.":
            lambda name: our_name(name).replace("unembed", "lm_head"),
        "self_attn is attention here, without self.":
            lambda name: our_name(name).replace(".attention.", ".self_attention."),
    }),
    "05.7": Solution(unfuse, {
        "Those are the first, second and last third of the rows. Here q, k and v alternate from head to head.":
            lambda fused, n_heads: tuple(fused.chunk(3)),
        "Every third row is one row of each too few: a head's rows stay together.":
            lambda fused, n_heads: tuple(fused[part::3] for part in range(3)),
        "That is one tensor; return three, as in q, k, v = … and return q, k, v.":
            lambda fused, n_heads: torch.stack(unfuse(fused, n_heads)),
        "Join the axes head and d_head again: each of the three has n_heads * d_head rows.":
            lambda fused, n_heads: tuple(rearrange(fused, "(head part d_head) d_model -> part head d_head d_model",
                                                   head=n_heads, part=3)),
    }),
}
