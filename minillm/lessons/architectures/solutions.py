"""Answer the exercises on whole models, and know the usual mistakes."""
from __future__ import annotations

import math

import torch
from einops import rearrange

from minillm.lessons.architectures import mistakes as wrong
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


def to_halves(weight, n_heads):
    return rearrange(weight, "(head pair member) d_model -> (head member pair) d_model", head=n_heads, member=2)


def positions_kept(n_layers, window, global_every, seq):
    kept = []
    for layer in range(n_layers):
        sees_all = global_every is not None and (layer + 1) % global_every == 0
        kept.append(seq if sees_all else min(seq, window))
    return kept


SOLUTIONS = {
    "05.1": Solution(first_loss, {
        "That is in bits. Cross-entropy counts in nats: the natural logarithm.": lambda vocab: math.log2(vocab),
        "1 / V is the probability of each token; the loss is its negative logarithm.": lambda vocab: 1 / vocab,
        "The logarithm of a probability is negative; the loss is minus that.": lambda vocab: -math.log(vocab),
        "That is the logarithm to base 10; nats are counted with the natural one.": lambda vocab: math.log10(vocab),
        "That is V itself, the perplexity; the loss is its logarithm.": lambda vocab: vocab,
        "There are V tokens, not V + 1.": lambda vocab: math.log(vocab + 1),
        "The token that comes is one of the V: V, not V - 1.": lambda vocab: math.log(vocab - 1),
        "The mean over all tokens has V such terms, and together they are V times as much.": wrong.p_ln_p,
        "That is the probability of all other tokens; the one that comes has 1 / V.": lambda vocab: 1 - 1 / vocab,
        "The loss is -ln p, not e to the power of -p.": lambda vocab: math.exp(-1 / vocab),
    }),
    "05.2": Solution(count_llama, {
        "Keys and values have n_kv_heads heads, not n_heads: their matrices are smaller.": _with_all_key_heads,
        "SwiGLU has three matrices: gate, up and down.": _with_two_matrices,
        "LLaMA's unembedding is a matrix of its own, beside the embedding.": _tied,
        "One more norm stands after the last block.": _without_last_norm,
        "Each RMSNorm has d_model gains: two in every block, one after the last.": _without_norms,
        "Two norms stand in every block, one before each part.": _with_one_norm_a_block,
        "Keys as well as values have n_kv_heads heads: both their matrices are smaller.": _with_wide_values,
        "A key head is d_model // n_heads wide, and there are n_kv_heads of them: multiply.":
            lambda V, D, L, H, K, F: wrong.llama(V, D, L, H, K, F, width=K),
        "There are n_kv_heads key heads, not one.":
            lambda V, D, L, H, K, F: wrong.llama(V, D, L, H, K, F, width=D // H),
        "A head's width is d_model // n_heads; key heads are as wide as query heads, only fewer.":
            lambda V, D, L, H, K, F: wrong.llama(V, D, L, H, K, F, width=D // K),
        "Attention has four matrices; one of d_model × d_model is missing (q or o).":
            lambda *given: wrong.llama(*given, q_and_o=1),
        "Keys and values have a matrix each; one is missing.": lambda *given: wrong.llama(*given, k_and_v=1),
        "An RMSNorm has gains alone, no shifts as a LayerNorm has.":
            lambda *given: wrong.llama(*given, block_norms=4, last_norms=2),
        "Two norms stand in every block, not in the whole model.":
            lambda *given: wrong.llama(*given, block_norms=0, last_norms=3),
        "The last norm stands once behind all blocks, not in each.":
            lambda *given: wrong.llama(*given, block_norms=3, last_norms=0),
        "There are n_layers blocks, not one.": lambda V, D, L, *rest: wrong.llama(V, D, 1, *rest),
        "LLaMA has no biases.": lambda V, D, L, H, K, F: wrong.llama(
            V, D, L, H, K, F, biases=2 * D + 2 * (D // H * K)),
        "The MLP's width is d_ff, which is given.": lambda V, D, L, H, K, F: wrong.llama(V, D, L, H, K, 4 * D),
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
        "In attention as well, each multiplication has its addition: two operations per number.":
            lambda n, layers, heads, d_head, seen: 2 * n + 2 * layers * heads * d_head * seen - (
                layers * heads * d_head * seen),
        "A multiplication and an addition for each number, in the matrices and in attention: twice as many.":
            lambda n, layers, heads, d_head, seen: n + 2 * layers * heads * d_head * seen,
        "One token is asked about: it compares with `seen` positions, not each of them with each.":
            lambda n, layers, heads, d_head, seen: 2 * n + 4 * layers * heads * d_head * seen ** 2,
        "It sees itself too; `seen` includes it.":
            lambda n, layers, heads, d_head, seen: 2 * n + 4 * layers * heads * d_head * (seen - 1),
        "One new token goes through the matrices; the others did before.":
            lambda n, layers, heads, d_head, seen: 2 * n * seen + 4 * layers * heads * d_head * seen,
        "The forward pass alone is asked for; with the backward pass it is three times as much.":
            lambda *given: 3 * token_flops(*given),
        "n_matrix_parameters are those of all layers already.":
            lambda n, layers, heads, d_head, seen: 2 * n * layers + 4 * layers * heads * d_head * seen,
        "A product of two heads' vectors has d_head terms.":
            lambda n, layers, heads, d_head, seen: 2 * n + 4 * layers * heads * seen,
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
        "`window` may be None, and then all positions are kept; min() cannot compare with None.": wrong.window_alone,
        "The smaller of seq and window is kept, not the larger.":
            wrong.cache(lambda seq, window: seq if window is None else max(seq, window)),
        "Without a window all positions are kept; with one, no more than it holds.":
            wrong.cache(lambda seq, window: 0 if window is None else seq),
        "Every layer keeps keys and values of its own.": lambda layers, *rest: cache_bytes(1, *rest),
        "There are n_kv_heads key heads.": lambda layers, heads, *rest: cache_bytes(layers, 1, *rest),
        "A key has d_head numbers.": lambda layers, heads, d_head, *rest: cache_bytes(layers, heads, 1, *rest),
        "Bytes are asked for, not bits.": lambda *given: 8 * cache_bytes(*given),
        "The window keeps `window` positions, not one less.": wrong.cache(
            lambda seq, window: seq if window is None else min(seq, window - 1)),
        "The position itself is kept too.": wrong.cache(
            lambda seq, window: (seq if window is None else min(seq, window)) - 1),
    }),
    "05.5": Solution(active_parameters, {
        "Only the experts are chosen among; attention, embeddings and norms are read by every token.":
            lambda total, layers, size, n, k: total * k // n,
        "Every layer has experts of its own: leave the idle ones of all layers out.":
            lambda total, layers, size, n, k: total - (n - k) * size,
        "Those are the experts alone; attention, embeddings and norms are read as well.":
            lambda total, layers, size, n, k: layers * k * size,
        "Those are the idle ones.": lambda total, layers, size, n, k: layers * (n - k) * size,
        "No expert was left out; a token visits experts_per_token of n_experts.": lambda total, *rest: total,
        "All experts are left out; those that the token visits are read.":
            lambda total, layers, size, n, k: total - layers * n * size,
        "A token visits experts_per_token experts, not one.":
            lambda total, layers, size, n, k: total - layers * (n - 1) * size,
        "You take the visited experts away; take the others.":
            lambda total, layers, size, n, k: total - layers * k * size,
        "The visited experts are part of the total already; take the others away.":
            lambda total, layers, size, n, k: total + layers * k * size,
        "The idle experts are added; they are part of the total, so take them away.":
            lambda total, layers, size, n, k: total + layers * (n - k) * size,
        "All experts were taken away, and those of only one layer put back.":
            lambda total, layers, size, n, k: total - layers * n * size + k * size,
        "A size was forgotten: each expert has expert_size parameters.":
            lambda total, layers, size, n, k: total - layers * (n - k),
    }),
    "05.6": Solution(our_name, {
        "post_attention_layernorm stands after attention and before the MLP: it is mlp_norm here.": _norms_exchanged,
        "Names lose their first word: model.layers… begins with blocks here.":
            lambda name: ("model." if name.startswith("model.") else "") + our_name(name),
        "lm_head is the matrix that turns the last stream into logits: unembed.":
            lambda name: our_name(name).replace("unembed", "lm_head"),
        "self_attn is attention here, without self.":
            lambda name: our_name(name).replace(".attention.", ".self_attention."),
        "`layers` is called blocks here.": lambda name: our_name(name).replace("blocks.", "layers."),
        "`embed_tokens` is called embed here.": lambda name: name.removeprefix("model.")
            if "embed_tokens" in name else our_name(name),
        "Only the first word changed; the others have other names here too.":
            lambda name: name.removeprefix("model."),
        "The last word keeps its name: .weight stays.": lambda name: our_name(name).removesuffix(".weight"),
        "One replacement eats the next: input_layernorm or post_attention_layernorm became a half-changed name. "
        "Replace whole words, or the longest first.": wrong.renamed(
            *wrong.ALL[:4], ("attention_layernorm", "mlp_norm"), wrong.ALL[5]),
        "post_attention_layernorm is the norm before the MLP: mlp_norm.": wrong.renamed(
            *wrong.ALL[:3], ("post_attention_layernorm", "attention_norm"), ("input_layernorm", "attention_norm"),
            wrong.ALL[5]),
        "lstrip takes away all the letters m, o, d, e, l at the beginning; removeprefix takes a word.":
            wrong.stripped,
        "A layer's number can have two digits.": wrong.one_digit,
        "A layer's number can have two digits, and is then not found: \\d+, not \\d.": wrong.one_digit_found,
        "These are its words; join them with dots.": lambda name: our_name(name).split("."),
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
        "Keys come before values.": wrong.cut("(head part d_head)", order=(0, 2, 1)),
        "The query comes first, then key and value.": wrong.cut("(head part d_head)", order=(2, 1, 0)),
        "The query comes first, then the key, then the value.": wrong.cut("(head part d_head)", order=(1, 2, 0)),
        "Join head before d_head: all rows of head 0, then all of head 1.": wrong.cut(
            "(head part d_head)", join="part (d_head head) d_model"),
        "Part is the slowest axis there; here the head is: first all of head 0.": wrong.cut("(part d_head head)"),
        "That is the first head alone; each head has such rows.": wrong.first_head,
        "Rows and columns are exchanged: each of the three has d_model columns.":
            lambda fused, n_heads: tuple(part.T for part in unfuse(fused, n_heads)),
        "The rows are to be dealt out, not the columns.": wrong.columns,
        "A size is a whole number: divide with //.": wrong.float_size,
        "The three are one below the other; give them one by one.":
            lambda fused, n_heads: torch.cat(unfuse(fused, n_heads)),
    }),
    "05.8": Solution(to_halves, wrong.HALVES),
    "05.9": Solution(positions_kept, wrong.KEPT),
}
