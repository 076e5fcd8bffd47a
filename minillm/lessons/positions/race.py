"""Train one tiny model under every position scheme, several seeds at once, and read it far beyond its length.

The seeds of a scheme are stacked: one more axis in front of each weight, over which `vmap` runs the library's own
Transformer.  So three runs cost little more than one, and every picture has its band.
"""
from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from minillm.config import ModelConfig, RopeScaling
from minillm.layers import RoPE
from minillm.model import Transformer
from minillm.notebook.threads import one_thread

TRAINED, FAR, SYMBOLS, VOWELS, BACK = 16, 64, 16, 4, 3   # positions trained on and read; ids; the first of them; copied
SEEDS, STEPS, ROWS, RATE, WARMUP = 3, 250, 16, 5e-3, 20  # rows of a batch, for each seed
SCHEMES = {"learned": dict(position="learned"), "sinusoidal": dict(position="sinusoidal", embed_scale=True),
           "RoPE": dict(position="rope"), "ALiBi": dict(position="alibi"), "none": dict(position="none")}


def three_back(tokens: Tensor) -> Tensor:
    """What stood exactly three places before; -100 where nothing did."""
    return torch.cat([torch.full_like(tokens[:, :BACK], -100), tokens[:, :-BACK]], dim=1)


def last_vowel(tokens: Tensor) -> Tensor:
    """The latest of the ids 0 to 3, asked at all other ids; -100 at these four themselves, and before the first."""
    latest = torch.where(tokens < VOWELS, torch.arange(tokens.shape[1]), -1).cummax(dim=1).values
    return torch.where((tokens >= VOWELS) & (latest >= 0), tokens.gather(1, latest.clamp(min=0)), -100)


TASKS: dict[str, Callable[[Tensor], Tensor]] = {"three back": three_back, "last vowel": last_vowel}


@dataclass(frozen=True)
class Runs:
    """Some seeds of one scheme after training: `weights` have the axis of seeds in front, `buffers` have not."""
    model: Transformer
    weights: dict[str, Tensor]
    buffers: dict[str, Tensor]

    def losses(self, tokens: Tensor, targets: Tensor) -> np.ndarray:
        """Mean surprise in nats, (seed, position); NaN where no row asks anything."""
        def of_one(weights: dict[str, Tensor]) -> Tensor:
            logits = functional_call(self.model, (weights, self.buffers), (tokens,))
            surprise = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
            return surprise.sum(0) / (targets != -100).sum(0)
        with torch.no_grad(), one_thread():
            return vmap(of_one)(self.weights).numpy()

    def stretched(self, kind: str, factor: float, *, turns: float = 2.0) -> Runs:
        """The same weights with RoPE slowed down by `factor`, without further training.

        llama3 and yarn leave pairs alone that made at least so many `turns` within the trained length, and slow
        those down wholly that made half of it or less.
        """
        knee = {} if kind == "linear" else dict(low_freq=turns / 2, high_freq=turns, original_context=TRAINED)
        scaling = RopeScaling(kind=kind, factor=factor, **knee)
        model = Transformer(replace(self.model.config, rope_scaling=scaling)).fuse(False)
        return Runs(model, self.weights, dict(model.named_buffers()))

    def clamped(self) -> Runs:
        """The mistake of a table that is too short: every later position gets the angles of the last trained one."""
        model = Transformer(self.model.config).fuse(False)
        for rope in (part for part in model.modules() if isinstance(part, RoPE)):
            rope.register_forward_pre_hook(lambda rope, given: (given[0], given[1].clamp(max=TRAINED - 1)))
        return Runs(model, self.weights, self.buffers)

    def one(self, seed: int) -> Transformer:
        """The model of one seed, by itself."""
        model = Transformer(self.model.config)
        model.load_state_dict({name: weight[seed] for name, weight in self.weights.items()})
        return model.eval()


def train(config: ModelConfig, task: Callable[[Tensor], Tensor], *, length: int = TRAINED, seeds: int = SEEDS,
          steps: int = STEPS) -> Runs:
    """Train `seeds` models side by side, each from its own start, on its own rows of random ids."""
    models = []
    with torch.random.fork_rng(devices=[]):
        for seed in range(seeds):
            torch.manual_seed(seed)
            models.append(Transformer(config).fuse(False))
    model, (weights, _) = models[0], stack_module_state(models)
    weights = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    buffers, generator = dict(model.named_buffers()), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(weights.values(), betas=(0.9, 0.95), weight_decay=0.0, fused=True)

    def loss(weights: dict[str, Tensor], tokens: Tensor, targets: Tensor) -> Tensor:
        logits = functional_call(model, (weights, buffers), (tokens,))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    with one_thread(), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # vmap has no batching rule for some small operation, and says so
        for step in range(steps):
            tokens = torch.randint(0, SYMBOLS, (seeds * ROWS, length), generator=generator)
            rows = [each.view(seeds, ROWS, length) for each in (tokens, task(tokens))]
            optimizer.param_groups[0]["lr"] = RATE * rate(step, steps)
            vmap(loss)(weights, *rows).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    return Runs(model, {name: weight.detach() for name, weight in weights.items()}, buffers)


def rate(step: int, steps: int) -> float:
    """Share of the highest learning rate: up in `WARMUP` steps, then down a cosine to a tenth."""
    return min(1.0, (step + 1) / WARMUP) * (0.55 + 0.45 * math.cos(math.pi * step / steps))


def tiny(**choices) -> ModelConfig:
    """Two layers of width 32 with two heads, like GPT-2 but for the choices."""
    return ModelConfig(**{**dict(vocab_size=SYMBOLS, d_model=32, n_layers=2, n_heads=2, context_length=FAR,
                                 norm="layernorm", mlp="gelu", tie_embeddings=False), **choices})


@cache
def raced(task: str) -> dict[str, Runs]:
    """Every scheme, trained on a task: about 2 s each."""
    return {name: train(tiny(**choices), TASKS[task]) for name, choices in SCHEMES.items()}


@cache
def questions(task: str, rows: int = 100) -> tuple[Tensor, Tensor]:
    """Rows of the whole length that no run has seen, and what is asked of them."""
    tokens = torch.randint(0, SYMBOLS, (rows, FAR), generator=torch.Generator().manual_seed(1))
    return tokens, TASKS[task](tokens)


def losses(task: str, runs: Runs) -> np.ndarray:
    """Loss by position of some runs on unseen rows of a task, (seed, position)."""
    return runs.losses(*questions(task))
