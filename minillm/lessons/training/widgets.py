"""Walk down a valley, turn the dials of a schedule, raise a learning rate until it is too large."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from minillm.corpora import Corpus
from minillm.lessons.training import experiment
from minillm.lessons.training.experiment import OWN, Run, configure, offered
from minillm.lessons.training.plots import Finder, Valley, schedule_curve
from minillm.notebook.clock import Clock
from minillm.notebook.widgets import Live, choice, slider
from minillm.optim import adamw, constant, warmup_cosine, warmup_linear, warmup_stable_decay
from minillm.training import train


def optimizer_valley() -> Live:
    """Walk down a bowl that is 25 times steeper one way than the other."""
    figure = Valley()
    makers = {"gradient descent": lambda p, lr: torch.optim.SGD([p], lr=lr),
              "with momentum 0.9": lambda p, lr: torch.optim.SGD([p], lr=lr, momentum=0.9),
              "AdamW": lambda p, lr: torch.optim.AdamW([p], lr=lr, betas=(0.9, 0.95), weight_decay=0.0)}

    def draw(rule: str, lr: float, n_steps: int):
        place = torch.nn.Parameter(torch.tensor(Valley.start))
        optimizer, path = makers[rule](place, lr), [Valley.start]
        for _ in range(n_steps):
            optimizer.zero_grad()
            with torch.enable_grad():
                Valley.height(place[0], place[1]).backward()
            optimizer.step()
            path.append(tuple(place.tolist()))
        return figure.draw(np.array(path), rule, lr)

    return Live("valley", {"rule": choice("optimiser", list(makers)),
                           "lr": slider("learning rate", [0.003, 0.01, 0.03, 0.06, 0.078, 0.081, 0.1, 0.3, 1.0], 0.06),
                           "n_steps": slider("steps", [5, 10, 20, 40, 80], 40)}, draw)


def schedule_dial() -> Live:
    """The learning rate over a run, for four usual schedules."""
    makers = {"cosine": warmup_cosine, "straight line": warmup_linear, "stable, then decay": warmup_stable_decay}

    def draw(kind: str, n_steps: int, warmup: int, floor: float):
        schedule = constant(warmup=warmup) if kind == "constant" else makers[kind](n_steps, warmup=warmup, floor=floor)
        return schedule_curve([schedule(step) for step in range(n_steps)], kind, warmup=warmup)

    def rules(kind: str, **_: Any) -> dict[str, str]:
        return {"floor": "a constant schedule never falls"} if kind == "constant" else {}

    return Live("schedule", {"kind": choice("schedule", [*makers, "constant"]),
                             "n_steps": slider("steps", [100, 200, 500, 1000], 200),
                             "warmup": slider("warm-up steps", [0, 10, 20, 50, 100], 20),
                             "floor": slider("floor", [0.0, 0.1, 0.2, 0.5], 0.1)}, draw, rules=rules)


def learning_rate_finder(corpus: Corpus) -> Clock:
    """Train for 60 steps, each with a learning rate a fifth above the last, and see where the loss turns."""
    material, figure = experiment.prepare(corpus), Finder()

    def start(norm: str, rule: str) -> Iterator:
        config = configure(OWN, "nano", material.tokenizer.vocab_size, norm=norm)
        run = Run(material, config)
        optimizer = {"adamw": lambda: adamw(run.model, lr=1e-4),
                     "sgd": lambda: torch.optim.SGD(run.model.parameters(), lr=1e-4)}[rule]()
        return train(run.model, run.stream, optimizer=optimizer, schedule=lambda step: 1.2 ** step, n_steps=60,
                     precision="fp32")

    def draw(history: list, **_: Any):
        return figure.draw([step.lr for step in history], [step.loss for step in history])

    def safe(**settings: Any) -> Iterator:
        try:
            yield from start(**settings)
        except FloatingPointError:      # far too large a rate: the picture shows it, and there is nothing to add
            return

    controls = {"norm": choice("norm", offered("norm")),
                "rule": choice("optimiser", {"AdamW": "adamw", "gradient descent": "sgd"})}
    return Clock("learning-rate finder", controls, safe, draw, first=60, run=60, rows=[["norm", "rule"]])
