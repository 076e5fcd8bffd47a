"""Race small models: several seeds of each in one stack of weights, so that a band costs little more than a line."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from matplotlib.ticker import PercentFormatter
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from minillm.config import ModelConfig
from minillm.layers import Attention
from minillm.model import Transformer
from minillm.notebook import plots
from minillm.notebook.statistics import bands
from minillm.notebook.threads import one_thread

Points = list[tuple[int, list[float], list[float]]]           # (steps done, loss per seed, share right per seed)
Task = Callable[[torch.Generator], tuple[Tensor, Tensor]]     # -> a batch: tokens, and targets (-100: does not count)


def race(build: Callable[[], nn.Module], task: Task, *, seeds: Sequence[int] = (0, 1, 2), n_steps: int = 200,
         lr: float = 1e-2, every: int = 8, warmup: int = 10) -> Iterator[tuple[int, list[float], list[float]]]:
    """Train one model per seed, all in one stack; yield (steps done, loss, share right) per seed, on fresh batches.

    AdamW (0.9, 0.95) without decay, a cosine to a tenth, gradients clipped at 1 for each model by itself.  Every
    seed draws its own weights and its own batches: it goes as it would go alone.
    """
    models = [_seeded(build, seed) for seed in seeds]
    draws = [torch.Generator().manual_seed(1000 + seed) for seed in seeds]
    weights, buffers = stack_module_state(models)
    skeleton, placed = models[0], dict.fromkeys(weights, 0) | dict.fromkeys(buffers, 0)
    optimizer = torch.optim.AdamW(weights.values(), lr=lr, betas=(0.9, 0.95), weight_decay=0.0)

    def one(state: dict[str, Tensor], tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = functional_call(skeleton, state, (tokens,))
        right = ((logits.argmax(-1) == targets).sum() / (targets != -100).sum())
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100), right

    def all_of_them() -> tuple[Tensor, Tensor]:
        tokens, targets = map(torch.stack, zip(*(task(draw) for draw in draws), strict=True))
        return vmap(one, in_dims=(placed, 0, 0))({**weights, **buffers}, tokens, targets)

    with one_thread(), torch.enable_grad():
        for step in range(n_steps + 1):
            losses, right = all_of_them()
            if step % every == 0 or step == n_steps:
                yield step, losses.tolist(), right.tolist()
            optimizer.zero_grad()
            losses.sum().backward()
            _clip([weight.grad for weight in weights.values()])
            done = min(1.0, max(0.0, (step - warmup) / max(1, n_steps - warmup)))
            factor = min(1.0, (step + 1) / (warmup + 1)) * (0.55 + 0.45 * torch.cos(torch.tensor(torch.pi * done)))
            optimizer.param_groups[0]["lr"] = lr * float(factor)
            optimizer.step()


def _seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return build()


def _clip(gradients: Sequence[Tensor], limit: float = 1.0) -> None:
    """Bound each model's gradient by itself: the first axis of every gradient counts the models."""
    norms = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
    factor = (limit / norms).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))


# -- it trains anyway -------------------------------------------------------------------------------------------------

HALF, SYMBOLS = 8, 8


class ScrambledAttention(Attention):
    """Heads cut and joined by one view, without a swap: every shape is right, and each head sees a part of the text."""

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1, x.shape[1], self.d_head)

    def join(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[2], -1)


def say_again(draw: torch.Generator, *, batch: int = 16) -> tuple[Tensor, Tensor]:
    """Eight random symbols, and then the same eight again: only the second time do they count."""
    half = torch.randint(SYMBOLS, (batch, HALF), generator=draw)
    tokens = torch.cat([half, half], 1)
    targets = tokens[:, 1:].clone()
    targets[:, :HALF - 1] = -100
    return tokens[:, :-1], targets


def usual_successor(draw: torch.Generator, *, batch: int = 16) -> tuple[Tensor, Tensor]:
    """Each symbol has one that usually follows it: nine times of ten, else any."""
    rows = torch.randint(SYMBOLS, (batch, 2 * HALF), generator=draw)
    surprise = torch.rand(rows.shape, generator=draw) < 0.1
    for t in range(1, 2 * HALF):
        rows[:, t] = torch.where(surprise[:, t], rows[:, t], (rows[:, t - 1] * 3 + 1) % SYMBOLS)
    return rows[:, :-1], rows[:, 1:]


def one_layer(kind: type[Attention]) -> nn.Module:
    """A model of one layer with four heads of this kind of attention."""
    model = Transformer(ModelConfig(vocab_size=SYMBOLS, d_model=32, n_layers=1, n_heads=4, norm="layernorm",
                                    position="learned", context_length=2 * HALF))
    attention = kind(model.config)
    attention.load_state_dict(model.blocks[0].attention.state_dict())
    model.blocks[0].attention = attention
    return model.fuse(False)


def trains_anyway(*, n_steps: int = 80, seeds: Sequence[int] = (0, 1, 2)) -> dict[str, dict[str, Points]]:
    """Right and scrambled heads, on an easy task and on a hard one: {task: {heads: points}}."""
    tasks = {"easy: each symbol's usual successor": usual_successor, "hard: eight symbols, said again": say_again}
    kinds = {"cut and swapped": Attention, "cut by one view": ScrambledAttention}
    return {name: {heads: list(race(lambda kind=kind: one_layer(kind), task, n_steps=n_steps, seeds=seeds))
                   for heads, kind in kinds.items()} for name, task in tasks.items()}


# -- the picture ------------------------------------------------------------------------------------------------------

def race_picture(results: dict[str, dict[str, Points]], *, title: str) -> plots.Picture:
    """Share of right answers by step, a line for the mean of the seeds and a band from the worst to the best."""
    figure = plots.picture(height=300, title=title)
    figure.subplots_adjust(wspace=0.28)
    told = []
    for i, (name, runs) in enumerate(results.items(), 1):
        ax = plots.axes(figure, 1, len(results), i, top=64, left=72, xlabel="step", ylabel="share right")
        ax.set_title(name, fontsize=10.5, color=plots.INK, loc="left")
        ax.set_ylim(-0.02, 1.04)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        curves = {run: torch.tensor([right for *_, right in points]).T for run, points in runs.items()}
        steps = [step for step, *_ in next(iter(runs.values()))]
        bands(ax, {run: right.numpy() for run, right in curves.items()}, steps, legend="center right")
        told += [f"{name}, {run}: {_roughly(right[:, -1])}" for run, right in curves.items()]
    n_seeds = len(next(iter(curves.values())))
    return figure.describe(f"{title} After {steps[-1]} steps, with {n_seeds} seeds each: {'; '.join(told)}.")


def _roughly(right: Tensor) -> str:
    """Where all seeds ended, in steps that no processor's rounding can cross unnoticed."""
    for least in (0.95, 0.75, 0.5):
        if right.min() > least:
            return f"all above {least:.0%}"
    for most in (0.25, 0.5, 0.75):
        if right.max() < most:
            return f"all below {most:.0%}"
    return "the seeds differ"
