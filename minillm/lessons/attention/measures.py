"""Measure attention: how sharp it is, what a mask lets through, what its heads attend to, how fast it decodes."""
from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from minillm.checkpoints import load
from minillm.corpora import data_folder
from minillm.inspection import capture
from minillm.model import Transformer
from minillm.notebook.threads import one_thread
from minillm.tokenizers import Tokenizer

# -- how sharp --------------------------------------------------------------------------------------------------------


@cache
def random_vectors(width: int, *, n_queries: int = 256, n_keys: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Queries and keys with independent components of mean 0 and variance 1."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n_queries, width, generator=draw), torch.randn(n_keys, width, generator=draw)


def entropy(pattern: Float[Tensor, "*rows key"]) -> Float[Tensor, "*rows"]:
    """-sum_k A_k ln A_k, in nats: ln n where n keys share the attention evenly, 0 where one has all of it."""
    return torch.special.entr(pattern).sum(-1)


def responsiveness(pattern: Float[Tensor, "*rows key"]) -> Float[Tensor, "*rows"]:
    r"""How far a pattern moves when its scores do: the norm of the softmax's derivative.

    $$ \frac{\partial A_i}{\partial S_j} = A_i (\delta_{ij} - A_j) $$

    At most 1/2 (two keys that share the attention); 0 where one key has all of it, and nothing is learnt any more.
    """
    jacobian = torch.diag_embed(pattern) - pattern[..., :, None] * pattern[..., None, :]
    return jacobian.flatten(-2).norm(dim=-1)


# -- masks ------------------------------------------------------------------------------------------------------------

MASKS = {  # name -> (what is done to the scores of later tokens, what to their weights); `m`: True where to hide
    "none": (lambda s, m: s, None),
    "−∞ before the softmax": (lambda s, m: s.masked_fill(m, -torch.inf), None),
    "0 before the softmax": (lambda s, m: s.masked_fill(m, 0.0), None),
    "+∞ before the softmax": (lambda s, m: s.masked_fill(m, torch.inf), None),
    "0 after the softmax": (lambda s, m: s, lambda a, m: a.masked_fill(m, 0.0)),
    "inverted": (lambda s, m: s.masked_fill(~m, -torch.inf), None),
    "the diagonal hidden, too": (lambda s, m: s.masked_fill(m | torch.eye(len(m), dtype=torch.bool), -torch.inf), None),
}


def masked_pattern(scores: Float[Tensor, "query key"], mask: str, *, over: int = -1) -> tuple[Tensor, Tensor]:
    """(scores after the mask, pattern) under one of `MASKS`, with the softmax over keys (-1) or queries (-2)."""
    later = torch.ones_like(scores, dtype=torch.bool).triu(1)
    before, after = MASKS[mask]
    changed = before(scores, later)
    pattern = changed.softmax(dim=over)
    return changed, pattern if after is None else after(pattern, later)


# -- the heads of the model that ships --------------------------------------------------------------------------------

@cache
def storyteller() -> tuple[Transformer, Tokenizer]:
    """The small model that ships, and its tokenizer."""
    return load("storyteller")


@cache
def fresh_patterns(n_rows: int = 8, n_tokens: int = 64) -> Float[Tensor, "layer batch head query key"]:
    """Every head's pattern on rows of stories that the model has not read."""
    model, tokenizer = storyteller()
    ids = tokenizer.encode((data_folder() / "stories" / "fresh.txt").read_text("utf-8")[:16 * n_rows * n_tokens])
    rows = torch.tensor(ids[:n_rows * n_tokens]).view(n_rows, n_tokens)
    return patterns(model, rows)


def patterns(model: Transformer, rows: Tensor) -> Float[Tensor, "layer batch head query key"]:
    """Every head's pattern on a batch of rows of tokens."""
    with one_thread(), torch.no_grad(), capture(model, "blocks.*.attention.pattern") as seen:
        model(rows)
    return torch.stack(list(seen.values())).float()


def attended(pattern: Float[Tensor, "layer batch head query key"]) -> dict[str, Float[Tensor, "layer head"]]:
    """How much of its attention each head gives, on average over queries that have a choice, to some places."""
    queries = pattern[..., 1:, :]
    return {"the first token": queries[..., 0].mean((1, 3)),
            "the token before": pattern.diagonal(-1, -2, -1).mean((1, 3)),
            "itself": pattern.diagonal(0, -2, -1)[..., 1:].mean((1, 3)),
            "how many keys (e to the entropy)": entropy(queries).exp().mean((1, 3))}


def even_share(n_tokens: int) -> float:
    """What the first token would get from queries 1 … n - 1 if each spread its attention evenly."""
    return sum(1 / (query + 1) for query in range(1, n_tokens)) / (n_tokens - 1)


# -- memory -----------------------------------------------------------------------------------------------------------

class _Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor had that any operation gave back."""
    numbers = 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        made = operation(*arguments, **(options or {}))
        self.numbers = max([self.numbers, *(each.numel() for each in tree_leaves(made) if isinstance(each, Tensor))])
        return made


def largest_tensor(function: Callable[..., Tensor], *inputs: Tensor) -> int:
    """Numbers in the largest tensor that a function makes on its way."""
    with torch.no_grad(), _Largest() as watched:
        function(*inputs)
    return watched.numbers


# -- decoding with shared keys ----------------------------------------------------------------------------------------

def decode_by_copying(q: Float[Tensor, "batch head 1 d_head"], k: Float[Tensor, "batch kv_head key d_head"],
                      v: Float[Tensor, "batch kv_head key d_head"]) -> Float[Tensor, "batch head 1 d_head"]:
    """One query per head, each with a copy of its key head."""
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, dim=1) if group > 1 else x for x in (k, v))
    return (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v


def decode_by_group(q: Float[Tensor, "batch head 1 d_head"], k: Float[Tensor, "batch kv_head key d_head"],
                    v: Float[Tensor, "batch kv_head key d_head"]) -> Float[Tensor, "batch head 1 d_head"]:
    """The queries of a group stand side by side, so that each key is read once."""
    grouped = q.reshape(q.shape[0], k.shape[1], -1, q.shape[-1])
    return ((grouped @ k.mT * q.shape[-1] ** -0.5).softmax(-1) @ v).reshape(q.shape)


def decoding_times(n_kv_heads: int, *, n_heads: int = 8, d_head: int = 64, n_keys: int = 1024, batch: int = 4,
                   repeats: int = 8) -> dict[str, float]:
    """Milliseconds of one step of decoding, attention alone: the quickest, which other programs disturbed least."""
    draw = torch.Generator().manual_seed(0)
    q = torch.randn(batch, n_heads, 1, d_head, generator=draw)
    k, v = (torch.randn(batch, n_kv_heads, n_keys, d_head, generator=draw) for _ in range(2))
    times: dict[str, list[float]] = {"copied": [], "read once": []}
    with one_thread(), torch.no_grad():
        for _ in range(repeats + 1):
            for name, decode in zip(times, (decode_by_copying, decode_by_group), strict=True):
                began = time.perf_counter()
                decode(q, k, v)
                times[name].append(1000 * (time.perf_counter() - began))
    return {name: min(taken[1:]) for name, taken in times.items()}
