"""Say what notebook 04 asks: two norms, a gate, a block, the size of the stream, a router and its balance."""
from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from minillm.notebook.checks import Exercise


def _normal(random: Random, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(random.randrange(2**31)))


def _rows(random: Random) -> list[tuple]:
    """Sizes that all differ; a row near zero, a row far from it, a row of equals."""
    by_hand = torch.tensor([[[1.0, 3.0, 5.0, 7.0], [2.0, 2.0, 2.0, 10.0]]])
    small = torch.cat([_normal(random, 1, 2, 6) * 1e-3, torch.full((1, 1, 6), 0.5)], 1)
    return [(by_hand, 1e-5), (_normal(random, 2, 3, 5) * 4 + 2, 1e-5), (small, 1e-6), (_normal(random, 3, 2, 7), 0.5)]


def _gained(random: Random) -> list[tuple]:
    by_hand = torch.tensor([[[1.0, 3.0, 5.0, 7.0]]]), torch.tensor([1.0, 2.0, 1.0, -1.0])
    return [(*by_hand, 1e-5), (_normal(random, 2, 3, 5) * 3 + 1, _normal(random, 5), 1e-5),
            (_normal(random, 1, 4, 6) * 1e-3, _normal(random, 6), 1e-6),
            (_normal(random, 2, 2, 7), _normal(random, 7), 0.5)]


def _gates(random: Random) -> list[tuple]:
    by_hand = (torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]),
               torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, -1.0]]), torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 2.0]]))
    return [by_hand, *((_normal(random, 2, 3, 4), _normal(random, 7, 4), _normal(random, 7, 4), _normal(random, 4, 7))
                       for _ in range(2))]


def _widths(random: Random) -> list[tuple]:
    """None halfway between two multiples, where "the nearest" would be a matter of taste."""
    drawn = [random.randrange(100, 9000) for _ in range(4)]
    return [(96,), (512,), (4096,), (3072,), *((d_ff + (d_ff % 12 == 6),) for d_ff in drawn)]


def attend(x: Tensor) -> Tensor:
    """A stand-in for attention: each position gets the mean of itself and those before it."""
    return x.cumsum(-2) / torch.arange(1, x.shape[-2] + 1)[:, None]


def think(x: Tensor) -> Tensor:
    """A stand-in for an MLP."""
    return torch.tanh(2 * x)


def halve(x: Tensor) -> Tensor:
    """A stand-in for the first norm."""
    return x / (1 + x.abs())


def cube(x: Tensor) -> Tensor:
    """A stand-in for the second norm."""
    return x ** 3 / (1 + x ** 2)


def _blocks(random: Random) -> list[tuple]:
    return [(torch.tensor([[[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]]]), attend, think, halve, cube),
            *((_normal(random, 2, 4, 3), attend, think, halve, cube) for _ in range(2))]


def _depths(random: Random) -> list[tuple]:
    return [(2, 1.0), (12, 0.5), (1, 0.0), *((random.randrange(3, 60), random.uniform(0.1, 1.5)) for _ in range(4))]


def _scores(random: Random) -> list[tuple]:
    by_hand = torch.tensor([[2.0, 1.0, 0.0, 0.0], [0.0, 3.0, 1.0, 2.0], [1.0, 0.0, 0.0, 4.0]])
    return [(by_hand, 2), (_normal(random, 5, 4) * 2, 1), (_normal(random, 7, 6), 3), (_normal(random, 2, 3), 3)]


def _balances(random: Random) -> list[tuple]:
    one_takes_all = torch.tensor([[9.0, 0.0, 0.0, 0.0]] * 3)
    return [(torch.eye(4) * 3.0, 1), (one_takes_all, 1), (_normal(random, 7, 4) * 2, 2), (_normal(random, 9, 6), 3),
            (_normal(random, 5, 8), 2)]


def _close(a: Tensor, b: float, within: float = 1e-3) -> bool:
    return bool(((a - b).abs() <= within).all())


EXERCISES = [
    Exercise("04.1", "LayerNorm", points=2, minutes=8, difficulty="easy", cases=_rows,
             properties={"the output has the shape of the input": lambda out, x, eps: out.shape == x.shape,
                         "each row's mean must be 0": lambda out, x, eps: _close(out.mean(-1), 0.0)},
             forbid=("minillm", "torch.nn", "torch.layer_norm", "layer_norm", "torch.var", "torch.std")),
    Exercise("04.2", "RMSNorm, with its gain", points=2, minutes=6, difficulty="easy", cases=_gained,
             properties={"the output has the shape of the input": lambda out, x, weight, eps: out.shape == x.shape},
             forbid=("minillm", "torch.nn", "rms_norm", "torch.rms_norm")),
    Exercise("04.3", "SwiGLU from its three matrices", points=2, minutes=8, difficulty="easy", cases=_gates,
             properties={"the output is as wide as the input": lambda out, x, *_: out.shape == x.shape},
             forbid=("minillm", "torch.nn")),
    Exercise("04.4", "A fair width for a gate", points=1, minutes=6, difficulty="easy", cases=_widths,
             properties={"a width is a whole multiple of 8": lambda out, d_ff: out == int(out) and int(out) % 8 == 0},
             forbid=("minillm",)),
    Exercise("04.5", "A block, norm first", points=2, minutes=8, difficulty="medium", cases=_blocks,
             properties={"the stream keeps its shape": lambda out, x, *_: out.shape == x.shape},
             tolerance=1e-4, forbid=("minillm",)),
    Exercise("04.6", "How large the stream grows", points=2, minutes=10, difficulty="medium", cases=_depths,
             properties={"what is added never makes it smaller than 1": lambda out, n_layers, s: out >= 1 - 1e-6},
             forbid=("minillm",)),
    Exercise("04.7", "Route tokens to experts", points=2, minutes=12, difficulty="medium", cases=_scores,
             properties={"one weight per token and expert": lambda out, scores, k: out.shape == scores.shape,
                         "exactly k experts of each token have a weight":
                         lambda out, scores, k: bool(((out > 0).sum(-1) == k).all())},
             forbid=("minillm",)),
    Exercise("04.8", "The balance loss", points=3, minutes=15, difficulty="hard", cases=_balances,
             properties={"it is one number": lambda out, scores, k: torch.as_tensor(out).numel() == 1},
             forbid=("minillm",)),
]
