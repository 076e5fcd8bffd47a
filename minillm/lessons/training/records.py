"""Show all runs that were kept: what each was made of, and their curves in one picture."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minillm.checkpoints import load_log
from minillm.lessons.training import runs
from minillm.lessons.training.experiment import Run
from minillm.notebook import markup, plots
from minillm.notebook.plots import CARD, SERIES, Picture
from minillm.notebook.widgets import Live, button, choice

MOST = 7            # curves in one picture: more cannot be told apart
HEAD = ["run", "text", "tokens", "parameters", "optimizer", "rate", "seed", "steps", "bits per byte", "kept"]
Row = tuple[list[Any], list[tuple[int, float]]]


def bits(nats: float, bytes_per_token: float) -> float:
    """Nats per token in bits per byte, so that runs with other tokenizers can stand in one picture."""
    return nats / math.log(2) / bytes_per_token


def of_page(run: Run, moments: list[Any]) -> Row:
    """The run that is in training, as far as it has come."""
    per = run.material.bytes_per_token
    points = [(m.step.step + 1, bits(m.validation, per)) for m in moments if m.validation is not None]
    corpus = run.material.corpus
    return ["this page's", corpus.title or corpus.name, run.material.kind, run.n_parameters, run.rule, f"{run.lr:g}",
            run.seed, f"{run.done} of {run.n_steps}", f"{points[-1][1]:.2f}" if points else "–", ""], points


def of_folder(kept: runs.Kept) -> Row:
    """A run from its folder."""
    about = kept.about
    points = [(row["step"] + 1, bits(row["validation"], about["bytes_per_token"]))
              for row in load_log(kept.folder) if "validation" in row]
    return [kept.folder.name, about["title"] or about["text"], about["tokenizer"], about["parameters"], about["rule"],
            f"{about['lr']:g}", about["seed"], f"{about['steps']} of {about['n_steps']}",
            f"{points[-1][1]:.2f}" if points else "–", about["kept"].replace("T", " ")], points


class Curves:
    """Held-out bits per byte over the steps of several runs."""

    def __init__(self):
        self.figure = plots.picture(height=240, title="How did each run learn?")
        self.ax = plots.axes(self.figure, xlabel="step", ylabel="held-out bits per byte")
        self.lines = [self.ax.plot([], [], "o-", color=colour, markersize=3, linewidth=1.6)[0] for colour in SERIES]

    def draw(self, found: list[Row]) -> Picture:
        """The first of them; each is named as its row in the table."""
        shown = [(cells[0], points) for cells, points in found if points][:MOST]
        for line, (_, points) in zip(self.lines, [*shown, *[("", [])] * MOST], strict=False):
            line.set_data(*zip(*points, strict=True) if points else ([], []))
        values = np.array([point for _, points in shown for point in points] or [(1, 1.0)])
        self.ax.set(xlim=(0, 1.02 * values[:, 0].max()), ylim=(0, 1.05 * values[:, 1].max()))
        self.ax.legend(self.lines[:len(shown)], [name for name, _ in shown], fontsize=9, edgecolor="none",
                       facecolor=CARD, loc="lower left")
        said = ", ".join(f"{name} {points[-1][1]:.2f} after {points[-1][0]} steps" for name, points in shown)
        return self.figure.describe(f"Held-out bits per byte: {said or 'no run has been measured yet'}.")


def table_of_runs(current: Callable[[], tuple[Run, list[Any]]]) -> Live:
    """The run of this page, and with “all” every one that was kept."""
    curves = Curves()

    def draw(show: str) -> list:
        found = [of_page(*current()), *(map(of_folder, runs.listed()) if show == "all" else ())]
        where = f"Kept runs lie in {runs.home()}/" if show == "all" else "Choose “all that were kept” for the others"
        table = markup.table(HEAD, [cells for cells, _ in found])
        return [curves.draw(found), markup.card(f"{table}{where}", f"{len(found)} runs")]

    controls = {"show": choice("show", {"this page's run": "page", "all that were kept": "all"}),
                "refresh": button("look again", "read the folders anew")}
    return Live("runs", controls, draw, rows=[["show", "refresh"]], repeatable=False)
