"""Answer notebook 07's exercises; what readers get wrong stands in mistakes.py."""
from __future__ import annotations

import torch
import torch.nn.functional as F

from minillm.lessons.inference import mistakes
from minillm.notebook.checks import Solution


def soften(logits, temperature):
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).float()
    return (logits / temperature).softmax(-1)


def nucleus(p, share):
    ordered, places = p.sort(descending=True)
    before = ordered.cumsum(-1) - ordered
    kept = torch.zeros_like(p).scatter(-1, places, torch.where(before < share, ordered, 0.0))
    return kept / kept.sum()


def rule(p, q):
    left = (p - q).clamp(min=0)
    return (p / q).clamp(max=1), left / left.sum()


def induction_score(pattern, n):
    queries = torch.arange(n, 2 * n)
    return pattern[queries, queries - n + 1].mean().item()


def copier(patterns, n):
    queries = torch.arange(n, 2 * n)
    scores = patterns[:, :, queries, queries - n + 1].mean(-1)
    layer, head = divmod(scores.argmax().item(), scores.shape[1])
    return layer + 1, head + 1, scores[layer, head].item()


def lens(x, gain, unembed, eps):
    size = torch.sqrt(x.square().mean(-1, keepdim=True) + eps)
    return (gain * x / size) @ unembed.T


def shares(parts, gain, unembed, token, other, eps):
    whole = parts.sum(0)
    size = torch.sqrt(whole.square().mean() + eps)
    return (gain * parts / size) @ (unembed[token] - unembed[other])


def estimate(clean, corrupt, slope, measured_clean, measured_corrupt):
    return ((clean - corrupt) * slope).sum(-1) / (measured_clean - measured_corrupt)


SOLUTIONS = {
    "07.1": Solution(soften, mistakes.SOFTEN), "07.2": Solution(nucleus, mistakes.NUCLEUS),
    "07.3": Solution(rule, mistakes.RULE), "07.4": Solution(induction_score, mistakes.INDUCTION),
    "07.5": Solution(copier, mistakes.COPIER), "07.6": Solution(lens, mistakes.LENS),
    "07.7": Solution(shares, mistakes.SHARES), "07.8": Solution(estimate, mistakes.ESTIMATE),
}
