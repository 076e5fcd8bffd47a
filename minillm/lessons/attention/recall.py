"""Race layers with and without a softmax at recalling what was told once; `python -m` this file computes it anew.

Fourteen pairs of a key and a value (or three) are told, one in each place; then each key is asked for.
"""
from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minillm.config import ModelConfig
from minillm.layers import RMSNorm
from minillm.lessons.attention.races import Points, race
from minillm.model import Transformer
from minillm.notebook import plots
from minillm.notebook.statistics import bands

PAIRS, KEYS, VALUES, WIDTH, N_STEPS, EVERY, SEEDS = 14, 16, 16, 32, 300, 30, (0, 1, 2, 3, 4)
HYBRID = {"linear_attention": "delta", "full_every": 4}
VARIANTS = {"four softmax layers": {}, "four linear layers": {"linear_attention": "sum"},
            "four delta layers": {"linear_attention": "delta"},
            "softmax first, three delta": HYBRID | {"full_first": True}, "three delta, softmax last": HYBRID,
            "four delta layers, three pairs": {"linear_attention": "delta"}}


class StackedNorm(RMSNorm):
    """The same by PyTorch's own function, which can run for many models at once."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


class Recaller(nn.Module):
    """Blocks of one head of width 4 that read the sum of a key's vector and a value's."""

    def __init__(self, variant: str):
        super().__init__()
        model = Transformer(config(variant)).fuse(False)
        for part in model.modules():
            if type(part) is RMSNorm:
                part.__class__ = StackedNorm
        self.blocks, self.norm, self.unembed = model.blocks, model.norm, model.unembed
        self.keys, self.values = nn.Embedding(KEYS, WIDTH), nn.Embedding(VALUES + 1, WIDTH)
        for each in (self.keys, self.values):
            nn.init.normal_(each.weight, std=0.3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.keys(tokens[..., 0]) + self.values(tokens[..., 1])
        for block in self.blocks:
            x = block(x)
        return self.unembed(self.norm(x))


def config(variant: str) -> ModelConfig:
    """The configuration of one of VARIANTS: they differ in these fields alone."""
    return ModelConfig(vocab_size=VALUES, d_model=WIDTH, n_layers=4, n_heads=1, d_head=4, context_length=2 * PAIRS,
                       position="none", norm="layernorm", **VARIANTS[variant])


def told_and_asked(draw: torch.Generator, *, pairs: int = PAIRS, batch: int = 16) -> tuple[Tensor, Tensor]:
    """(key, value) so many times, then the keys in another order, each with the value that means “which?”."""
    keys = torch.rand(batch, KEYS, generator=draw).argsort(1)[:, :pairs]
    values = torch.randint(VALUES, (batch, pairs), generator=draw)
    order = torch.rand(batch, pairs, generator=draw).argsort(1)
    told = torch.stack([keys, values], -1)
    asked = torch.stack([keys.gather(1, order), torch.full_like(keys, VALUES)], -1)
    return torch.cat([told, asked], 1), torch.cat([torch.full_like(keys, -100), values.gather(1, order)], 1)


def learn(variant: str, *, seeds: tuple[int, ...] = SEEDS, n_steps: int = N_STEPS):
    """Train one variant: (steps done, losses, shares right), of each seed, every 30 steps."""
    pairs = 3 if "three pairs" in variant else PAIRS
    return race(lambda: Recaller(variant), lambda draw: told_and_asked(draw, pairs=pairs), seeds=seeds,
                n_steps=n_steps, every=EVERY)


def percent(points: Points) -> list[list[int]]:
    """Whole percents right, a row per seed."""
    return np.rint(100 * np.array([right for *_, right in points])).astype(int).T.tolist()


def recall_picture() -> plots.Picture:
    """The points below: share right by step, from the worst seed to the best."""
    figure = plots.picture(height=330, title="Fourteen pairs, told once: who remembers?")
    ax = plots.axes(figure, xlabel="step", ylabel="values recalled (%)", right=228)
    ax.set_ylim(-2, 104)
    bands(ax, {name: np.array(rows) for name, rows in RIGHT.items()}, range(0, N_STEPS + 1, EVERY))
    ax.legend(frameon=False, fontsize=9, labelcolor=plots.INK, loc="center left", bbox_to_anchor=(1.01, 0.5))
    ends = {name: [row[-1] for row in rows] for name, rows in RIGHT.items()}
    told = "; ".join(f"{name} {min(end)} to {max(end)}%" for name, end in ends.items())
    return figure.describe(f"Values recalled after {N_STEPS} steps, over {len(SEEDS)} seeds: {told}.")


# Written by `python -m minillm.lessons.attention.recall`: percent right every 30 steps, a row per seed.
RIGHT: dict[str, list[list[int]]] = {
    "four softmax layers": [
        [2, 9, 44, 100, 100, 100, 100, 100, 100, 100, 100],
        [6, 15, 75, 100, 100, 100, 100, 100, 100, 100, 100],
        [8, 11, 51, 100, 100, 100, 100, 100, 100, 100, 100],
        [9, 12, 29, 91, 100, 100, 100, 100, 100, 100, 100],
        [4, 11, 79, 100, 100, 100, 100, 100, 100, 100, 100]],
    "four linear layers": [
        [2, 13, 11, 17, 26, 28, 34, 40, 40, 39, 46],
        [6, 8, 10, 15, 23, 32, 35, 41, 41, 49, 53],
        [7, 11, 15, 23, 29, 26, 33, 37, 37, 41, 42],
        [9, 13, 17, 22, 33, 31, 30, 41, 38, 42, 37],
        [5, 11, 17, 28, 34, 36, 48, 48, 60, 46, 56]],
    "four delta layers": [
        [6, 11, 12, 19, 33, 39, 36, 36, 39, 42, 48],
        [5, 8, 8, 12, 17, 20, 19, 25, 27, 29, 33],
        [4, 10, 15, 19, 25, 32, 38, 42, 47, 43, 47],
        [5, 9, 12, 16, 14, 21, 27, 28, 32, 34, 36],
        [7, 9, 13, 33, 28, 32, 32, 30, 33, 30, 30]],
    "softmax first, three delta": [
        [4, 7, 12, 60, 100, 100, 100, 100, 100, 100, 100],
        [4, 8, 19, 62, 94, 100, 100, 100, 100, 100, 100],
        [5, 10, 12, 72, 100, 100, 100, 100, 100, 100, 100],
        [8, 11, 32, 95, 100, 100, 100, 100, 100, 100, 100],
        [8, 9, 49, 94, 96, 100, 100, 100, 100, 100, 100]],
    "three delta, softmax last": [
        [4, 10, 12, 25, 95, 100, 100, 100, 100, 100, 100],
        [4, 6, 17, 96, 100, 100, 100, 100, 100, 100, 100],
        [5, 10, 25, 100, 100, 100, 100, 100, 100, 100, 100],
        [8, 9, 23, 96, 100, 100, 100, 100, 100, 100, 100],
        [8, 13, 11, 20, 54, 99, 100, 100, 100, 100, 100]],
    "four delta layers, three pairs": [
        [8, 15, 35, 48, 54, 67, 79, 83, 77, 79, 85],
        [2, 23, 33, 50, 71, 79, 81, 88, 94, 94, 90],
        [10, 17, 35, 48, 67, 69, 79, 92, 90, 77, 88],
        [6, 17, 19, 27, 19, 46, 83, 90, 85, 79, 88],
        [4, 19, 27, 46, 67, 69, 88, 96, 79, 92, 92]],
}

if __name__ == "__main__":
    for name in VARIANTS:
        rows = ",\n        ".join(map(str, percent(list(learn(name)))))
        print(f'    "{name}": [\n        {rows}],', flush=True)
