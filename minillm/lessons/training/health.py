"""Measure every part of a model in one step: how large its gradient is, how far it moves, how much of it is dead."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import FuncFormatter
from torch import Tensor, nn

from minillm.lessons.training.experiment import Run
from minillm.lessons.training.microscope import Glass
from minillm.notebook import plots
from minillm.notebook.plots import COLOURS, INK, MUTED, Picture
from minillm.notebook.threads import one_thread

DEAD = 1e-3         # of a layer's usual activation: a unit that gives less than this at every place has no say
USUAL = 1e-3        # a step that moves weights by about this share of their size; Karpathy's rule of thumb, cs231n
_KINDS = {"attention": COLOURS["attention"], "mlp": COLOURS["mlp"], "others": COLOURS["embedding"]}


@dataclass(frozen=True)
class Part:
    """One group of weights in one step."""
    name: str
    kind: str
    gradient: float      # its norm, after clipping
    moved: float         # size of the step / size of the weights


def parts(before: nn.Module, after: nn.Module) -> list[Part]:
    """The embedding, each block's attention and MLP, the read-out; `after` has made one step and kept its gradients.

    $$ \\mathrm{moved} = \\lVert \\Delta W \\rVert / \\lVert W \\rVert $$
    """
    groups: dict[tuple[str, str], list[tuple[Tensor, Tensor]]] = {}
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        if new.grad is None or old.ndim < 2:
            continue
        words = name.split(".")
        block = words[0] == "blocks" and words[2] in ("attention", "mlp")
        key = (f"{int(words[1]) + 1} {words[2]}", words[2]) if block else (words[0], "others")
        groups.setdefault(key, []).append((old, new))

    def size(tensors: list[Tensor]) -> float:
        return float(torch.stack([each.detach().float().norm() for each in tensors]).norm())
    return [Part(name, kind, size([new.grad for _, new in pairs]),
                 size([new - old for old, new in pairs]) / max(size([old for old, _ in pairs]), 1e-12))
            for (name, kind), pairs in groups.items()]


def dead_units(model: nn.Module, inputs: Tensor) -> list[float]:
    """The share of each MLP's hidden units that give less than `DEAD` of its usual activation at every place."""
    kept: dict[int, list[Tensor]] = {}
    hooks = []
    for name, module in model.named_modules():
        if name.endswith("down_proj") and name.startswith("blocks."):
            layer = int(name.split(".")[1])
            hooks.append(module.register_forward_pre_hook(
                lambda _, inside, layer=layer: kept.setdefault(layer, []).append(inside[0].detach().flatten(0, -2))))
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(inputs)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    found = []
    for layer in sorted(kept):
        shares = [(each.abs().amax(0) < DEAD * each.square().mean().sqrt()).float().mean() if len(each) else
                  torch.tensor(1.0) for each in kept[layer]]
        found.append(float(torch.stack(shares).mean()))
    return found


class Chart:
    """Three panels over the same parts: gradient, share that a step moves, dead units of each MLP."""

    def __init__(self):
        self.figure = plots.picture(height=300, title="Does every part learn?")
        grid = self.figure.add_gridspec(1, 3, width_ratios=[1, 1, 0.7], wspace=0.32)
        self.panels = [plots.axes(self.figure, grid[place], bottom=92, top=66) for place in range(3)]
        for ax, title in zip(self.panels, ("gradient norm, clipped", "one step / weights", "dead MLP units"),
                             strict=True):
            ax.set_title(title, fontsize=10, color=INK, loc="left")
        for ax in self.panels[:2]:
            ax.set_yscale("log")
        self.panels[2].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        self.dots: list[Any] = []

    def draw(self, found: list[Part], dead: list[float], label: str) -> Picture:
        """Dots above the names of the parts, in the colours of attention, MLP and the rest."""
        for artist in self.dots:
            artist.remove()
        self.dots = []
        places, colours = np.arange(len(found)), [_KINDS[part.kind] for part in found]
        for ax, values in zip(self.panels, ([part.gradient for part in found], [part.moved for part in found]),
                              strict=False):
            shown = np.maximum(values, 1e-9)
            self.dots.append(ax.scatter(places, shown, c=colours, s=42, zorder=3))
            ax.set_xticks(places, [part.name for part in found], rotation=60, ha="right", fontsize=9,
                          rotation_mode="anchor")
            ax.set(xlim=(-0.6, len(found) - 0.4), ylim=(shown.min() / 3, shown.max() * 3))
        low, high = self.panels[1].get_ylim()
        self.panels[1].set_ylim(min(low, USUAL / 3), max(high, USUAL * 3))
        self.dots.append(self.panels[1].axhline(USUAL, color=MUTED, linestyle="--", linewidth=1))
        self.dots.append(self.panels[2].bar(range(len(dead)), dead, color=COLOURS["mlp"]))
        self.panels[2].set_xticks(range(len(dead)), [f"{layer} mlp" for layer in range(1, len(dead) + 1)], rotation=60,
                                  ha="right", fontsize=9, rotation_mode="anchor")
        self.panels[2].set(ylim=(0, max(0.1, 1.15 * max(dead, default=0))), xlim=(-0.6, max(1, len(dead)) - 0.4))
        most, least = (pick(found, key=lambda part: part.moved) for pick in (max, min))
        weakest = min(found, key=lambda part: part.gradient)
        return self.figure.describe(
            f"{label}: one step moves {most.name} most, by {most.moved:.1e} of its weights, and {least.name} least, by "
            f"{least.moved:.1e} (usual: about {USUAL:g}); the smallest gradient has {weakest.name}, "
            f"{weakest.gradient:.1e}; dead MLP units: {', '.join(f'{share:.0%}' for share in dead) or 'no MLP'}.")


class Health(Glass):
    """What the next step does to every part of the model."""

    def __init__(self, models: Mapping[str, Callable[[], Run]]):
        self._chart = Chart()
        super().__init__("parts", models, {}, self._picture, rows=[["model", "follow", "refresh"]])

    def _picture(self, model: str, follow: bool) -> Picture:
        seen = self.step(model)
        with one_thread():
            dead = dead_units(seen["before"], seen["batch"][0])
        return self._chart.draw(parts(seen["before"], seen["after"]), dead,
                                f"{model[0].upper()}{model[1:]} model at step {seen['done']}"
                                if model.startswith("the lab") else "The storyteller")
