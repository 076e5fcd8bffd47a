"""Say what notebook 03 asks: from one token that looks back to a memory that never grows."""
from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from minillm.notebook.checks import Exercise

Cases = list[tuple]


def _draw(random: Random):
    """randn(*shape) with numbers that follow from `random`."""
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    return lambda *shape: torch.randn(*shape, generator=generator)


def _one_query(random: Random) -> Cases:
    randn, query = _draw(random), torch.tensor([2.0, 0.0, 0.0, 0.0])
    keys = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]])
    return [(query, keys, torch.tensor([[10.0, 0.0], [0.0, 10.0], [5.0, 5.0]])),
            (randn(6) + 0.5, randn(5, 6), randn(5, 3)), (3 * randn(9), randn(4, 9), randn(4, 7))]


def _scores(random: Random) -> Cases:
    randn = _draw(random)
    by_hand = torch.tensor([[[0.0, 9.0, 9.0], [1.0, 1.0, 9.0], [0.0, 1.0, 2.0]]])
    return [(by_hand,), (2 * randn(3, 5, 5),), (randn(2, 4, 4) - 2,), (300 * randn(2, 6, 6),)]


def _wide(random: Random) -> Cases:
    randn = _draw(random)
    return [(torch.arange(12.0).reshape(1, 3, 4), 2), (randn(2, 5, 12), 3), (randn(3, 4, 10), 2)]


def _key_heads(random: Random) -> Cases:
    randn = _draw(random)
    return [(torch.arange(2.0).reshape(1, 2, 1, 1), 3), (randn(2, 3, 5, 4), 2), (randn(3, 2, 4, 5), 4)]


def _windows(random: Random) -> Cases:
    n = random.randrange(5, 9)
    return [(4, 4, 2), (2, 5, 3), (n, n, 1), (3, n + 2, n), (n, n + 3, 4), (1, n, 3)]


def _decoding(random: Random) -> Cases:
    randn = _draw(random)
    by_hand = (torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 4.0]]),
               torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[4.0, 0.0]]]))

    def some(heads: int, width: int, cached: int) -> tuple:
        return (*(randn(heads, width) for _ in range(3)), *(randn(heads, cached, width) for _ in range(2)))

    return [by_hand, some(3, 5, 4), some(2, 6, 7), some(3, 4, 0)]


def _gathered(random: Random) -> Cases:
    randn = _draw(random)
    return [(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]), torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0],
                                                                      [1.0, 1.0, 1.0, 1.0]])),
            (randn(3, 5, 4), randn(7, 12)), (randn(2, 4, 3), randn(5, 6)), (randn(4, 3, 2), randn(8, 8))]


