"""Say what notebook 02 asks: from the gradient of a table to the position of a token behind a cache."""
from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from minillm.layers.position import RoPE
from minillm.notebook.checks import Exercise


def turn(x: Tensor, positions: Tensor) -> Tensor:
    """Turn all pairs of x, (seq, width), by their positions: what two exercises are handed."""
    return RoPE(x.shape[-1])(x, positions)


def _normal(random: Random, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(random.randrange(2**31)))


def _places(random: Random, n: int, below: int = 90) -> Tensor:
    return torch.tensor(random.sample(range(1, below), n))


def _gradients(random: Random) -> list[tuple]:
    by_hand = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    ids = torch.tensor([random.randrange(5) for _ in range(9)])
    return [(torch.tensor([2, 0, 2]), by_hand, 4), (ids, _normal(random, 9, 3), 6),
            (torch.tensor([1, 1, 1, 1]), _normal(random, 4, 5), 2)]


def _waves(random: Random) -> list[tuple]:
    return [(3, 4, 100.0, False), (3, 4, 100.0, True), (7, 10, random.choice([50.0, 1000.0]), False),
            (5, 8, random.choice([20.0, 10_000.0]), True)]


def _turned(random: Random) -> list[tuple]:
    by_hand = (torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([1]), 100.0)
    return [by_hand, (_normal(random, 5, 8), _places(random, 5), 10_000.0),
            (_normal(random, 3, 6), _places(random, 3), random.choice([50.0, 500_000.0]))]


def _parts(random: Random) -> list[tuple]:
    by_hand = (torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]), torch.tensor([2]), 2, turn)
    return [by_hand, (_normal(random, 5, 12), _places(random, 5), 4, turn),
            (_normal(random, 3, 10), _places(random, 3), 8, turn)]


def _rows(random: Random) -> list[tuple]:
    return [(torch.arange(8.0)[:, None] * torch.tensor([1.0, 10.0, 100.0]), 1), (_normal(random, 18, 5), 3),
            (_normal(random, 16, 7), 2)]


def _distances(random: Random) -> list[tuple]:
    far = torch.tensor(sorted(random.sample(range(20, 40), 3)))
    return [(4, torch.tensor([7, 9]), torch.tensor([1, 2, 5])), (8, far, torch.tensor([3, 4, 8, 11, 17])),
            (2, far, torch.tensor([0, 6, 12, 13, 14, 19])), (16, far, torch.tensor([2, 5]))]


def _speeds(random: Random) -> list[tuple]:
    drawn = torch.tensor([10_000.0]) ** -(torch.arange(random.choice([6, 9])) / 8)
    return [(torch.tensor([1.0, 0.1, 0.01]), 4.0, 128, 1.0, 4.0), (drawn, 8.0, 512, 1.0, 4.0),
            (drawn.flip(0), 2.0, 256, 0.5, 8.0)]


def _caches(random: Random) -> list[tuple]:
    cases = []
    for kept, seen, width in ((3, 3, 4), (4, random.randrange(9, 30), 6), (5, random.randrange(40, 80), 8)):
        cached = turn(_normal(random, kept, width), torch.arange(seen - kept, seen))
        cases.append((_normal(random, width), _normal(random, width), cached, seen, turn))
    return cases


def _same_lengths(out: Tensor, x: Tensor, *_) -> bool:
    return bool(torch.allclose(out.norm(dim=-1), x.norm(dim=-1), rtol=1e-4))


EXERCISES = [
    Exercise("02.1", "What does a table learn?", points=2, minutes=8, difficulty="medium", cases=_gradients,
             properties={"the table has one row for each token of the vocabulary":
                         lambda out, ids, gradient, vocab_size: out.shape == (vocab_size, gradient.shape[1]),
                         "a token that does not occur learns nothing":
                         lambda out, ids, gradient, vocab_size: all(
                             not out[i].any() for i in range(vocab_size) if i not in ids)},
             forbid=("minillm", "torch.autograd", "backward", "torch.func", "torch.nn.Embedding")),
    Exercise("02.2", "Waves", points=3, minutes=12, difficulty="medium", cases=_waves,
             properties={"there is one row for each position, of d_model numbers":
                         lambda out, n_positions, d_model, *_: out.shape == (n_positions, d_model),
                         "sines and cosines lie between -1 and 1": lambda out, *_: bool((out.abs() <= 1.00001).all())},
             forbid=("minillm",)),
    Exercise("02.3", "Turn all pairs, in halves", points=4, minutes=18, difficulty="hard", cases=_turned,
             properties={"turning keeps the length of every vector": _same_lengths}, forbid=("minillm",)),
    Exercise("02.4", "Turn a part of the head", points=1, minutes=6, difficulty="easy", cases=_parts,
             properties={"what comes out is as large as what went in":
                         lambda out, x, *_: out.shape == x.shape}, forbid=("minillm",)),
    Exercise("02.5", "From one layout to the other", points=3, minutes=12, difficulty="medium", cases=_rows,
             properties={"the rows change places, and no number changes":
                         lambda out, W, n_heads: out.shape == W.shape
                         and torch.equal(out.flatten().sort().values, W.flatten().sort().values)},
             forbid=("minillm",)),
    Exercise("02.6", "Lower the scores", points=2, minutes=10, difficulty="medium", cases=_distances,
             properties={"there is one table per head, of queries × keys": lambda out, n_heads, query, key:
                         out.shape == (n_heads, len(query), len(key))}, forbid=("minillm",)),
    Exercise("02.7", "Slow down the slow", points=3, minutes=12, difficulty="medium", cases=_speeds,
             properties={"there is one speed for each pair": lambda out, omega, *_: out.shape == omega.shape,
                         "no pair becomes faster": lambda out, omega, *_: bool((out <= omega * 1.0001).all())},
             forbid=("minillm",)),
    Exercise("02.8", "A new token behind a cache", points=3, minutes=12, difficulty="medium", cases=_caches,
             properties={"there is one score for each key kept, and one for the new token's own":
                         lambda out, q, k, cached, *_: out.shape == (len(cached) + 1,)}, forbid=("minillm",)),
]
