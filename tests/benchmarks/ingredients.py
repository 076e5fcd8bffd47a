"""Take the recipe's ingredients out one by one, and add others: what each is worth in the same time.

Time is the processor's own, on one thread, so that a busy machine changes how long a table takes and not what it says.
Loss is measured on the last tenth of the training part, never on the validation part: here settings are chosen.
"""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from minillm import corpora, recipes
from minillm.model import Transformer
from minillm.optim import Muon, adamw, heads_of, muon, orthogonalize, orthogonalize_quickly, warmup_cosine
from minillm.precision import has_bf16, threads
from minillm.recipes import Growing, Recipe, small
from minillm.tokenizers import CharTokenizer
from minillm.training import evaluate, train
from tests.benchmarks.timing import Row


@dataclass(frozen=True)
class Change:
    """What a run does otherwise than the recipe."""
    config: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, float] = field(default_factory=dict)
    optimizer: Callable[[nn.Module, Recipe], torch.optim.Optimizer] = lambda model, recipe: recipe.optimizer(model)
    factor: Callable[[Recipe, float], float] = Recipe.factor            # of the learning rates, at this progress
    growth: tuple[tuple[float, float], ...] = recipes.GROWTH            # of the context
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


def stable(recipe: Recipe, progress: float) -> float:
    """Stay, and fall in a line over the last 40 %."""
    return min(1.0, (progress + 1e-3) / (recipe.warmup + 1e-3), (1 - progress) / 0.4)


TAKEN_OUT = {
    "Muon (AdamW instead, 3e-3)": Change(optimizer=lambda model, recipe: adamw(model, lr=3e-3)),
    "the growing context": Change(growth=((0.0, 1.0),)),
    "ReLU² (SwiGLU instead)": Change(config={"mlp": "swiglu"}),
    "norms of queries and keys": Change(config={"qk_norm": None}),
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
    "a gate on each head": Change(config={"attention_gate": True}),
    "half the batch": Change(recipe={"batch_size": 4}),
    "stay, then fall over 40 %": Change(factor=stable),
    "embeddings three times as fast": Change(optimizer=faster_embeddings),
    "an unembedding of its own": Change(config={"tie_embeddings": False}),
    "larger rate (0.03)": Change(recipe={"lr": 0.03}),
}
INGREDIENTS = {"the recipe": Change(), **{f"without {name}": change for name, change in TAKEN_OUT.items()},
               **{f"with {name}": change for name, change in ADDED.items()}}


class Clock:
    """How much of so many processor seconds has passed; what stands between `rest` and `go on` does not count."""

    def __init__(self, seconds: float):
        self.seconds, self.began = seconds, time.process_time()

    def progress(self, step: int = 0) -> float:
        return min(1.0, (time.process_time() - self.began) / self.seconds)


def learned(change: Change, ids: list[int], held_out: list[int], vocab_size: int, *, seconds: float, seed: int
            ) -> tuple[float, int]:
    """Held-out nats per token after so many processor seconds, and how many tokens were learned from."""
    precision = "bf16" if has_bf16(torch.device("cpu")) else "fp32"
    torch.manual_seed(seed)
    clock, recipe = Clock(seconds), Recipe(**change.recipe)
    model = change.prepare(Transformer(replace(small(vocab_size), **change.config)))
    stream = Growing(ids, batch_size=recipe.batch_size, context_length=model.config.context_length, seed=seed,
                     progress=clock.progress, growth=change.growth)
    mean = torch.optim.swa_utils.AveragedModel(model)
    tokens = 0
    for step in train(model, stream, optimizer=change.optimizer(model, recipe), precision=precision, seed=seed, say=str,
                      schedule=lambda step: change.factor(recipe, clock.progress())):
        tokens += step.tokens
        if clock.progress() > change.averaged:
            mean.update_parameters(model)
        if clock.progress() >= 1:
            break
    if change.averaged < 1:
        model.load_state_dict(mean.module.state_dict())
    return evaluate(model, held_out), tokens


def ingredients(names: Mapping[str, Change] = INGREDIENTS, *, seconds: float = 60.0, seeds: tuple[int, ...] = (0, 1)
                ) -> Iterator[Row]:
    """A row for each: the mean over seeds, how much above the recipe's that is, and every seed's loss."""
    train_text, _ = corpora.load("shakespeare").split()
    tokenizer = CharTokenizer.train(train_text)
    cut = len(train_text) * 9 // 10
    ids, held_out = tokenizer.encode(train_text[:cut]), tokenizer.encode(train_text[cut:])
    usual = None
    with threads(1):
        learned(Change(), ids, held_out[:100], tokenizer.vocab_size, seconds=1.0, seed=0)  # warms up
        for name, change in names.items():
            runs = [learned(change, ids, held_out, tokenizer.vocab_size, seconds=seconds, seed=seed) for seed in seeds]
            losses = [loss for loss, _ in runs]
            mean = statistics.mean(losses)
            usual = mean if usual is None else usual
            read = statistics.mean(tokens for _, tokens in runs)
            yield (f"Shakespeare, {seconds:g} processor s, one thread", name, mean, "nats/char",
                   f"{mean - usual:+.3f} ({', '.join(f'{loss:.3f}' for loss in losses)}; {read / 1e6:.2f} M read)")
