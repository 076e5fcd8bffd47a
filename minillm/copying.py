"""Measure whether a model copies in context, and which heads do it.

A list of random ids is read twice.  An *induction head* looks, at an id that it has seen before, at what came after it
the first time; a *previous-token head*, in an earlier layer, looks one place back, which is what tells an id's
successor from others.  Olsson et al. 2022, arXiv:2209.11895.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minillm.inspection import capture, intervene, token_losses

LENGTH, LISTS = 25, 16  # ids in a list, lists that are read
ENOUGH = 0.4  # the score from which a head is called by its name


def twice(vocab_size: int, *, length: int = LENGTH, lists: int = LISTS, seed: int = 0) -> Tensor:
    """Random lists, each read twice: ids of shape (lists, 2 length)."""
    once = torch.randint(vocab_size, (lists, length), generator=torch.Generator().manual_seed(seed))
    return torch.cat([once, once], dim=1)


@dataclass(frozen=True)
class Scores:
    """Mean attention of each head, (layer, head): to what came after the same id, and to the place before."""

    induction: Float[Tensor, "layer head"]
    previous: Float[Tensor, "layer head"]

    def heads(self, name: str) -> list[tuple[int, int]]:
        """(layer, head) of those that score enough: `induction` or `previous`."""
        return [tuple(place) for place in (getattr(self, name) >= ENOUGH).nonzero().tolist()]


@torch.no_grad()
def scores(model: nn.Module, tokens: Tensor) -> Scores:
    r"""The two scores of every head on lists that are read twice (n ids, then the same again).

    $$ \mathrm{induction}_h = \mathrm{mean}_{q \ge n} A_{hq,\,q-n+1}, \qquad
       \mathrm{previous}_h = \mathrm{mean}_{q \ge 1} A_{hq,\,q-1} $$
    """
    n = tokens.shape[1] // 2
    with capture(model, "blocks.*.attention.pattern") as seen:
        model(tokens)
    patterns = torch.stack([*seen.values()]).float()  # layer batch head query key
    later = torch.arange(n, 2 * n)
    every = torch.arange(1, 2 * n)
    return Scores(patterns[..., later, later - n + 1].mean((1, 3)), patterns[..., every, every - 1].mean((1, 3)))


@torch.no_grad()
def gain(model: nn.Module, tokens: Tensor) -> tuple[float, float]:
    """Nats per token of the first and of the second reading (its first id, which nothing foretells, left out)."""
    n = tokens.shape[1] // 2
    losses = token_losses(model, tokens)
    return losses[:, :n - 1].mean().item(), losses[:, n:].mean().item()


def without(model: nn.Module, heads: Iterable[Sequence[int]]):
    """A context in which these heads see nothing: their patterns are zero."""
    kept: dict[int, Tensor] = {}
    for layer, head in heads:
        kept.setdefault(layer, torch.ones(model.config.n_heads, 1, 1))[head] = 0.0
    return intervene(model, {f"blocks.{layer}.attention.pattern": lambda pattern, keep=keep: pattern * keep.to(pattern)
                             for layer, keep in kept.items()})
