"""Measure what a model knows: answers right to the last token, surprise, bits, and choices by likelihood."""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from minillm.conversation import Template
from minillm.data import IGNORED, answered
from minillm.model import evaluating

Ids = Sequence[int]


def exact_match(model: nn.Module, tokenizer, pairs: Sequence[tuple[str, str]], *, template: Template | None = None
                ) -> list[bool]:
    """Is each answer exactly what the model would write, taking the likeliest token each time, its end included?

    Found without writing: given the right tokens before, every token of the answer and the end of text must be the
    likeliest.  Then greedy writing would have given these very tokens.  One reading per question.  An answer that is
    right in other words counts as wrong.
    """
    return likeliest(model, written(tokenizer, pairs, template))


def likeliest(model: nn.Module, rows: Sequence[tuple[Ids, Ids]]) -> list[bool]:
    """For each (prompt, answer), both ids: is every token of the answer the likeliest, given those before it?"""
    return [bool(each.all()) for each in _answers(model, rows, lambda logits, ids: logits.argmax(-1) == ids)]


def log_likelihoods(model: nn.Module, rows: Sequence[tuple[Ids, Ids]]) -> list[float]:
    """ln p(answer | prompt) for each (prompt, answer), both ids: the sum over the answer's tokens, in nats."""
    def chosen(logits: Tensor, ids: Tensor) -> Tensor:
        return logits.float().log_softmax(-1).gather(-1, ids[:, None])[:, 0]
    return [float(each.sum()) for each in _answers(model, rows, chosen)]


def multiple_choice(model: nn.Module, tokenizer, question: str, choices: Sequence[str], *, per_token: bool = False,
                    template: Template | None = None) -> int:
    """Which choice the model finds likeliest as the answer.

    It must only prefer, not write, so that four choices are guessed right one time in four.  Longer answers cost more;
    `per_token` divides by their number of tokens, which favours long ones that are easy to go on with.
    """
    rows = written(tokenizer, [(question, choice) for choice in choices], template)
    scores = [score / (len(answer) if per_token else 1)
              for score, (_, answer) in zip(log_likelihoods(model, rows), rows, strict=True)]
    return max(range(len(scores)), key=scores.__getitem__)


def perplexity(nats_per_token: float) -> float:
    """Among how many equally likely tokens the model is undecided, on average: exp(loss).  Differs by tokenizer."""
    return math.inf if nats_per_token > 709 else math.exp(nats_per_token)


def bits_per_byte(nats_per_token: float, *, n_tokens: int, n_bytes: int) -> float:
    """A loss that does not depend on the tokenizer: nats of the whole text, as bits, for each byte of its UTF-8."""
    if n_bytes < 1:
        raise ValueError(f"n_bytes={n_bytes} must be at least 1: how many bytes did these {n_tokens} tokens stand for?")
    return nats_per_token * n_tokens / math.log(2) / n_bytes


def written(tokenizer, pairs: Iterable[tuple[str, str]], template: Template | None = None
            ) -> list[tuple[list[int], list[int]]]:
    """(question, answer) as ids: up to where the answer begins, and the answer with its end of text."""
    template = template or Template()
    return [(template.ask(question, tokenizer), template.answer(answer, tokenizer)) for question, answer in pairs]


def shares(kinds: Sequence[str], found: Sequence[bool]) -> dict[str, float]:
    """The share of right answers of each kind."""
    groups = defaultdict(list)
    for kind, good in zip(kinds, found, strict=True):
        groups[kind].append(good)
    return {kind: sum(group) / len(group) for kind, group in groups.items()}


@torch.no_grad()
def _answers(model: nn.Module, rows: Sequence[tuple[Ids, Ids]], measure, *, at_a_time: int = 64) -> list[Tensor]:
    """measure(logits, ids) of each row's answer; rows of like length are read together."""
    found: list[Tensor] = [torch.empty(0)] * len(rows)
    order = sorted(range(len(rows)), key=lambda i: sum(map(len, rows[i])))
    device = next(model.parameters()).device
    with evaluating(model):
        for start in range(0, len(order), at_a_time):
            chosen = order[start:start + at_a_time]
            inputs, targets = answered([rows[i] for i in chosen], device=device)
            logits, asked = model(inputs), targets != IGNORED
            for row, i in enumerate(chosen):
                found[i] = measure(logits[row, asked[row]], targets[row, asked[row]]).cpu()
    return found
