"""Learn from which of two answers is better, or from a reward for each of several."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from minillm.data import IGNORED, answered, draw
from minillm.sampling import generate_batch

Rows = Sequence[tuple[Sequence[int], Sequence[int]]]  # (prompt, answer), both ids


def log_probabilities(logits: Float[Tensor, "batch seq vocab"], targets: Int[Tensor, "batch seq"]
                      ) -> Float[Tensor, "batch"]:
    r"""ln p of each row's answer: the sum over its tokens; targets of -100 (prompt, padding) are left out.

    $$ \ln p = \sum_t \ln \mathrm{softmax}(\ell_t)_{w_{t+1}} $$
    """
    chosen = logits.float().log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return (chosen * (targets != IGNORED)).sum(-1)


def dpo_loss(chosen: Float[Tensor, "pair"], rejected: Float[Tensor, "pair"], chosen_before: Float[Tensor, "pair"],
             rejected_before: Float[Tensor, "pair"], *, beta: float = 0.1) -> Float[Tensor, ""]:
    r"""Direct preference optimisation: from log-probabilities now, and under the frozen model it started from.

    $$ \mathcal{L} = -\ln \mathrm{sigmoid}\!\left(\kappa \left( \ln \frac{p(w^{+})}{p_0(w^{+})}
       - \ln \frac{p(w^{-})}{p_0(w^{-})} \right)\right) $$

    w⁺ is the chosen answer, w⁻ the rejected one, κ is `beta`.  Only the difference counts: both may fall.
    Rafailov et al. 2023, arXiv:2305.18290.
    """
    margin = (chosen - chosen_before) - (rejected - rejected_before)
    return -F.logsigmoid(beta * margin).mean()


@dataclass(frozen=True)
class Compared:
    """What one step of DPO found before it moved: means over its pairs, in nats."""
    loss: float
    margin: float    # how much more the chosen answer has gained than the rejected one
    chosen: float    # how much the chosen answer has gained since the start
    rejected: float


def dpo(model: nn.Module, pairs: Sequence[tuple[Sequence[int], Sequence[int], Sequence[int]]], *,
        optimizer: torch.optim.Optimizer, beta: float = 0.1, batch_size: int = 8, seed: int = 0) -> Iterator[Compared]:
    """Prefer: `pairs` are (prompt, chosen, rejected), all ids.  One step per item, for as long as it is asked.

    What the model thought at the start is measured once, before the first step, so no second model is kept.
    """
    both = [[(prompt, answer[i]) for prompt, *answer in pairs] for i in (0, 1)]
    with torch.no_grad():
        before = [torch.cat([_answered(model, side[i:i + 64]) for i in range(0, len(side), 64)]) for side in both]
    for step in itertools.count():
        picked = (draw(seed, step, batch_size) % len(pairs)).tolist()
        now = [_answered(model, [side[i] for i in picked]) for side in both]
        was = [side[picked] for side in before]
        loss = dpo_loss(*now, *was, beta=beta)
        _move(model, optimizer, loss)
        chosen, rejected = (float((a - b).detach().mean()) for a, b in zip(now, was, strict=True))
        yield Compared(float(loss.detach()), chosen - rejected, chosen, rejected)


def advantages(rewards: Float[Tensor, "group answer"]) -> Float[Tensor, "group answer"]:
    r"""How much better than its group's mean each answer did, in standard deviations of the group.

    $$ \mathrm{advantage}_i = \frac{\mathrm{reward}_i - \mu}{\sigma + \varepsilon} $$

    Where all answers of a group score the same, all advantages are 0: there is nothing to learn from it.
    """
    mean, deviation = rewards.mean(-1, keepdim=True), rewards.std(-1, keepdim=True, unbiased=False)
    return (rewards - mean) / (deviation + 1e-6)


@dataclass(frozen=True)
class Tried:
    """What one step of GRPO tried: prompts, each with its answers (ids), and the rewards."""
    prompts: list[list[int]]
    answers: list[list[list[int]]]
    rewards: Float[Tensor, "group answer"]


def grpo(model: nn.Module, prompts: Sequence[list[int]], reward: Callable[[int, list[int]], float], *,
         optimizer: torch.optim.Optimizer, end: int, groups: int = 6, answers: int = 8, n_tokens: int = 8,
         temperature: float = 1.0, seed: int = 0) -> Iterator[Tried]:
    """Try, be rewarded, and make likelier what did better than its group.  Shao et al. 2024, arXiv:2402.03300.

    reward(i, answer) scores an answer to prompt i: its ids, up to the `end` of text, which is left out if it was not
    reached.  One step is made on each batch of answers, so the ratio of new to old probabilities is 1 and needs no
    clipping; there is no KL term.
    """
    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for step in itertools.count():
        first = prompts[by_length[draw(seed, step, 1)[0] % len(prompts)]]
        alike = [i for i in by_length if len(prompts[i]) == len(first)]          # read side by side, without padding
        picked = [alike[k % len(alike)] for k in draw(seed + 1, step, groups).tolist()]
        asked = torch.tensor([prompts[i] for i in picked]).repeat_interleave(answers, 0)
        steps = list(generate_batch(model, asked, n_tokens=n_tokens, temperature=temperature, stop=end,
                                    seed=seed + step))
        tried = [[t for t in row if t is not None] for row in zip(*steps, strict=True)] or [[] for _ in asked]
        tried = [row + [end] * (len(row) < n_tokens) for row in tried]
        rewards = torch.tensor([float(reward(picked[k // answers], row)) for k, row in enumerate(tried)])
        rewards = rewards.unflatten(0, (groups, answers))
        better = advantages(rewards).flatten()
        rows = [(asked[k].tolist(), row) for k, row in enumerate(tried)]
        if better.any():
            loss = -(better * _answered(model, rows)).sum() / sum(len(row) for _, row in rows)
            _move(model, optimizer, loss)
        grouped = [tried[k:k + answers] for k in range(0, len(tried), answers)]
        yield Tried([prompts[i] for i in picked], grouped, rewards)


def _answered(model: nn.Module, rows: Rows) -> Float[Tensor, "row"]:
    """ln p(answer | prompt) of each row, in one reading; with gradients where they are wanted."""
    inputs, targets = answered(rows, device=next(model.parameters()).device)
    return log_probabilities(model(inputs), targets).cpu()  # one number a row: beside rewards, wherever the model is


def _move(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
