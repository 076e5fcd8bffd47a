"""Show what trained models do with positions: symptoms of mistakes, scores by distance, lengths never trained on."""
from __future__ import annotations

from functools import cache
from html import escape

import numpy as np
import torch
from einops import einsum
from matplotlib.collections import LineCollection
from torch import Tensor

from minillm.layers.position import RoPE
from minillm.lessons.positions import measures, race
from minillm.notebook import markup, plots
from minillm.notebook.widgets import Live, choice, slider


def symptoms() -> Live:
    """The shipped model with one mistake in its positions: loss by position, and what it writes."""
    figure = plots.picture(height=300, title="How does the mistake show?")
    ax = plots.axes(figure, xlabel="position", ylabel="loss (nats per token)")
    right = _smooth(measures.symptom(next(iter(measures.MISTAKES)))[0])
    ax.plot(right, color=plots.MUTED, linewidth=2, label="as it was trained")
    line, = ax.plot(right, color=plots.RED, linewidth=2, label="with the mistake")
    every = [_smooth(measures.symptom(each)[0]) for each in measures.MISTAKES]   # all now: a touch only draws
    ax.set_ylim(0, 1.05 * max(float(each.max()) for each in every))
    ax.set_xlim(0, len(right))
    _legend(ax)

    def draw(mistake: str):
        losses, written = measures.symptom(mistake)
        line.set_ydata(_smooth(losses))
        n = len(losses)
        parts = [losses[start:end].mean() for start, end in ((0, 8), (8, 32), (32, n))]
        words = (f"“{mistake}”: mean loss at the first 8 positions {parts[0]:.1f}, up to 32 {parts[1]:.1f}, "
                 f"later {parts[2]:.1f}.")
        opening, rest = measures.OPENING, written[len(measures.OPENING):]
        return [figure.describe(words), markup.card(
            f'It writes: <b>{escape(opening)}</b><span style="white-space:pre-wrap">{escape(rest)}</span>',
            f"It writes: {written}")]

    return Live("symptoms", {"mistake": choice("mistake", list(measures.MISTAKES))}, draw, repeatable=False)


def _legend(ax) -> None:
    """What each colour is, in a row above the axes, where no curve runs."""
    ax.legend(frameon=False, labelcolor=plots.INK, loc="lower right", bbox_to_anchor=(1.0, 0.98), ncol=2)


def _smooth(losses: Tensor, width: int = 8) -> Tensor:
    """The mean of each position and those just before it."""
    total = torch.nn.functional.pad(losses.cumsum(0), (1, 0))
    end = torch.arange(1, len(losses) + 1)
    start = (end - width).clamp(min=0)
    return (total[end] - total[start]) / (end - start)


def distances() -> Live:
    """Score against distance: a query like its key, random ones, and the heads of a model that was trained."""
    heads = measures.mean_scores()
    peaked, gaze = int((heads.argmax(-1) > 0).sum()), measures.far_gaze(16)
    means, every = heads.numpy(), heads.flatten(0, 1).numpy()
    figure = plots.picture(height=320, title="Does a score fall with the distance?")
    panels = [plots.axes(figure, 1, 3, i + 1, left=48, right=14, top=70, xlabel="distance (tokens)") for i in range(3)]
    figure.subplots_adjust(wspace=0.28)
    titles = "query = key", "random queries, keys", "trained heads, less mean"
    for ax, title in zip(panels, titles, strict=True):
        ax.set_title(title, fontsize=10, color=plots.INK, loc="left")
        ax.set_xlim(0, means.shape[-1])
    panels[0].set_ylabel("score", color=plots.INK)
    for ax, draws in zip(panels[:2], _drawn_scores(means.shape[-1]), strict=True):
        ax.plot(draws.T, color=plots.BLUE, linewidth=1.2)
    lines = np.stack([np.broadcast_to(np.arange(every.shape[1]), every.shape), every], -1)
    panels[2].add_collection(LineCollection(lines, color=plots.EDGE, linewidth=0.7))   # quicker than 36 lines
    line, = panels[2].plot(means[0, 0], color=plots.RED, linewidth=2)
    panels[2].set_ylim(float(means.min()), float(means.max()))

    def draw(layer: int, head: int):
        chosen = means[layer - 1, head - 1]
        line.set_ydata(chosen)
        return figure.describe(
            f"With query = key the score falls in waves; with random ones it falls nowhere. Of {len(every)} trained "
            f"heads {peaked} have their highest mean score not at distance 0. Layer {layer}, head {head} has it at "
            f"{int(chosen.argmax())}, and spends {gaze[layer - 1, head - 1]:.0%} of its gaze beyond 16 tokens.")

    n_layers, n_heads, _ = means.shape
    return Live("score and distance", {"layer": slider("layer", range(1, n_layers + 1)),
                                       "head": slider("head", range(1, n_heads + 1))}, draw, rows=[["layer", "head"]],
                repeatable=False)


