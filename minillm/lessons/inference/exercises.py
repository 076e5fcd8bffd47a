"""Say what notebook 07 asks: temperature, top-p, the accept rule, induction, the lens, shares of a logit, patches."""
from __future__ import annotations

from functools import cache
from random import Random

import torch
from torch import Tensor

from minillm.checkpoints import load
from minillm.copying import twice
from minillm.inspection import capture
from minillm.notebook.checks import Exercise


def _normal(random: Random, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(random.randrange(2**31)))


def _law(random: Random, n: int, sharp: float = 1.0) -> Tensor:
    return (_normal(random, n) * sharp).softmax(-1)


def _temperatures(random: Random) -> list[tuple]:
    by_hand = torch.tensor([2.0, 1.0, 0.0])
    return [(by_hand, 1.0), (by_hand, 0.5), (_normal(random, 7) * 2, 2.5), (_normal(random, 9) * 3, 0.0),
            (_normal(random, 5) + 4, random.uniform(0.3, 0.8)), (torch.tensor([-3.0, -1.0, -2.0, -8.0]), 0.0)]


def _nuclei(random: Random) -> list[tuple]:
    """Sums that stay away from p, so that rounding decides nothing; one that meets it, in numbers that are exact."""
    by_hand = torch.tensor([0.1, 0.5, 0.15, 0.25])
    cases: list[tuple] = [(by_hand, 0.7), (by_hand, 0.45), (torch.tensor([0.05, 0.05, 0.9]), 0.5),
                          (torch.tensor([0.125, 0.5, 0.125, 0.25]), 0.75)]
    while len(cases) < 9:
        law, p = _law(random, 8, 1.5), random.uniform(0.3, 0.95)
        if (law.sort(descending=True).values.cumsum(-1) - p).abs().min() > 0.01:
            cases.append((law, p))
    return cases


def _guesses(random: Random) -> list[tuple]:
    by_hand = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.7, 0.1])
    return [by_hand, *(_laws_apart(random, n) for n in (2, 5, 9, 30))]


def _laws_apart(random: Random, n: int) -> tuple[Tensor, Tensor]:
    """Two laws; where they are nearly one, what is missing is a small difference, and rounding counts."""
    p, q = _law(random, n, 1.5), _law(random, n, 1.5)
    while (p - q).abs().sum() < 0.1:
        q = _law(random, n, 1.5)
    return p, q


def comes_out(given: tuple[Tensor, Tensor], q: Tensor) -> Tensor:
    """The distribution that a rule makes of guesses from q: those that are kept, and those drawn again."""
    keep, again = given
    return q * keep + (1 - (q * keep).sum()) * again


def _read_twice(random: Random) -> list[tuple]:
    cases = [(torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.1, 0.7, 0.2, 0], [0.1, 0.2, 0.6, 0.1]]), 2)]
    for n in (3, 5, 8):
        scores = _normal(random, 2 * n, 2 * n) * 2
        cases.append((scores.masked_fill(torch.ones(2 * n, 2 * n).triu(1).bool(), -torch.inf).softmax(-1), n))
    return cases


@cache
def parrot_patterns(n: int = 25) -> Tensor:
    """Where each head of the parrot looks, on average over lists of n ids read twice: (layer, head, query, key)."""
    model, tokenizer, *_ = load("parrot")
    with torch.no_grad(), capture(model.eval(), "blocks.*.attention.pattern") as seen:
        model(twice(tokenizer.vocab_size, length=n))
    return torch.stack([pattern.mean(0) for pattern in seen.values()])


def _heads(random: Random) -> list[tuple]:
    """The parrot's, the last head of the last layer, and patterns drawn at random."""
    placed = torch.eye(4).repeat(2, 3, 1, 1)
    placed[1, 2, 2:] = torch.eye(4)[1:3]
    cases = [(parrot_patterns(), 25), (placed, 2)]
    for layers, heads, n in ((2, 3, 4), (3, 2, 3), (2, 5, 5)):
        scores = _normal(random, layers, heads, 2 * n, 2 * n) * 3
        cases.append((scores.masked_fill(torch.ones(2 * n, 2 * n).triu(1).bool(), -torch.inf).softmax(-1), n))
    return cases


