"""Answer notebook 08's exercises, and make the mistakes that readers make."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from minillm.lessons.lora import mistakes
from minillm.notebook.checks import Solution


def learned(prompt, answer, end):
    ids = prompt + answer + [end]
    return ids[:-1], [-100] * (len(prompt) - 1) + answer + [end]


def padded(rows, end):
    width = max(len(inputs) for inputs, _ in rows)
    inputs = [inputs + [end] * (width - len(inputs)) for inputs, _ in rows]
    targets = [targets + [-100] * (width - len(targets)) for _, targets in rows]
    return torch.tensor(inputs), torch.tensor(targets)


def corrected(x, W, A, B, alpha):
    r = A.shape[0]
    return x @ W.T + alpha / r * (x @ A.T) @ B.T


def gradients(x, A, B, slope, scale):
    of_a = scale * (slope @ B).T @ x
    of_b = scale * slope.T @ (x @ A.T)
    return of_a, of_b


def merged(W, A, B, alpha, rule):
    r = A.shape[0]
    scale = alpha / math.sqrt(r) if rule == "alpha/sqrt(r)" else alpha / r
    return W + scale * B @ A


def four_bits(weights, levels, block):
    blocks = weights.reshape(-1, block)
    scale = blocks.abs().amax(1, keepdim=True)
    nearest = ((blocks / scale)[..., None] - levels).abs().argmin(-1)
    return (levels[nearest] * scale).flatten()


def preferred(chosen, rejected, chosen_before, rejected_before, beta):
    margin = (chosen - chosen_before) - (rejected - rejected_before)
    return -F.logsigmoid(beta * margin).mean()


def better(rewards):
    mean = rewards.mean(-1, keepdim=True)
    deviation = rewards.std(-1, keepdim=True, unbiased=False)
    return (rewards - mean) / (deviation + 1e-6)


def log_likelihood(logits, ids, n_prompt):
    log_p = logits.log_softmax(-1)
    return sum(log_p[t - 1, ids[t]] for t in range(n_prompt, len(ids)))


def _four_bits(weights, levels, block, *, scale=lambda blocks: blocks.abs().amax(1, keepdim=True), pick=None,
               back=True, levels_of=lambda levels: levels):
    blocks, levels = weights.reshape(-1, block), levels_of(levels)
    of = scale(blocks)
    shares = blocks / of
    nearest = (shares[..., None] - levels).abs().argmin(-1) if pick is None else pick(shares, levels)
    return (levels[nearest] * (of if back else 1)).flatten()


def _rounded(weights, steps, block):
    blocks = weights.reshape(-1, block)
    scale = blocks.abs().amax(1, keepdim=True)
    return ((blocks / scale * steps).round() / steps * scale).flatten()


def _bits(**changes):
    return lambda *inputs: _four_bits(*inputs, **changes)


FOUR_BITS = {
    "all blocks share one scale; one large weight then makes all others coarse":
        _bits(scale=lambda blocks: blocks.abs().max()),
    "the scale is the largest weight, not the largest size: a block of negative numbers has none":
        _bits(scale=lambda blocks: blocks.amax(1, keepdim=True)),
    "the scale is the standard deviation": _bits(scale=lambda blocks: blocks.std(1, keepdim=True)),
    "the scale is the mean size": _bits(scale=lambda blocks: blocks.abs().mean(1, keepdim=True)),
    "each share goes to the level below, not to the nearest":
        _bits(pick=lambda shares, levels: (torch.searchsorted(levels, shares.contiguous(), right=True) - 1)
              .clamp(0, len(levels) - 1)),
    "each share goes to the level above, not to the nearest":
        _bits(pick=lambda shares, levels: torch.searchsorted(levels, shares.contiguous()).clamp(max=len(levels) - 1)),
    "it is not multiplied by the scale again": _bits(back=False),
    "the codes are given, not what they stand for": lambda weights, levels, block: (
        (weights.reshape(-1, block) / weights.reshape(-1, block).abs().amax(1, keepdim=True))[..., None] - levels
    ).abs().argmin(-1).flatten(),
    "nothing is scaled: the nearest level to the weight itself": _bits(scale=lambda blocks: torch.ones(len(blocks), 1)),
    "the levels are spread evenly; NF4's lie closer around zero":
        _bits(levels_of=lambda levels: torch.linspace(-1, 1, len(levels))),
    "the levels are not used: the shares are rounded to even steps, as plain integers are":
        lambda weights, levels, block: _rounded(weights, 7, block),
    "the smallest difference is taken with its sign; how far away a level is, is its size": _bits(
        pick=lambda shares, levels: (shares[..., None] - levels).argmin(-1)),
    "a block is every so manyeth weight; it is neighbours": lambda weights, levels, block: _four_bits(
        weights.reshape(block, -1).T.flatten(), levels, block).reshape(-1, block).T.flatten(),
    "the farthest level is taken": _bits(
        pick=lambda shares, levels: (shares[..., None] - levels).abs().argmax(-1)),
    "every weight becomes plus or minus the scale: one bit, not four":
        _bits(pick=lambda shares, levels: (shares > 0).long() * (len(levels) - 1)),
    "the weights are rounded to whole numbers, not to levels": lambda weights, levels, block: weights.round(),
    "the sign is lost": lambda weights, levels, block: _four_bits(weights.abs(), levels, block),
    "the nearest size counts, without its sign": _bits(
        pick=lambda shares, levels: (shares.abs()[..., None] - levels.abs()).abs().argmin(-1)),
}


def _margin(c, r, c0, r0):
    return (c - c0) - (r - r0)


PREFERRED = {
    "the sign is turned: the rejected answer is preferred":
        lambda c, r, c0, r0, beta: -F.logsigmoid(-beta * _margin(c, r, c0, r0)).mean(),
    "what the model thought at the start is left out": lambda c, r, c0, r0, beta: -F.logsigmoid(beta * (c - r)).mean(),
    "beta is left out": lambda c, r, c0, r0, beta: -F.logsigmoid(_margin(c, r, c0, r0)).mean(),
    "the mean is taken inside the sigmoid; each pair has its own":
        lambda c, r, c0, r0, beta: -F.logsigmoid(beta * _margin(c, r, c0, r0).mean()),
    "the logarithm is missing": lambda c, r, c0, r0, beta: -torch.sigmoid(beta * _margin(c, r, c0, r0)).mean(),
    "the pairs are summed; their mean is meant":
        lambda c, r, c0, r0, beta: -F.logsigmoid(beta * _margin(c, r, c0, r0)).sum(),
    "beta divides; it multiplies": lambda c, r, c0, r0, beta: -F.logsigmoid(_margin(c, r, c0, r0) / beta).mean(),
    "the start is added instead of subtracted":
        lambda c, r, c0, r0, beta: -F.logsigmoid(beta * ((c + c0) - (r + r0))).mean(),
    "only the chosen answer counts": lambda c, r, c0, r0, beta: -F.logsigmoid(beta * (c - c0)).mean(),
    "only the rejected answer counts": lambda c, r, c0, r0, beta: -F.logsigmoid(-beta * (r - r0)).mean(),
    "the sign of the loss is turned: a loss is made small":
        lambda c, r, c0, r0, beta: F.logsigmoid(beta * _margin(c, r, c0, r0)).mean(),
    "the gains are added; their difference is the margin":
        lambda c, r, c0, r0, beta: -F.logsigmoid(beta * ((c - c0) + (r - r0))).mean(),
    "the mean is missing: a loss for each pair":
        lambda c, r, c0, r0, beta: -F.logsigmoid(beta * _margin(c, r, c0, r0)),
    "logarithms are divided; they are logarithms already, so the ratio's is their difference":
        lambda c, r, c0, r0, beta: -F.logsigmoid(beta * (c / c0 - r / r0)).mean(),
    "the logarithm is taken twice: the four are logarithms already":
        lambda c, r, c0, r0, beta: -F.logsigmoid(beta * ((c / c0).log() - (r / r0).log())).mean(),
    "beta stands outside the sigmoid": lambda c, r, c0, r0, beta: -beta * F.logsigmoid(_margin(c, r, c0, r0)).mean(),
    "the logarithm is taken of the mean; the mean of the logarithms is meant":
        lambda c, r, c0, r0, beta: -torch.sigmoid(beta * _margin(c, r, c0, r0)).mean().log(),
}


def _better(centre=lambda x: x.mean(-1, keepdim=True), spread=lambda x: x.std(-1, keepdim=True, unbiased=False),
            eps=1e-6):
    return lambda rewards: (rewards - centre(rewards)) / (spread(rewards) + eps)


BETTER = {
    "the mean is that of all groups; each group has its own, or an easy question beats a hard one":
        _better(centre=lambda x: x.mean()),
    "mean and deviation are those of all groups; each group has its own":
        _better(centre=lambda x: x.mean(), spread=lambda x: x.std(unbiased=False)),
    "a group without spread is divided by 0": _better(eps=0.0),
    "ε is added to the variance, under the root; it is added to the deviation":
        _better(spread=lambda x: (x.var(-1, keepdim=True, unbiased=False) + 1e-6).sqrt(), eps=0.0),
    "the deviation is divided by n - 1, as torch.std does unless told otherwise":
        _better(spread=lambda x: x.std(-1, keepdim=True)),
    "the mean is not subtracted: every answer that scores is made likelier": _better(centre=lambda x: 0.0),
    "it is only centred, not divided by the deviation": _better(spread=lambda x: 1.0, eps=0.0),
    "mean and deviation run along the groups; they run along the answers of one":
        _better(centre=lambda x: x.mean(0, keepdim=True), spread=lambda x: x.std(0, keepdim=True, unbiased=False)),
    "it is divided by the variance; the root is missing": _better(
        spread=lambda x: x.var(-1, keepdim=True, unbiased=False)),
    "the deviation is that of all groups": _better(spread=lambda x: x.std(unbiased=False)),
    "the best reward is subtracted, not the mean": _better(centre=lambda x: x.amax(-1, keepdim=True)),
    "the worst reward is subtracted, not the mean": _better(centre=lambda x: x.amin(-1, keepdim=True)),
    "the median is subtracted, not the mean": _better(centre=lambda x: x.median(-1, keepdim=True).values),
    "the sign is turned: worse answers are made likelier": lambda rewards: -_better()(rewards),
    "sizes only: the sign is lost": lambda rewards: _better()(rewards).abs(),
    "it is divided by the group's range": _better(spread=lambda x: x.amax(-1, keepdim=True) - x.amin(-1, keepdim=True)),
    "a softmax over the group: nothing is ever made less likely": lambda rewards: rewards.softmax(-1),
}


def _scored(logits, ids, n_prompt, *, start=None, stop=None, shift=1, of=lambda x: x.log_softmax(-1), mean=False):
    table = of(logits)
    places = range(n_prompt if start is None else start, len(ids) if stop is None else stop)
    values = [table[t - shift, ids[t]] for t in places]
    return sum(values) / (len(values) if mean else 1)


def _like(**changes):
    return lambda *inputs: _scored(*inputs, **changes)


LIKELIHOOD = {
    "the logits are not shifted: those at a token's own place speak of the next": _like(shift=0),
    "it is divided by the number of tokens; the sum is asked for": _like(mean=True),
    "the prompt is counted as well": lambda logits, ids, n: _scored(logits, ids, n, start=1),
    "raw logits are summed; they are no logarithms of probabilities": _like(of=lambda x: x),
    "probabilities are summed; their logarithms are meant": _like(of=lambda x: x.softmax(-1)),
    "the answer's first token is left out": lambda logits, ids, n: _scored(logits, ids, n, start=n + 1),
    "the answer's last token is left out": lambda logits, ids, n: _scored(logits, ids, n, stop=len(ids) - 1),
    "the last token of the prompt is counted": lambda logits, ids, n: _scored(logits, ids, n, start=n - 1),
    "the sign is turned: that is the loss": lambda *inputs: -_scored(*inputs),
    "the softmax runs along the positions; it runs along the vocabulary": _like(of=lambda x: x.log_softmax(0)),
    "the logarithm's base is 2: these are bits, not nats": lambda *inputs: _scored(*inputs) / math.log(2),
    "it is the probability itself; its logarithm is asked for": lambda *inputs: _scored(*inputs).exp(),
    "only the first token of the answer is looked at": lambda logits, ids, n: _scored(logits, ids, n, stop=n + 1),
    "the likeliest tokens are scored, not those of the answer":
        lambda logits, ids, n: logits.log_softmax(-1).amax(-1)[n - 1:len(ids) - 1].sum(),
    "only the prompt is scored": lambda logits, ids, n: _scored(logits, ids, n, start=1, stop=n),
}


SOLUTIONS = {
    "08.1": Solution(learned, mistakes.LEARNED),
    "08.2": Solution(padded, mistakes.PADDED),
    "08.3": Solution(corrected, mistakes.CORRECTED),
    "08.4": Solution(gradients, mistakes.GRADIENTS),
    "08.5": Solution(merged, mistakes.MERGED),
    "08.6": Solution(four_bits, FOUR_BITS),
    "08.7": Solution(preferred, PREFERRED),
    "08.8": Solution(better, BETTER),
    "08.9": Solution(log_likelihood, LIKELIHOOD),
}
