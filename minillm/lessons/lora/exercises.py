"""Ask about fine-tuning: what is learned, what a correction is and does, and how answers are compared."""
from __future__ import annotations

import math
from random import Random

import torch
from torch import Tensor

from minillm.notebook.checks import Exercise

END = 50


def _normal(random: Random, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(random.randrange(2**31)))


def _ids(random: Random, least: int, most: int) -> list[int]:
    return [random.randrange(2, 49) for _ in range(random.randint(least, most))]


def _conversations(random: Random) -> list[tuple]:
    return [([3, 4, 5, 6], [7, 8], END), *((_ids(random, 3, 9), _ids(random, 2, 5), END) for _ in range(4))]


def _rows(random: Random) -> list[tuple]:
    """Rows as 08.1 makes them, of different lengths, the longest not the first."""
    def row(n_prompt: int, n_answer: int) -> tuple[list[int], list[int]]:
        prompt, answer = ([random.randrange(2, 49) for _ in range(n)] for n in (n_prompt, n_answer))
        return prompt + answer, [-100] * (n_prompt - 1) + answer + [END]
    by_hand = [([3, 4, 7], [-100, 7, END]), ([5, 6, 8, 9, 10], [-100, 8, 9, 10, END])]
    within = [([3, END, 7], [-100, 7, END]), ([5, 6, END, 8, 9], [-100, -100, 8, 9, END])]  # an end is read
    return [(by_hand, END), (within, END),
            *(([row(2, 1), row(random.randint(4, 6), random.randint(2, 3)), row(2, 2)], END) for _ in range(3))]


def _corrected(random: Random) -> list[tuple]:
    by_hand = (torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
               torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]]), 6.0)
    return [by_hand, *((_normal(random, 2, 4, 5), _normal(random, 6, 5), _normal(random, rank, 5),
                        _normal(random, 6, rank), alpha) for rank, alpha in ((2, 3.0), (3, 12.0), (4, 1.0)))]


def _backwards(random: Random) -> list[tuple]:
    by_hand = (torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0]]), torch.zeros(3, 1),
               torch.tensor([[1.0, 0.0, -1.0]]), 2.0)
    return [by_hand, *((_normal(random, 4, 5), _normal(random, rank, 5), _normal(random, 6, rank),
                        _normal(random, 4, 6), scale) for rank, scale in ((2, 0.5), (3, 4.0)))]


def _merged(random: Random) -> list[tuple]:
    """Square matrices, so that a transposed correction has a shape that fits."""
    by_hand = (torch.eye(3), torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]]),
               torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), 4.0, "alpha/r")
    return [by_hand, *((_normal(random, 5, 5), _normal(random, rank, 5), _normal(random, 5, rank), alpha, rule)
                       for rank, alpha, rule in ((2, 3.0, "alpha/sqrt(r)"), (3, 10.0, "alpha/r"),
                                                 (4, 2.0, "alpha/sqrt(r)")))]


def _quantised(random: Random) -> list[tuple]:
    coarse, sixteen = torch.tensor([-1.0, -0.4, 0.0, 0.3, 1.0]), _levels()
    by_hand = torch.tensor([0.1, -0.4, 0.2, 0.05, 2.0, 1.0, -0.2, -2.5])
    return [(by_hand, coarse, 4), (_normal(random, 32) * 0.1, sixteen, 8),
            (_normal(random, 24) * torch.tensor([0.01, 1.0, 5.0]).repeat_interleave(8), sixteen, 8)]


def _levels() -> Tensor:
    from minillm.quantized import LEVELS
    return LEVELS.clone()


def _preferences(random: Random) -> list[tuple]:
    by_hand = tuple(map(torch.tensor, ([-3.0, -2.0], [-4.0, -6.0], [-3.5, -2.0], [-3.0, -5.0]))) + (0.5,)
    return [by_hand, *((*(-5 + 2 * _normal(random, 4) for _ in range(4)), beta) for beta in (0.1, 0.3, 1.0))]


