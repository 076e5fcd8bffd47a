"""Say what each part costs: norms and MLPs are asked themselves, attention has a row of numbers beside each kind."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from minillm.config import ModelConfig


def label(part: type[nn.Module]) -> str:
    """What a part is called in pictures, lists and files: its `label` where it has one, else its own name."""
    return getattr(part, "label", part.__name__)


@dataclass(frozen=True)
class Tally:
    """Numbers that a part learns, and that it keeps of one position until the backward pass."""
    learned: int
    kept: int               # without its input and its output, which others keep as well
    keeps_input: bool


@cache
def tally(kind: type[nn.Module], *sizes: int, **options: bool) -> Tally:
    """Count what a small part learns and keeps, by building it and running it on one vector.

    So no formula has to be told anew for a new norm or MLP.  Takes less than a millisecond, once.
    """
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.numel()
        return x

    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng([]):
        part, x = kind(*sizes, **options), torch.zeros(1, sizes[0], requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            y = part(x)
    *others, entered = (each.untyped_storage().data_ptr() for each in (*part.parameters(), y, x))
    return Tally(sum(weight.numel() for weight in part.parameters()),
                 sum(n for place, n in kept.items() if place not in (*others, entered)), entered in kept)


@dataclass(frozen=True)
class Account:
    """What one layer's attention learns, computes and keeps, in numbers."""
    read: int               # columns of the matrices that read from x
    written: int            # rows of the matrix that writes to it
    scored: int             # width of what a score compares
    mixed: int              # width of what a pattern mixes
    cached: int             # of each position, for later queries
    kept: int               # of each position, until the backward pass
    behind: int = 0         # size of matrices that read from what was read, for every key
    ahead: int = 0          # size of the matrix that reads queries from a latent
    norms: int = 0          # gains
    gates: int = 0          # columns of the matrix that reads the heads' gates from x
    sinks: int = 0          # scores of their own
    conv: int = 0           # weights of a short convolution
    state: int = 0          # cached whatever the length
    carried: int = 0        # multiplications with the state for each new position
    likened: int = 0        # multiplications that compare a key with another
    patterns: int = 0       # kept of each (query, key) pair


def heads(c: ModelConfig, *, seq: int) -> Account:
    """Queries, keys and values cut into heads."""
    n_q, n_kv = c.n_heads * c.d_head, c.n_kv_heads * c.d_head
    quotients = {None: 0, "head": c.n_heads + c.n_kv_heads, "full": 2}[c.qk_norm]
    return Account(
        read=n_q + 2 * n_kv, written=n_q, scored=c.d_head, mixed=c.d_head, cached=2 * n_kv,
        patterns=c.n_heads * (1 + (c.attention_softcap is not None)),
        norms={None: 0, "head": 2 * c.d_head, "full": n_q + n_kv}[c.qk_norm],
        kept=c.d_model + 4 * n_q + quotients + (n_q + n_kv) * (c.qk_norm is not None) + gated(c), **extras(c))


def latent(c: ModelConfig, *, seq: int) -> Account:
    """Keys and values read from a latent; a single query is brought to the latents themselves."""
    n_q, one, compressed = c.n_heads * c.d_head, seq == 1, c.d_query is not None
    wide, narrow = n_q + c.n_heads * c.d_rotary, c.d_query or 0
    return Account(
        read=(narrow if compressed else wide) + c.d_latent + c.d_rotary, ahead=narrow * wide, written=n_q,
        scored=(c.d_latent if one else c.d_head) + c.d_rotary, mixed=c.d_latent if one else c.d_head,
        cached=c.d_latent + c.d_rotary, norms=c.d_latent + narrow, behind=2 * c.d_latent * n_q,
        patterns=c.n_heads * (1 + (c.attention_softcap is not None)),
        kept=c.d_model + 4 * n_q + 2 * c.n_heads * c.d_rotary + 2 * c.d_latent + 1 + 2 * narrow + compressed + gated(c),
        **extras(c))


def linear(c: ModelConfig, *, seq: int, delta: bool = False) -> Account:
    """A state for each key head; the delta rule compares keys with keys, and brings back what a key had written."""
    n_q, n_kv, shares = c.n_heads * c.d_head, c.n_kv_heads * c.d_head, c.n_kv_heads < c.n_heads
    width, square = c.conv_width or 1, n_kv * c.d_head
    mixed = (1 + (delta or c.attention_gate)) * (c.conv_width is not None)  # rate and gate read x as it was
    kept = c.d_model * (1 + mixed) + 6 * n_q + n_kv + 3 * c.n_heads + 2 * c.n_kv_heads
    return Account(
        read=n_q + 2 * n_kv, written=n_q, scored=c.d_head, mixed=c.d_head, cached=0, norms=c.d_head,
        gates=c.n_heads * c.attention_gate + c.n_kv_heads * delta, conv=c.d_model * c.conv_width if c.conv_width else 0,
        state=square + (width - 1) * c.d_model, carried=n_q * c.d_head + square * (1 + delta), likened=n_kv * delta,
        kept=kept + delta * (n_kv * (3 + shares) + c.n_kv_heads) + gated(c),
        patterns=c.n_heads + 2 * c.n_kv_heads * delta)


def delta(c: ModelConfig, *, seq: int) -> Account:
    """The same with a rate for each key head."""
    return linear(c, seq=seq, delta=True)


def extras(c: ModelConfig) -> dict[str, int]:
    """What every kind of attention may have beside."""
    return {"gates": c.n_heads * c.attention_gate, "sinks": c.n_heads * c.attention_sinks}


def gated(c: ModelConfig) -> int:
    """What a gate keeps: the gates, and what they multiply."""
    return c.attention_gate * c.n_heads * (c.d_head + 1)


ACCOUNTS = {"heads": heads, "latent": latent, "sum": linear, "delta": delta}
