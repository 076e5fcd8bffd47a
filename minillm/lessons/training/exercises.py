"""Ask about training: which targets, which loss, which step, and how to compare models fairly."""
from __future__ import annotations

import math
import random

import torch
from torch import Tensor

from minillm.notebook.checks import Exercise


def _normal(source: random.Random, *shape: int) -> Tensor:
    values = [source.gauss(0, 1) for _ in range(math.prod(shape))]
    return torch.tensor(values).reshape(shape)


def _texts(source: random.Random) -> list[tuple]:
    return [(torch.tensor([5, 6, 7, 8, 9, 10, 11]), 3), (torch.tensor([1, 2, 3, 4, 5]), 3),
            *((torch.tensor([source.randrange(50) for _ in range(source.randrange(2, 40))]), source.randrange(1, 9))
              for _ in range(4))]


def _losses(source: random.Random) -> list[tuple]:
    cases = [(torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), torch.tensor([[0, -100]])),
             (torch.zeros(1, 2, 4), torch.tensor([[3, 1]]))]
    for _ in range(3):
        targets = [[source.choice([-100, *range(5)]) for _ in range(6)] for _ in range(2)]
        targets[0][0] = 2
        cases.append((_normal(source, 2, 6, 5) * 3, torch.tensor(targets)))
    return cases


def _steps(source: random.Random) -> list[tuple]:
    return [(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.5]), torch.zeros(2), torch.zeros(2), 1, 0.1, 0.5),
            *((_normal(source, 2, 3), _normal(source, 2, 3), _normal(source, 2, 3) * 0.1,
               _normal(source, 2, 3).square(), source.randrange(1, 30), 0.05, 0.2) for _ in range(3)),
            (torch.tensor([1.0, -2.0, 3.0]), torch.tensor([1e-8, -3e-9, 0.0]), torch.zeros(3),
             torch.zeros(3), 1, 0.1, 0.5),
            (torch.tensor([0.5]), torch.tensor([-2e-8]), torch.tensor([1e-9]), torch.tensor([1e-16]), 3, 0.5, 0.1)]


def _schedules(source: random.Random) -> list[tuple]:
    by_hand = [(step, 100, 10, 0.2) for step in (0, 4, 9, 10, 50, 79, 80, 90, 99, 100, 150)]
    between = [(8, 10, 2, 0.25)]                       # the fall begins between two steps
    drawn = [(source.randrange(0, 300), 200, source.randrange(0, 40), source.choice([0.1, 0.4, 0.5]))
             for _ in range(20)]
    return [*by_hand, *between, *drawn]


def _pieces(source: random.Random) -> list[tuple]:
    return [([torch.tensor([1.0, 0.0]), torch.tensor([4.0, 2.0])], [3, 1]),
            *(([_normal(source, 4) for _ in range(n)], [source.randrange(1, 20) for _ in range(n)])
              for n in (1, 2, 3, 5))]


def _texts_measured(source: random.Random) -> list[tuple]:
    return [(math.log(2), 100, 100), (2.0, 1000, 4000),
            *((source.uniform(1, 6), source.randrange(100, 1000), source.randrange(1000, 9000)) for _ in range(3))]


def _matrix_steps(source: random.Random) -> list[tuple]:
    cases = [(torch.zeros(2, 2), torch.tensor([[3.0, 0.0], [0.0, -0.5]]), torch.zeros(2, 2), 0.1, 0.9)]
    for rows, columns in ((2, 2), (5, 3), (3, 5), (4, 4)):
        level = torch.eye(rows, columns) * 2               # far from losing a direction, which has no sign then
        cases.append((_normal(source, rows, columns), level + _normal(source, rows, columns) * 0.4,
                      level * 0.3 + _normal(source, rows, columns) * 0.3, source.choice([0.02, 0.5]), 0.8))
    return cases


def _pupils(source: random.Random) -> list[tuple]:
    by_hand = torch.tensor([[[0.0, 0.0], [math.log(3), 0.0]]]), torch.tensor([[[math.log(3), 0.0], [math.log(3), 0.0]]])
    agreed = _normal(source, 1, 2, 4)
    return [(*by_hand, 1.0), (agreed, agreed.clone(), 2.0),
            *((_normal(source, 2, 3, 5) * 2, _normal(source, 2, 3, 5) * 2, t) for t in (1.0, 2.0, 4.0))]


