"""Draw the singular values of steps, say which rule moves which weight, and run a race of optimizers on the page."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np
from matplotlib.ticker import NullLocator
from torch import Tensor, nn

from minillm.lessons.training import spectra
from minillm.lessons.training.points import shipped
from minillm.notebook import markup, plots
from minillm.notebook.clock import Clock
from minillm.notebook.plots import BLUE, CARD, GREEN, INK, ORANGE, PURPLE, Picture
from minillm.notebook.statistics import bands
from minillm.notebook.widgets import choice
from minillm.optim import hidden_matrices

COLOUR = {"AdamW": ORANGE, "Muon": BLUE}


def spectra_of(steps: Mapping[str, Tensor]) -> Picture:
    """The singular values of some matrices, each as shares of its largest."""
    figure = plots.picture(560, 270, title="How far does a step go, direction by direction?")
    ax = plots.axes(figure, top=72, xlabel="direction, the strongest first", ylabel="share of the largest")
    words = []
    for (name, step), colour in zip(steps.items(), (PURPLE, ORANGE, BLUE), strict=False):
        values = spectra.spectrum(step)
        ax.plot(range(1, len(values) + 1), values, color=colour, linewidth=2, label=name)
        words.append(f"{name}: the middle one has {float(values[len(values) // 2]):.1f} of the largest")
    ax.set_ylim(0, 1.08)
    ax.legend(fontsize=9, edgecolor="none", facecolor=CARD, loc="lower left", bbox_to_anchor=(0, 1.01), ncol=3)
    return figure.describe(f"Singular values of {len(words)} matrices. {'; '.join(words)}.")


def moved_by(model: nn.Module) -> markup.Markup:
    """Which rule moves which weights of a model, and why."""
    hidden, why = {id(p) for p in hidden_matrices(model)}, {
        "embed": "a row for each token: most are rare, and share no direction",
        "unembed": "chooses tokens, and makes no features", "norm": "a number for each component: no matrix"}
    rows: dict[tuple[str, str], dict[str, list[int]]] = {}
    for name, weight in model.named_parameters():
        part = name.removesuffix(".weight").split(".")[-1]
        part = "norm" if "norm" in part else part
        rule = ("Muon", "each turns one hidden vector into another") if id(weight) in hidden else ("Adam", why[part])
        rows.setdefault(rule, {}).setdefault(part, []).append(weight.numel())
    table = [[", ".join(parts), sum(map(len, parts.values())), sum(map(sum, parts.values())), rule, reason]
             for (rule, reason), parts in rows.items()]
    by_muon = sum(row[2] for row in table if row[3] == "Muon") / sum(row[2] for row in table)
    html = markup.table(["weights", "how many", "numbers", "moved by", "because"], table)
    of = {rule: ", ".join(row[0] for row in table if row[3] == rule) for rule in ("Muon", "Adam")}
    return markup.card(html, f"Muon moves {by_muon:.0%} of the numbers: {of['Muon']}; Adam moves {of['Adam']}.")


@cache
def best(rule: str) -> str:
    """Where the shipped runs of a rule are: those of the rate whose last training losses are lowest."""
    names = [name for name in shipped()["race"] if name.rpartition(", ")[0] == rule]
    return min(names, key=lambda name: np.mean(shipped()["race"][name]["end"]))


def rate(rule: str) -> float:
    """The rate that suits a rule best, of those that were tried."""
    return float(best(rule).rpartition(", ")[2])


def held_out(rule: str) -> tuple[float, float]:
    """Lowest and highest held-out loss at the end, over the seeds."""
    last = [row[-1] for row in shipped()["race"][best(rule)]["held_out"]]
    return min(last), max(last)


def optimizer_race() -> Clock:
    """A run of one's own beside three seeds each of AdamW and Muon, both at their best rate."""
    figure = plots.picture(660, 270, title="Which rule learns fastest?")
    grid = figure.add_gridspec(1, 2, width_ratios=[1, 1.7], wspace=0.24)
    rates = plots.axes(figure, grid[0, 0], xlabel="learning rate", ylabel="last training losses")
    ax = plots.axes(figure, grid[0, 1], xlabel="step", ylabel="")
    ax.set_title("held-out loss", fontsize=10, color=INK, loc="left")
    stored = shipped()["race"]
    for rule, colour in COLOUR.items():
        ends = {float(name.rpartition(", ")[2]): runs["end"] for name, runs in stored.items()
                if name.rpartition(", ")[0] == rule}
        rates.plot(list(ends), [np.mean(end) for end in ends.values()], color=colour, linewidth=2)
        for lr, end in ends.items():
            rates.plot([lr] * len(end), end, "o", color=colour, markersize=4)
    rates.set_xscale("log")
    rates.xaxis.set_minor_locator(NullLocator())
    rates.set_xticks([0.005, 0.01, 0.02, 0.04, 0.08], ["0.005", "0.01", "0.02", "0.04", "0.08"], fontsize=9)
    done = np.arange(1, spectra.N_STEPS // spectra.EVERY + 1) * spectra.EVERY
    theirs = {rule: np.array(stored[best(rule)]["held_out"]) for rule in COLOUR}
    bands(ax, theirs, [float(each) for each in done], colours=list(COLOUR.values()))
    fill = ax.fill_between(done, done, done, color=GREEN, alpha=0.25, linewidth=0)
    mine, = ax.plot([], [], "o-", color=INK, linewidth=1.5, markersize=5)
    ax.set_ylim(1.3, 3.4)

    def draw(history: list[spectra.Mark], rule: str):
        nonlocal fill
        fill.remove()
        chosen = np.array(stored[best(rule)]["held_out"])
        fill = ax.fill_between(done, chosen.min(0), chosen.max(0), color=GREEN, linewidth=0,
                               alpha=0.0 if rule in COLOUR else 0.35)
        marks = [(i + 1, mark.held_out) for i, mark in enumerate(history) if mark.held_out is not None]
        mine.set_data(*zip(*marks, strict=True) if marks else ([], []))
        handles, labels = ax.get_legend_handles_labels()
        ax.legend([*handles[:2], fill, mine], [*COLOUR, "the rule chosen, three seeds", "your run"], fontsize=9,
                  edgecolor="none", facecolor=CARD)
        low, high = held_out(rule)
        told = "; ".join(f"{each} at {rate(each):g} ends between {held_out(each)[0]:.2f} and {held_out(each)[1]:.2f}"
                         for each in COLOUR)
        return figure.describe(f"Held-out loss after {spectra.N_STEPS} steps, three seeds: {told}. “{rule}” at "
                               f"{rate(rule):g}: between {low:.2f} and {high:.2f}. Your run has made "
                               f"{len(history)} steps" + (f", and stands at {marks[-1][1]:.2f}." if marks else "."))

    return Clock("optimizer race", {"rule": choice("rule", list(spectra.RULES), "Muon")}, _own, draw, first=20, run=100,
                 limit=spectra.N_STEPS)


def _own(rule: str) -> Iterator[spectra.Mark]:
    return spectra.race(rule, rate(rule), seed=len(spectra.SEEDS))


def race_table() -> markup.Markup:
    """Every rule of the race at its best rate: where it ended, and what a step cost."""
    rows = []
    for rule in spectra.RULES:
        low, high = held_out(rule)
        rows.append([rule, f"{rate(rule):g}", f"{low:.2f} to {high:.2f}", f"{shipped()['race'][best(rule)]['ms']:.0f}"])
    said = "; ".join(f"{rule}: {ends}" for rule, _, ends, _ in rows)
    head = ["rule", "rate", "held-out loss after 200 steps, three seeds", "CPU ms a step"]
    return markup.card(markup.table(head, rows), f"{said}.")
