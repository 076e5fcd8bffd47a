"""Break a training run in one place, and tell from its curves which: three seeds of each case ship, one run is live."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import torch
from torch import Tensor, nn

from minillm.data import batches
from minillm.lessons.training.experiment import CONTEXT, known
from minillm.lessons.training.points import shipped, short
from minillm.model import Transformer
from minillm.notebook import markup, plots
from minillm.notebook.clock import Clock
from minillm.notebook.plots import COLOURS, INK, MUTED, Picture
from minillm.notebook.widgets import Live, choice
from minillm.optim import adamw, constant, warmup_cosine
from minillm.presets import PRESETS, scaled
from minillm.training import train

SEEDS, N_STEPS, EVERY, ROWS, DAMAGED = (0, 1, 2), 200, 2, 16, (100, 101)
HEALTHY = "nothing"


@dataclass(frozen=True)
class Case:
    """What is done otherwise, and by which sign one knows it."""
    sign: str
    lr: float = 1e-2
    warmup: int = 20
    falls: bool = True             # does the rate cool down?
    clip: float | None = 1.0
    weight_decay: float = 0.1
    start: float = 1.0             # what the matrices are multiplied by before the first step
    shift: int = 1                 # how far the targets lie behind the inputs


CASES = {
    HEALTHY: Case("every curve stays in the grey band"),
    "no warm-up": Case("the loss falls fastest of all in the first steps, and then stays above the band for good",
                       warmup=0),
    "no clipping": Case("the loss takes long to come back from the damaged batches at step 100", clip=None),
    "decay 100 times too strong": Case("the loss follows the band at first and then stalls, and the weights stay small",
                                       weight_decay=10.0),
    "matrices start 10 times too large": Case("the first loss lies above ln V = 4.1, and the weights far above "
                                              "the band", start=10.0),
    "matrices start at 0": Case("the loss never moves, and the gradient is 0 from the first step", start=0.0),
    "targets not shifted": Case("the loss falls below the floor of these stories, 0.08: it is too good to be true",
                                shift=0),
    "rate 10 times too small": Case("the loss lags behind the band from the first steps, and the weights hardly move",
                                    lr=1e-3),
    "rate never falls": Case("the weights grow to the end, while the loss looks healthy", falls=False),
}
WARD = {"A": "decay 100 times too strong", "B": "no warm-up", "C": "matrices start at 0", "D": "targets not shifted",
        "E": "no clipping", "F": "rate 10 times too small", "G": "matrices start 10 times too large",
        "H": "rate never falls"}


@dataclass(frozen=True)
class Vital:
    """What one step shows: the loss before it, the gradient's norm before clipping, the matrices' norm after it."""
    loss: float
    grad_norm: float
    weights: float


def reading(seed: int, shift: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
    """The stories in batches; in two of them the targets are shuffled, as a damaged file would have it."""
    random = torch.Generator().manual_seed(seed)
    for step, (inputs, targets) in enumerate(batches(known("stories").ids, batch_size=ROWS, context_length=CONTEXT,
                                                     seed=seed)):
        if step in DAMAGED:
            targets = targets[:, torch.randperm(CONTEXT, generator=random)]
        yield inputs, targets if shift else inputs


def patient(name: str, seed: int = 0, n_steps: int = N_STEPS) -> Iterator[Vital]:
    """One run, broken as `name` says."""
    case, vocab_size = CASES[name], known("stories").tokenizer.vocab_size
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Transformer(scaled(PRESETS["llama-7b"], "nano", vocab_size=vocab_size))
    with torch.no_grad():
        for weight in _matrices(model):
            weight.mul_(case.start)
    schedule = warmup_cosine(n_steps, warmup=case.warmup) if case.falls else constant(warmup=case.warmup)
    optimizer = adamw(model, lr=case.lr, weight_decay=case.weight_decay)
    for step in train(model, reading(seed, case.shift), optimizer=optimizer, schedule=schedule, n_steps=n_steps,
                      clip=case.clip, precision="fp32"):
        yield Vital(step.loss, step.grad_norm, math.hypot(*(float(weight.norm()) for weight in _matrices(model))))


def _matrices(model: nn.Module) -> list[Tensor]:
    return [weight.detach() for weight in model.parameters() if weight.ndim == 2]


def measured() -> dict[str, dict[str, list[list[float]]]]:
    """case -> vital -> a row for each seed, every second step."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for name in CASES:
        runs = [list(patient(name, seed))[::EVERY] for seed in SEEDS]
        found[name] = {vital: [short(getattr(each, vital) for each in run) for run in runs]
                       for vital in Vital.__dataclass_fields__}
        print(name, [round(float(np.mean(row[-5:])), 3) for row in found[name]["loss"]], flush=True)
    return found


