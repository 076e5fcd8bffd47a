"""Choose, and remember how likely each choice was.

A story is a program that asks a *chooser* for every decision.  `Dice` decides by a seed; `Reading` decides so
that the program writes a text that is given.  Both add up -ln p, so the same program that tells stories can
also say exactly how surprising a story is (entropy.py).
"""
import math
import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

Option = TypeVar("Option")


class Chooser(Protocol):
    """Whatever decides: `pick` an option of the world, `say` one of several ready strings."""

    def pick(self, options: Sequence[Option], weights: Sequence[float] | None = None) -> Option: ...

    def say(self, options: Sequence[str], weights: Sequence[float] | None = None) -> str: ...


class Dice:
    """Decide by a seed; `nats` is -ln p of all decisions so far."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.nats = 0.0

    def index(self, weights: Sequence[float]) -> int:
        """Return i with probability weights[i] / sum(weights)."""
        total = sum(weights)
        threshold = self.random.random() * total
        choice = max(i for i, weight in enumerate(weights) if weight > 0)  # against rounding in the last sum
        for i, weight in enumerate(weights):
            threshold -= weight
            if threshold < 0 and weight > 0:
                choice = i
                break
        self.nats -= math.log(weights[choice] / total)
        return choice

    def pick(self, options: Sequence[Option], weights: Sequence[float] | None = None) -> Option:
        """Return one of the options (all equally likely, or by weight)."""
        if not options:
            raise ValueError("0 options to pick from; give at least 1")
        return options[self.index(weights or [1.0] * len(options))]

    def say(self, options: Sequence[str], weights: Sequence[float] | None = None) -> str:
        """Return one of the ready strings."""
        return self.pick(options, weights)
