"""Answer “is my curve normal?”: what shipped runs of the same text, size and length did, and why one lies outside."""
from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from minillm import corpora
from minillm.lessons.training.experiment import BATCH, FLOOR, Material
from minillm.lessons.training.plots import Curve, smooth
from minillm.notebook import plots
from minillm.notebook.plots import Picture
from minillm.notebook.statistics import bands

FIRST = 20          # steps before which nothing is said
SLACK = 0.04        # nats beyond the band, and half of its width, that still count as inside
RATE = 3e-3         # of the shipped runs


@dataclass(frozen=True)
class Usual:
    """The losses of several shipped runs that differ in nothing but the seed, smoothed, at some steps."""
    steps: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_seeds: int
    gradient: float               # the largest norm after the warm-up, of all runs

    def at(self, step: int) -> tuple[float, float]:
        """Lowest and highest loss after so many steps."""
        return float(np.interp(step, self.steps, self.low)), float(np.interp(step, self.steps, self.high))


@lru_cache
def groups() -> list[dict[str, Any]]:
    """All that ships, as `data/making/models/usual_runs.py` wrote it."""
    return json.loads((corpora.data_folder() / "models" / "usual_runs.json").read_text(encoding="utf-8"))["groups"]


def usual(text: str, tokenizer: str, size: str, n_steps: int, **fields: str) -> Usual | None:
    """The band of such runs, or None where none ships."""
    for group in groups():
        if (group["text"], group["tokenizer"], group["size"], group["n_steps"], group["fields"]) == (
                text, tokenizer, size, n_steps, fields):
            losses = np.array([run["loss"] for run in group["runs"]])
            return Usual(np.array(group["steps"]), losses.min(0), losses.max(0), len(losses),
                         max(run["gradient"][0] for run in group["runs"]))
    return None


@lru_cache
def floor_per_character() -> float:
    """Nats per character below which no model gets on fresh stories (data/README.md)."""
    told = json.loads((corpora.data_folder() / "stories" / "floor.json").read_text(encoding="utf-8"))
    return told["source"]["nats_per_character"]


def floor(material: Material) -> float | None:
    """The same in nats per token of this material; None for a text whose source is not known."""
    if material.corpus.name != "stories":
        return None
    ids = material.validation.tolist()
    return floor_per_character() * len(material.tokenizer.decode(ids)) / len(ids)


def judged(curve: Curve, band: Usual | None, *, vocab_size: int, choices: dict[str, Any]) -> str:
    """A sentence: inside, above or below what is usual, and the likeliest reasons, the reader's choices first."""
    step = len(curve.loss)
    if band is None:
        return ("Is it normal? Runs that ship for comparison are of the stories in characters: nano with 200 or 500 "
                "steps, small with 500.")
    if step < FIRST:
        return "Is it normal? Too early to say: ask after 20 steps."
    (low, high), loss = band.at(step), float(smooth(curve.loss)[-1])
    slack = SLACK + (high - low) / 2
    said = f"{loss:.2f} after {step} steps; {band.n_seeds} shipped runs had {low:.2f} to {high:.2f}"
    if low - slack <= loss <= high + slack:
        return f"Your curve is normal: {said}."
    above = loss > high
    reasons = [*(_above if above else _below)(curve, band, vocab_size, choices)]
    return f"Your curve is {'above' if above else 'below'} the usual: {said}. Likely: {'; '.join(reasons)}."


def _above(curve: Curve, band: Usual, vocab_size: int, choices: dict[str, Any]) -> Sequence[str]:
    found, largest = [], max(curve.grad_norm[FIRST:], default=0.0)
    if curve.loss[0] > math.log(vocab_size) + 0.5:
        found.append(f"it began at {curve.loss[0]:.1f}, far above ln V = {math.log(vocab_size):.1f}: initialisation")
    if choices.get("lr", RATE) > RATE:
        found.append(f"a learning rate of {choices['lr']:g}, {choices['lr'] / RATE:.0f} times the usual {RATE:g}")
    if choices.get("lr", RATE) < RATE:
        found.append(f"a learning rate of {choices['lr']:g}, {RATE / choices['lr']:.0f} times below the usual {RATE:g}")
    if largest > 2 * band.gradient:
        found.append(f"gradient norms up to {largest:.1f} (usual: {band.gradient:.1f}), clipped at 1")
    if choices.get("batch", BATCH) < BATCH:
        found.append(f"{choices['batch']} windows a step, where the shipped runs read {BATCH}")
    if choices.get("dropout"):
        found.append(f"dropout of {choices['dropout']:g}: the batches are read with holes, the held-out text is not")
    if choices.get("position") == "none":
        found.append("no positions")
    changed = [name for name in ("norm", "mlp", "attention", "position") if choices.get(name) not in (None, "", "none")]
    if changed and not found:
        found.append(f"what you chose otherwise: {', '.join(changed)}")
    return found or ["a mistake in code that makes batches or steps: targets that are not shifted by one, gradients "
                     "that are not set to zero, too small a batch"]


def _below(curve: Curve, band: Usual, vocab_size: int, choices: dict[str, Any]) -> Sequence[str]:
    if choices.get("amount", "all") != "all":
        return ["it reads little text again and again, and learns it by heart; look at the gap to held-out text"]
    if choices.get("batch", BATCH) > BATCH:
        return [f"{choices['batch']} windows a step, where the shipped runs read {BATCH}"]
    if choices.get("floor", FLOOR) < FLOOR:
        return [f"a rate that falls to {choices['floor']:g}, where the shipped runs end at a tenth"]
    if choices.get("optimizer") == "muon":
        return ["Muon, where the shipped runs used AdamW"]
    if choices.get("preset") not in (None, "minillm's own") or any(
            choices.get(name) for name in ("norm", "mlp", "attention", "position")):
        return ["another architecture than the shipped runs'"]
    return ["a leak, if you changed the code: a model that sees its target gets any loss down"]


def seeds_picture() -> Picture:
    """Two norms, several seeds each, from the runs that ship: how much does a different seed change?"""
    figure = plots.picture(height=290, title="Is it the norm, or the seed?")
    ax = plots.axes(figure, xlabel="step", ylabel="loss (nats per character)")
    curves, x = {}, None
    for name, fields in (("RMSNorm", {}), ("LayerNorm", {"norm": "layernorm"})):
        group = next(each for each in groups() if each["size"] == "nano" and each["n_steps"] == 500
                     and each["fields"] == fields)
        curves[name], x = np.array([run["loss"] for run in group["runs"]]), group["steps"]
    bands(ax, curves, x)
    ends = {name: losses[:, -1] for name, losses in curves.items()}
    between = abs(float(ends["RMSNorm"].mean() - ends["LayerNorm"].mean()))
    within = max(float(np.ptp(losses)) for losses in ends.values())
    return figure.describe(
        f"After {x[-1]} steps RMSNorm has {ends['RMSNorm'].mean():.2f} and LayerNorm {ends['LayerNorm'].mean():.2f} "
        f"nats per character, {between:.2f} apart; seeds of one and the same norm are up to {within:.2f} apart.")
