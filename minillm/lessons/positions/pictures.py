"""Draw what stands still: the row that an id picks, who turns with whom, where each scheme acts, what a race found."""
from __future__ import annotations

import numpy as np
import torch
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor

from minillm.layers.position import ALiBi
from minillm.lessons.positions import race
from minillm.notebook import plots

SCHEME_COLOURS = dict(zip(race.SCHEMES, plots.SERIES, strict=False))


def one_hot_drawing(ids: Tensor, table: Tensor) -> plots.Picture:
    """One-hot rows times the table of embeddings: each 1 picks a row."""
    n, (size, width) = len(ids), table.shape
    figure = plots.picture(height=60 + 34 * max(n, size), title="Which row does each id pick?")
    ax = _canvas(figure, (-1.4, size + 2 * width + 3.2), (max(n, size) + 0.2, -1.2))
    for y, chosen in enumerate(ids.tolist()):
        _write(ax, -0.7, y + 0.5, f"id {chosen}")
        for x in range(size):
            colour = plots.TINTS[chosen % len(plots.TINTS)] if x == chosen else plots.CARD
            _cell(ax, x, y, str(int(x == chosen)), colour)
        for x in range(width):
            _cell(ax, size + width + 3 + x, y, f"{table[chosen, x]:g}", plots.TINTS[chosen % len(plots.TINTS)])
    for y, x in np.ndindex(size, width):
        _cell(ax, size + 1.5 + x, y, f"{table[y, x]:g}", plots.TINTS[y % len(plots.TINTS)])
    _write(ax, size + 0.75, n / 2, "×", size=16)
    _write(ax, size + width + 2.25, n / 2, "=", size=16)
    for x, words in ((size / 2, "one-hot"), (size + 1.5 + width / 2, "table"), (size + 1.5 * width + 3, "vectors")):
        _write(ax, x, -0.5, words)
    picked = ", ".join(f"id {chosen} picks row {chosen}" for chosen in ids.tolist())
    return figure.describe(f"{n} one-hot rows, times a table of {size} rows of {width} numbers: {picked}.")


def three_places() -> plots.Picture:
    """Where each scheme tells the model a position."""
    figure = plots.picture(height=250, title="Where can a position be told?")
    ax = _canvas(figure, (0, 100), (42, 0))
    parts = {"ids": (2, 17), "vectors": (16, 17), "q": (38, 9), "k": (38, 17), "v": (38, 25), "scores": (56, 13),
             "mixture": (77, 17)}
    for name, (x, y) in parts.items():
        wide = 16 if len(name) > 4 else 9
        _box(ax, x, y, wide, 5.5, name)
    for start, end in (("ids", "vectors"), ("vectors", "q"), ("vectors", "k"), ("vectors", "v"), ("q", "scores"),
                       ("k", "scores"), ("scores", "mixture"), ("v", "mixture")):
        (a, b), (c, d) = parts[start], parts[end]
        _arrow(ax, (a + (16 if len(start) > 4 else 9), b + 2.7), (c, d + 2.7))
    told = {"added: learned, waves": (19, "learned", [(24, 17)]), "turned: RoPE": (43, "RoPE", [(41, 9), (46, 17)]),
            "lowered: ALiBi": (66, "ALiBi", [(64, 13)])}
    for words, (x, scheme, ends) in told.items():
        _write(ax, x, 2.5, words, colour=SCHEME_COLOURS[scheme], weight="bold")
        for end in ends:
            _arrow(ax, (end[0], 4.2), end, colour=SCHEME_COLOURS[scheme], width=2, zorder=0.5)   # behind the boxes
    _write(ax, 50, 36, "the values, and with them what is handed over, stay as they are", colour=plots.MUTED)
    return figure.describe("From ids to vectors, to queries, keys and values; from queries and keys to scores; from "
                           "scores and values to the mixture. Learned positions and waves are added to the vectors, "
                           "RoPE turns queries and keys, ALiBi lowers scores; nothing acts on the values.")


