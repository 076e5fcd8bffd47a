"""Race each fast twin against the line that is read, forward and backward."""
from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import nn

from minillm.layers import ReLU2, RMSNorm
from tests.benchmarks.timing import Row, race

SHAPE = (16, 256, 384)  # of M in tests/benchmarks/models.py


def twins() -> list[Row]:
    """What the twins of RMSNorm and ReLU² gain at M's sizes, in fp32."""
    return [row for part in (RMSNorm(384), ReLU2(384, 1536)) for row in race(
        f"{type(part).__name__}, forward and backward",
        {"the line that is read": step(part, inspect.unwrap(type(part).forward)),
         "its twin": step(part, type(part).forward)},
        work=SHAPE[0] * SHAPE[1] / 1000, unit="k tokens/s", repeats=9)]


def step(part: nn.Module, run: Callable) -> Callable[[], None]:
    """One pass there and back."""
    x, g = torch.randn(SHAPE, requires_grad=True), torch.randn(SHAPE)

    def there_and_back() -> None:
        x.grad = None
        run(part, x).backward(g)

    return there_and_back