def _groups(random: Random) -> list[tuple]:
    by_hand = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    return [(by_hand,), (torch.tensor([[0.0, 0.5, 2.0, 4.0, 9.0], [1.0, 1.0, 1.0, 1.0, 2.0]]),),
            (torch.tensor([[0.0, 0.001, 0.003, 0.0]]),),                      # a spread beside which ε can be seen
            *((_normal(random, 3, 6) * 2 + 1,) for _ in range(2))]


def _likelihoods(random: Random) -> list[tuple]:
    by_hand = (torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 0.0]]), [0, 1, 2, 0], 2)
    return [by_hand, *((_normal(random, n, 7) * 2, [random.randrange(7) for _ in range(n)], n_prompt)
                       for n, n_prompt in ((8, 3), (6, 2), (9, 5)))]


EXERCISES = [
    Exercise("08.1", "Learn from the answer alone", points=2, minutes=10, difficulty="easy", cases=_conversations,
             forbid=("minillm",), properties={
                 "inputs and targets are two lists of one length":
                     lambda out, *_: len(out) == 2 and len(out[0]) == len(out[1]),
                 "exactly one end of text is learned for the answer":
                     lambda out, prompt, answer, end: list(out[1]).count(end) == 1}),
    Exercise("08.2", "Fill up a batch", points=2, minutes=10, difficulty="medium", cases=_rows, forbid=("minillm",),
             properties={"two tensors are asked for, inputs and targets": lambda out, *_: len(out) == 2,
                         "as many ends of text must be learned as there are answers":
                             lambda out, rows, end: int((torch.as_tensor(out[1]) == end).sum()) == len(rows)}),
    Exercise("08.3", "A correction beside a matrix", points=2, minutes=8, difficulty="easy", cases=_corrected,
             forbid=("minillm",), properties={
                 "the output has the shape of W x":
                     lambda out, x, W, A, B, alpha: out.shape == (*x.shape[:-1], W.shape[0])}),
    Exercise("08.4", "How a gradient flows past a zero", points=3, minutes=15, difficulty="hard", cases=_backwards,
             forbid=("minillm", "torch.autograd", "torch.func", ".backward"), properties={
                 "a gradient has the shape of what it is the gradient of":
                     lambda out, x, A, B, *_: out[0].shape == A.shape and out[1].shape == B.shape,
                 "while W_B is zero, W_A's gradient is zero":
                     lambda out, x, A, B, *_: bool(B.any()) or not bool(out[0].any())}),
    Exercise("08.5", "Merge", points=2, minutes=8, difficulty="medium", cases=_merged, forbid=("minillm",),
             properties={"the merged matrix has W's shape": lambda out, W, *_: out.shape == W.shape}),
    Exercise("08.6", "Four bits a weight", points=2, minutes=12, difficulty="medium", cases=_quantised,
             forbid=("minillm",), properties={
                 "one number per weight": lambda out, weights, *_: out.shape == weights.shape,
                 "of the sizes of a block, the largest stays as it is": lambda out, weights, levels, block: bool(
                     (out.unflatten(0, (-1, block)).abs().amax(1)
                      - weights.unflatten(0, (-1, block)).abs().amax(1)).abs().max() < 1e-4)}),
    Exercise("08.7", "Prefer", points=2, minutes=10, difficulty="medium", cases=_preferences, forbid=("minillm",),
             properties={"it is one number": lambda out, *_: torch.as_tensor(out).numel() == 1}),
    Exercise("08.8", "Better than the others", points=2, minutes=10, difficulty="medium", cases=_groups,
             forbid=("minillm",), properties={
                 "one advantage per answer": lambda out, rewards: out.shape == rewards.shape,
                 "a group whose answers all score the same teaches nothing: its advantages are 0, and numbers":
                     lambda out, rewards: not bool(out[rewards.std(-1) == 0].isnan().any())
                     and float(out[rewards.std(-1) == 0].abs().sum()) < 1e-5}),
    Exercise("08.9", "How likely is an answer?", points=2, minutes=10, difficulty="medium", cases=_likelihoods,
             forbid=("minillm", "cross_entropy"), properties={
                 "the logarithm of a probability is a number below 0":
                     lambda out, *_: math.isfinite(float(out)) and float(out) <= 1e-6}),
]
