"""Take the recipe's ingredients out one by one, and add others: what each is worth in the same time.

What a step costs is measured first, all changes taking turns, so that a machine that is slower for a while is so for
all of them; then each makes as many steps as take the same time.  Loss is measured on the last tenth of the training
part, never on the validation part: here settings are chosen.
"""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minillm import corpora, recipes
from minillm.data import Batch, Endless
from minillm.lessons.training.points import shipped, short
from minillm.model import Transformer
from minillm.notebook import plots
from minillm.notebook.plots import COLOURS, INK, MUTED, Picture
from minillm.optim import Muon, adamw, heads_of, muon, orthogonalize, orthogonalize_quickly, warmup_cosine
from minillm.precision import has_bf16, threads
from minillm.recipes import Growing, Recipe, small
from minillm.tokenizers import CharTokenizer
from minillm.training import Step, evaluate, train


@dataclass(frozen=True)
class Change:
    """What a run does otherwise than the recipe."""
    config: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, float] = field(default_factory=dict)
    optimizer: Callable[[nn.Module, Recipe], torch.optim.Optimizer] = lambda model, recipe: recipe.optimizer(model)
    factor: Callable[[Recipe, float], float] = Recipe.factor            # of the learning rates, at this progress
    growth: tuple[tuple[float, float], ...] = recipes.GROWTH            # of the context
    halved: float = 0.0                                                 # until here, half as many windows a step
    averaged: float = 1.0                                               # from here on, weights are averaged
    prepare: Callable[[Transformer], Transformer] = lambda model: model


def our_muon(model: nn.Module, recipe: Recipe) -> Muon:
    return muon(model, lr=recipe.lr, adam_lr=recipe.adam_lr, momentum=recipe.momentum,
                weight_decay=recipe.weight_decay)


def half_quick(model: nn.Module, recipe: Recipe, *, by_heads: bool) -> Muon:
    """Only one of the two things that make Muon quick."""
    optimizer = our_muon(model, recipe)
    optimizer.heads = heads_of(model) if by_heads else {}
    optimizer.level = orthogonalize if by_heads else orthogonalize_quickly
    return optimizer


def faster_embeddings(model: Transformer, recipe: Recipe, times: float = 3.0) -> Muon:
    """The embedding's rate, some times that of the other parameters that Adam moves."""
    optimizer = recipe.optimizer(model)
    embed, group = model.embed.weight, next(g for g in optimizer.param_groups if g["rule"] == "adam")
    group["params"] = [p for p in group["params"] if p is not embed]
    optimizer.add_param_group({**group, "params": [embed], "lr": times * recipe.adam_lr})
    return optimizer


class WithValues(nn.Module):
    """A layer's values, and beside them a vector of each token's own.  Zhou et al. 2024, arXiv:2410.17897."""

    def __init__(self, v_proj: nn.Linear, model: Transformer):
        super().__init__()
        self.proj, self.table = v_proj, nn.Embedding(model.config.vocab_size, v_proj.out_features)
        nn.init.zeros_(self.table.weight)
        self.seen: list[Tensor] = []
        model.register_forward_pre_hook(lambda module, given: self.seen.__setitem__(slice(None), given[:1]))

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x) + self.table(self.seen[0])


def value_embeddings(model: Transformer) -> Transformer:
    """In the first and the last layer, as in modded-nanogpt."""
    for block in (model.blocks[0], model.blocks[-1]):
        block.attention.v_proj = WithValues(block.attention.v_proj, model)
    return model


def half_the_layers(model: Transformer, until: float = 1 / 3) -> Transformer:
    """Every second block hands on what it is given until the run has come so far."""
    model.progress = 0.0
    for block in list(model.blocks)[1::2]:
        block.forward = (lambda x, cache=None, whole=block.forward: x if model.progress < until else whole(x, cache))
    return model


