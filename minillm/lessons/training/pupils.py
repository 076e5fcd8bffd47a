"""Draw what a student learns from a teacher, by steps and by time, and what the direction of KL changes."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minillm.lessons.training import distilling
from minillm.lessons.training.points import shipped
from minillm.notebook import plots
from minillm.notebook.clock import Clock
from minillm.notebook.plots import BLUE, CARD, INK, MUTED, ORANGE, PURPLE
from minillm.notebook.widgets import Live, choice, slider

COLOUR = dict(zip(distilling.LESSONS, (ORANGE, BLUE, PURPLE), strict=True))
LONG = f"next tokens alone, {distilling.LONG} steps"


def teaching() -> Clock:
    """Students of the storyteller: three ways to learn, at equal steps and at equal time; one more is the reader's."""
    stored = shipped()["pupils"]
    figure = plots.picture(620, 250, title="What does a teacher save, and what does it cost?")
    sides = {"steps": plots.axes(figure, 1, 2, 1, xlabel="step", ylabel="nats per character"),
             "seconds": plots.axes(figure, 1, 2, 2, xlabel="CPU seconds, the teacher's too")}
    for name in (*distilling.LESSONS, LONG):
        for axis, ax in sides.items():
            if (name == LONG) == (axis == "seconds") or name not in (LONG, "next tokens alone"):
                for seed, nats in enumerate(stored[name]["nats"]):
                    x = stored[name]["steps"] if axis == "steps" else stored[name]["seconds"][seed]
                    way = "next tokens alone" if name == LONG else name
                    ax.plot(x, nats, color=COLOUR[way], linewidth=1.5, label=way if seed == 0 else "_")
    mine = {axis: ax.plot([], [], "o-", color=INK, linewidth=1.2, markersize=4, label="your student")[0]
            for axis, ax in sides.items()}
    for ax in sides.values():
        ax.set_ylim(0.4, 2.6)
    sides["steps"].legend(fontsize=8, edgecolor="none", facecolor=CARD, loc="upper right")
    ends = {name: [row[-1] for row in each["nats"]] for name, each in stored.items() if name != "teacher"}
    sure = {name: np.mean([row[-1] for row in stored[name]["entropy"]]) for name in distilling.LESSONS}
    words = "; ".join(f"{name}: {min(ends[name]):.2f} to {max(ends[name]):.2f}, unsure by {sure[name]:.1f} nats a token"
                      for name in distilling.LESSONS)

    def draw(history: list[distilling.Progress | None], way: str):
        looks = [each for each in history if each is not None]
        mine["steps"].set_data([each.step for each in looks], [each.nats for each in looks])
        mine["seconds"].set_data([each.seconds for each in looks], [each.nats for each in looks])
        done = max(0, len(history) - 1)
        return figure.describe(
            f"After {distilling.N_STEPS} steps, two seeds, in nats per character ({words}). In the time of the "
            f"teacher's pupils next tokens alone make three times as many steps, and reach {min(ends[LONG]):.2f} to "
            f"{max(ends[LONG]):.2f}. Your student ({way}) has made {done} steps.")

    return Clock("pupils", {"way": choice("it learns from", list(distilling.LESSONS), "the teacher's probabilities")},
                 _mine, draw, first=11, run=50, limit=distilling.N_STEPS + 1)


def _mine(way: str) -> Iterator[distilling.Progress | None]:
    return distilling.lesson(way, seed=len(distilling.SEEDS), every=10)


PLACES = np.arange(15)


def teacher_of(apart: int) -> np.ndarray:
    """Two peaks, of which one is a little higher."""
    left, right = (np.exp(-0.5 * ((PLACES - 7 + side * apart / 2) / 0.9) ** 2) for side in (1, -1))
    return (p := 0.55 * left + 0.45 * right + 1e-4) / p.sum()


def student_of(middle: float, width: float) -> np.ndarray:
    """One peak: all that this student can say."""
    p = np.exp(-0.5 * ((PLACES - middle) / width) ** 2) + 1e-9
    return p / p.sum()


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """KL of q from p, in nats."""
    return float((p * np.log(p / q)).sum())


def best_student(teacher: np.ndarray, *, reversed_: bool) -> np.ndarray:
    """The one peak that comes nearest, in one direction or in the other."""
    peaks = [student_of(middle, width) for middle in np.arange(0, 14.01, 0.1) for width in np.arange(0.6, 6, 0.1)]
    return min(peaks, key=lambda p: divergence(p, teacher) if reversed_ else divergence(teacher, p))


def kl_dial() -> Live:
    """A student that has one peak, and a teacher that has two: which peak it becomes depends on the direction."""
    figure = plots.picture(520, 230, title="One peak for two: where does it go?")
    ax = plots.axes(figure, xlabel="token", ylabel="probability")
    bars = ax.bar(PLACES, teacher_of(6), color=MUTED, alpha=0.5, label="teacher")
    line, = ax.plot(PLACES, teacher_of(6), "o-", color=BLUE, linewidth=2, markersize=4, label="student")
    ax.set_ylim(0, 0.48)
    ax.legend(fontsize=10, edgecolor="none", facecolor=CARD)

    def draw(direction: str, apart: int):
        teacher = teacher_of(apart)
        p = best_student(teacher, reversed_=direction == "KL(student, teacher)")
        for bar, height in zip(bars, teacher, strict=True):
            bar.set_height(height)
        line.set_ydata(p)
        entropy = -(p * np.log(p)).sum()
        return figure.describe(
            f"Peaks {apart} tokens apart, {direction} made small: the student's likeliest token is {int(p.argmax())}, "
            f"of the teacher's peaks at {7 - apart / 2:g} and {7 + apart / 2:g}; it is unsure by {entropy:.1f} nats. "
            f"KL(teacher, student) is {divergence(teacher, p):.1f}, the other way {divergence(p, teacher):.1f}.")

    return Live("one peak", {"direction": choice("made small", ["KL(teacher, student)", "KL(student, teacher)"]),
                             "apart": slider("peaks apart", [0, 2, 4, 6, 8], 6)}, draw, rows=[["direction", "apart"]])
