"""Count what a model costs before building it: parameters, operations, memory."""
from __future__ import annotations

from minillm.config import ModelConfig
from minillm.layers import ADDED, MLPS, NORMS, RESIDUALS
from minillm.layers.accounts import ACCOUNTS, Account, Tally, tally
from minillm.model import BLOCKS

Ledger = dict[str, int]


def parameters(config: ModelConfig, *, active: bool = False) -> Ledger:
    """Numbers to learn, by part; ``sum(parameters(config).values())`` is the model's size.

    `active` counts, of the routed experts, only those that one token visits: what its forward pass reads.
    """
    c = config.resolve()
    norm, kinds = _norm(c).learned, _attentions(c)
    attention = sum(c.d_model * (a.read + a.written + a.gates) + a.ahead + a.behind + a.sinks + a.conv
                    + a.read * c.is_biased("qkv") + c.d_model * c.is_biased("out") for a in kinds)
    n_dense = sum(not c.is_mixture(i) for i in range(c.n_layers))
    n_mixtures = c.n_layers - n_dense
    n_experts = c.experts_per_token if active else c.n_experts
    shared = _mlp(c, c.n_shared_experts * c.d_expert) if c.n_shared_experts else 0
    norms = c.n_layers * len(BLOCKS[c.norm_order].norms) * norm + sum(a.norms for a in kinds)
    ledger = {
        "embedding": c.vocab_size * c.d_model,
        "positions": _added(c),
        "attention": attention,
        "mlp": n_dense * _mlp(c, c.d_ff),
        "experts": n_mixtures * n_experts * _mlp(c, c.d_expert),
        "shared experts": n_mixtures * shared,
        "router": n_mixtures * (c.d_model + c.router_bias) * c.n_experts,
        "norms": norms + norm * (c.embed_norm + (c.norm_order != "post")),
        "residual": c.n_layers * _again(c),
        "unembedding": c.vocab_size * (c.d_model * (not c.tie_embeddings) + c.unembed_bias),
    }
    return {part: count for part, count in ledger.items() if count}


def flops(config: ModelConfig, *, seq: int, cached: int = 0, causal: bool = False) -> Ledger:
    """Floating-point operations of one forward pass over `seq` new tokens after `cached` ones, by part.

    A product of (n, k) and (k, m) matrices costs 2 n k m; only products are counted, all else is a few
    operations per number.  The backward pass costs twice as much: each product has two factors to send a
    gradient to (and where the delta rule solves a triangle, one product more: 2 seq² d_head for each key head; solving
    itself is not counted).  All of the seq x (cached + seq) scores are computed; ``causal=True`` counts only those that
    are not masked.
    """
    c = config.resolve()
    n_mixtures = sum(c.is_mixture(i) for i in range(c.n_layers))
    matrices, kinds = _hidden(c).learned, list(enumerate(_attentions(c, seq)))
    met = [pairs(c, layer, seq=seq, cached=cached, causal=causal) for layer in range(c.n_layers)]
    expanded = [1 if seq == 1 else keys(c, layer, seq=seq, cached=cached) for layer in range(c.n_layers)]
    ledger = {
        "attention projections": sum(
            2 * (seq * c.d_model * (a.read + a.written + a.gates) + seq * a.ahead
                 + expanded[i] * a.behind) for i, a in kinds),
        "attention scores": sum(met[i] * 2 * (c.n_heads * a.scored + a.likened) for i, a in kinds),
        "attention mix": sum(met[i] * 2 * c.n_heads * a.mixed for i, a in kinds),
        "attention state": sum(2 * seq * a.carried for _, a in kinds) * (cached > 0),
        "mlp": (c.n_layers - n_mixtures) * seq * 2 * matrices * c.d_model * c.d_ff,
        "experts": n_mixtures * seq * 2 * matrices * c.d_model * c.d_expert * c.experts_per_token,
        "shared experts": n_mixtures * seq * 2 * matrices * c.d_model * c.d_expert * c.n_shared_experts,
        "router": n_mixtures * seq * 2 * c.d_model * c.n_experts,
        "unembedding": seq * 2 * c.d_model * c.vocab_size,
    }
    return {part: count for part, count in ledger.items() if count}


def pairs(config: ModelConfig, layer: int, *, seq: int, cached: int = 0, causal: bool = False) -> int:
    """(query, key) pairs that a layer scores in each head; with `causal`, only the visible ones."""
    window = config.window if config.is_windowed(layer) else None
    if config.is_linear(layer):  # what came before is one state, and meets no query as a key
        return _seen(seq, None) if causal else seq * seq
    if causal:
        return _seen(cached + seq, window) - _seen(cached, window)
    return seq * keys(config, layer, seq=seq, cached=cached)


