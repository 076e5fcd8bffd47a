"""Race each fast twin against the line that is read, forward and backward."""
from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import nn

from minillm.layers import ReLU2, RMSNorm
from minillm.training import next_token_loss
from tests.benchmarks.timing import Row, race

SHAPE = (16, 256, 384)  # of M in tests/benchmarks/models.py


def twins() -> list[Row]:
    """What the twins of RMSNorm and ReLU² gain at M's sizes, and that of the loss over 6,144 tokens, in fp32."""
    return [*(row for part in (RMSNorm(384), ReLU2(384, 1536)) for row in raced(
        type(part).__name__, type(part).forward, lambda run, part=part: step(part, run), SHAPE[0] * SHAPE[1])),
        *raced("the loss over 6,144 tokens", next_token_loss, loss_step, 1024)]


def raced(name: str, twin: Callable, made: Callable[[Callable], Callable[[], None]], n_tokens: int) -> list[Row]:
    return race(f"{name}, forward and backward", {"the line that is read": made(inspect.unwrap(twin)),
                                                  "its twin": made(twin)},
                work=n_tokens / 1000, unit="k tokens/s", repeats=9)


def loss_step(loss: Callable) -> Callable[[], None]:
    logits, targets = torch.randn(16, 64, 6144, requires_grad=True), torch.randint(6144, (16, 64))

    def there_and_back() -> None:
        logits.grad = None
        loss(logits, targets).backward()

    return there_and_back


def step(part: nn.Module, run: Callable) -> Callable[[], None]:
    """One pass there and back."""
    x, g = torch.randn(SHAPE, requires_grad=True), torch.randn(SHAPE)

    def there_and_back() -> None:
        x.grad = None
        run(part, x).backward(g)

    return there_and_back
