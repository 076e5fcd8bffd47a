"""Measure a block: how large the stream grows, who sees whom, which experts are busy."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minillm import corpora
from minillm.config import ModelConfig
from minillm.data import batches
from minillm.inspection import capture
from minillm.layers.moe import balance_loss, nudge
from minillm.layers.norm import RMSNorm
from minillm.model import Transformer
from minillm.optim import adamw, warmup_cosine
from minillm.tokenizers import CharTokenizer
from minillm.training import next_token_loss, train

WORDS = "the old baker gave the small girl a warm loaf of bread".split()
READ, HELD_OUT = 150_000, 3_000          # characters to learn from, and to be judged by
STARTS = {"1/√(2L)": "scaled", "like the others": "none", "zero": "zero"}
ORDERS = {"pre": "pre", "post (2017)": "post", "output (OLMo 2)": "output", "sandwich (Gemma 2)": "sandwich",
          "parallel": "parallel"}


@dataclass(frozen=True)
class Text:
    """Characters of the stories as numbers: a part to learn from, a part that no run has seen."""
    tokenizer: CharTokenizer
    ids: Tensor
    held_out: Tensor


@cache
def text() -> Text:
    """What every run of this notebook reads."""
    words = corpora.load("stories").text[:READ + HELD_OUT]
    tokenizer = CharTokenizer.train([words])
    ids = torch.tensor(tokenizer.encode(words))
    return Text(tokenizer, ids[:READ], ids[READ:])


def start_as(model: Transformer, start: str, *, seed: int = 0) -> Transformer:
    """Draw every matrix so that it keeps the size of what it reads, and what writes to the stream as `start` says.

    "none": o_proj and down_proj like the others, N(0, 1/width).  "scaled": times 1/√(2L), for L layers with two
    writers each (Radford et al. 2019).  "zero": they begin by writing nothing.  Embeddings have size 1, so that the
    stream does; the library's own start is 50 times smaller, with the same proportions.
    """
    random, c = torch.Generator().manual_seed(seed), model.config
    factor = {"none": 1.0, "scaled": (2 * c.n_layers) ** -0.5, "zero": 0.0}[start]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("proj.weight"):
                weight.normal_(generator=random).mul_(weight.shape[1] ** -0.5)
                weight.mul_(factor if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0)
        model.embed.weight.normal_(generator=random)
        model.unembed.weight.normal_(generator=random).mul_(0.5 * c.d_model ** -0.5)
    return model


def rms(x: Tensor) -> float:
    """Root mean square of all numbers in it."""
    return float(x.detach().float().square().mean().sqrt())


@dataclass(frozen=True)
class Sizes:
    """After the embedding and after each layer: the size of the stream, and of the loss's gradient there."""
    stream: list[float]
    gradient: list[float]
    loss: float


def layer_sizes(model: Transformer, inputs: Tensor, targets: Tensor) -> Sizes:
    """One forward and one backward pass, looked at where the layers meet.  Weights and their gradients stay."""
    names = ["dropout", *(f"blocks.{i}" for i in range(model.config.n_layers))]
    with capture(model, *names) as seen:
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    streams = [seen[name] for name in names]
    gradients = torch.autograd.grad(loss, streams)
    return Sizes(list(map(rms, streams)), list(map(rms, gradients)), float(loss.detach()))


def deep(order: str, start: str, n_layers: int, *, residual: str = "plain", d_model: int = 32, seed: int = 0
         ) -> Transformer:
    """A narrow model of so many layers, started as asked."""
    config = ModelConfig(vocab_size=text().tokenizer.vocab_size, d_model=d_model, n_layers=n_layers, n_heads=2,
                         context_length=32, norm_order=order, residual=residual, mlp="gelu", tie_embeddings=False)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return start_as(Transformer(config), start, seed=seed)


def window(size: int = 6, context: int = 32) -> tuple[Tensor, Tensor]:
    """The first rows of the text, and what comes next at each place."""
    rows = text().ids[:size * context + 1]
    return rows[:-1].reshape(size, context), rows[1:].reshape(size, context)


def sizes_at_start(order: str, start: str, n_layers: int = 12, *, seeds: int = 3) -> list[Sizes]:
    """The same for several draws of the weights."""
    return [layer_sizes(deep(order, start, n_layers, seed=seed), *window()) for seed in range(seeds)]


def streams(order: str, start: str, n_layers: int = 8, *, seed: int = 0) -> list[np.ndarray]:
    """All numbers of the stream after the embedding and after each layer, before training."""
    model = deep(order, start, n_layers, seed=seed)
    with torch.no_grad(), capture(model, "dropout", "blocks.*") as seen:
        model(window()[0])
    return [x.flatten().numpy() for x in seen.values()]


# -- who sees whom ---------------------------------------------------------------------------------------------------

