"""Draw how training goes: losses, gradients, learning rates, valleys, attention."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from minillm.notebook import plots
from minillm.notebook.plots import COLOURS, EDGE, INK, MUTED, Picture


@dataclass
class Curve:
    """What one run has shown so far."""
    label: str
    loss: list[float]
    lr: list[float]
    grad_norm: list[float]
    validation: list[tuple[int, float]] = field(default_factory=list)   # (steps done, nats per token)

    @property
    def recent(self) -> float | None:
        """The loss of the last batches, without their noise."""
        return float(smooth(self.loss)[-1]) if self.loss else None


def smooth(values: Sequence[float] | np.ndarray, most: float = 0.9) -> np.ndarray:
    """A running mean that forgets: the noise of single batches goes, the trend stays.

    Unbiased from the start; it remembers the longer, the longer the run: a short one would only lag.
    """
    mean, weight, out = 0.0, 0.0, []
    memory = min(most, len(values) / (len(values) + 40))
    for value in values:
        mean, weight = memory * mean + (1 - memory) * value, memory * weight + 1 - memory
        out.append(mean / weight)
    return np.array(out)


class Board:
    """Loss on the left, gradient norm and learning rate on the right, for one run or for two that race."""

    def __init__(self):
        self.figure = plots.picture(height=262, title="How fast does it learn?")
        grid = self.figure.add_gridspec(2, 2, width_ratios=[2, 1], wspace=0.27, hspace=0.85)
        self.loss = plots.axes(self.figure, grid[:, 0], xlabel="step", ylabel="loss (nats per token)")
        self.grad = plots.axes(self.figure, grid[0, 1], xlabel="", ylabel="")
        self.lr = plots.axes(self.figure, grid[1, 1], xlabel="step", ylabel="")
        self.grad.set_title("gradient norm, unclipped", fontsize=10, color=INK, loc="left")
        self.lr.set_title("learning rate", fontsize=10, color=INK, loc="left")
        self.grad.set_yscale("log")
        self.grad.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
        self.grad.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        self.grad.yaxis.set_minor_locator(NullLocator())
        for ax in (self.loss, self.grad, self.lr):
            ax.xaxis.set_major_locator(MaxNLocator(6 if ax is self.loss else 3, integer=True))
        self.lr.yaxis.set_major_locator(MaxNLocator(3))
        self.start = self.loss.axhline(0, color=COLOURS["floor"], linewidth=1, linestyle=":")
        self.word = self.loss.text(0.99, 0, "guessing: ln V ", color=MUTED, fontsize=9, ha="right", va="bottom",
                                   transform=self.loss.get_yaxis_transform())
        self.least = self.loss.axhline(0, color=COLOURS["floor"], linewidth=1, linestyle="--")
        self.least_word = self.loss.text(0.01, 0, "", color=MUTED, fontsize=9, ha="left", va="bottom",
                                         transform=self.loss.get_yaxis_transform())
        self.grey: Any = None                      # what is usual, where that is known
        self.lines = []
        for colour in (COLOURS["ours"], COLOURS["reference"]):
            self.lines.append({
                "raw": self.loss.plot([], [], color=colour, linewidth=0.8, alpha=0.3)[0],
                "smooth": self.loss.plot([], [], color=colour, linewidth=2)[0],
                "validation": self.loss.plot([], [], "o", color=colour, markeredgecolor=INK, markersize=5)[0],
                "grad": self.grad.plot([], [], color=colour, linewidth=1.2)[0],
                "lr": self.lr.plot([], [], color=colour, linewidth=1.6)[0]})

    def draw(self, curves: Sequence[Curve], *, vocab_size: int, floor: float | None = None, band: Any = None,
             said: str = "") -> Picture:
        """Update every line; the words say where each run stands.  `floor` is what no model can get below; `band` has
        `steps`, `low` and `high` of usual runs, and `said` what the first curve is beside them."""
        for lines, curve in zip(self.lines, [*curves, Curve("", [], [], [])], strict=False):
            steps = np.arange(1, len(curve.loss) + 1)
            lines["raw"].set_data(steps, curve.loss)
            lines["smooth"].set_data(steps, smooth(curve.loss))
            lines["smooth"].set_marker("o" if len(steps) < 3 else "")  # one step is a point, and no line yet
            lines["validation"].set_data(*zip(*curve.validation, strict=True) if curve.validation else ([], []))
            lines["grad"].set_data(steps, curve.grad_norm)
            lines["lr"].set_data(steps, curve.lr)
            lines["smooth"].set_label(curve.label or "_")
        longest = max(2, *(len(curve.loss) for curve in curves), 2)
        guess = float(np.log(vocab_size))
        losses = [value for curve in curves for value in curve.loss]
        low, high = min([*losses, guess]), min(max([*losses, guess]), 2 * guess)
        low = low if losses else 0.0
        for ax in (self.loss, self.grad, self.lr):
            ax.set_xlim(0, longest * 1.02)
        self.loss.set_ylim(max(0, low - 0.15 * (high - low)), high + 0.08 * (high - low))
        if self.grey is not None:
            self.grey.remove()
        self.grey = None if band is None else self.loss.fill_between(
            band.steps, band.low - 0.015, band.high + 0.015, color=MUTED, alpha=0.35, linewidth=0, zorder=1)
        self.least.set_visible(floor is not None)
        self.least_word.set_visible(floor is not None)
        if floor is not None:
            self.loss.set_ylim(0, self.loss.get_ylim()[1])
            self.least.set_ydata([floor, floor])
            self.least_word.set_y(floor)
            self.least_word.set_text(f"no model can get below {floor:.2f}")
        self.start.set_ydata([guess, guess])
        self.word.set_y(guess)
        norms = [norm for curve in curves for norm in curve.grad_norm if norm > 0]
        self.grad.set_ylim(min(norms, default=0.1) / 1.5, max(norms, default=1) * 1.5)
        self.lr.set_ylim(0, 1.1 * max((rate for curve in curves for rate in curve.lr), default=1))
        handles = [lines["smooth"] for lines, _ in zip(self.lines, curves, strict=False)]
        meaning = "line: batches; dot: held-out text" + ("; grey: usual" if band is not None else "")
        bottom, top = self.loss.get_ylim()
        halfway = [smooth(curve.loss)[len(curve.loss) // 2] for curve in curves if curve.loss]
        below = min(halfway, default=top) < bottom + 0.45 * (top - bottom)     # a curve lies where there was room
        above = 0.1 if floor is None else floor / top + 0.09                  # the words on the floor, which is above 0
        self.loss.legend(handles, [curve.label for curve in curves], loc="upper right" if below else "lower left",
                         bbox_to_anchor=(1, 0.92) if below else (0, max(0.1, above)),
                         fontsize=10, edgecolor="none", facecolor=plots.CARD, framealpha=0.8, title=meaning,
                         title_fontsize=9, alignment="left")
        words = " ".join(filter(None, map(_in_words, curves))) or "No step has been made yet."
        return self.figure.describe(f"{words} {said}")


def _in_words(curve: Curve) -> str:
    if not curve.loss:
        return ""
    held_out = f", {curve.validation[-1][1]:.2f} on held-out text" if curve.validation else ""
    return (f"{curve.label}: loss from {curve.loss[0]:.2f} to {smooth(curve.loss)[-1]:.2f} nats per token "
            f"after {len(curve.loss)} steps{held_out}.")


class Valley:
    """The path that an optimizer takes down a long, narrow bowl."""
    steepness = (1.0, 25.0)
    start = (-9.0, 1.6)

    def __init__(self):
        self.figure = plots.picture(height=300, title="Which way down?")
        ax = plots.axes(self.figure, xlabel="first weight", ylabel="second weight", grid="")
        x, y = np.meshgrid(np.linspace(-10, 6, 160), np.linspace(-2.4, 2.4, 80))
        height = self.height(x, y)
        ax.contour(x, y, height, levels=[0.05, 0.5, 2, 5, 10, 20, 35, 55, 80], colors=EDGE, linewidths=1)
        ax.plot(0, 0, "*", color=COLOURS["target"], markersize=14)
        self.path, = ax.plot([], [], "o-", color=COLOURS["gradient"], markersize=3.5, linewidth=1.4)
        ax.set_xlim(-10, 6)
        ax.set_ylim(-2.4, 2.4)

    @classmethod
    def height(cls, x, y):
        return 0.5 * (cls.steepness[0] * x ** 2 + cls.steepness[1] * y ** 2)

    def draw(self, path: np.ndarray, name: str, lr: float) -> Picture:
        self.path.set_data(path[:, 0], path[:, 1])
        first, last = self.height(*path[0]), self.height(*path[-1])
        fate = "runs away" if not last < 1e3 * first else f"ends at height {last:.2f}"
        return self.figure.describe(f"{name} with learning rate {lr:g} starts at height {first:.0f} and, "
                                    f"after {len(path) - 1} steps, {fate}; the lowest point is 0.")


def schedule_curve(factors: Sequence[float], label: str, *, warmup: int) -> Picture:
    """The factor that multiplies the learning rate, at every step of a run."""
    figure = plots.picture(height=260, title="How large is each step?")
    ax = plots.axes(figure, xlabel="step", ylabel="share of the learning rate")
    ax.axvspan(0, warmup, color=EDGE, alpha=0.5, linewidth=0)
    ax.plot(range(len(factors)), factors, color=COLOURS["train"], linewidth=2)
    ax.set_ylim(0, 1.08)
    ax.set_xlim(0, len(factors) - 1)
    return figure.describe(f"{label}: the factor starts at {factors[0]:.2f}, is {max(factors):.2f} at most, and ends "
                           f"at {factors[-1]:.2f} after {len(factors)} steps, of which {warmup} warm up.")


class Finder:
    """Loss while the learning rate grows: where it falls fastest is a good rate, where it jumps one too many."""

    def __init__(self):
        self.figure = plots.picture(height=280, title="Which learning rate is too large?")
        self.ax = plots.axes(self.figure, xlabel="learning rate", ylabel="loss (nats per token)")
        self.ax.set_xscale("log")
        self.raw, = self.ax.plot([], [], color=COLOURS["train"], linewidth=0.8, alpha=0.3)
        self.line, = self.ax.plot([], [], color=COLOURS["train"], linewidth=2)
        self.best = self.ax.axvline(1, color=COLOURS["target"], linewidth=1.4, linestyle="--")

    def draw(self, rates: Sequence[float], losses: Sequence[float]) -> Picture:
        self.best.set_visible(bool(losses))
        self.raw.set_data(rates, losses)
        if not losses:
            self.line.set_data([], [])
            return self.figure.describe("No step is made yet; ▶ and “run 60 steps” begin.")
        calm = smooth(losses, 0.8)
        lowest = int(calm.argmin())
        self.line.set_data(rates, calm)
        self.best.set_xdata([rates[lowest], rates[lowest]])
        self.ax.set_xlim(rates[0], max(rates[-1], rates[0] * 1.1))
        self.ax.set_ylim(calm.min() - 0.2, losses[0] + 0.6)
        return self.figure.describe(f"While the learning rate rises from {rates[0]:.0e} to {rates[-1]:.0e}, the loss "
                                    f"is lowest, {calm[lowest]:.1f}, near {rates[lowest]:.0e}.")
