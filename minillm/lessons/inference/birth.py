"""Train two layers of attention on lists that are read twice, and watch the head that copies come into being.

`python -m minillm.lessons.inference.birth` trains every variant with three seeds anew and writes birth.json.
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from minillm.config import ModelConfig
from minillm.inspection import capture, intervene, token_losses
from minillm.model import Transformer
from minillm.notebook.threads import one_thread
from minillm.optim import adamw, constant
from minillm.training import train

IDS, ROW, SHORTEST, LONGEST, BATCH, STEPS, EVERY, SEEDS = 32, 64, 8, 32, 32, 300, 10, (0, 1, 2)
CURVES = Path(__file__).with_name("birth.json")


@dataclass(frozen=True)
class Variant:
    """What is done otherwise than in the first: fields of the configuration, the period of all rows, the rate."""
    config: dict = field(default_factory=dict)
    period: int | None = None
    lr: float = 6e-3


VARIANTS = {
    "periods differ from row to row": Variant(),
    "one period, 16, for all rows": Variant(period=16),
    "one layer": Variant({"n_layers": 1}),
    "learned positions": Variant({"position": "learned"}),
    "learning rate 5 times as high": Variant(lr=3e-2),
}


class Silence(nn.Module):
    """In an MLP's place: adds nothing to the stream."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def attention_only(seed: int = 0, **fields) -> Transformer:
    """Two layers of four heads and no MLPs; matrices keep the size of what they read, embeddings have size 1."""
    config = ModelConfig(**{"vocab_size": IDS, "d_model": 64, "n_layers": 2, "n_heads": 4, "context_length": ROW,
                            "position": "rope", "d_ff": 8, "tie_embeddings": False, **fields})
    random = torch.Generator().manual_seed(seed)
    model = Transformer(config).fuse(False)
    for block in model.blocks:
        block.mlp, block.mlp_norm = Silence(), nn.Identity()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("proj.weight") or name == "unembed.weight":
                weight.normal_(std=config.d_model ** -0.5, generator=random)
        for name in ("embed.weight", "position.weight"):
            if (weight := dict(model.named_parameters()).get(name)) is not None:
                weight.normal_(generator=random)
    return model


def rows(random: torch.Generator, n_rows: int, period: int | None = None) -> tuple[Tensor, Tensor]:
    """Random ids that repeat after `period` places (None: one for each row, 8 to 32): ids (row, 65), periods (row,)."""
    periods = torch.full((n_rows,), period) if period else torch.randint(
        SHORTEST, LONGEST + 1, (n_rows,), generator=random)
    ids = torch.randint(IDS, (n_rows, LONGEST), generator=random)
    return ids.gather(1, torch.arange(ROW + 1)[None] % periods[:, None]), periods


@dataclass(frozen=True)
class Moment:
    """What a model does at one step, on rows whose periods differ: losses in nats, scores of each head."""
    step: int
    first: float                      # loss where nothing is repeated yet
    repeated: float                   # loss where everything is
    previous: list[list[float]]       # (layer, head): attention to the place before
    induction: list[list[float]]      # (layer, head): attention to what came after the same id
    other: float = 0.0                # loss where everything repeats, on rows of other periods than its own


@torch.no_grad()
def look(model: nn.Module, step: int, ids: Tensor, periods: Tensor) -> Moment:
    """Losses and scores on these rows."""
    with capture(model, "blocks.*.attention.pattern") as seen:
        losses = token_losses(model, ids)
    again = torch.arange(1, ids.shape[1]) >= periods[:, None]          # the target has been read one period before
    patterns = torch.stack([*seen.values()])                           # layer row head query key
    query = torch.arange(patterns.shape[-1])
    found = torch.stack([pattern[..., query[n:], query[n:] - n + 1].mean(-1)
                         for pattern, n in zip(patterns.unbind(1), periods.tolist(), strict=True)])
    previous = patterns[..., query[1:], query[1:] - 1].mean((1, 3))
    return Moment(step, float(losses[~again].mean()), float(losses[again].mean()), previous.tolist(),
                  found.mean(0).tolist())


class Run:
    """One model as it learns; `moments` looks at it every `every` steps, always on the same fresh rows."""

    def __init__(self, variant: str, seed: int = 0):
        asked = VARIANTS[variant]
        self.model = attention_only(seed, **asked.config)
        random = torch.Generator().manual_seed(1000 + seed)
        batches = iter(lambda: rows(random, BATCH, asked.period)[0].unfold(1, ROW, 1).unbind(1), None)
        optimizer = adamw(self.model, lr=asked.lr, weight_decay=0.0)
        self.steps = train(self.model, batches, optimizer=optimizer, schedule=constant(warmup=10), precision="fp32")
        self.judged = rows(torch.Generator().manual_seed(7), 32, asked.period)
        self.others = rows(torch.Generator().manual_seed(8), 32) if asked.period else self.judged

    def look(self, step: int) -> Moment:
        """The model as it is now, on rows that it will never learn from."""
        found = look(self.model, step, *self.judged)
        elsewhere = found if self.others is self.judged else look(self.model, step, *self.others)
        return replace(found, other=elsewhere.repeated)

    def moments(self, *, every: int = EVERY) -> Iterator[Moment | None]:
        """One for every step, None where nobody looks; the first is before any step."""
        step = 0
        while True:
            with one_thread():
                yield self.look(step) if step % every == 0 else None
                next(self.steps)
            step += 1


def without_heads(model: nn.Module, layer: int, heads: list[int], ids: Tensor, periods: Tensor) -> Moment:
    """A look at the model while these heads of a layer see nothing."""
    kept = torch.ones(model.config.n_heads, 1, 1)
    kept[heads] = 0.0
    with intervene(model, {f"blocks.{layer}.attention.pattern": lambda pattern: pattern * kept}):
        return look(model, 0, ids, periods)


@cache
def shipped_births() -> dict[str, dict[str, list[list[float]]]]:
    """Variant -> curve -> a row per seed, every 10 steps: three losses, and the best scores of both kinds of heads."""
    return json.loads(CURVES.read_text(encoding="utf-8"))


def curves(variant: str, seed: int) -> dict[str, list[float]]:
    """The same for one seed, computed."""
    made: dict[str, list[float]] = {
        "first": [], "repeated": [], "other": [], "previous": [], "induction": []}
    run = Run(variant, seed)
    for step, moment in enumerate(run.moments()):
        if moment is not None:
            for name in ("first", "repeated", "other"):
                made[name].append(round(getattr(moment, name), 3))
            for name in ("previous", "induction"):
                made[name].append(round(max(map(max, getattr(moment, name))), 3))
        if step == STEPS:
            return made
    raise AssertionError("moments never end")


if __name__ == "__main__":
    written: dict[str, dict[str, list[list[float]]]] = {}
    for name in VARIANTS:
        every = [curves(name, seed) for seed in SEEDS]
        written[name] = {curve: [each[curve] for each in every] for curve in every[0]}
        print(name, {curve: [row[-1] for row in rows] for curve, rows in written[name].items()}, flush=True)
        CURVES.write_text(json.dumps(written, separators=(",", ":")) + "\n", encoding="utf-8")