class NormOverSequence(nn.Module):
    """The mistake: every channel is divided by its size over all positions."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.square().mean(-2, keepdim=True).add(1e-5).sqrt()


def parts(d_model: int = 16, seed: int = 0) -> dict[str, nn.Module]:
    """What a block is made of, at a size for looking, and one part that is made wrongly."""
    config = ModelConfig(vocab_size=8, d_model=d_model, n_layers=1, n_heads=2, context_length=64)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        block = start_as(Transformer(config), "none", seed=seed).blocks[0]
    return {"the norm": RMSNorm(d_model), "the MLP": block.mlp, "attention": block.attention,
            "a whole block": block, "a norm along the wrong axis": NormOverSequence()}


def moved_by(part: nn.Module, changed: int, *, n: int = len(WORDS), d_model: int = 16, seed: int = 1) -> list[float]:
    """How far each position's output moves when the vector of one position is drawn anew; 0 means: not at all."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(1, n, d_model, generator=random)
    other = x.clone()
    other[0, changed] = torch.randn(d_model, generator=random)
    with torch.no_grad():
        return (part(other) - part(x))[0].norm(dim=-1).tolist()


# -- experts ---------------------------------------------------------------------------------------------------------

def favourites(strength: float, *, n_experts: int = 8, n_tokens: int = 512, seed: int = 0) -> Tensor:
    """Router scores of many tokens: noise of size 1, and `strength` more for the first experts than for the last."""
    noise = torch.randn(n_tokens, n_experts, generator=torch.Generator().manual_seed(seed))
    return noise + strength * torch.linspace(1, -1, n_experts)


def expert_loads(scores: Tensor, experts_per_token: int) -> tuple[Tensor, Tensor]:
    """The share of assignments that each expert gets, and its mean probability."""
    p = scores.softmax(-1)
    chosen = F.one_hot(p.topk(experts_per_token, -1).indices, p.shape[-1]).float()
    return chosen.mean((0, 1)), p.mean(0)


def balance_four_ways(scores: Tensor, experts_per_token: int) -> dict[str, float]:
    """The balance loss, and what four known mistakes make of it."""
    n, p = scores.shape[-1], scores.softmax(-1)
    chosen = F.one_hot(p.topk(experts_per_token, -1).indices, n).float().sum(1)
    asked = chosen.sum(0)
    share = asked / asked.sum()
    over_chosen = (p * chosen).sum(0) / asked.clamp(min=1)
    return {"right": float(balance_loss(scores, experts_per_token)),
            "mean probability over the choosers": float(n * (share * over_chosen).sum()),
            "shares that sum to k": float(n * (chosen.mean(0) * p.mean(0)).sum()),
            "softmax twice": float(balance_loss(p, experts_per_token)),
            "all layers as one": float(balance_loss(torch.cat([scores, scores.flip(-1)]), experts_per_token))}


@dataclass(frozen=True)
class Routed:
    """One step of a mixture's training: its loss, and how busy each expert of the last layer was."""
    loss: float
    shares: list[float]


def mixture(cure: str, *, n_experts: int = 8, seed: int = 0, n_steps: int = 150) -> Iterator[Routed]:
    """Train a small mixture, one expert per token: with nothing, with the balance loss, or with the nudged bias."""
    config = ModelConfig(vocab_size=text().tokenizer.vocab_size, d_model=48, n_layers=2, n_heads=4, context_length=32,
                         n_experts=n_experts, experts_per_token=1, normalize_experts=False, d_expert=32,
                         **CURES[cure])
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Transformer(config)
    routers = [f"blocks.{i}.mlp.router" for i in range(config.n_layers)]
    rows = batches(text().ids, batch_size=16, context_length=32, seed=seed)
    with capture(model, *routers) as seen:
        def loss(logits: Tensor, targets: Tensor) -> Tensor:
            uneven = sum(balance_loss(seen[name], 1) for name in routers) if cure == "balance loss" else 0.0
            return next_token_loss(logits, targets) + 0.01 * uneven

        for step in train(model, rows, optimizer=adamw(model, lr=1e-2), schedule=warmup_cosine(n_steps, warmup=20),
                          n_steps=n_steps, precision="fp32", seed=seed, loss=loss):
            last, scores = model.blocks[-1].mlp, seen[routers[-1]].detach().flatten(0, -2).float()
            shares = F.one_hot(last.route(scores)[1], n_experts).float().mean((0, 1))
            if cure == "nudged bias":
                for block, name in zip(model.blocks, routers, strict=True):
                    nudge(block.mlp, seen[name], rate=NUDGE)
            yield Routed(step.loss, shares.tolist())


NUDGE = 0.02         # large, so that it shows within a hundred steps; 0.001 is usual for long runs
CURES: dict[str, dict] = {"nothing": {}, "balance loss": {},
                          "nudged bias": {"router": "sigmoid", "balance_bias": True}}