def pairings(d_head: int = 8) -> plots.Picture:
    """Which components of a head turn together, in both layouts."""
    figure = plots.picture(height=210, title="Who turns with whom?")
    for place, layout in enumerate(("neighbours", "halves")):
        ax = _canvas(figure, (-0.2, d_head + 0.2), (1.7, -1.6), (1, 2, place + 1))
        _write(ax, d_head / 2, 1.4, layout, weight="bold")
        for pair in range(d_head // 2):
            first, second = partners(d_head, layout)[pair]
            colour = plots.SERIES[pair % len(plots.SERIES)]
            for x in (first, second):
                _cell(ax, x, 0, str(x), plots.TINTS[pair % len(plots.TINTS)])
            arc = FancyArrowPatch((first + 0.5, 0), (second + 0.5, 0), arrowstyle="-", linewidth=2, color=colour,
                                  connectionstyle=f"arc3,rad={-1.2 / (second - first)}")
            ax.add_patch(arc)
    words = {layout: ", ".join(f"{a} with {b}" for a, b in partners(d_head, layout))
             for layout in ("neighbours", "halves")}
    return figure.describe(f"Of {d_head} components, neighbours: {words['neighbours']}; halves: {words['halves']}.")


def partners(d_head: int, layout: str) -> list[tuple[int, int]]:
    """The pairs of components that turn together, the fastest first."""
    half = d_head // 2
    return [(2 * i, 2 * i + 1) if layout == "neighbours" else (i, i + half) for i in range(half)]


def slopes_picture(n_heads: int = 8, distance: int = 32) -> plots.Picture:
    """What ALiBi takes off a score, by distance, one line per head."""
    figure = plots.picture(height=280, title="How much does each head mind the distance?")
    ax = plots.axes(figure, left=70, right=70, xlabel="distance q − k (tokens)", ylabel="added to the score")
    alibi = ALiBi(n_heads)
    lines = alibi(torch.tensor([distance]), torch.arange(distance, -1, -1))[:, 0].numpy()
    for head, line in enumerate(lines):
        ax.plot(line, color=plots.AMOUNT(1 - 0.7 * head / n_heads), linewidth=1.8)
        if head < n_heads // 2 or head == n_heads - 1:
            ax.text(distance, line[-1], f" head {head + 1}", fontsize=9, va="center", color=plots.INK)
    ax.set_xlim(0, distance)
    return figure.describe(f"{n_heads} straight lines from 0 downwards: head 1 loses {-lines[0, 1]:g} per token, "
                           f"head {n_heads} only {-lines[-1, 1]:g}.")


def race_picture(task: str) -> plots.Picture:
    """Loss by position of every scheme on a task: the mean of the seeds, a band from the lowest to the highest."""
    figure = plots.picture(height=360, title=f"“{task}”: what holds beyond the trained length?")
    ax = plots.axes(figure, xlabel="position", ylabel="loss (nats per token)", right=126)
    found = {}
    for name, runs in race.raced(task).items():
        band = race.losses(task, runs)
        first = 1 + np.isnan(band).any(axis=0).nonzero()[0].max(initial=-1)
        x = np.arange(first, race.FAR)
        ax.fill_between(x, band[:, first:].min(0), band[:, first:].max(0), color=SCHEME_COLOURS[name], alpha=0.2,
                        linewidth=0)
        ax.plot(x, band[:, first:].mean(0), color=SCHEME_COLOURS[name], linewidth=2, label=name)
        found[name] = band[:, race.TRAINED:].mean()
    ax.axvline(race.TRAINED - 0.5, color=plots.INK, linestyle="--", linewidth=1)
    ax.text(race.TRAINED, ax.get_ylim()[1], " trained up to here", va="top", fontsize=9, color=plots.INK)
    ax.axhline(np.log(race.SYMBOLS if task == "three back" else race.VOWELS), color=plots.MUTED, linewidth=1,
               linestyle=":")
    ax.legend(frameon=False, labelcolor=plots.INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
    order = sorted(found, key=found.get)
    return figure.describe(f"Loss by position for {', '.join(found)}, {race.SEEDS} seeds each, on “{task}”; beyond the "
                           f"trained length the lowest is {order[0]}.")


def cache_drawing(kept: int, gone: int, new: int = 1) -> plots.Picture:
    """Keys in a cache after the oldest went: each still turned as the position that it had."""
    figure = plots.picture(height=190, title="Which position does the new token get?")
    n = gone + kept + new
    ax = _canvas(figure, (-2.6, n + 0.2), (3.4, -0.3))
    for place in range(n):
        colour = plots.CARD if place < gone else plots.TINTS[0] if place < gone + kept else plots.TINTS[2]
        _cell(ax, place, 0, str(place), colour, ink=plots.MUTED if place < gone else plots.INK)
    _write(ax, -1.3, 0.5, "position")
    for row in range(kept + new):
        _cell(ax, gone + row, 1.2, str(row), plots.TINTS[3] if row >= kept else plots.CARD)
    _write(ax, -1.3, 1.7, "row kept")
    _write(ax, gone / 2, 2.9, "thrown away", colour=plots.MUTED)
    _write(ax, gone + kept / 2, 2.9, "kept: turned already")
    _write(ax, n - new / 2, 2.9, "new")
    return figure.describe(f"{gone} old keys are gone, {kept} are kept. The new token stands at position "
                           f"{gone + kept}, though only {kept} rows lie before it.")


# -- strokes ---------------------------------------------------------------------------------------------------------

def _canvas(figure: plots.Picture, x: tuple[float, float], y: tuple[float, float], where: tuple = (1, 1, 1)):
    ax = plots.axes(figure, *where, left=8, right=8, top=34, bottom=6, grid="")
    ax.set_xlim(*x)
    ax.set_ylim(*y)
    ax.set_axis_off()
    return ax


def _cell(ax, x: float, y: float, words: str, colour: str, *, ink: str = plots.INK) -> None:
    ax.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor=plots.MUTED, linewidth=0.8))
    _write(ax, x + 0.5, y + 0.5, words, colour=ink)


def _box(ax, x: float, y: float, width: float, height: float, words: str) -> None:
    ax.add_patch(Rectangle((x, y), width, height, facecolor="white", edgecolor=plots.MUTED, linewidth=1))
    _write(ax, x + width / 2, y + height / 2, words)


def _arrow(ax, start: tuple[float, float], end: tuple[float, float], *, colour: str = plots.MUTED, width: float = 1.2,
           zorder: float = 1):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=colour, linewidth=width,
                                 shrinkA=1, shrinkB=1, zorder=zorder))


def _write(ax, x: float, y: float, words: str, *, colour: str = plots.INK, size: float = 10, weight: str = "normal"):
    ax.text(x, y, words, ha="center", va="center", color=colour, fontsize=size, fontweight=weight)
