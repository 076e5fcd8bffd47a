"""Fit a law to ten small runs, and ask it how large a model should be: the runs ship, and one more is live."""
from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from minillm import corpora
from minillm.costs import parameters
from minillm.data import batches
from minillm.lessons.training.experiment import known
from minillm.lessons.training.points import shipped
from minillm.lessons.training.widths import adam, of_width
from minillm.model import Transformer
from minillm.optim import warmup_cosine
from minillm.training import Step, evaluate, train

ROWS, CONTEXT, HELD_OUT, LR = 16, 64, 12_289, 0.016
# width, steps: ten to fit, and two that no fit has seen
TEN = ((16, 120), (16, 480), (16, 1440), (32, 240), (32, 960), (64, 120), (64, 480), (64, 1440), (128, 240), (128, 480))
UNSEEN = ((96, 720), (128, 1440))


@dataclass(frozen=True)
class Run:
    """What one run was, and what came of it."""
    width: int
    n_parameters: int     # without the embedding, which only looks up
    n_tokens: int
    loss: float           # nats per character, held out
    seconds: float = 0.0  # of one core


def size(model: Transformer) -> int:
    """Parameters that take part in products of matrices: all but the embedding."""
    ledger = parameters(model.config)
    return sum(ledger.values()) - ledger["embedding"]


@cache
def held_out() -> Tensor:
    """Stories that none of the runs reads."""
    return torch.as_tensor(corpora.load("stories").hold_out()[1].encode(known("stories").tokenizer)[:HELD_OUT])


def learning(width: int, n_steps: int, seed: int = 0) -> tuple[Transformer, Iterator[Step]]:
    """A model of so many components, and its steps of 1,024 characters; hidden matrices go at 0.016 × 32 / width."""
    model = of_width(width, seed, context_length=CONTEXT)
    steps = train(model, batches(known("stories").ids, batch_size=ROWS, context_length=CONTEXT, seed=seed),
                  optimizer=adam(model, LR, divided=True), schedule=warmup_cosine(n_steps, warmup=20), n_steps=n_steps,
                  precision="fp32")
    return model, steps


def run_of(width: int, n_steps: int, seed: int = 0) -> Run:
    """One run to its end."""
    began = time.thread_time()
    model, steps = learning(width, n_steps, seed)
    n_tokens = sum(step.tokens for step in steps)
    seconds = time.thread_time() - began
    return Run(width, size(model), n_tokens, round(evaluate(model, held_out(), context_length=CONTEXT), 4),
               round(seconds, 1))


def measured() -> dict[str, list[list[float]]]:
    """The ten and the two unseen, each as the fields of a `Run`."""
    found: dict[str, list[list[float]]] = {"ten": [], "unseen": []}
    for name, plans in (("ten", TEN), ("unseen", UNSEEN)):
        for width, n_steps in plans:
            run = run_of(width, n_steps)
            found[name].append([run.width, run.n_parameters, run.n_tokens, run.loss, run.seconds])
            print(name, run, flush=True)
    return found


@dataclass(frozen=True)
class Law:
    r"""What a loss should be.  Hoffmann et al. 2022, arXiv:2203.15556.

    $$ \mathcal{L} = \mathrm{floor} + \frac{\kappa_1}{N_{parameters}^{\kappa_2}}
       + \frac{\kappa_3}{N_{tokens}^{\kappa_4}} $$
    """
    floor: float
    of_size: float       # kappa 1
    size_power: float    # kappa 2
    of_text: float       # kappa 3
    text_power: float    # kappa 4

    def __call__(self, n_parameters: float, n_tokens: float) -> float:
        return (self.floor + self.of_size * n_parameters ** -self.size_power
                + self.of_text * n_tokens ** -self.text_power)

    def best_size(self, flops: float) -> float:
        """Parameters that make most of so many operations, of which each parameter takes six for each token."""
        both = self.size_power + self.text_power
        balance = self.size_power * self.of_size / (self.text_power * self.of_text)
        return balance ** (1 / both) * (flops / 6) ** (self.text_power / both)


CHINCHILLA = Law(1.69, 406.4, 0.34, 410.7, 0.28)     # their third fit, equation 10: nats per token of web text
EXPONENTS = np.arange(0.05, 1.2, 0.01)


def ten_runs() -> list[Run]:
    """The runs that ship."""
    return [Run(int(width), int(size), int(tokens), loss, seconds)
            for width, size, tokens, loss, seconds in shipped()["law"]["ten"]]


def unseen_runs() -> list[Run]:
    """Two larger ones, which no fit has seen."""
    return [Run(int(width), int(size), int(tokens), loss, seconds)
            for width, size, tokens, loss, seconds in shipped()["law"]["unseen"]]


def fit(n_parameters: Sequence[float], n_tokens: Sequence[float], losses: Sequence[float], *,
        floor: float | None = None) -> Law:
    """The law that misses these losses least, in squares: exponents tried, the rest solved; `floor` may be known."""
    size, text, loss = (np.asarray(each, dtype=float) for each in (n_parameters, n_tokens, losses))
    found: tuple[float, Law] | None = None
    for size_power in EXPONENTS:
        of_size = np.broadcast_to(size ** -size_power, (len(EXPONENTS), len(size)))
        of_text = text ** -EXPONENTS[:, None]
        free = [np.ones_like(of_text)] if floor is None else []
        terms = np.stack([*free, of_size, of_text], axis=-1)                    # (exponent, run, term)
        factors = np.linalg.pinv(terms) @ (loss - (floor or 0.0))
        errors = np.square((terms @ factors[..., None])[..., 0] - (loss - (floor or 0.0))).sum(-1)
        errors[factors.min(-1) < 0] = np.inf
        at = int(errors.argmin())
        if found is None or errors[at] < found[0]:
            *known_floor, a, b = (floor, *factors[at]) if floor is not None else factors[at]
            found = errors[at], Law(float(known_floor[0]), float(a), float(size_power), float(b),
                                    float(EXPONENTS[at]))
    assert found is not None
    return found[1]
