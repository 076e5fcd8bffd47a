"""Race parts of a block against each other: the curves of five seeds ship, and one more run is live.

``python -m minillm.lessons.block.races`` trains all of them again (about ten minutes on one core) and rewrites
races.json.  Every run: 2 layers (6 in "what breaks"), d_model 32, rows of 32 characters, 12 a step, AdamW.
"""
from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from minillm.config import ModelConfig
from minillm.data import batches
from minillm.lessons.block.measures import start_as, text
from minillm.model import Transformer
from minillm.optim import adamw, warmup_cosine
from minillm.training import evaluate, train

FILE = Path(__file__).with_name("races.json")
SEEDS, EVERY, ROWS, CONTEXT = range(5), 20, 12, 32


@dataclass(frozen=True)
class Runner:
    """One of those who race: what differs from the others, and what is done to the model once it is built."""
    changes: dict[str, Any] = field(default_factory=dict)
    after: Callable[[Transformer], Any] = lambda model: None


@dataclass(frozen=True)
class Comparison:
    """Who races, under which conditions."""
    runners: dict[str, Runner]
    n_layers: int = 2
    lr: float = 5e-3
    warmup: int = 20
    n_steps: int = 300


class Alone(nn.Module):
    """A block without its residual stream: each part's output replaces what it read."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.attention, self.mlp = block.attention, block.mlp
        self.attention_norm, self.mlp_norm = block.attention_norm, block.mlp_norm

    def forward(self, x, cache=None):
        return self.mlp(self.mlp_norm(self.attention(self.attention_norm(x), cache)))


def without_residual(model: Transformer) -> None:
    for i, block in enumerate(model.blocks):
        model.blocks[i] = Alone(block)


def without_norms(model: Transformer) -> None:
    for block in model.blocks:
        block.attention_norm = block.mlp_norm = nn.Identity()
    model.norm = nn.Identity()


BREAKS = "what breaks, 6 layers, no warm-up"
COMPARISONS = {
    "MLP, equal parameters": Comparison({
        "ReLU": Runner({"mlp": "relu"}), "GELU": Runner({"mlp": "gelu"}), "ReLU²": Runner({"mlp": "relu2"}),
        "SwiGLU": Runner({"mlp": "swiglu"})}),
    "MLP, equal width (unfair)": Comparison({"GELU": Runner({"mlp": "gelu", "d_ff": 128}),
                                             "SwiGLU, half as many again": Runner({"mlp": "swiglu", "d_ff": 128})}),
    "norm": Comparison({"RMSNorm": Runner({"norm": "rmsnorm"}), "LayerNorm": Runner({"norm": "layernorm"})}),
    "residual stream, 6 layers": Comparison({
        "plain": Runner(), "x0, the first stream again": Runner({"residual": "x0"})}, n_layers=6, n_steps=160),
    BREAKS: Comparison({
        "pre-norm": Runner(), "post-norm": Runner({"norm_order": "post"}), "no residual": Runner({}, without_residual),
        "no norm": Runner({}, without_norms),
        "no small start": Runner({}, lambda model: start_as(model, "none"))},
        n_layers=6, warmup=0, n_steps=160),
}


def model_of(comparison: str, name: str, seed: int) -> Transformer:
    """The model of one runner before its first step."""
    asked = COMPARISONS[comparison]
    values = {"mlp": "gelu", **asked.runners[name].changes}
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Transformer(ModelConfig(vocab_size=text().tokenizer.vocab_size, d_model=32, n_heads=2,
                                        n_layers=asked.n_layers, context_length=CONTEXT, **values))
    asked.runners[name].after(model)
    return model


def race_of(comparison: str, name: str, seed: int) -> Iterator[tuple[int, float]]:
    """(steps done, nats per character on the held-out text), before training and every so many steps."""
    asked, model = COMPARISONS[comparison], model_of(comparison, name, seed)
    yield 0, evaluate(model, text().held_out, context_length=CONTEXT)
    rows = batches(text().ids, batch_size=ROWS, context_length=CONTEXT, seed=seed)
    for step in train(model, rows, optimizer=adamw(model, lr=asked.lr), n_steps=asked.n_steps, seed=seed,
                      schedule=warmup_cosine(asked.n_steps, warmup=asked.warmup, floor=0.1), precision="fp32"):
        done = step.step + 1
        yield done, evaluate(model, text().held_out, context_length=CONTEXT) if done % EVERY == 0 else math.nan


@cache
def shipped_curves() -> dict[str, dict[str, np.ndarray]]:
    """comparison -> runner -> held-out loss, (seed, every 20th step)."""
    stored = json.loads(FILE.read_text("utf-8"))
    return {comparison: {name: np.array(curves) for name, curves in runners.items()}
            for comparison, runners in stored.items()}


def letter_entropy() -> float:
    """Nats per character for one who knows how often each character occurs, and nothing else."""
    counts = np.bincount(text().ids.numpy(), minlength=text().tokenizer.vocab_size) + 0.5
    return float(-np.log(counts / counts.sum())[text().held_out[1:].numpy()].mean())


def main() -> None:
    stored: dict[str, dict[str, list]] = {}
    for comparison, asked in COMPARISONS.items():
        for name in asked.runners:
            curves = [[round(loss, 4) for _, loss in race_of(comparison, name, seed) if not math.isnan(loss)]
                      for seed in SEEDS]
            stored.setdefault(comparison, {})[name] = curves
            print(f"{comparison}: {name}: {', '.join(f'{curve[-1]:.2f}' for curve in curves)}", flush=True)
    FILE.write_text(json.dumps(stored) + "\n", "utf-8")


if __name__ == "__main__":
    main()
