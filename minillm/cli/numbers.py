"""Read a number from the command line, and refuse one that nothing could be done with."""
from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def number(kind: type = int, *, least: float | None = None, above: float | None = None,
           most: float | None = None) -> Callable[[str], float]:
    """A `type` for argparse: an int or a float that is at least `least`, more than `above` and at most `most`."""
    bounds = [(least, "at least {:g}", lambda value: value >= least),
              (above, "more than {:g}", lambda value: value > above),
              (most, "at most {:g}", lambda value: value <= most)]
    bounds = [(words.format(bound), holds) for bound, words, holds in bounds if bound is not None]

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no {'whole ' if kind is int else ''}number") from None
        if kind is float and not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"{text} is no number that anything can be reckoned with")
        if not all(holds(value) for _, holds in bounds):
            raise argparse.ArgumentTypeError(f"{text} must be {' and '.join(words for words, _ in bounds)}")
        return value

    return read


SEED = number(least=0, most=2 ** 63 - 1)
COUNT = number(least=1)
