"""Say exactly how surprising a story is, and so how well any model can do at best.

A text's probability is the sum over all ways in which the program could have written it.  `surprise` finds them
all: it runs the program again and again, each time with the choices that keep to the text, and gives up a run at
the first word that differs.  The mean surprise of fresh stories estimates the entropy H of the source, and no
model's mean loss on fresh stories can be below H (Shannon 1948: cross-entropy = H + divergence >= H).
"""
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .chance import Chooser, Option


class Branch(Exception):
    """The text does not say (yet) which option was taken: each of these must be followed."""

    def __init__(self, options: list[int]) -> None:
        self.options = options


class Reading:
    """Decide so that the program writes `text`; `path` are the decisions already tried at open choices."""

    def __init__(self, text: str, path: Sequence[int], may: Callable[[object], bool]) -> None:
        self.text, self.may = text, may
        self.path = iter(path)
        self.position = 0
        self.nats = 0.0

    def settle(self, options: list[int], weights: Sequence[float]) -> int:
        """Take the only option, or the next one of the path; or stop and let the caller branch."""
        choice = options[0] if len(options) == 1 else next(self.path, None)
        if choice is None:
            raise Branch(options)
        self.nats -= math.log(weights[choice] / sum(weights))
        return choice

    def pick(self, options: Sequence[Option], weights: Sequence[float] | None = None) -> Option:
        """Choose something of the world, of which the text must speak sooner or later."""
        weights = weights or [1.0] * len(options)
        possible = [i for i, option in enumerate(options) if weights[i] and self.may(option)]
        return options[self.settle(possible, weights)]

    def say(self, options: Sequence[str], weights: Sequence[float] | None = None) -> str:
        """Choose the words that the text goes on with."""
        weights = weights or [1.0] * len(options)
        possible = [i for i, option in enumerate(options) if self.text.startswith(option, self.position)]
        words = options[self.settle(possible, weights)]
        self.position += len(words)
        return words


def derivations(program: Callable[[Chooser], object], text: str,
                may: Callable[[object], bool] = lambda option: True) -> list[float]:
    """Return -ln p of every way in which the program writes the text (none: it cannot).

    `program(chooser)` says all its words through `chooser.say`.  `may(option)` is False only for what the text
    cannot be about; it saves time and changes nothing.
    """
    found, open_paths = [], [()]
    while open_paths:
        path = open_paths.pop()
        reading = Reading(text, path, may)
        try:
            program(reading)
        except Branch as branch:
            open_paths += [(*path, option) for option in branch.options]
        else:
            if reading.position == len(text):
                found.append(reading.nats)
    return found


def surprise(program: Callable[[Chooser], object], text: str,
             may: Callable[[object], bool] = lambda option: True) -> float:
    """-ln p(text) in nats, all derivations summed; infinity for a text that the program cannot write."""
    found = derivations(program, text, may)
    least = min(found, default=math.inf)
    return least - math.log(sum(math.exp(least - nats) for nats in found)) if found else math.inf


@dataclass(frozen=True)
class Floor:
    """An entropy rate in nats per character, and one standard error of its estimate."""

    nats: float
    error: float
    stories: int
    characters: int


def floor(samples: Iterable[tuple[float, int]]) -> Floor:
    """Estimate nats per character from (nats, characters) of independent stories.

    $$ h = \\sum_i s_i / \\sum_i n_i, \\qquad
       \\mathrm{se} = \\sqrt{\\sum_i (s_i - h n_i)^2 \\, k / (k - 1)} \\, / \\sum_i n_i $$
    (the ratio estimator; Cochran 1977, section 6.4).  Needs k >= 2 stories.
    """
    samples = list(samples)
    if len(samples) < 2:
        raise ValueError(f"{len(samples)} stories give no error bar; give at least 2")
    total = sum(count for _, count in samples)
    rate = sum(nats for nats, _ in samples) / total
    spread = sum((nats - rate * count) ** 2 for nats, count in samples) * len(samples) / (len(samples) - 1)
    return Floor(rate, math.sqrt(spread) / total, len(samples), total)
