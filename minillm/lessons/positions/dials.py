"""Turn the dials of positions: waves, pairs that rotate, a sentence that moves, layers that tell none."""
from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from einops import einsum
from torch import Tensor

from minillm.layers.position import RoPE, Sinusoidal, frequencies
from minillm.lessons.positions import measures
from minillm.notebook import plots
from minillm.notebook.widgets import Live, choice, slider, toggle

D_HEAD, REACH = 16, 32             # of the dial: components of its head, and how far its scores look both ways


def waves() -> Live:
    """The table of waves as a heat map, and how well the row of one position fits all others."""
    figure = plots.picture(height=330, title="Which numbers does each position get?")
    left = plots.axes(figure, 1, 2, 1, left=58, top=56, xlabel="component", ylabel="position", grid="")
    right = plots.axes(figure, 1, 2, 2, left=58, top=56, right=20, xlabel="position", ylabel="product with that row")
    figure.subplots_adjust(wspace=0.3)
    image = left.imshow(np.zeros((64, 32)), aspect="auto", cmap=plots.SIGNED, vmin=-1, vmax=1, interpolation="nearest")
    row = left.axhline(20, color=plots.INK, linewidth=1)
    line, = right.plot(np.zeros(64), color=plots.BLUE, linewidth=2)
    right.set_xlim(0, 63)
    mark = right.axvline(20, color=plots.INK, linewidth=1)

    def draw(d_model: int, theta: float, layout: str, position: int):
        table = Sinusoidal(d_model, 64, theta).waves
        if layout == "halves":
            table = torch.cat([table[:, ::2], table[:, 1::2]], dim=1)
        image.set_data(table.numpy())
        image.set_extent((-0.5, d_model - 0.5, 63.5, -0.5))
        left.set_xlim(-0.5, d_model - 0.5)
        row.set_ydata([position, position])
        mark.set_xdata([position, position])
        fit = (table @ table[position]).numpy()
        line.set_ydata(fit)
        right.set_ylim(min(0.0, float(fit.min())) - 0.5, d_model / 2 + 0.5)
        longest = 2 * math.pi / float(frequencies(d_model, theta)[-1])
        return figure.describe(
            f"64 positions × {d_model} components, waves of 6.3 to {longest:,.0f} positions. Row {position} fits "
            f"itself best, with {d_model / 2:g}; its neighbours {fit[position - 1]:.1f}, four away "
            f"{fit[position - 4]:.1f}.")

    return Live("waves", {"d_model": slider("d_model", [8, 16, 32, 64], 32),
                          "theta": slider("θ", [10.0, 100.0, 1000.0, 10_000.0], 10_000.0, show="{:,.0f}".format),
                          "layout": choice("sine, cosine", {"side by side": "neighbours", "in two halves": "halves"}),
                          "position": slider("position", range(4, 64), 20)}, draw,
                rows=[["d_model", "theta"], ["layout", "position"]])


