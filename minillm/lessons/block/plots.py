"""Draw a block: its norms, its bends, its order, how the stream grows, and who wins a race."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from torch.nn import functional as F

from minillm.lessons.block.measures import ORDERS, Sizes, streams
from minillm.model import BLOCKS
from minillm.notebook import plots
from minillm.notebook.plots import BLUE, CARD, COLOURS, EDGE, INK, MUTED, SERIES, Picture
from minillm.notebook.statistics import spread_by_depth

BENDS = {"ReLU": F.relu, "ReLU²": lambda u: F.relu(u) ** 2, "GELU": lambda u: F.gelu(u, approximate="tanh"),
         "SiLU, SwiGLU's gate": F.silu}


def activations() -> Picture:
    """What each nonlinearity makes of a number, and how steep it is there."""
    u = torch.linspace(-3, 2, 201, requires_grad=True)
    figure = plots.picture(height=290, title="What is let through, and what still has a slope?")
    left, right = (plots.axes(figure, 1, 2, i, xlabel="u", ylabel=name, left=56)
                   for i, name in ((1, "output"), (2, "slope")))
    figure.subplots_adjust(wspace=0.26)
    slopes = {}
    for name, bend in BENDS.items():
        y = bend(u)
        slopes[name], = torch.autograd.grad(y.sum(), u)
        left.plot(u.detach(), y.detach(), label=name, linewidth=2)
        right.plot(u.detach(), slopes[name], linewidth=2)
    left.set_ylim(-0.4, 3)
    right.set_ylim(-0.4, 3)
    left.legend(fontsize=9, edgecolor="none", facecolor=CARD, loc="upper left")
    dead = [name for name, slope in slopes.items() if float(slope[u < -0.5].abs().max()) == 0]
    return figure.describe(f"Below zero {' and '.join(dead)} are 0 and flat; GELU and SiLU dip a little below 0 and "
                           f"keep a slope. Above zero ReLU² grows as a square, the others nearly as u itself.")


def spreads(orders: Sequence[str] = ("pre", "output"), *, start: str = "none") -> Picture:
    """How the numbers of the stream are spread after each layer, before training, one panel per order."""
    figure = plots.picture(height=300, title="How are the numbers of the stream spread?")
    words = []
    for place, order in enumerate(orders, 1):
        ax = plots.axes(figure, 1, len(orders), place, xlabel="after layer (0: the embedding)", left=48, top=66)
        ax.set_title(f"order {order}, nothing starts smaller", fontsize=11, color=INK, loc="left")
        values = streams(order, start)
        spread_by_depth(ax, values, colour=COLOURS["residual"])
        ax.set_xlabel("after layer (0: the embedding)", color=INK, fontsize=11)
        words.append(f"order {order}: standard deviation {values[0].std():.1f} at the embedding, "
                     f"{values[-1].std():.1f} after layer {len(values) - 1}")
    figure.subplots_adjust(wspace=0.16)
    return figure.describe(f"Boxes of the stream's numbers widen layer by layer. {'; '.join(words)}.")


class NormBars:
    """One row of four numbers, and what the two norms make of it; pale: what they made of the row at rest."""

    def __init__(self, n: int):
        self.figure = plots.picture(height=290, title="Which output stands still?")
        self.axes, self.bars, self.pale = [], [], []
        for place, (name, colour) in enumerate((("the row x", MUTED), ("LayerNorm(x)", BLUE),
                                                ("RMSNorm(x)", COLOURS["norm"])), 1):
            ax = plots.axes(self.figure, 1, 3, place, left=52, top=64)
            ax.set_title(name, fontsize=11, color=INK, loc="left")
            self.pale.append(ax.bar(range(n), [0] * n, color=EDGE, width=0.8))
            self.bars.append(ax.bar(range(n), [0] * n, color=colour, width=0.5))
            ax.axhline(0, color=MUTED, linewidth=0.8)
            ax.set_xticks(range(n), [f"x{'₁₂₃₄'[i]}" for i in range(n)])
            self.axes.append(ax)
        self.figure.subplots_adjust(wspace=0.25)

    def draw(self, rows: Sequence[Sequence[float]], rest: Sequence[Sequence[float]]) -> None:
        """Three rows now, and at rest."""
        for ax, bars, pale, now, before in zip(self.axes, self.bars, self.pale, rows, rest, strict=True):
            for bar, shade, value, old in zip(bars, pale, now, before, strict=True):
                bar.set_height(value if np.isfinite(value) else 0)
                shade.set_height(old)
            finite = [v for v in [*now, *before] if np.isfinite(v)]
            most = max(map(abs, finite))
            ax.set_ylim(min(0, *finite) - 0.08 * most, max(0, *finite) + 0.08 * most)


class DepthChart:
    """The size of the stream after each layer, and of the gradient there; pale: before the first step."""

    def __init__(self):
        self.figure = plots.picture(height=310, title="How large is the stream, and what reaches each layer?")
        self.axes, self.now, self.before = [], [], []
        for place, (ylabel, colour) in enumerate((("size of the stream", COLOURS["residual"]),
                                                  ("gradient ÷ that at the last layer", COLOURS["gradient"])), 1):
            ax = plots.axes(self.figure, 1, 2, place, xlabel="after layer (0: the embedding)", top=66)
            ax.set_title(ylabel, fontsize=11, color=INK, loc="left")
            ax.set_yscale("log")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            self.before += ax.plot([], [], "o-", color=EDGE, linewidth=3, markersize=7)
            self.now += ax.plot([], [], "o-", color=colour, linewidth=2, markersize=4)
            self.axes.append(ax)
        self.figure.subplots_adjust(wspace=0.2)

    def draw(self, sizes: Sequence[Sizes], n_steps: int, label: str) -> Picture:
        """`sizes`: the first before training, the last after so many steps."""
        first, last = sizes[0], sizes[-1]
        for i, pick in enumerate((lambda s: s.stream, lambda s: [g / max(s.gradient[-1], 1e-12) for g in s.gradient])):
            before, now = pick(first), pick(last)
            self.before[i].set_data(range(len(before)), before)
            self.now[i].set_data(range(len(now)), now)
            values = [max(v, 1e-6) for v in [*before, *now]]
            self.axes[i].set_ylim(min(0.5, *values) / 1.3, max(3, *values) * 1.3)
            self.axes[i].set_xlim(-0.5, len(now) - 0.5)
        n = len(last.stream) - 1
        grown = last.stream[-1] / last.stream[0]
        steep = last.gradient[0] / max(last.gradient[-1], 1e-12)
        return self.figure.describe(
            f"{label}; {n} layers, after {n_steps} step{'s' * (n_steps != 1)}: the stream goes from "
            f"{last.stream[0]:.1f} at the embedding to {last.stream[-1]:.1f} after the last layer ({grown:.1f} times); "
            f"the embedding gets {steep:.1f} times the gradient of the last layer. Loss {last.loss:.2f}.")


def race_picture(curves: Mapping[str, np.ndarray], *, every: int, floor: float | None = None,
                 live: tuple[str, Sequence[tuple[int, float]]] | None = None, title: str = "Who wins?") -> Picture:
    """A band per runner, lowest to highest seed, its mean as a line; `live` is one more run on top.

    The names stand beside the picture, where they hide no line, from the highest end to the lowest.
    """
    figure = plots.picture(height=320, title=title)
    ax = plots.axes(figure, xlabel="step", ylabel="held-out loss (nats per character)", right=226)
    for (name, losses), colour in zip(curves.items(), SERIES, strict=False):
        steps = np.arange(losses.shape[1]) * every
        ax.fill_between(steps, losses.min(0), losses.max(0), color=colour, alpha=0.2, linewidth=0)
        ax.plot(steps, losses.mean(0), color=colour, linewidth=2, label=name)
        if live and live[0] == name and live[1]:
            ax.plot(*zip(*live[1], strict=True), "o--", color=INK, markersize=4, linewidth=1.4,
                    label="your run")
    if floor is not None:
        ax.axhline(floor, color=INK, linewidth=1.2, linestyle=":", label="letter frequencies alone")
    ends = np.concatenate([losses[:, -1] for losses in curves.values()])
    start = max(float(losses[:, 1:].max()) for losses in curves.values())
    ax.set_ylim(ends.min() - 0.1, min(start, ends.min() + 2.2) + 0.1)
    lines = sorted(ax.lines, key=lambda line: -np.asarray(line.get_ydata())[-1])
    ax.legend(handles=lines, fontsize=9, edgecolor="none", facecolor=CARD, loc="upper left", bbox_to_anchor=(1, 1))
    words = "; ".join(f"{name} from {losses[:, -1].min():.2f} to {losses[:, -1].max():.2f}"
                      for name, losses in curves.items())
    return figure.describe(f"After {(losses.shape[1] - 1) * every} steps, lowest and highest of "
                           f"{losses.shape[0]} seeds: {words}.")


def bars_of_experts(shares: Mapping[str, Sequence[float]], title: str, *, ylabel: str = "share of the tokens"
                    ) -> Picture:
    """How busy each expert is, at a few moments or under a few rules."""
    figure = plots.picture(height=250, title=title)
    for place, (name, values) in enumerate(shares.items(), 1):
        ax = plots.axes(figure, 1, len(shares), place, xlabel="expert", top=62, left=52,
                        ylabel=ylabel if place == 1 else "")
        ax.bar(range(1, len(values) + 1), values, color=COLOURS["mlp"])
        ax.axhline(1 / len(values), color=INK, linewidth=1, linestyle=":")
        ax.set_title(name, fontsize=10, color=INK, loc="left")
        ax.set_ylim(0, 1)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if place > 1:
            ax.set_yticklabels([])
    figure.subplots_adjust(wspace=0.15)
    words = "; ".join(f"{name}: the busiest has {max(values):.0%}" for name, values in shares.items())
    return figure.describe(f"{words}. Even would be {100 / len(values):.3g}%.")


def order_picture() -> Picture:
    """Where the norms stand in each order; the thick line is the residual stream, which goes upwards."""
    figure = plots.picture(height=400, title="Where do the norms stand?")
    words = []
    for place, (name, order) in enumerate(ORDERS.items(), 1):
        ax = plots.axes(figure, 1, len(ORDERS), place, left=10, right=10, top=74, bottom=10, grid="")
        ax.set_axis_off()
        ax.set_title(name.replace(" (", "\n("), fontsize=11, color=INK, linespacing=1.1)
        ax.set_xlim(0, 10)
        ax.set_ylim(0, 24)
        ax.plot([1.6, 1.6], [0, 24], color=MUTED, linewidth=4, solid_capstyle="butt")
        norms = BLOCKS[order].norms
        if order == "parallel":
            for x, part in ((4.6, "attention"), (8.2, "mlp")):
                _branch(ax, x, 5, part, norms, on_stream=False, width=3.3)
        else:
            for base, part in ((0.5, "attention"), (12.2, "mlp")):
                _branch(ax, 6.6, base, part, norms, on_stream=order == "post")
        words.append(f"{name}: " + ", ".join(each.replace("_out_norm", " behind").replace("_norm", " before").replace(
            "mlp", "MLP") for each in norms))
    figure.subplots_adjust(wspace=0.05)
    return figure.describe(f"Norms before or behind each part. {'; '.join(words)}. In post-norm they stand on the "
                           f"stream itself, behind each sum; in the parallel order both parts read the same stream.")


def _branch(ax, x: float, base: float, part: str, norms: Sequence[str], *, on_stream: bool, width: float = 5.6) -> None:
    """What leaves the stream at `base`, goes through the part and its norms, and is added again."""
    behind = f"{part}_out_norm" in norms
    steps = ["norm"] * (f"{part}_norm" in norms) + ["MLP" if part == "mlp" else part]
    steps += ["norm"] * (behind and not on_stream)
    ax.plot([1.6, x, x, 1.6], [base, base, base + 8.6, base + 8.6], color=MUTED, linewidth=1.2)
    for i, step in enumerate(steps):
        _box(ax, x, base + 2 + 2.3 * i, step, width=width)
    ax.plot(1.6, base + 8.6, "o", color=CARD, markeredgecolor=INK, markersize=13, zorder=3)
    ax.text(1.6, base + 8.55, "+", ha="center", va="center", color=INK, fontsize=11, zorder=4)
    if on_stream:
        _box(ax, 1.9, base + 10.6, "norm", width=3.6)


def _box(ax, x: float, y: float, words: str, *, width: float) -> None:
    colour = {"norm": COLOURS["norm"], "attention": COLOURS["attention"], "MLP": COLOURS["mlp"]}[words]
    ax.add_patch(FancyBboxPatch((x - width / 2, y - 0.85), width, 1.7, boxstyle="round,pad=0,rounding_size=0.4",
                                facecolor=CARD, edgecolor=colour, linewidth=1.8, zorder=3))
    ax.text(x, y - 0.05, words, ha="center", va="center", color=INK, fontsize=9 if width > 4 else 7, zorder=4)
