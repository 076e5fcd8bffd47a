"""Answers to notebook 05, right and wrong, written from its texts alone before its solutions were read."""
import math
import re

import torch
from einops import rearrange


def _llama(vocab_size, d_model, n_layers, n_heads, n_kv_heads, d_ff):
    d_head = d_model // n_heads
    attention = 2 * d_model * d_model + 2 * d_model * n_kv_heads * d_head
    block = attention + 3 * d_model * d_ff + 2 * d_model
    return 2 * vocab_size * d_model + n_layers * block + d_model


def _llama_by_names(vocab_size, d_model, n_layers, n_heads, n_kv_heads, d_ff):
    width = d_model // n_heads * n_kv_heads
    sizes = {"q": d_model**2, "k": d_model * width, "v": d_model * width, "o": d_model**2, "gate": d_model * d_ff,
             "up": d_model * d_ff, "down": d_ff * d_model, "norms": 2 * d_model}
    total = vocab_size * d_model
    for _ in range(n_layers):
        total += sum(sizes.values())
    return total + d_model + d_model * vocab_size


def _llama_in_floats(V, D, L, H, K, F):
    return D * (2 * V + 1 + L * (2 + 2 * D + 2 * D * K / H + 3 * F))


def _llama_with(V, D, L, H, K, F, *, embeddings=2, qo=2, kv=2, width=None, mlp=3, norms=2, last=1, biases=0):
    width = D // H * K if width is None else width
    return embeddings * V * D + L * (qo * D * D + kv * D * width + mlp * D * F + norms * D + biases) + last * D


def _token(n, layers, heads, d_head, seen):
    return 2 * n + 4 * layers * heads * d_head * seen


def _token_in_steps(n_matrix_parameters, n_layers, n_heads, d_head, seen):
    total = 2 * n_matrix_parameters
    for _ in range(n_layers):
        scores = 2 * d_head * seen
        mixing = 2 * seen * d_head
        total += n_heads * (scores + mixing)
    return total


def _cache(n_layers, n_kv_heads, d_head, seq, window, bytes_per_number):
    kept = seq if window is None else min(seq, window)
    return 2 * n_layers * n_kv_heads * d_head * kept * bytes_per_number


def _cache_with_if(n_layers, n_kv_heads, d_head, seq, window, bytes_per_number):
    if window is not None and seq > window:
        seq = window
    return math.prod([2, n_layers, n_kv_heads, d_head, seq, bytes_per_number])


def _cache_or(L, K, E, T, W, b):
    return L * K * (E + E) * min(T, W or T) * b


def _cache_without_none(n_layers, n_kv_heads, d_head, seq, window, bytes_per_number):
    return 2 * n_layers * n_kv_heads * d_head * min(seq, window) * bytes_per_number


def _cache_window_always(L, K, E, T, W, b):
    kept = T if W is None else W
    return 2 * L * K * E * kept * b


def _cache_max(L, K, E, T, W, b):
    kept = T if W is None else max(T, W)
    return 2 * L * K * E * kept * b


def _cache_inverted(L, K, E, T, W, b):
    kept = T if W is not None else 0
    return 2 * L * K * E * kept * b


NAMES = {"embed_tokens": "embed", "layers": "blocks", "self_attn": "attention", "input_layernorm": "attention_norm",
         "post_attention_layernorm": "mlp_norm", "lm_head": "unembed"}


def _name_by_parts(name):
    parts = [NAMES.get(part, part) for part in name.split(".")]
    return ".".join(part for part in parts if part != "model")


def _name_by_replacing(name):
    name = name.removeprefix("model.")
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def _name_by_cases(name):
    if name == "lm_head.weight":
        return "unembed.weight"
    parts = name.split(".")[1:]
    if parts[0] == "layers":
        inner = {"self_attn": "attention", "mlp": "mlp", "input_layernorm": "attention_norm",
                 "post_attention_layernorm": "mlp_norm"}[parts[2]]
        return ".".join(["blocks", parts[1], inner, *parts[3:]])
    return "embed.weight" if parts[0] == "embed_tokens" else ".".join(parts)


