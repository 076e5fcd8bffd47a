"""Draw a law of loss over size and text, the runs that it was fitted to, and the size that it calls best."""
from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib.ticker import NullLocator

from minillm.lessons.training.scaling import Law, Run, fit, ten_runs, unseen_runs
from minillm.notebook import plots
from minillm.notebook.plots import BLUE, CARD, GREEN, INK, MUTED, ORANGE, PURPLE, RED, SKY
from minillm.notebook.widgets import Live, choice, slider

FLOOR = 0.08      # nats per character that the source of the stories leaves open, data/models/storyteller.json
FLOORS = {"fitted": None, "known: 0.08": FLOOR}
BUDGETS = [3e10, 1e11, 3e11, 1e12, 3e12, 1e13, 1e14, 1e15]


@cache
def law_of(floor: float | None = None) -> Law:
    """Fitted to the ten runs that ship."""
    runs = ten_runs()
    return fit([run.n_parameters for run in runs], [run.n_tokens for run in runs], [run.loss for run in runs],
               floor=floor)


def sparing(number: float) -> str:
    """Two digits of a large number, in words that one can read aloud."""
    for size, word in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= size:
            return f"{float(f'{number / size:.2g}'):g}{word}"
    return f"{number:.2g}"


def law_dial() -> Live:
    """Ten runs and the law through them; how large a model it would build from so many operations."""
    figure = plots.picture(600, 260, title="How large a model, and how much text?")
    grid = figure.add_gridspec(1, 2, wspace=0.22)
    left = plots.axes(figure, grid[0, 0], top=64, xlabel="tokens read", ylabel="nats per character")
    right = plots.axes(figure, grid[0, 1], top=64, xlabel="parameters", ylabel="")
    left.set_title("fitted to ten runs; ✕: two it never saw", fontsize=9, color=INK, loc="left")
    right.set_title("the same operations, shared otherwise", fontsize=9, color=INK, loc="left")
    text, lines = np.geomspace(8e4, 2.5e6, 30), []
    for (n, runs), colour in zip(_by_size([*ten_runs(), *unseen_runs()]).items(),
                                 (SKY, BLUE, PURPLE, GREEN, ORANGE, MUTED), strict=False):
        seen = [run for run in runs if run not in unseen_runs()]
        for group, mark in ((seen, "o"), ([run for run in runs if run not in seen], "X")):
            left.plot([run.n_tokens for run in group], [run.loss for run in group], mark, color=colour, markersize=7)
        lines.append((n, left.plot([], [], color=colour, linewidth=1.4, label=sparing(n))[0]))
    valley, = right.plot([], [], color=BLUE, linewidth=2)
    star, = right.plot([], [], "*", color=RED, markersize=14, markeredgecolor=INK)
    for ax in (left, right):
        ax.set_xscale("log")
        ax.xaxis.set_minor_locator(NullLocator())
    left.set_xticks([1e5, 3e5, 1e6], ["100,000", "300,000", "1 million"])
    left.set_ylim(0.9, 4.8)
    left.legend(fontsize=8, edgecolor="none", facecolor=CARD, loc="upper right", ncol=2, title="parameters",
                title_fontsize=8, alignment="left")

    def draw(floor: str, flops: float):
        law = law_of(FLOORS[floor])
        for n, line in lines:
            line.set_data(text, [law(n, each) for each in text])
        best = law.best_size(flops)
        sizes = best * np.geomspace(1 / 30, 30, 60)
        losses = np.array([law(n, flops / 6 / n) for n in sizes])
        valley.set_data(sizes, losses)
        star.set_data([best], [losses.min()])
        right.set_xlim(sizes[0], sizes[-1])
        right.set_ylim(losses.min() - 0.05, losses.min() + 0.8)
        off = max(abs(law(run.n_parameters, run.n_tokens) - run.loss) for run in unseen_runs())
        return figure.describe(
            f"The law, floor {floor}: {law.floor:.2f} + {law.of_size:.2g} / parameters^{law.size_power:.2f} + "
            f"{law.of_text:.2g} / tokens^{law.text_power:.2f}. It misses the two unseen runs by {off:.2f} at most. "
            f"Of {flops:.1e} operations it would make {sparing(best)} parameters and "
            f"{sparing(flops / 6 / best)} tokens, and expects {losses.min():.2f} nats per character.")

    return Live("law", {"floor": choice("floor", list(FLOORS)),
                        "flops": slider("operations", BUDGETS, BUDGETS[3], show="{:.0e}".format)}, draw,
                rows=[["floor", "flops"]])


def _by_size(runs: list[Run]) -> dict[int, list[Run]]:
    found: dict[int, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.n_parameters):
        found.setdefault(run.n_parameters, []).append(run)
    return found