def summary(scores: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What is kept of a block of keys: largest score, sum of exp(score - largest), values summed with these."""
    largest = scores.amax(-1)
    weights = (scores - largest[:, None]).exp()
    return largest, weights.sum(-1), weights @ values


def _blocks(random: Random) -> Cases:
    randn = _draw(random)
    by_hand = ((torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([[1.0, 0.0]])),
               (torch.tensor([2.0]), torch.tensor([3.0]), torch.tensor([[0.0, 3.0]])))

    def some(queries: int, first: int, second: int, scale: float) -> tuple:
        return (summary(scale * randn(queries, first), randn(first, 3)),
                summary(scale * randn(queries, second), randn(second, 3)))

    return [by_hand, some(4, 2, 5, 1.0), some(5, 3, 2, 3.0), some(4, 2, 2, 200.0)]


def _states(random: Random) -> Cases:
    randn = _draw(random)
    by_hand = (torch.zeros(2, 3), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0]), torch.tensor([5.0, 6.0, 7.0]))
    return [by_hand, (randn(4, 3), randn(4), randn(4), randn(3)), (randn(3, 5), randn(3), randn(3), randn(5))]


def _within(out: Tensor, values: Tensor) -> bool:
    return bool(((out >= values.amin(0) - 1e-4) & (out <= values.amax(0) + 1e-4)).all())


def _of_its_token(out: Tensor, x: Tensor, n_heads: int) -> bool:
    """Does out[b, :, t] hold x[b, t]'s numbers and no others?"""
    mine = out.transpose(1, 2).flatten(2).sort(-1).values
    return mine.shape == x.shape and bool(torch.equal(mine, x.sort(-1).values))


EXERCISES = [
    Exercise("03.1", "One token looks back", points=2, minutes=10, difficulty="easy", cases=_one_query,
             properties={"what is gathered has the width of a value":
                         lambda out, query, keys, values: out.shape == values.shape[1:],
                         "a mixture lies between the smallest and the largest of the values":
                         lambda out, query, keys, values: _within(out, values)},
             forbid=("minillm", "scaled_dot_product_attention")),
    Exercise("03.2", "No look ahead", points=2, minutes=10, difficulty="easy", cases=_scores,
             properties={"each query's shares sum to one":
                         lambda out, scores: bool(((out.sum(-1) - 1).abs() < 1e-4).all()),
                         "no query may see a later key":
                         lambda out, scores: bool((out.triu(1) == 0).all()),
                         "the first query can only look at itself":
                         lambda out, scores: bool(((out[:, 0, 0] - 1).abs() < 1e-4).all())},
             forbid=("minillm", "scaled_dot_product_attention")),
    Exercise("03.3", "Cut into heads", points=2, minutes=10, difficulty="medium", cases=_wide,
             properties={"the axes are batch, head, seq, d_head":
                         lambda out, x, n: out.shape == (len(x), n, x.shape[1], x.shape[2] // n),
                         "at position t every head must hold numbers of token t alone": _of_its_token},
             forbid=("minillm",)),
    Exercise("03.4", "Which key head for which query head?", points=1, minutes=5, difficulty="easy", cases=_key_heads,
             properties={"each key head serves `group` query heads":
                         lambda out, keys, group: out.shape == (len(keys), keys.shape[1] * group, *keys.shape[2:])},
             forbid=("minillm",)),
    Exercise("03.5", "Decode with a cache", points=3, minutes=15, difficulty="medium", cases=_decoding,
             properties={"three things are asked for: what is gathered, and the longer keys and values":
                         lambda out, *_: len(out) == 3,
                         "the cache grows by one position":
                         lambda out, q, k, v, keys, values: out[1].shape[1] == out[2].shape[1] == keys.shape[1] + 1,
                         "what is in the cache already must stay as it is":
                         lambda out, q, k, v, keys, values: torch.equal(out[1][:, :-1], keys)
                         and torch.equal(out[2][:, :-1], values)},
             forbid=("minillm", "scaled_dot_product_attention")),
    Exercise("03.6", "A window", points=2, minutes=10, difficulty="medium", cases=_windows,
             properties={"one row per query, one column per key":
                         lambda out, n_query, n_key, window: out.shape == (n_query, n_key),
                         "True or False is asked for": lambda out, *_: out.dtype == torch.bool,
                         "the newest query must see itself, the newest key": lambda out, *_: bool(out[-1, -1])},
             forbid=("minillm",)),
    Exercise("03.7", "A softmax in two blocks", points=3, minutes=20, difficulty="hard", cases=_blocks,
             properties={"three things are asked for, as in each block": lambda out, *_: len(out) == 3,
                         "nothing may overflow": lambda out, *_: all(bool(each.isfinite().all()) for each in out),
                         "no sum may exceed the number of keys it is over, nor fall below 1":
                         lambda out, first, second: bool((out[1] >= 1 - 1e-4).all()
                                                         and (out[1] <= first[1] + second[1] + 1e-4).all())},
             tolerance=1e-4, forbid=("minillm",)),
    Exercise("03.8", "What each head writes", points=2, minutes=15, difficulty="medium", cases=_gathered,
             properties={"there is one row of d_model numbers per head and position":
                         lambda out, z, weight: out.shape == (len(z), z.shape[1], len(weight)),
                         "all heads together must write what o_proj writes":
                         lambda out, z, weight: bool(torch.allclose(
                             out.sum(0), z.transpose(0, 1).flatten(1) @ weight.T, atol=1e-4))},
             tolerance=1e-4, forbid=("minillm",)),
    Exercise("03.9", "A memory that never grows", points=3, minutes=15, difficulty="hard", cases=_states,
             properties={"two things are asked for, the new state and what is read from it":
                         lambda out, *_: len(out) == 2,
                         "the state keeps its size": lambda out, state, *_: out[0].shape == state.shape},
             forbid=("minillm",)),
]
