"""Find the best learning rate at four widths, with and without the rule that divides it by the width."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from minillm.data import batches
from minillm.lessons.training.experiment import known
from minillm.lessons.training.points import shipped, short
from minillm.model import Transformer
from minillm.notebook import plots
from minillm.notebook.clock import Clock
from minillm.notebook.plots import BLUE, CARD, INK, ORANGE, PURPLE, RED, SKY
from minillm.notebook.widgets import choice, slider
from minillm.optim import READ_OUTS, hidden_matrices, warmup_cosine
from minillm.presets import PRESETS, scaled
from minillm.training import Step, train

WIDTHS, BASE, SEEDS, N_STEPS, ROWS, CONTEXT, LAST = (32, 64, 128, 256), 32, (0, 1), 120, 8, 32, 20
RATES = tuple(2.0 ** power for power in range(-9, -2))     # 0.002 to 0.125
RULES = {"one rate for all": False, "hidden matrices: rate × 32 / width": True}


def of_width(width: int, seed: int = 0, *, context_length: int = CONTEXT) -> Transformer:
    """Two layers of so many components; hidden matrices start at 1/√width times a fixed size, whatever the width."""
    config = scaled(PRESETS["llama-7b"], "nano", vocab_size=known("stories").tokenizer.vocab_size)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Transformer(replace(config, d_model=width, context_length=context_length))
        with torch.no_grad():
            for weight in hidden_matrices(model):
                weight.normal_(std=0.5 * weight.shape[1] ** -0.5)
    return model


def adam(model: nn.Module, lr: float, *, divided: bool) -> torch.optim.Adam:
    """Adam with one rate for all, or `divided`: hidden matrices and read-out go the slower, the wider they are."""
    wide = {id(weight) for weight in hidden_matrices(model)}
    wide |= {id(weight) for name, weight in model.named_parameters() if name.split(".")[0] in READ_OUTS}
    width = model.config.d_model
    groups = [{"params": [p for p in model.parameters() if id(p) in wide],
               "lr": lr * BASE / width if divided else lr},
              {"params": [p for p in model.parameters() if id(p) not in wide], "lr": lr}]
    return torch.optim.Adam(groups, betas=(0.9, 0.95))


def walk(width: int, lr: float, rule: str, seed: int = 0) -> Iterator[Step]:
    """One run on the stories: 120 steps of 8 × 32 characters."""
    model = of_width(width, seed)
    return train(model, batches(known("stories").ids, batch_size=ROWS, context_length=CONTEXT, seed=seed),
                 optimizer=adam(model, lr, divided=RULES[rule]), schedule=warmup_cosine(N_STEPS, warmup=10),
                 n_steps=N_STEPS, precision="fp32")


def end_of(steps: Iterator[Step]) -> float:
    """Mean loss of the last 20 steps."""
    losses = [step.loss for step in steps]
    return sum(losses[-LAST:]) / LAST


def measured() -> dict[str, dict[str, list[list[float]]]]:
    """Rule -> width -> a row per seed: the loss at the end for every rate."""
    found: dict[str, dict[str, list[list[float]]]] = {rule: {} for rule in RULES}
    for width in WIDTHS:
        for rule in RULES:
            if width == BASE and rule != next(iter(RULES)):     # where the rule divides by one
                found[rule][str(width)] = found[next(iter(RULES))][str(width)]
                continue
            found[rule][str(width)] = [short(end_of(walk(width, lr, rule, seed)) for lr in RATES) for seed in SEEDS]
            print(rule, width, found[rule][str(width)], flush=True)
    return found


def best(rule: str, width: int) -> float:
    """The rate of the lowest loss, the mean over the seeds."""
    return RATES[int(np.mean(shipped()["widths"][rule][str(width)], axis=0).argmin())]


def width_race() -> Clock:
    """The loss over the rate at four widths, without the rule and with it; one run of the reader's is a red dot."""
    figure = plots.picture(600, 250, title="Which rate suits which width?")
    dots = {}
    for place, rule in enumerate(RULES, 1):
        ax = plots.axes(figure, 1, 2, place, top=64, xlabel="learning rate", ylabel="loss at the end" * (place == 1))
        ax.set_title(rule, fontsize=10, color=INK, loc="left")
        for width, colour in zip(WIDTHS, (SKY, BLUE, PURPLE, ORANGE), strict=True):
            runs = np.array(shipped()["widths"][rule][str(width)])
            for each in runs:
                ax.plot(RATES, each, ".", color=colour, markersize=4)
            ax.plot(RATES, runs.mean(0), color=colour, linewidth=1.6, label=f"width {width}")
            ax.plot(best(rule, width), runs.mean(0).min(), "*", color=colour, markersize=11, markeredgecolor=INK)
        dots[rule], = ax.plot([], [], "o", color=RED, markersize=8, markeredgecolor=INK)
        ax.set_xscale("log")
        ax.set_ylim(2.0, 4.1)      # room for the legend
        ax.legend(fontsize=8, edgecolor="none", facecolor=CARD, loc="upper left", ncol=2)
    words = "; ".join(f"{rule}: best at " + ", ".join(f"{best(rule, width):.3f} ({width})" for width in WIDTHS)
                      for rule in RULES)

    def draw(history: list[Step], rule: str, width: int, lr: float):
        loss = np.mean([step.loss for step in history[-LAST:]]) if history else np.nan
        for name, dot in dots.items():
            dot.set_data([lr], [min(loss, 4.05)] if name == rule else [np.nan])
        return figure.describe(f"The best rates, by width: {words}. Your run, {rule}, width {width}, rate {lr:.3f}: "
                               f"loss {loss:.2f} after {len(history)} of {N_STEPS} steps.")

    return Clock("widths", {"rule": choice("rule", list(RULES)), "width": choice("width", WIDTHS[:-1], 64),
                            "lr": slider("learning rate", RATES, RATES[2], show="{:.3f}".format)},
                 lambda rule, width, lr: walk(width, lr, rule, seed=len(SEEDS)), draw, first=40, run=N_STEPS,
                 limit=N_STEPS, rows=[["rule", "width"], ["lr"]])