def _name_with(changes, *, prefix="model."):
    def rename(name):
        name = name.removeprefix(prefix)
        for theirs, ours in (NAMES | changes).items():
            name = name.replace(theirs, ours)
        return name
    return rename


def _name_norms_in_the_wrong_order(name):
    name = name.replace("model.", "").replace("layers", "blocks").replace("self_attn", "attention")
    name = name.replace("layernorm", "norm").replace("input_norm", "attention_norm")
    return name.replace("post_attention_norm", "mlp_norm").replace("embed_tokens", "embed")


def _name_attention_replaced_twice(name):
    name = name.replace("model.", "").replace("embed_tokens", "embed").replace("layers", "blocks")
    name = name.replace("self_attn", "attention").replace("input_layernorm", "attention_norm")
    name = name.replace("attention_layernorm", "mlp_norm").replace("lm_head", "unembed")
    return name


def _name_lstrip(name):
    name = name.lstrip("model.")
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def _name_single_digit(name):
    if name.startswith("model.layers."):
        rest = name[len("model.layers.") + 2:]
        for theirs, ours in NAMES.items():
            rest = rest.replace(theirs, ours)
        return "blocks." + name[len("model.layers.")] + "." + rest
    return _name_by_replacing(name)


def _unfuse(fused, n_heads):
    return tuple(rearrange(fused, "(head part d_head) d_model -> part (head d_head) d_model", head=n_heads, part=3))


def _unfuse_by_reshape(fused, n_heads):
    d_head = fused.shape[0] // (3 * n_heads)
    cut = fused.reshape(n_heads, 3, d_head, fused.shape[1])
    return [cut[:, part].reshape(n_heads * d_head, -1) for part in range(3)]


def _unfuse_by_loop(fused, n_heads):
    d_head = len(fused) // n_heads // 3
    q, k, v = [], [], []
    for block in fused.split(d_head):
        [q, k, v][(len(q) + len(k) + len(v)) % 3].append(block)
    return torch.cat(q), torch.cat(k), torch.cat(v)


def _unfuse_with(pattern, *, order=(0, 1, 2), join="part (head d_head) d_model"):
    def unfuse(fused, n_heads):
        parts = rearrange(fused, f"{pattern} d_model -> {join}", head=n_heads, part=3)
        return tuple(parts[i] for i in order)
    return unfuse


def _unfuse_without_joining(fused, n_heads):
    d_head = fused.shape[0] // (3 * n_heads)
    cut = fused.reshape(n_heads, 3, d_head, fused.shape[1])
    return cut[:, 0], cut[:, 1], cut[:, 2]


def _unfuse_one_head(fused, n_heads):
    d_head = fused.shape[0] // (3 * n_heads)
    return fused[:d_head], fused[d_head:2 * d_head], fused[2 * d_head:3 * d_head]


def _unfuse_transposed(fused, n_heads):
    return tuple(each.T for each in _unfuse(fused, n_heads))


def _unfuse_every_third_row(fused, n_heads):
    return fused[0::3], fused[1::3], fused[2::3]


def _unfuse_columns(fused, n_heads):
    return fused.T.chunk(3)


def _unfuse_float_sizes(fused, n_heads):
    d_head = fused.shape[0] / (3 * n_heads)
    cut = fused.reshape(n_heads, 3, d_head, -1)
    return cut[:, 0].flatten(0, 1), cut[:, 1].flatten(0, 1), cut[:, 2].flatten(0, 1)


