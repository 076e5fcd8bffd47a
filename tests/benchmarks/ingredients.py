"""The table of ingredients that notebook 06 draws, made again on this machine."""
from __future__ import annotations

import statistics
from collections.abc import Iterator

from minillm.lessons.training.ingredients import compared
from tests.benchmarks.timing import Row


def ingredients() -> Iterator[Row]:
    """A row for each: the mean over seeds, how much above the recipe's that is, and every seed's loss."""
    usual = None
    for name, losses, read in compared():
        mean = statistics.mean(losses)
        usual = mean if usual is None else usual
        yield ("Shakespeare, a minute of one thread", name, mean, "nats/char",
               f"{mean - usual:+.3f} ({', '.join(f'{loss:.3f}' for loss in losses)}; {read / 1e6:.2f} M read)")