def keys(config: ModelConfig, layer: int, *, seq: int, cached: int = 0) -> int:
    """Positions that a layer holds keys of while it reads `seq` new ones: a ring keeps no more than its window."""
    window = config.window if config.is_windowed(layer) else cached + seq
    return min(cached + 1, window) if seq == 1 else min(cached, window) + seq


def cache_bytes(config: ModelConfig, *, seq: int, batch: int = 1, bytes_per_number: int = 2) -> int:
    """Keys and values (or latents) of `seq` positions in memory; a windowed layer keeps no more than its window."""
    c = config.resolve()
    numbers = sum((min(seq, c.window) if c.is_windowed(i) else seq) * a.cached + a.state
                  for i, a in enumerate(_attentions(c)))
    return batch * numbers * bytes_per_number


def activation_bytes(config: ModelConfig, *, batch: int, seq: int, bytes_per_number: int = 4) -> Ledger:
    """Memory that a training step keeps from forward to backward, by part: readable path, no dropout.

    Counted is what autograd saves: each product's two factors, RMSNorm's quotient or LayerNorm's input with
    what divides them, the softmax's result.  A few indices and masks, which do not grow with the widths, are left out.
    """
    c = config.resolve()
    norm = _norm(c).kept + c.d_model * _norm(c).keeps_input
    n_norms, reads = len(BLOCKS[c.norm_order].norms), 1 if c.norm_order == "parallel-shared" else 2
    shared_input = c.d_model * (c.norm_order == "parallel" and _norm(c).keeps_input)  # both keep the same x
    n_mixtures = sum(c.is_mixture(i) for i in range(c.n_layers))
    kept = _hidden(c).kept  # results of width d_ff
    chosen = c.experts_per_token * (3 * c.d_model + kept * c.d_expert)  # gathered, computed, weighted
    ledger = {
        "norms": (c.n_layers * (n_norms * norm - shared_input)
                  + norm * (c.embed_norm + (c.norm_order != "post"))),
        "attention": sum(a.kept for a in _attentions(c, seq)),
        "pattern": sum(seq * a.patterns + a.sinks for a in _attentions(c, seq)),
        "mlp": c.n_layers * c.d_model * (reads - 1) + (c.n_layers - n_mixtures) * kept * c.d_ff,
        "experts": n_mixtures * (chosen + c.n_experts + kept * c.n_shared_experts * c.d_expert),
        "residual": c.n_layers * c.d_model * (_again(c) > 0),
        "unembedding": c.d_model,
        "loss": c.vocab_size * (1 + (c.logit_softcap is not None)),
    }
    return {part: batch * seq * count * bytes_per_number for part, count in ledger.items() if count}


def state_bytes(config: ModelConfig, *, trained: bool = True, bytes_per_number: int = 4) -> Ledger:
    """Memory that no batch changes: weights, and in training their gradients and AdamW's two means."""
    n = sum(parameters(config).values()) * bytes_per_number
    return {"weights": n, "gradients": n, "AdamW": 2 * n} if trained else {"weights": n}


def _seen(n: int, window: int | None) -> int:
    """Positions that the first n queries see together: 1 + 2 + … up to the window, then a window each."""
    reach = min(n, window or n)
    return reach * (reach + 1) // 2 + (n - reach) * reach


def _attentions(c: ModelConfig, seq: int = 2) -> list[Account]:
    """One row for each layer."""
    of = {kind: ACCOUNTS[kind](c, seq=seq) for kind in {c.attention_of(i) for i in range(c.n_layers)}}
    return [of[c.attention_of(i)] for i in range(c.n_layers)]


def _again(c: ModelConfig) -> int:
    """What a layer learns of how much of the stream, and of the first one, it starts from."""
    return sum(x.numel() for x in RESIDUALS[c.residual]().parameters())


def _norm(c: ModelConfig) -> Tally:
    return tally(NORMS[c.norm], c.d_model, weight=c.norm_weight)


def _hidden(c: ModelConfig) -> Tally:
    """What each hidden unit of an MLP learns for each component of x, one number for each matrix, and what it keeps."""
    return tally(MLPS[c.mlp], 1, 1)


def _mlp(c: ModelConfig, width: int) -> int:
    matrices = _hidden(c).learned
    return matrices * c.d_model * width + ((matrices - 1) * width + c.d_model) * c.is_biased("mlp")


def _added(c: ModelConfig) -> int:
    """Numbers learned to tell positions in the stream: so many for each component of each position."""
    if c.position not in ADDED:
        return 0
    one_position_of_two = ADDED[c.position](2, 1)
    return sum(x.numel() for x in one_position_of_two.parameters()) * c.context_length * c.d_model // 2
