"""Draw what fine-tuning did: gradients, dots of accuracy against forgetting, scales, preferences, rewards."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from torch import Tensor

from minillm.lessons.lora import runs
from minillm.notebook import plots
from minillm.notebook.plots import BLUE, CARD, COLOURS, GREEN, INK, MUTED, ORANGE, PURPLE, RED, SKY, Picture
from minillm.notebook.statistics import heat


def gradient_sizes(of_a: Sequence[float], of_b: Sequence[float]) -> Picture:
    """The length of the gradient of W_A and of W_B, step by step."""
    figure = plots.picture(600, 250, title="When does which matrix get a gradient?")
    ax = plots.axes(figure, xlabel="step", ylabel="length of the gradient")
    ax.plot(of_a, "o-", color=BLUE, linewidth=2, markersize=5, label="of W_A")
    ax.plot(of_b, "o-", color=ORANGE, linewidth=2, markersize=5, label="of W_B")
    ax.legend(fontsize=10, edgecolor="none", facecolor=CARD)
    zero = [step for step, size in enumerate(of_a) if size == 0]
    return figure.describe(f"Over {len(of_a)} steps: W_A's gradient is 0 at step "
                           f"{', '.join(map(str, zero)) or 'none'} and at no other; W_B's is never 0.")


def dots(which: str = "stories") -> Picture:
    """Accuracy against forgetting, a dot for each way to fine-tune; all made the same 120 steps."""
    groups = {"stories": ["frozen", "stories 0%", "stories 10%", "stories 25%", "stories 50%"],
              "ranks": ["frozen", "rank 1", "rank 4", "stories 25%", "rank 64", "full"],
              "mistakes": ["stories 25%", "prompts learned too", "no end of text"]}
    labels = {"ranks": {"stories 25%": "rank 16"}, "mistakes": {"stories 25%": "as it should be"}}.get(which, {})
    titles = {"stories": "What do stories between the questions save?",
              "ranks": "How much does the rank matter?", "mistakes": "What does each mistake cost?"}
    stored = runs.shipped()["forgetting"]
    figure = plots.picture(600, 300, title=titles[which])
    ax = plots.axes(figure, xlabel="stories became dearer by (nats per token)",
                    ylabel="held-out questions right (%)")
    words, most = [], 0.0
    for name, colour, size in zip(groups[which], (MUTED, RED, ORANGE, BLUE, GREEN, PURPLE),
                                  (11, 11, 11, 14, 8, 11), strict=False):    # so that one dot on another shows both
        x, y = max(0.0, stored[name]["forgot"]), 100 * stored[name]["held_out"]["all"]
        label = labels.get(name, name.replace("%", " %"))
        ax.plot(x, y, "o", color=colour, markersize=size, markeredgecolor=CARD, label=label)
        words.append(f"{label}: {y:.0f} %, +{x:.2f}")
        most = max(most, x)
    ax.set(xlim=(-0.04 * most, 1.1 * most), ylim=(-6, 106))
    ax.legend(fontsize=10, edgecolor="none", facecolor=CARD, loc="lower right")
    return figure.describe(f"{len(words)} ways to fine-tune, 120 steps each. {'; '.join(words)} nats per token.")


def singular_values() -> Picture:
    """What was learned for one matrix, direction by direction."""
    stored = runs.shipped()["forgetting"]
    figure = plots.picture(600, 250, title="How many directions does the change have?")
    ax = plots.axes(figure, xlabel="direction, the strongest first", ylabel="singular value of ΔW")
    words = []
    for name, label, colour in (("rank 4", "rank 4", SKY), ("stories 25%", "rank 16", BLUE),
                                ("rank 64", "rank 64", PURPLE)):
        values = stored[name]["singular"]
        ax.plot(range(1, len(values) + 1), values, "o-", markersize=3.5, color=colour, label=label, linewidth=1.6)
        half = int(np.searchsorted(np.cumsum(np.square(values)), 0.5 * np.square(values).sum())) + 1
        words.append(f"{label}: {half} direction{'s' * (half > 1)} hold{'s' * (half == 1)} half of it")
    ax.legend(fontsize=10, edgecolor="none", facecolor=CARD)
    return figure.describe(f"Singular values of the change of one matrix fall to 0 behind the rank. "
                           f"{'; '.join(words)}.")


MEASURES = {"‖ΔW‖ / ‖W‖": ("change", ".3f"), "training loss": ("loss", ".2f"),
            "right (%)": ("right", ".0f"), "stories became dearer": ("forgot", ".2f")}


_ASKED = {"change": "How large is the change? ‖ΔW‖ / ‖W‖", "loss": "How low is the training loss? (nats)",
          "right": "How many answers are right? (%)", "forgot": "How much dearer are stories? (nats)"}


def scale_map(measure: str = "right (%)") -> Picture:
    """Rank × scale at one learning rate: what became of 100 steps.  `frame` moves a frame around in it."""
    key, form = MEASURES[measure]
    stored = runs.shipped()["map"]
    factor = 100 if key == "right" else 1
    values = [[factor * stored[f"{rank}, {scale:g}"][key] for scale in runs.SCALES] for rank in runs.RANKS]
    figure = plots.picture(440, 250, title=_ASKED[key])
    ax = plots.axes(figure, left=76, top=50)
    heat(ax, values, rows=[f"rank {rank}" for rank in runs.RANKS], columns=[f"× {scale:g}" for scale in runs.SCALES],
         form=form)
    ax.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=ORANGE, linewidth=4, visible=False, clip_on=False))
    ax.set_xlabel("what W_B W_A is multiplied by", color=INK, fontsize=11)
    words = "; ".join(f"rank {rank}: " + ", ".join(f"{value:{form}}" for value in line)
                      for rank, line in zip(runs.RANKS, values, strict=True))
    return figure.describe(f"{measure}, at scales {', '.join(f'{scale:g}' for scale in runs.SCALES)}. {words}.")


def frame(picture: Picture, rank: int, scale: float) -> Picture:
    """Put the frame of a `scale_map` around one of its runs."""
    around = picture.axes[0].patches[-1]
    around.set(xy=(runs.SCALES.index(scale), runs.RANKS.index(rank)), visible=True)
    return picture


def preference_curves(steps: Sequence[Any] | None = None, *, how: str = "goes on") -> Picture:
    """How much the chosen and the rejected answers gained; `steps` are a run's own, else the stored ones."""
    curve = ([[each.loss, each.margin, each.chosen, each.rejected] for each in steps] if steps is not None
             else runs.shipped()["preferences"][how]["steps"])
    table = np.array(curve)
    figure = plots.picture(660, 260, title="What happens to the two log-probabilities?")
    ax = plots.axes(figure, xlabel="step of DPO", ylabel="gain since the start (nats)", right=176)
    for column, name, colour in ((2, "chosen answer", GREEN), (3, "rejected answer", RED)):
        ax.plot(table[:, column], color=colour, linewidth=2, label=name)
    others = runs.shipped()["preferences"][how]["others"] if steps is None else []
    for i, each in enumerate(others):
        for gain, colour in zip(each["end"][2:], (GREEN, RED), strict=True):
            ax.plot(len(table) - 1, gain, "o", color=colour, markersize=5, markeredgecolor=CARD, clip_on=False,
                    label="two more seeds" if i == 0 and colour == GREEN else None)
    ax.fill_between(range(len(table)), table[:, 3], table[:, 2], color=BLUE, alpha=0.1, label="margin")
    ax.axhline(0, color=MUTED, linewidth=1)
    ax.legend(fontsize=10, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure.describe(f"After {len(table)} steps the chosen answers gained {table[-1, 2]:+.1f} nats and the "
                           f"rejected ones {table[-1, 3]:+.1f}: the margin is {table[-1, 1]:.1f}"
                           + "".join(f"; with another seed {each['end'][2]:+.1f} and {each['end'][3]:+.1f}"
                                     for each in others) + ".")


def group_bars(rewards: Tensor, advantages: Tensor) -> Picture:
    """One group of answers: what each scored, and what it counts for."""
    n = len(rewards)
    figure = plots.picture(600, 270, title="What does each answer of a group count for?")
    for place, (values, name, colour) in enumerate(((rewards, "reward", BLUE), (advantages, "advantage", ORANGE)), 1):
        ax = plots.axes(figure, 2, 1, place, ylabel=name, left=64, xlabel="answer" if place == 2 else "")
        ax.bar(range(1, n + 1), values.tolist(), color=[colour if v >= 0 else RED for v in values.tolist()])
        ax.axhline(0, color=MUTED, linewidth=0.8)
        ax.set_xticks(range(1, n + 1))
    figure.subplots_adjust(hspace=0.35)
    return figure.describe(f"Rewards {', '.join(f'{v:g}' for v in rewards.tolist())} become advantages "
                           f"{', '.join(f'{v:+.2f}' for v in advantages.tolist())}.")


def reward_curves(name: str = "exactly right") -> Picture:
    """Held-out answers by kind while a reward is pursued, and the reward itself."""
    stored = runs.shipped()["rewards"][name]
    figure = plots.picture(660, 270, title=f"What is learned for “{name}”?")
    ax = plots.axes(figure, xlabel="step of GRPO", ylabel="%")
    rewards = np.array(stored["rewards"])
    smooth = [rewards[max(0, i - 9):i + 1].mean() for i in range(len(rewards))]
    ax.plot(range(1, len(smooth) + 1), [100 * value for value in smooth], color=MUTED, linewidth=1.5,
            label="mean reward × 100")
    words = []
    for kind, colour in (("capital", COLOURS["train"]), ("continent", ORANGE)):
        steps, values = zip(*[(step, 100 * found[kind]) for step, found in stored["right"]], strict=True)
        ax.plot(steps, values, "o-", color=colour, linewidth=2, label=f"{kind}s right")
        ends = [values[-1]]
        for each in stored["others"]:
            again = [100 * found[kind] for _, found in each["right"]]
            ax.plot(steps, again, "-", color=colour, linewidth=1.2, alpha=0.5)
            ends.append(again[-1])
        words.append(f"{kind}s from {values[0]:.0f} to {values[-1]:.0f} % (three seeds: {min(ends):.0f} to "
                     f"{max(ends):.0f})")
    ax.set_ylim(-4, 104)
    ax.legend(fontsize=9, edgecolor="none", facecolor=CARD, loc="center right")
    return figure.describe(f"After {len(rewards)} steps for “{name}”: {'; '.join(words)}; the mean reward goes from "
                           f"{rewards[:5].mean():.2f} to {rewards[-5:].mean():.2f}.")
