"""Put the parts together as they are known to learn fast on a small computer."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from minillm.config import ModelConfig
from minillm.data import Batch, Batches, Endless, Tokens
from minillm.optim import muon, warmup_linear
from minillm.presets import scaled
from minillm.training import Step, train

# RoPE, RMSNorm, queries and keys normalised, ReLU², a gate on each head: learns fastest here
OWN = ModelConfig(qk_norm="head", mlp="relu2", attention_gate=True)
# How much of the run has passed, and which share of the context is read from then on.
GROWTH = ((0.0, 0.25), (0.35, 0.5), (0.7, 1.0))


def small(vocab_size: int, *, context_length: int = 256) -> ModelConfig:
    """minillm's own architecture at 0.8 million parameters."""
    return replace(scaled(OWN, "small", vocab_size=vocab_size), context_length=context_length)


@dataclass(frozen=True)
class Recipe:
    """Every number of the recipe: what `minillm train` runs when nothing else is asked for, and the benchmarks too.

    The usual ones suit some hundreds of steps; for many thousands, take a larger batch and momentum 0.95.
    """
    batch_size: int = 8            # windows of the whole context per step; more, shorter ones early on (`Growing`)
    lr: float = 0.02               # Muon's, for hidden matrices
    adam_lr: float = 3e-3          # Adam's, for all others
    momentum: float = 0.85
    weight_decay: float = 0.1
    warmup: float = 0.005          # share of the run in which the rate climbs; then it falls to zero in a line

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Quick Muon, with Adam for what is no hidden matrix."""
        return muon(model, lr=self.lr, adam_lr=self.adam_lr, momentum=self.momentum, weight_decay=self.weight_decay,
                    quick=True)

    def factor(self, progress: float) -> float:
        """What multiplies the learning rates when this share of the run lies behind."""
        return warmup_linear(1000, warmup=round(1000 * self.warmup))(round(1000 * progress))


class Growing(Endless):
    """Batches whose windows grow with the run, a quarter, a half, then all of the context, and whose number
    shrinks in step: as many tokens each, but early on, when what is near matters most, cheaper ones.

    `progress(step)` is the share of the run that lies behind, 0 to 1.  Li et al. 2022, arXiv:2108.06084.
    """

    def __init__(self, tokens: Tokens, *, batch_size: int, context_length: int,
                 seed: int, progress: Callable[[int], float], start: int = 0,
                 growth: tuple[tuple[float, float], ...] = GROWTH):
        self.progress, self.step, self.growth = progress, start, growth
        self.stages = {share: Batches(tokens, batch_size=round(batch_size / share), seed=seed,
                                      context_length=max(1, round(context_length * share)))
                       for _, share in reversed(growth)}  # the longest first: it is the one to be refused

    def __getitem__(self, step: int) -> Batch:
        """The batch of any step."""
        share = [share for begin, share in self.growth if self.progress(step) >= begin][-1]
        return self.stages[share][step]


def learn(model: nn.Module, tokens: Tokens, *, n_steps: int | None = None,
          seconds: float | None = None, precision: str = "auto", seed: int = 0,
          say: Callable[[str], None] = print, **numbers: float) -> Iterator[Step]:
    """Train on a text for `n_steps`, or for so many `seconds` from now: Muon, a growing context, and a learning
    rate that falls to zero exactly at the end.  `numbers` are those of `Recipe` that shall be others.

    With `n_steps` and precision "fp32" the same call gives the same model; with `seconds` the machine's speed
    decides how far it comes.
    """
    if (n_steps is None) == (seconds is None):
        raise ValueError(f"n_steps={n_steps} and seconds={seconds}: give one of them, to say when to stop")
    if (n_steps or seconds or 0) <= 0:
        raise ValueError(f"n_steps={n_steps} and seconds={seconds}: a run needs more than none")
    began = time.perf_counter()

    def progress(step: int) -> float:
        return step / n_steps if n_steps else min(1.0, (time.perf_counter() - began) / seconds)

    recipe = Recipe(**numbers)
    stream = Growing(tokens, batch_size=recipe.batch_size, context_length=model.config.context_length, seed=seed,
                     progress=progress)
    for step in train(model, stream, optimizer=recipe.optimizer(model), n_steps=n_steps, precision=precision,
                      seed=seed, say=say, schedule=lambda step: recipe.factor(progress(step))):
        yield step
        if progress(step.step + 1) >= 1:
            return