def _streams(random: Random) -> list[tuple]:
    by_hand = (torch.tensor([[1.0, 1.0], [3.0, 4.0]]), torch.tensor([1.0, 2.0]),
               torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), 0.0)
    grown = _normal(random, 4, 6) * torch.tensor([0.3, 1.0, 3.0, 9.0])[:, None] + 0.5
    return [by_hand, (grown, _normal(random, 6), _normal(random, 5, 6), 1e-5),
            (_normal(random, 3, 5) * 2 + 1, _normal(random, 5), _normal(random, 7, 5), 0.1)]


def _parts(random: Random) -> list[tuple]:
    by_hand = (torch.tensor([[1.0, 0.0], [2.0, 4.0]]), torch.tensor([1.0, 2.0]),
               torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 0, 1, 0.0)
    return [by_hand, *((_normal(random, n, 5) * 2 + 0.5, _normal(random, 5), _normal(random, 6, 5),
                        *random.sample(range(6), 2), eps) for n, eps in ((3, 1e-3), (4, 0.5), (7, 1e-3)))]


def ends_at(parts: Tensor, gain: Tensor, unembed: Tensor, token: int, other: int, eps: float) -> Tensor:
    """The difference of two logits, computed as the model does."""
    x = parts.sum(0)
    logits = unembed @ (gain * x / torch.sqrt(x.square().mean() + eps))
    return logits[token] - logits[other]


def _slopes(random: Random) -> list[tuple]:
    clean, corrupt = torch.tensor([[[1.0, 2.0]], [[0.0, 1.0]]]), torch.tensor([[[0.0, 2.0]], [[2.0, 0.0]]])
    by_hand = (clean, corrupt, torch.tensor([[[2.0, 1.0]], [[-1.0, 1.0]]]), 3.0, 1.0)
    cases = [(*(_normal(random, n, m, d) for _ in range(3)), random.uniform(2, 5), random.uniform(-5, 1))
             for n, m, d in ((3, 2, 4), (2, 5, 3), (4, 4, 4))]
    *streams, high, low = cases[1]
    return [by_hand, cases[0], (*streams, low, high), cases[2]]         # the clean reading may be the lower one


EXERCISES = [
    Exercise("07.1", "Temperature, down to zero", points=2, minutes=8, difficulty="easy", cases=_temperatures,
             properties={"probabilities sum to 1": lambda out, logits, temperature: abs(float(out.sum()) - 1) < 1e-4},
             forbid=("minillm",)),
    Exercise("07.2", "Top-p", points=3, minutes=12, difficulty="medium", cases=_nuclei,
             properties={"at least one token must be left": lambda out, p, share: bool((out > 0).any())},
             forbid=("minillm",)),
    Exercise("07.3", "Keep a guess, or draw again", points=3, minutes=15, difficulty="hard", cases=_guesses,
             properties={"what comes out, q · keep + (1 − Σ q · keep) · again, is not p": lambda out, p, q: bool(
                 ((comes_out(out, q) - p).abs() < 1e-4).all())}, forbid=("minillm",)),
    Exercise("07.4", "The induction score", points=2, minutes=10, difficulty="medium", cases=_read_twice,
             properties={"a share of attention lies between 0 and 1": lambda out, pattern, n: -1e-6 <= out <= 1 + 1e-6},
             forbid=("minillm",)),
    Exercise("07.5", "Which head of the parrot copies?", points=2, minutes=8, difficulty="medium",
             cases=_heads, properties={"a layer, a head and a score are asked for": lambda out, *_: len(out) == 3},
             forbid=("minillm",)),
    Exercise("07.6", "The logit lens", points=2, minutes=10, difficulty="medium", cases=_streams,
             properties={"one score per layer and token": lambda out, x, gain, unembed, eps: out.shape == (
                 len(x), len(unembed))}, tolerance=1e-4, forbid=("minillm", "torch.nn", "rms_norm", "torch.rms_norm")),
    Exercise("07.7", "Shares of a logit", points=3, minutes=15, difficulty="hard", cases=_parts,
             properties={"one number per part": lambda out, parts, *_: out.shape == (len(parts),),
                         "together they are not the difference of the two logits": lambda out, *given: bool(
                             (out.sum() - ends_at(*given)).abs() < 1e-3)},
             tolerance=1e-4, forbid=("minillm", "torch.nn", "rms_norm", "torch.rms_norm")),
    Exercise("07.8", "Patch everything at once", points=3, minutes=12, difficulty="hard", cases=_slopes,
             properties={"one number per layer and position": lambda out, clean, *_: out.shape == clean.shape[:2]},
             tolerance=1e-4, forbid=("minillm",)),
]