def _drawn_scores(n: int, d_head: int = 32) -> tuple[Tensor, Tensor]:
    """Scores at distances 0 to n - 1: one key that is its query, and five random pairs."""
    rope, generator = RoPE(d_head), torch.Generator().manual_seed(0)
    drawn = []
    for q, k in ((torch.ones(1, d_head),) * 2, torch.randn(2, 5, d_head, generator=generator)):
        turned = rope(q[:, None].expand(-1, n, -1), torch.arange(n))
        drawn.append(einsum(turned, k, "draw seq d_head, draw d_head -> draw seq") / d_head ** 0.5)
    return drawn[0], drawn[1]


CHANGES = {"as trained": None, "linear": "linear", "llama3": "llama3", "yarn": "yarn", "table ends at 16": "clamped"}


def beyond() -> Live:
    """RoPE's runs of the race beyond the trained length: stretched in three ways, or with a table that ends."""
    figure = plots.picture(height=330, title="Does it read further, without further training?")
    ax = plots.axes(figure, xlabel="position", ylabel="loss (nats per token)")
    x = np.arange(race.FAR)
    lines, bands = [], []
    for colour, label in ((plots.MUTED, "as trained"), (plots.BLUE, "changed")):
        lines += ax.plot(x, np.zeros(len(x)), color=colour, linewidth=2, label=label)
        bands.append(ax.fill_between(x, x * 0, x * 0, color=colour, alpha=0.2, linewidth=0))
    ax.axvline(race.TRAINED - 0.5, color=plots.INK, linestyle="--", linewidth=1)
    ax.text(race.TRAINED, 0.99, " trained up to here", transform=ax.get_xaxis_transform(), va="top", fontsize=9,
            color=plots.INK)
    ax.set_xlim(0, race.FAR - 1)
    _legend(ax)
    for task in race.TASKS:
        _band(task, None, 1, 0.0)             # now, so that a touch measures one change at most

    def draw(task: str, change: str, factor: int, turns: float):
        found = [_band(task, None, 1, 0.0), _band(task, CHANGES[change], factor, turns)]
        for line, band, values in zip(lines, bands, found, strict=True):
            first = 1 + np.isnan(values).any(axis=0).nonzero()[0].max(initial=-1)
            shown = values[:, first:]
            line.set_data(x[first:], shown.mean(0))
            band.set_verts([np.concatenate([np.stack([x[first:], shown.min(0)], 1),
                                            np.stack([x[first:], shown.max(0)], 1)[::-1]])])
        ax.set_ylim(-0.2, max(4.0, float(np.nanmax(np.stack([each.max(0) for each in found]))) + 0.5))
        near, far = (found[1][:, part].mean() for part in (slice(race.TRAINED - 8, race.TRAINED), slice(-32, None)))
        was = found[0][:, -32:].mean()
        return figure.describe(f"“{task}”, {change}: loss {near:.1f} at the last trained positions; {far:.1f} at the "
                               f"last 32 positions, where it was {was:.1f}.")

    def rules(change: str, **_) -> dict[str, str]:
        off = {}
        if CHANGES[change] not in ("linear", "llama3", "yarn"):
            off["factor"] = "nothing is stretched"
        if CHANGES[change] not in ("llama3", "yarn"):
            off["turns"] = "no pair is treated differently"
        return off

    return Live("beyond", {"task": choice("task", list(race.TASKS)), "change": choice("RoPE", list(CHANGES)),
                           "factor": slider("slowed down by", [2, 4, 8], 4),
                           "turns": slider("keeps its speed from", [1.0, 2.0, 4.0], 2.0, show="{:g} turns".format)},
                draw, rules=rules, rows=[["task", "change"], ["factor", "turns"]], repeatable=False)


@cache
def _band(task: str, kind: str | None, factor: int, turns: float) -> np.ndarray:
    runs = race.raced(task)["RoPE"]
    if kind == "clamped":
        runs = runs.clamped()
    elif kind:
        runs = runs.stretched(kind, float(factor), turns=turns)
    return race.losses(task, runs)
