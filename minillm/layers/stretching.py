"""Slow RoPE's rotations down, so that a model reads further than it was trained to."""
from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from minillm.config import RopeScaling


def stretch(omega: Float[Tensor, "pair"], scaling: RopeScaling | None) -> Float[Tensor, "pair"]:
    """Slow the rotations down as `RopeScaling` says."""
    if scaling is None:
        return omega
    keep = KEPT[scaling.kind](omega, scaling)
    return keep * omega + (1 - keep) * omega / scaling.factor


def kept_by_turns(omega: Float[Tensor, "pair"], scaling: RopeScaling) -> Float[Tensor, "pair"]:
    """How much of each pair's speed Llama 3.1 keeps: all of the fast ones', nothing of the slow ones'."""
    turns = scaling.original_context * omega / (2 * math.pi)  # full turns within the original context
    return ((turns - scaling.low_freq) / (scaling.high_freq - scaling.low_freq)).clamp(0, 1)


def kept_by_pair(omega: Float[Tensor, "pair"], scaling: RopeScaling) -> Float[Tensor, "pair"]:
    """How much of each pair's speed YaRN keeps: less and less from the first that it slows down to the last."""
    first, last = blended(omega, scaling)
    return 1 - ((torch.arange(len(omega)) - first) / (last - first)).clamp(0, 1)


def blended(omega: Float[Tensor, "pair"], scaling: RopeScaling) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Between which two pairs YaRN blends: the last that keeps its speed, the first that keeps none of it."""
    turns = (scaling.original_context * omega / (2 * math.pi)).log()
    first, last = ((turns[0] - math.log(n)) / (turns[0] - turns[1]) for n in (scaling.high_freq, scaling.low_freq))
    if scaling.whole_pairs:
        first, last = first.floor(), last.ceil()
    first, last = first.clamp(min=0), last.clamp(max=2 * len(omega) - 1)
    return first, torch.maximum(last, first + (1 if scaling.whole_pairs else 1e-3))


KEPT = {"linear": lambda omega, scaling: 0.0, "llama3": kept_by_turns, "yarn": kept_by_pair}