def _budgets(source: random.Random) -> list[tuple]:
    return [(600.0, 1.0, 0.5, 1.0, 0.5), (6e6, 4.0, 0.5, 1.0, 0.25), (50.0, 1.0, 0.5, 2.0, 0.3),
            *((10 ** source.uniform(10, 20), source.uniform(5, 500), source.uniform(0.25, 0.6),
               source.uniform(5, 500), source.uniform(0.25, 0.6)) for _ in range(4))]


def _matrices(source: random.Random) -> list[tuple]:
    by_hand = torch.tensor([[1.27, 0.5, -0.104], [0.0, 0.0, 0.0], [-127.0, 3.2, 0.3]])
    return [(by_hand,), *((_normal(source, rows, columns) * torch.tensor([[0.01], [1.0], [30.0]])[:rows],)
                          for rows, columns in ((3, 4), (2, 7), (1, 5), (3, 12)))]


EXERCISES = [
    Exercise("06.1", "Every target once", points=2, minutes=10, difficulty="medium", cases=_texts, forbid=("minillm",),
             properties={
                 "inputs and targets must have one shape, (windows, context_length)":
                     lambda out, tokens, context: out[0].shape == out[1].shape and out[0].shape[1] == context,
                 "every token but the first must be a target exactly once, in order":
                     lambda out, tokens, context: out[1][out[1] != -100].tolist() == tokens[1:].tolist()}),
    Exercise("06.2", "Targets that do not count", points=2, minutes=8, difficulty="easy", cases=_losses,
             forbid=("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss", "minillm"),
             properties={"a mean of -ln p is never negative": lambda out, logits, targets: float(out) >= 0}),
    Exercise("06.3", "Decay that Adam does not see", points=3, minutes=5, difficulty="easy", cases=_steps,
             forbid=("torch.optim", "minillm"),
             properties={"three tensors are asked for: the weight and Adam's two means":
                         lambda out, *_: len(out) == 3 and all(isinstance(each, Tensor) for each in out)}),
    Exercise("06.4", "Warm up, stay, decay", points=2, minutes=10, difficulty="medium", cases=_schedules,
             forbid=("minillm",),
             properties={"a share of the learning rate lies between 0 and 1": lambda out, *_: -1e-5 <= out <= 1 + 1e-5,
                         "after warm-up and before the decay the share is 1": lambda out, step, n, warmup, decay:
                             not warmup <= step <= n * (1 - decay) or abs(out - 1) < 1e-5}),
    Exercise("06.5", "A batch in pieces", points=2, minutes=5, difficulty="medium", cases=_pieces, forbid=("minillm",),
             properties={"the gradient has the shape of each piece's gradient":
                         lambda out, gradients, counts: out.shape == gradients[0].shape}),
    Exercise("06.6", "A loss that compares", points=1, minutes=5, difficulty="easy", cases=_texts_measured,
             forbid=("minillm",)),
    Exercise("06.7", "A step of Muon", points=3, minutes=12, difficulty="hard", cases=_matrix_steps, tolerance=1e-4,
             forbid=("minillm",), properties={
                 "two matrices are asked for, the new weight and the new mean, both of the weight's shape":
                     lambda out, weight, *_: len(out) == 2 and all(each.shape == weight.shape for each in out)}),
    Exercise("06.8", "Learn from probabilities", points=2, minutes=10, difficulty="medium", cases=_pupils,
             forbid=("torch.nn.functional.kl_div", "torch.nn.KLDivLoss", "minillm"), properties={
                 "it is never negative": lambda out, *_: float(out) > -1e-5,
                 "a student that agrees with its teacher has nothing to learn":
                     lambda out, logits, wanted, _: not torch.equal(logits, wanted) or abs(float(out)) < 1e-5}),
    Exercise("06.9", "How large, and how long?", points=3, minutes=15, difficulty="hard", cases=_budgets,
             tolerance=1e-3, forbid=("minillm",), properties={
                 "six operations for each parameter and token must use up the budget":
                     lambda out, flops, *_: abs(6 * out[0] * out[1] / flops - 1) < 1e-3}),
    Exercise("06.10", "Eight bits a weight", points=2, minutes=10, difficulty="medium", cases=_matrices,
             forbid=("minillm",), properties={
                 "the matrix keeps its shape": lambda out, matrix: out.shape == matrix.shape,
                 "no number may become NaN or infinite": lambda out, matrix: bool(out.isfinite().all())}),
]