class Ramped(Endless):
    """Until a part of the run is over, half as many windows a step."""

    def __init__(self, ids: list[int], recipe: Recipe, change: Change, *, progress: Callable[..., float], **fixed: int):
        self.step, self.progress, self.until = 0, progress, change.halved
        self.few, self.all = (Growing(ids, batch_size=n, progress=progress, growth=change.growth, **fixed)
                              for n in (recipe.batch_size // 2, recipe.batch_size))

    def __getitem__(self, step: int) -> Batch:
        return (self.few if self.progress(step) < self.until else self.all)[step]


def stable(recipe: Recipe, progress: float) -> float:
    """Stay, and fall in a line over the last 40 %."""
    return min(1.0, (progress + 1e-3) / (recipe.warmup + 1e-3), (1 - progress) / 0.4)


TAKEN_OUT = {
    "Muon (AdamW instead, 3e-3)": Change(optimizer=lambda model, recipe: adamw(model, lr=3e-3)),
    "the growing context": Change(growth=((0.0, 1.0),)),
    "ReLU² (SwiGLU instead)": Change(config={"mlp": "swiglu"}),
    "norms of queries and keys": Change(config={"qk_norm": None}),
    "the gate on each head": Change(config={"attention_gate": False}),
    "weight decay": Change(recipe={"weight_decay": 0.0}),
    "low momentum (0.95 instead)": Change(recipe={"momentum": 0.95}),
    "the fall in a line (a cosine instead)": Change(
        factor=lambda recipe, progress: warmup_cosine(1000, warmup=5)(round(1000 * progress))),
}
ADDED = {
    "Muon as published": Change(optimizer=our_muon),
    "quick rounds alone": Change(optimizer=lambda model, recipe: half_quick(model, recipe, by_heads=False)),
    "each head by itself alone": Change(optimizer=lambda model, recipe: half_quick(model, recipe, by_heads=True)),
    "x0 residual": Change(config={"residual": "x0"}),
    "value embeddings": Change(prepare=value_embeddings),
    "mean of the last third's weights": Change(averaged=2 / 3),
    "half the batch": Change(recipe={"batch_size": 4}),
    "half the batch for a third of the time": Change(halved=1 / 3),
    "half the layers for a third of the time": Change(prepare=half_the_layers),
    "stay, then fall over 40 %": Change(factor=stable),
    "embeddings three times as fast": Change(optimizer=faster_embeddings),
    "an unembedding of its own": Change(config={"tie_embeddings": False}),
    "larger rate (0.03)": Change(recipe={"lr": 0.03}),
}
INGREDIENTS = {"the recipe": Change(), **{f"without {name}": change for name, change in TAKEN_OUT.items()},
               **{f"with {name}": change for name, change in ADDED.items()}}


# Share of a run's steps, and the progress at which such a step is timed.
STAGES = ((0.35, 0.17), (0.35, 0.5), (0.3, 0.85))


def begun(change: Change, ids: list[int], vocab_size: int, progress: Callable[[int], float], *, seed: int = 0
          ) -> tuple[Transformer, Iterator[Step]]:
    """A model, and its steps for as long as they are asked for; `progress(step)`: how much of the run lies behind."""
    torch.manual_seed(seed)
    recipe = Recipe(**change.recipe)
    model = change.prepare(Transformer(replace(small(vocab_size), **change.config)))
    stream = Ramped(ids, recipe, change, context_length=model.config.context_length, seed=seed, progress=progress)
    return model, train(model, stream, optimizer=change.optimizer(model, recipe), seed=seed, say=str,
                        precision="bf16" if has_bf16(torch.device("cpu")) else "fp32",
                        schedule=lambda step: change.factor(recipe, progress(step)))


def costs(changes: Mapping[str, Change], ids: list[int], vocab_size: int, *, rounds: int = 12) -> dict[str, float]:
    """How long a step takes by the processor's clock, in steps of the first: all take turns, and medians count."""
    at = 0.0
    runs = {name: begun(change, ids, vocab_size, lambda step: at) for name, change in changes.items()}
    total = dict.fromkeys(runs, 0.0)
    for share, at in STAGES:
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, (model, steps) in runs.items():
                model.progress, began = at, time.process_time()
                next(steps)
                times[name].append(time.process_time() - began)
        for name, each in times.items():
            total[name] += share * statistics.median(each[2:])
    first = next(iter(total.values()))
    return {name: each / first for name, each in total.items()}


def learned(change: Change, ids: list[int], held_out: list[int], vocab_size: int, *, n_steps: int, seed: int
            ) -> tuple[float, int]:
    """Held-out nats per token after so many steps, and how many tokens were learned from."""
    def progress(step: int) -> float:
        return min(1.0, step / n_steps)

    model, steps = begun(change, ids, vocab_size, progress, seed=seed)
    mean, tokens = torch.optim.swa_utils.AveragedModel(model), 0
    for step in islice(steps, n_steps):
        tokens += step.tokens
        model.progress = progress(step.step + 1)
        if model.progress > change.averaged:
            mean.update_parameters(model)
    if change.averaged < 1:
        model.load_state_dict(mean.module.state_dict())
    return evaluate(model, held_out), tokens


def compared(changes: Mapping[str, Change] = INGREDIENTS, *, n_steps: int = 450, seeds: tuple[int, ...] = (0, 1)
             ) -> Iterator[tuple[str, list[float], int]]:
    """(name, every seed's held-out nats per character, characters read), the first for `n_steps`, which is a minute
    of one thread, and all others for as many as take as long."""
    train_text, _ = corpora.load("shakespeare").split()
    tokenizer = CharTokenizer.train(train_text)
    cut = len(train_text) * 9 // 10
    ids, held_out = tokenizer.encode(train_text[:cut]), tokenizer.encode(train_text[cut:])
    with threads(1):
        cost = costs(changes, ids, tokenizer.vocab_size)
        for name, change in changes.items():
            runs = [learned(change, ids, held_out, tokenizer.vocab_size, n_steps=round(n_steps / cost[name]), seed=seed)
                    for seed in seeds]
            yield name, [loss for loss, _ in runs], runs[0][1]


def measured() -> dict[str, dict[str, Any]]:
    """Name -> the losses of seeds 0 and 1 in the same time, and millions of characters read in it."""
    found = {}
    for name, losses, read in compared():
        found[name] = {"losses": short(losses, 4), "read": round(read / 1e6, 2)}
        print(name, found[name], flush=True)
    return found


FURTHEST = 0.05    # nats per character: longer bars are cut off, and say so


def above(name: str) -> np.ndarray:
    """By how much each seed's loss is above the recipe's mean."""
    found = shipped()["ingredients"]
    return np.array(found[name]["losses"]) - np.mean(found["the recipe"]["losses"])


def luck() -> float:
    """Standard deviation of one run, by how far the two seeds of every trial are apart: that of a difference between
    two means of two, too."""
    gaps = [np.ptp(trial["losses"]) for trial in shipped()["ingredients"].values()]
    return float(np.sqrt(np.mean(np.square(gaps)) / 2))


def worth() -> Picture:
    """A bar for the mean over the seeds, a dot for each; what may be luck is grey."""
    row, rows, said = 0.0, [], []
    figure = plots.picture(700, 520, title="What is each ingredient worth, in the same time?")
    ax = plots.axes(figure, left=276, right=74, top=48, grid="x",
                    xlabel="nats per character above the recipe: right is worse")
    ax.axvspan(-2 * luck(), 2 * luck(), color=MUTED, alpha=0.25, linewidth=0)
    for verb, group in (("without", TAKEN_OUT), ("with", ADDED)):
        for name in sorted((f"{verb} {each}" for each in group), key=lambda name: -above(name).mean()):
            seeds, mean = above(name), float(above(name).mean())
            number = f"{round(mean, 3) + 0.0:+.3f}"  # never -0.000
            colour = MUTED if abs(mean) <= 2 * luck() else COLOURS["wrong" if mean > 0 else "target"]
            ax.barh(row, min(mean, FURTHEST), height=0.66, color=colour, alpha=0.75)
            ax.plot(seeds[seeds <= FURTHEST], [row] * int((seeds <= FURTHEST).sum()), ".", color=INK, markersize=4)
            ax.annotate(number.replace("-", "−") + " →" * (mean > FURTHEST), (1.015, row),
                        xycoords=("axes fraction", "data"), va="center", fontsize=9, color=INK, annotation_clip=False)
            rows.append((row, name))
            said.append(f"{name} {number}")
            row += 1.0
        row += 0.7
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks([at for at, _ in rows], [name for _, name in rows], fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(row - 0.9, -0.8)
    ax.set_xlim(right=FURTHEST)
    return figure.describe("Nats per character above the recipe's, the mean of two seeds: " + "; ".join(said)
                           + f". Less than {2 * luck():.3f} may be luck (the grey stripe).")