def dial() -> Live:
    """The pairs of one head as clocks, and the score of one query with one key at every distance."""
    figure = plots.picture(height=400, title="How far has each pair turned?")
    ax = plots.axes(figure, left=66, right=16, top=180, bottom=46, xlabel="distance q − k (tokens)", ylabel="score")
    clocks = figure.add_axes((0.01, 0.6, 0.98, 0.31))
    clocks.set_axis_off()
    clocks.set_aspect("equal")
    clocks.set_xlim(-1.3, 2.6 * D_HEAD / 2 - 1.3)
    clocks.set_ylim(-2.8, 1.2)
    clocks.text(-1.2, -2.5, "tokens per turn", fontsize=9, color=plots.MUTED, va="center")
    around, hands, labels = np.linspace(0, 2 * math.pi, 50), [], []
    for i in range(D_HEAD // 2):
        clocks.plot(2.6 * i + np.cos(around), np.sin(around), color=plots.MUTED, linewidth=1)
        hands += clocks.plot([], [], color=plots.SERIES[i % len(plots.SERIES)], linewidth=3)
        labels.append(clocks.text(2.6 * i, -1.75, "", ha="center", va="center", fontsize=9, color=plots.INK))
    distances = np.arange(-REACH, REACH + 1)
    line, = ax.plot(distances, np.zeros(len(distances)), color=plots.BLUE, linewidth=2)
    ax.axvline(0, color=plots.INK, linewidth=1)
    ax.set_xlim(-REACH, REACH)
    query, key = torch.randn(2, D_HEAD, generator=torch.Generator().manual_seed(3))

    def draw(position: int, theta: float, fraction: float, backwards: bool):
        rope = RoPE(D_HEAD, theta=theta, fraction=fraction)
        omega, sign = frequencies(rope.d_turned, theta), -1 if backwards else 1
        for i, (hand, label) in enumerate(zip(hands, labels, strict=True)):
            angle = sign * position * float(omega[i]) if i < len(omega) else 0.0
            hand.set_data([2.6 * i, 2.6 * i + math.cos(angle)], [0, math.sin(angle)])
            label.set_text(_length(2 * math.pi / float(omega[i])) if i < len(omega) else "rests")
        scores = _scores_by_distance(rope, query, key)
        shown = (scores.flip(0) if backwards else scores).numpy()
        line.set_ydata(shown)
        ax.set_ylim(float(scores.min()) - 0.5, float(scores.max()) + 0.5)
        longest = 2 * math.pi / float(omega[-1])
        return figure.describe(
            f"At position {position}, {len(omega)} of {D_HEAD // 2} pairs turn{' backwards' * backwards}; one turn "
            f"takes 6.3 tokens in the first and {longest:,.0f} in the last. The score is {shown[REACH]:.1f} at "
            f"distance 0, {shown[REACH + 3]:.1f} at 3 and {shown[REACH - 3]:.1f} at −3.")

    return Live("dial", {"position": slider("position", range(0, 65), 5),
                         "theta": slider("θ", [10.0, 100.0, 10_000.0, 500_000.0], 10_000.0, show="{:,.0f}".format),
                         "fraction": slider("turning share of the head", [0.25, 0.5, 1.0], 1.0, show="{:.0%}".format),
                         "backwards": toggle("turn backwards")}, draw,
                rows=[["position", "theta"], ["fraction", "backwards"]])


def _length(wave: float) -> str:
    return f"{wave:.1f}" if wave < 100 else f"{wave:,.0f}"


def _scores_by_distance(rope: RoPE, query: Tensor, key: Tensor) -> Tensor:
    """Score of one query with one key, for q − k from -REACH to REACH."""
    positions = torch.arange(2 * REACH + 1)
    turned = rope(key.expand(len(positions), -1), positions.flip(0))           # q stands in the middle
    return turned @ rope(query[None], torch.tensor([REACH]))[0] / D_HEAD ** 0.5


WORDS = "the dog bit the man".split()


@cache
def _sentence() -> tuple[Tensor, Tensor, Tensor]:
    """Vectors of five words, W_q W_k W_v of one head of width 8, and a table of learned positions; all random."""
    generator = torch.Generator().manual_seed(5)
    words = torch.randn(len(set(WORDS)), 8, generator=generator)
    x = words[[sorted(set(WORDS)).index(word) for word in WORDS]]
    return x, torch.randn(3, 8, 8, generator=generator) / 8 ** 0.5, torch.randn(128, 8, generator=generator)


def one_head(scheme: str, start: int, *, values_too: bool = False) -> tuple[Tensor, Tensor]:
    """Scores and outputs of one head for a sentence that begins at `start`."""
    x, (w_q, w_k, w_v), table = _sentence()
    positions = start + torch.arange(len(x))
    if scheme == "learned":
        x = x + table[positions]
    if scheme == "sinusoidal":
        x = Sinusoidal(8, 128)(x, positions)
    q, k, v = x @ w_q, x @ w_k, x @ w_v
    if scheme == "RoPE":
        rope = RoPE(8)
        q, k, v = rope(q, positions), rope(k, positions), rope(v, positions) if values_too else v
    scores = (q @ k.T / 8 ** 0.5).masked_fill(positions[:, None] < positions, -torch.inf)
    return scores, einsum(scores.softmax(-1), v, "query key, key d_head -> query d_head")


def shift() -> Live:
    """Move a sentence along the axis and see which scores and outputs stand still."""
    figure = plots.picture(height=330, title="What changes when the whole sentence moves?")
    margins, images = dict(left=52, right=14, top=78, bottom=58, grid=""), []
    panels = [plots.axes(figure, 1, 3, i + 1, **margins) for i in range(3)]
    for ax, title in zip(panels, ("scores at the start", "scores after the move", "what the last word takes in"),
                         strict=True):
        ax.set_title(title, fontsize=10, color=plots.INK, loc="left")
    for ax in panels[:2]:
        images.append(ax.imshow(np.zeros((5, 5)), cmap=plots.SIGNED, vmin=-3, vmax=3))
        ax.set_xticks(range(5), WORDS, fontsize=9)
        ax.set_yticks(range(5), WORDS if ax is panels[0] else [""] * 5, fontsize=9)
    panels[0].set_xlabel("is looked at", color=plots.INK, fontsize=10)
    panels[2].set_xlabel("component", color=plots.INK, fontsize=10)
    figure.subplots_adjust(wspace=0.25)
    before = panels[2].bar(np.arange(8) - 0.2, np.zeros(8), width=0.4, color=plots.MUTED, label="at the start")
    after = panels[2].bar(np.arange(8) + 0.2, np.zeros(8), width=0.4, color=plots.BLUE, label="moved")
    panels[2].set_ylim(-4.5, 5.5)
    panels[2].set_xticks(range(8))
    panels[2].legend(frameon=False, fontsize=8, loc="upper right", labelcolor=plots.INK)

    def draw(scheme: str, start: int, values_too: bool):
        values_too = values_too and scheme == "RoPE"               # the others turn nothing
        (scores, outputs), (moved, taken) = (one_head(scheme, at, values_too=values_too) for at in (0, start))
        for image, each in zip(images, (scores, moved), strict=True):
            image.set_data(each.masked_fill(each == -torch.inf, 0.0).numpy())
        for bars, heights in ((before, outputs[-1]), (after, taken[-1])):
            for bar, height in zip(bars, heights.tolist(), strict=True):
                bar.set_height(height)
        seen = scores > -torch.inf
        by, of = float((scores - moved)[seen].abs().max()), float((outputs[-1] - taken[-1]).abs().max())
        return figure.describe(f"{scheme}{', values turned too' * values_too}, moved by {start}: scores change by up "
                               f"to {by:.2f}, what the last word takes in by up to {of:.2f}.")

    def rules(scheme: str, **_) -> dict[str, str]:
        return {} if scheme == "RoPE" else {"values_too": f"{scheme} positions turn nothing"}

    return Live("shift test", {"scheme": choice("positions", ["RoPE", "learned", "sinusoidal"]),
                               "start": slider("moved by", range(0, 101), 7),
                               "values_too": toggle("turn the values too")}, draw,
                rules=rules, rows=[["scheme", "values_too"], ["start"]])


def depth() -> Live:
    """Swap two early tokens: at which places does a model without positions notice?"""
    figure = plots.picture(height=280, title="Tokens 1 and 2 swap: who notices?")
    ax = plots.axes(figure, xlabel="place in the text", ylabel="change of the logits", left=72)
    bars = ax.bar(range(8), [1.0] * 8, color=plots.BLUE, width=0.7)
    ax.set_yscale("log")
    ax.set_ylim(1e-8, 30)
    ax.set_xticks(range(8))
    for place in (1, 2):
        bars[place].set_color(plots.MUTED)

    choices = {"none": "none", "RoPE": "rope", "learned": "learned",
               "RoPE, in every second layer none": "every second"}
    names = {value: name for name, value in choices.items()}

    def draw(position: str, n_layers: int):
        every = {"nope_every": 2} if position == "every second" else {}
        change = measures.swapped(n_layers, "rope" if every else position, **every)
        for bar, height in zip(bars, change.tolist(), strict=True):
            bar.set_height(max(height, 1e-8))
        later = float(change[3:].max())
        verdict = "none notices (rounding apart)" if later < 1e-5 else f"the change is {later:.1f} at most"
        return figure.describe(f"{n_layers} layer{'s' * (n_layers > 1)}, positions: {names[position]}. At the places "
                               f"after the two, {verdict}.")

    return Live("who notices", {"position": choice("positions", choices), "n_layers": slider("layers", [1, 2, 3, 4])},
                draw, rows=[["position", "n_layers"]])