def _halves_by_view(weight, n_heads):
    d_head = weight.shape[0] // n_heads
    return weight.view(n_heads, d_head // 2, 2, -1).transpose(1, 2).reshape(weight.shape)


def _halves_by_index(weight, n_heads):
    d_head, rows = len(weight) // n_heads, []
    for head in range(n_heads):
        start = head * d_head
        rows += list(range(start, start + d_head, 2)) + list(range(start + 1, start + d_head, 2))
    return weight[rows]


def _halves_by_head(weight, n_heads):
    return torch.cat([torch.cat([head[::2], head[1::2]]) for head in weight.chunk(n_heads)])


def _halves_backwards(weight, n_heads):
    return rearrange(weight, "(h m p) d -> (h p m) d", h=n_heads, m=2)


def _kept_by_slices(n_layers, window, global_every, seq):
    kept = [min(seq, window)] * n_layers
    if global_every:
        for layer in range(global_every - 1, n_layers, global_every):
            kept[layer] = seq
    return kept


def _kept_by_if(n_layers, window, global_every, seq):
    kept = []
    for number in range(1, n_layers + 1):
        if global_every is None:
            kept.append(window if window < seq else seq)
        elif number % global_every:
            kept.append(window if window < seq else seq)
        else:
            kept.append(seq)
    return kept


RIGHT = {
    "05.1": [math.log, lambda v: -math.log(1 / v), lambda vocab_size: float(torch.tensor(float(vocab_size)).log())],
    "05.2": [_llama, _llama_by_names, _llama_in_floats],
    "05.3": [_token, _token_in_steps, lambda n, L, H, E, t: 2 * (n + 2 * L * H * E * t)],
    "05.4": [_cache, _cache_with_if, _cache_or],
    "05.5": [lambda total, L, size, n, k: total - L * (n - k) * size,
             lambda total, L, size, n, k: total - L * n * size + L * k * size,
             lambda total, L, size, n, k: float(total) - sum(size for _ in range(L) for _ in range(n - k))],
    "05.6": [_name_by_parts, _name_by_replacing, _name_by_cases],
    "05.7": [_unfuse, _unfuse_by_reshape, _unfuse_by_loop],
    "05.8": [_halves_by_view, _halves_by_index, _halves_by_head],
    "05.9": [_kept_by_slices, _kept_by_if,
             lambda n, W, g, T: [T if g and not (i + 1) % g else min(W, T) for i in range(n)]],
}

WRONG = {
    "05.1": {
        "log base 2": math.log2,
        "negative": lambda v: -math.log(v),
        "the probability": lambda v: 1 / v,
        "log10": math.log10,
        "log of V + 1": lambda v: math.log(v + 1),
        "perplexity": lambda v: v,
        "p times ln p": lambda v: -1 / v * math.log(1 / v),
        "exp": lambda v: math.exp(-1 / v),
        "log of V - 1": lambda v: math.log(v - 1)},
    "05.2": {
        "tied": lambda *a: _llama_with(*a, embeddings=1),
        "two matrices in the MLP": lambda *a: _llama_with(*a, mlp=2),
        "all heads have keys": lambda V, D, L, H, K, F: _llama_with(V, D, L, H, K, F, width=D),
        "key heads of width n_kv_heads": lambda V, D, L, H, K, F: _llama_with(V, D, L, H, K, F, width=K),
        "one head's key": lambda V, D, L, H, K, F: _llama_with(V, D, L, H, K, F, width=D // H),
        "d_model / n_kv_heads": lambda V, D, L, H, K, F: _llama_with(V, D, L, H, K, F, width=D // K),
        "last norm forgotten": lambda *a: _llama_with(*a, last=0),
        "one norm in a block": lambda *a: _llama_with(*a, norms=1),
        "LayerNorm": lambda *a: _llama_with(*a, norms=4, last=2),
        "no output projection": lambda *a: _llama_with(*a, qo=1),
        "keys or values forgotten": lambda *a: _llama_with(*a, kv=1),
        "norms outside the layers": lambda V, D, L, H, K, F: _llama_with(V, D, L, H, K, F, norms=0, last=3),
        "final norm in each layer": lambda V, D, L, H, K, F: _llama_with(V, D, L, H, K, F, norms=3, last=0),
        "tied and two matrices": lambda *a: _llama_with(*a, embeddings=1, mlp=2),
        "no last norm and all heads have keys":
            lambda V, D, L, H, K, F: _llama_with(V, D, L, H, K, F, width=D, last=0),
        "one layer": lambda V, D, L, H, K, F: _llama_with(V, D, 1, H, K, F),
        "biases": lambda V, D, L, H, K, F: _llama_with(V, D, L, H, K, F, biases=2 * D + 2 * (D // H * K)),
        "d_ff = 4 d_model": lambda V, D, L, H, K, F: _llama_with(V, D, L, H, K, 4 * D)},
    "05.3": {
        "multiplications alone": lambda n, L, H, E, t: n + 2 * L * H * E * t,
        "scores without mixing": lambda n, L, H, E, t: 2 * n + 2 * L * H * E * t,
        "matrices once, attention right": lambda n, L, H, E, t: n + 4 * L * H * E * t,
        "attention's products counted without additions": lambda n, L, H, E, t: 2 * n + L * H * E * t,
        "every pair of positions": lambda n, L, H, E, t: 2 * n + 4 * L * H * E * t * t,
        "attention of one layer": lambda n, L, H, E, t: 2 * n + 4 * H * E * t,
        "heads forgotten": lambda n, L, H, E, t: 2 * n + 4 * L * E * t,
        "without itself": lambda n, L, H, E, t: 2 * n + 4 * L * H * E * (t - 1),
        "matrices times positions": lambda n, L, H, E, t: 2 * n * t + 4 * L * H * E * t,
        "with backward": lambda n, L, H, E, t: 3 * (2 * n + 4 * L * H * E * t),
        "no attention": lambda n, L, H, E, t: 2 * n,
        "matrices times layers": lambda n, L, H, E, t: 2 * n * L + 4 * L * H * E * t},
    "05.4": {
        "min with None": _cache_without_none,
        "always the window": _cache_window_always,
        "max for min": _cache_max,
        "window inverted": _cache_inverted,
        "keys alone": lambda L, K, E, T, W, b: L * K * E * (T if W is None else min(T, W)) * b,
        "numbers for bytes": lambda L, K, E, T, W, b: 2 * L * K * E * (T if W is None else min(T, W)),
        "window ignored": lambda L, K, E, T, W, b: 2 * L * K * E * T * b,
        "layers forgotten": lambda L, K, E, T, W, b: 2 * K * E * (T if W is None else min(T, W)) * b,
        "bits": lambda L, K, E, T, W, b: 16 * L * K * E * (T if W is None else min(T, W)) * b,
        "heads forgotten": lambda L, K, E, T, W, b: 2 * L * E * (T if W is None else min(T, W)) * b,
        "one too few": lambda L, K, E, T, W, b: 2 * L * K * E * (T if W is None else min(T, W) - 1) * b},
    "05.5": {
        "all layers forgotten": lambda total, L, s, n, k: total - (n - k) * s,
        "share of the total": lambda total, L, s, n, k: total * k // n,
        "only the experts": lambda total, L, s, n, k: L * k * s,
        "experts counted, none taken away": lambda total, L, s, n, k: total,
        "what is not read": lambda total, L, s, n, k: L * (n - k) * s,
        "all experts taken away": lambda total, L, s, n, k: total - L * n * s,
        "one expert": lambda total, L, s, n, k: total - L * (n - 1) * s,
        "the chosen taken away": lambda total, L, s, n, k: total - L * k * s,
        "added on top": lambda total, L, s, n, k: total + L * k * s,
        "the idle added": lambda total, L, s, n, k: total + L * (n - k) * s,
        "dense part of one layer": lambda total, L, s, n, k: total - L * n * s + k * s},
    "05.6": {
        "model. kept": _name_with({}, prefix="nothing"),
        "norms swapped": _name_with({"input_layernorm": "mlp_norm", "post_attention_layernorm": "attention_norm"}),
        "second norm behind attention":
            _name_with({"post_attention_layernorm": "attention_norm", "input_layernorm": "norm"}),
        "lm_head forgotten": _name_norms_in_the_wrong_order,
        "one replacement eats the next": _name_attention_replaced_twice,
        "lstrip": _name_lstrip,
        "layers of one digit": _name_single_digit,
        "numbers of one digit found": lambda name: _name_by_replacing(
            re.sub(r"layers\.(\d\d)", r"LAYERS.\1", name)).replace("LAYERS", "layers"),
        "layers not renamed": _name_with({"layers": "layers"}),
        "embedding not renamed": _name_with({"embed_tokens": "embed_tokens"}),
        "nothing renamed below the prefix": lambda name: name.removeprefix("model."),
        "weight lost": lambda name: _name_by_replacing(name).removesuffix(".weight"),
        "split into parts": lambda name: _name_by_replacing(name).split(".")},
    "05.7": {
        "thirds": lambda fused, n_heads: fused.chunk(3),
        "part before head": _unfuse_with("(part head d_head)"),
        "rows of a head alternate": _unfuse_with("(head d_head part)"),
        "every third row": _unfuse_every_third_row,
        "k and v swapped": _unfuse_with("(head part d_head)", order=(0, 2, 1)),
        "q last": _unfuse_with("(head part d_head)", order=(2, 1, 0)),
        "joined the other way round": _unfuse_with("(head part d_head)", join="part (d_head head) d_model"),
        "heads not joined": _unfuse_without_joining,
        "first head alone": _unfuse_one_head,
        "transposed": _unfuse_transposed,
        "columns": _unfuse_columns,
        "a float for a size": _unfuse_float_sizes,
        "one tensor": lambda fused, n_heads: torch.cat(_unfuse(fused, n_heads))},
    "05.8": {
        "even rows of the matrix first": lambda w, h: torch.cat([w[0::2], w[1::2]]),
        "the other direction": _halves_backwards,
        "columns": lambda w, h: torch.cat([w[:, 0::2], w[:, 1::2]], dim=1),
        "as it was": lambda w, h: w.clone(),
        "odd rows first": lambda w, h: torch.cat([torch.cat([x[1::2], x[0::2]]) for x in w.chunk(h)]),
        "heads left apart": lambda w, h: rearrange(w, "(h p m) d -> h (m p) d", h=h, m=2),
        "two heads always": lambda w, h: rearrange(w, "(h p m) d -> (h m p) d", h=2, m=2),
        "chunks of n_heads rows": lambda w, h: torch.cat([torch.cat([x[0::2], x[1::2]]) for x in w.split(h)]),
        "member before pair on both sides": lambda w, h: rearrange(w, "(h m p) d -> (h m p) d", h=h, m=2),
        "a list": lambda w, h: [torch.cat([x[0::2], x[1::2]]) for x in w.chunk(h)],
        "transposed": lambda w, h: rearrange(w, "(h p m) d -> d (h m p)", h=h, m=2),
        "halves, then everything sorted": lambda w, h: w.sort(dim=0).values},
    "05.9": {
        "first of each group": lambda n, W, g, T: [T if g and i % g == 0 else min(W, T) for i in range(n)],
        "counted from one": lambda n, W, g, T: [T if g and i % g == 0 else min(W, T) for i in range(1, n)],
        "turned round": lambda n, W, g, T: [min(W, T) if g and (i + 1) % g == 0 else T for i in range(n)],
        "window though the text is shorter": lambda n, W, g, T: [T if g and (i + 1) % g == 0 else W for i in range(n)],
        "max": lambda n, W, g, T: [T if g and (i + 1) % g == 0 else max(W, T) for i in range(n)],
        "sum": lambda n, W, g, T: sum(T if g and (i + 1) % g == 0 else min(W, T) for i in range(n)),
        "None divides": lambda n, W, g, T: [T if (i + 1) % g == 0 else min(W, T) for i in range(n)],
        "None sees all": lambda n, W, g, T: [T if not g or (i + 1) % g == 0 else min(W, T) for i in range(n)],
        "whole groups only": lambda n, W, g, T: ([min(W, T)] * (g - 1) + [T]) * (n // g) if g else [min(W, T)] * n,
        "windows everywhere": lambda n, W, g, T: [min(W, T)] * n,
        "everything everywhere": lambda n, W, g, T: [T] * n,
        "one global layer": lambda n, W, g, T: [min(W, T)] * (n - 1) + [T if g else min(W, T)]},
}

TOLD = {  # answers that were told another cause
    "05.5": {"the idle added": "The idle experts are added"}, "05.6": {"numbers of one digit found": "not found"}}
EQUAL = {"05.2": ["in `d_model // n_heads * n_kv_heads`, `d_model // n_heads` is `d_model / n_heads`"]}
