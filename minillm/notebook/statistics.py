"""Draw statistics: bands over seeds, spreads by depth, heat maps with their numbers.

Seaborn draws them, in the house's palette.  It is slow beside bare matplotlib (30 to 100 ms), so these are for
pictures that stand still, and load it when the first one is drawn.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minillm.notebook.plots import AMOUNT, CARD, EDGE, INK, MUTED, SERIES


def bands(ax: Any, curves: Mapping[str, np.ndarray], x: Sequence[float], *, colours: Sequence[str] = SERIES,
          legend: str = "upper right") -> None:
    """A line per name, the mean over seeds, in a band from the lowest seed to the highest.

    `curves` holds, by name, an array of shape (seed, len(x)).  One seed alone has no band: it is a line.
    """
    import seaborn
    for (name, losses), colour in zip(curves.items(), colours, strict=False):
        losses = np.asarray(losses)
        if losses.ndim != 2 or losses.shape[1] != len(x):
            raise ValueError(f"{name!r} has shape {losses.shape}, and x={len(x)} values; give (seed, {len(x)})")
        seaborn.lineplot(x=np.tile(np.asarray(x), len(losses)), y=losses.ravel(), errorbar=("pi", 100), color=colour,
                         linewidth=2, label=name, ax=ax, err_kws={"alpha": 0.2, "linewidth": 0})
    ax.legend(fontsize=9, edgecolor="none", facecolor=CARD, loc=legend)


def spread_by_depth(ax: Any, values: Sequence[np.ndarray], *, colour: str = SERIES[0], first: int = 0) -> None:
    """How the numbers of each layer are spread: letter-value boxes, the median as a line, the tails as points.

    `values` holds one array per layer, of any shape; layers are counted from `first`.  Hofmann et al. 2017.
    """
    import seaborn
    flat = [np.asarray(each, dtype=float).ravel() for each in values]
    layer = np.repeat(np.arange(first, first + len(flat)), [len(each) for each in flat])
    seaborn.boxenplot(x=layer, y=np.concatenate(flat), color=colour, linewidth=0.4, line_kws={"color": INK},
                      flier_kws={"s": 3, "color": MUTED, "linewidth": 0}, width_method="linear", ax=ax)


def heat(ax: Any, values: np.ndarray | Sequence, *, rows: Sequence[str], columns: Sequence[str], form: str = ".2f",
         cmap: Any = AMOUNT, centre: float | None = None) -> None:
    """A table of numbers as colours, each with its number in it; `centre` is the value of the middle colour."""
    import seaborn
    values = np.asarray(values, dtype=float)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"values have shape {values.shape}, but there are {len(rows)} rows and {len(columns)} columns")
    seaborn.heatmap(values, annot=True, fmt=form, cmap=cmap, center=centre, cbar=False, linewidths=1, linecolor=EDGE,
                    xticklabels=list(columns), yticklabels=list(rows), annot_kws={"fontsize": 9}, ax=ax)
    ax.grid(False)
    ax.tick_params(length=0, labelrotation=0)