class Chart:
    """Loss, gradient norm and size of the weights, above grey bands of three healthy seeds."""
    panels = {"loss": "loss (nats per token)", "grad_norm": "gradient norm",
              "weights": "norm of all matrices"}

    def __init__(self, title: str):
        self.figure = plots.picture(660, 240, title=title)
        healthy = shipped()["patients"][HEALTHY]
        self.lines = {}
        for place, (vital, words) in enumerate(self.panels.items(), 1):
            ax = plots.axes(self.figure, 1, 3, place, left=44, right=18, top=66, xlabel="step")
            ax.set_title(words, fontsize=10, color=INK, loc="left")
            band, steps = np.array(healthy[vital]), np.arange(0, N_STEPS, EVERY)
            ax.fill_between(steps, band.min(0), band.max(0), color=MUTED, alpha=0.4, linewidth=0)
            self.lines[vital] = [ax.plot([], [], color=COLOURS["train"], linewidth=1.3)[0] for _ in SEEDS]
            ax.set_xlim(0, N_STEPS)
            ax.set_xticks([0, 50, 100, 150, 200])
        loss, grad, weights = (self.lines[vital][0].axes for vital in self.panels)
        loss.set_ylim(0, 5.6)
        grad.set_yscale("symlog", linthresh=0.01, linscale=0.4)
        grad.set_ylim(0, 60)
        grad.set_yticks([0, 0.01, 0.1, 1, 10], ["0", "0.01", "0.1", "1", "10"])
        weights.set_ylim(0, 70)
        self.figure.subplots_adjust(wspace=0.24)

    def draw(self, runs: Sequence[dict[str, Sequence[float]]], every: int, words: str) -> Picture:
        for vital, lines in self.lines.items():
            for line, run in zip(lines, [*runs, {}, {}, {}], strict=False):
                line.set_data(np.arange(len(run.get(vital, ()))) * every, run.get(vital, ()))
        return self.figure.describe(words)


def _ends(case: str) -> tuple[float, float]:
    """Lowest and highest loss at the end, over the seeds: the mean of the last ten steps."""
    last = np.array(shipped()["patients"][case]["loss"])[:, -5:].mean(1)
    return float(last.min()), float(last.max())


def ward() -> Live:
    """Eight runs, each broken in one place: look at the curves, and say what is wrong."""
    chart = Chart("What is wrong with this run?")

    def draw(run: str, diagnosis: str):
        case = WARD[run]
        curves = shipped()["patients"][case]
        first, (low, high), healthy = np.mean(curves["loss"], 0)[0], _ends(case), _ends(HEALTHY)
        seeds = [{vital: curves[vital][i] for vital in Chart.panels} for i, _ in enumerate(SEEDS)]
        picture = chart.draw(seeds, EVERY, (
            f"Run {run}, three seeds: the loss begins at {first:.1f} and ends between {low:.2f} and {high:.2f}; "
            f"healthy runs, grey, end between {healthy[0]:.2f} and {healthy[1]:.2f}. The gradient's norm begins at "
            f"{np.mean(curves['grad_norm'], 0)[0]:.1f}; the weights end at {np.mean(curves['weights'], 0)[-1]:.0f}, "
            f"healthy ones at {np.mean(shipped()['patients'][HEALTHY]['weights'], 0)[-1]:.0f}."))
        return [picture, _verdict(run, diagnosis)]

    return Live("ward", {"run": choice("run", list(WARD)),
                         "diagnosis": choice("what is broken?", ["…", *(c for c in CASES if c != HEALTHY)])},
                draw, rows=[["run", "diagnosis"]])


def _verdict(run: str, diagnosis: str) -> markup.Markup:
    if diagnosis not in CASES:
        words = "Look at all three curves, then say what is broken."
    elif diagnosis == WARD[run]:
        words = f"Yes: {CASES[diagnosis].sign}."
    else:
        words = f"No. With “{diagnosis}”, {CASES[diagnosis].sign}. Is that so here?"
    return markup.card(escape(words), words)


def broken_run() -> Clock:
    """Break a run and watch it beside the healthy band."""
    chart = Chart("What does a run look like that is broken here?")

    def draw(history: list[Vital], broken: str):
        run = {vital: [getattr(each, vital) for each in history] for vital in Chart.panels}
        low, high = _ends(HEALTHY)
        return chart.draw([run], 1, f"Broken: {broken}. After {len(history)} steps the loss is "
                                    f"{history[-1].loss:.2f}; healthy runs end between {low:.2f} and {high:.2f}."
                          if history else "No step is made yet.")

    return Clock("broken run", {"broken": choice("broken", list(CASES), "no warm-up")}, patient_of, draw,
                 first=40, run=N_STEPS, limit=N_STEPS)


def patient_of(broken: str) -> Iterator[Vital]:
    """The live run: a seed that did not ship."""
    return patient(broken, seed=len(SEEDS))
