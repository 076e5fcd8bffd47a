"""Look at the singular values of a step, and race Muon against AdamW, both at the rate that suits them best."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from minillm.data import batches
from minillm.lessons.training.experiment import CONTEXT, known
from minillm.lessons.training.points import short
from minillm.model import Transformer
from minillm.optim import Muon, adamw, hidden_matrices, muon, warmup_cosine
from minillm.presets import PRESETS, scaled
from minillm.training import evaluate, train

SEEDS, N_STEPS, EVERY, ROWS, WARMUP = (0, 1, 2), 200, 20, 16, 20
RATES = {"AdamW": (5e-3, 1e-2, 2e-2), "Muon": (0.01, 0.02, 0.04, 0.08)}
ADAM_LR = 1e-2     # for what Muon leaves to Adam, in all its races


def nano(seed: int) -> Transformer:
    """LLaMA's choices at two layers of width 64, for the characters of the stories."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return Transformer(scaled(PRESETS["llama-7b"], "nano", vocab_size=known("stories").tokenizer.vocab_size))


class Recut(Muon):
    """Muon over other matrices than the model's: rows of several of its matrices joined, or one cut into heads."""

    def __init__(self, cuts: Sequence[tuple[Sequence[nn.Parameter], Sequence[int]]], rest: Sequence[nn.Parameter],
                 others: Sequence[nn.Parameter], *, lr: float):
        self.cuts = [(sources, list(sizes), [nn.Parameter(part.clone()) for part in
                                             torch.cat([*sources]).detach().split(list(sizes))])
                     for sources, sizes in cuts]
        super().__init__([*(part for *_, parts in self.cuts for part in parts), *rest], others, lr=lr,
                         adam_lr=ADAM_LR)

    @torch.no_grad()
    def step(self, closure=None):
        for sources, sizes, parts in self.cuts:
            for part, gradient in zip(parts, torch.cat([each.grad for each in sources]).split(sizes), strict=True):
                part.grad = gradient
        loss = super().step(closure)
        for sources, _, parts in self.cuts:
            for source, new in zip(sources, torch.cat(parts).split([len(each) for each in sources]), strict=True):
                source.copy_(new)
        return loss


def _recut(model: nn.Module, lr: float, *, heads: bool) -> Muon:
    """Queries, keys and values of each layer stacked, and cut into `heads`, or not at all."""
    cuts = []
    for attention in (block.attention for block in model.blocks):
        stacked = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
        rows, d_head = sum(map(len, stacked)), attention.d_head
        cuts.append((stacked, [d_head] * (rows // d_head) if heads else [rows]))
    taken = {id(weight) for sources, _ in cuts for weight in sources}
    matrices = hidden_matrices(model)
    return Recut(cuts, [p for p in matrices if id(p) not in taken], _others(model, matrices), lr=lr)


def _others(model: nn.Module, matrices: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    chosen = {id(p) for p in matrices}
    return [p for p in model.parameters() if id(p) not in chosen]


def _everything(model: nn.Module, lr: float) -> Muon:
    matrices = [p for p in model.parameters() if p.ndim == 2]
    return Muon(matrices, _others(model, matrices), lr=lr, adam_lr=ADAM_LR)


def _unscaled(model: nn.Module, lr: float) -> Muon:
    matrices = hidden_matrices(model)
    optimizer = Muon([p for p in matrices if len(p) <= p.shape[1]], _others(model, matrices), lr=lr, adam_lr=ADAM_LR)
    for tall in (p for p in matrices if len(p) > p.shape[1]):
        optimizer.add_param_group({**optimizer.param_groups[0], "params": [tall],
                                   "lr": lr / math.sqrt(len(tall) / tall.shape[1])})
    return optimizer


RULES: dict[str, Callable[[nn.Module, float], torch.optim.Optimizer]] = {
    "AdamW": lambda model, lr: adamw(model, lr=lr),
    "Muon": lambda model, lr: muon(model, lr=lr, adam_lr=ADAM_LR),
    "Muon, each head by itself": partial(_recut, heads=True),
    "mistake: embeddings and read-out, too": _everything,
    "mistake: q, k and v as one matrix": partial(_recut, heads=False),
    "mistake: no scale for tall matrices": _unscaled,
}


@dataclass(frozen=True)
class Mark:
    """One step of a race: the loss before it, and now and then the held-out loss after it and the CPU's seconds."""
    loss: float
    held_out: float | None
    seconds: float


def race(rule: str, lr: float, seed: int, n_steps: int = N_STEPS) -> Iterator[Mark]:
    """One run on the stories; all runs of a seed begin with the same weights and read the same batches."""
    model, text, spent = nano(seed), known("stories"), 0.0
    steps = train(model, batches(text.ids, batch_size=ROWS, context_length=CONTEXT, seed=seed),
                  optimizer=RULES[rule](model, lr), schedule=warmup_cosine(n_steps, warmup=WARMUP), n_steps=n_steps,
                  precision="fp32")
    while True:
        began = time.thread_time()
        step = next(steps, None)
        if step is None:
            return
        spent += time.thread_time() - began
        looks = (step.step + 1) % EVERY == 0
        held_out = evaluate(model, text.validation, context_length=CONTEXT) if looks else None
        yield Mark(step.loss, held_out, spent)


def measured() -> dict[str, dict]:
    """Rule, rate -> held-out losses (seed, every 20 steps), the last ten losses' mean per seed, CPU ms per step."""
    found: dict[str, dict] = {}
    for rule in RULES:
        for lr in RATES.get(rule, (0.04,)):
            runs = [list(race(rule, lr, seed)) for seed in SEEDS]
            found[f"{rule}, {lr:g}"] = {
                "held_out": [short(each.held_out for each in run if each.held_out is not None) for run in runs],
                "end": short(sum(each.loss for each in run[-10:]) / 10 for run in runs),
                "ms": round(1000 * min(run[-1].seconds for run in runs) / N_STEPS, 1)}
            print(rule, lr, {k: v if k != "held_out" else [row[-1] for row in v]
                             for k, v in found[f"{rule}, {lr:g}"].items()}, flush=True)
    return found


def spectrum(step: Tensor) -> Tensor:
    """Singular values, as shares of the largest."""
    values = torch.linalg.svdvals(step)
    return values / values[0]
