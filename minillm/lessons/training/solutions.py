"""Answer the exercises on training, and know the usual mistakes."""
from __future__ import annotations

import math

import torch

from minillm.notebook.checks import Solution


def evaluation_windows(tokens, context_length):
    n = len(tokens) - 1
    rows = -(-n // context_length)
    inputs = torch.zeros(rows * context_length, dtype=torch.long)
    targets = torch.full((rows * context_length,), -100)
    inputs[:n], targets[:n] = tokens[:-1], tokens[1:]
    return inputs.reshape(rows, context_length), targets.reshape(rows, context_length)


def drops_the_rest(tokens, context_length):
    rows = (len(tokens) - 1) // context_length
    cut = rows * context_length
    return tokens[:cut].reshape(rows, context_length), tokens[1:cut + 1].reshape(rows, context_length)


def pads_with_zero(tokens, context_length):
    inputs, targets = evaluation_windows(tokens, context_length)
    return inputs, targets.clamp(min=0)


def does_not_shift(tokens, context_length):
    inputs, targets = evaluation_windows(tokens, context_length)
    return inputs, torch.where(targets == -100, targets, inputs)


def loses_between_windows(tokens, context_length):
    rows = [tokens[start:start + context_length + 1] for start in range(0, len(tokens) - 1, context_length + 1)]
    inputs = torch.zeros(len(rows), context_length, dtype=torch.long)
    targets = torch.full((len(rows), context_length), -100)
    for i, row in enumerate(rows):
        inputs[i, :len(row) - 1], targets[i, :len(row) - 1] = row[:-1], row[1:]
    return inputs, targets


def asks_at_the_end(tokens, context_length):
    inputs, targets = evaluation_windows(tokens, context_length)
    inputs = inputs.flatten()
    inputs[len(tokens) - 1:len(tokens)] = tokens[-1:][:len(inputs) - len(tokens) + 1]
    return inputs.reshape(targets.shape), targets


def _surprises(logits, targets):
    log_p = logits - logits.exp().sum(-1, keepdim=True).log()
    return -log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]


def masked_loss(logits, targets):
    counts = targets != -100
    return _surprises(logits, targets)[counts].mean()


def divides_by_all(logits, targets):
    return (_surprises(logits, targets) * (targets != -100)).sum() / targets.numel()


def counts_all(logits, targets):
    return _surprises(logits, targets).mean()


def adds_up(logits, targets):
    return _surprises(logits, targets)[targets != -100].sum()


def in_bits(logits, targets):
    return masked_loss(logits, targets) / math.log(2)


def forgets_the_minus(logits, targets):
    return -masked_loss(logits, targets)


def adamw_step(weight, gradient, mean, square, step, lr, decay, *, beta1=0.9, beta2=0.95, eps=1e-8):
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient ** 2
    update = (mean / (1 - beta1 ** step)) / ((square / (1 - beta2 ** step)).sqrt() + eps)
    return weight - lr * update - lr * decay * weight, mean, square


def decays_through_the_gradient(weight, gradient, mean, square, step, lr, decay):
    return adamw_step(weight, gradient + decay * weight, mean, square, step, lr, 0.0)


def decays_without_the_rate(weight, gradient, mean, square, step, lr, decay):
    return adamw_step(weight, gradient, mean, square, step, lr, decay / lr)


def decays_the_wrong_way(weight, gradient, mean, square, step, lr, decay):
    return adamw_step(weight, gradient, mean, square, step, lr, -decay)


def decays_the_moved_weight(weight, gradient, mean, square, step, lr, decay):
    moved, *means = adamw_step(weight, gradient, mean, square, step, lr, 0.0)
    return moved - lr * decay * moved, *means


def does_not_decay(weight, gradient, mean, square, step, lr, decay):
    return adamw_step(weight, gradient, mean, square, step, lr, 0.0)


def does_not_correct(weight, gradient, mean, square, step, lr, decay):
    return adamw_step(weight, gradient, mean, square, 10 ** 9, lr, decay)


def stable_decay(step, n_steps, warmup, decay):
    climbed = min(1.0, (step + 1) / (warmup + 1))
    start = n_steps * (1 - decay)
    fallen = min(1.0, max(0.0, (step - start) / (n_steps - start)))
    return climbed * (1 - fallen)


def falls_from_the_warmup(step, n_steps, warmup, decay):
    fallen = min(1.0, max(0.0, (step - warmup) / (n_steps - warmup)))
    return min(1.0, (step + 1) / (warmup + 1)) * (1 - fallen)


def takes_decay_as_the_start(step, n_steps, warmup, decay):
    return stable_decay(step, n_steps, warmup, 1 - decay)


def goes_below_zero(step, n_steps, warmup, decay):
    start = n_steps * (1 - decay)
    return min(1.0, (step + 1) / (warmup + 1)) * (1 - max(0.0, (step - start) / (n_steps - start)))


def begins_at_zero(step, n_steps, warmup, decay):
    start = n_steps * (1 - decay)
    fallen = min(1.0, max(0.0, (step - start) / (n_steps - start)))
    return min(1.0, step / max(warmup, 1)) * (1 - fallen)


def whole_gradient(gradients, counts):
    return sum(count * gradient for gradient, count in zip(gradients, counts, strict=True)) / sum(counts)


def averages_pieces(gradients, counts):
    return sum(gradients) / len(gradients)


def adds_pieces(gradients, counts):
    return sum(gradients[1:], gradients[0])


def weighs_without_dividing(gradients, counts):
    return sum(count * gradient for gradient, count in zip(gradients, counts, strict=True))


def bits_per_byte(nats_per_token, n_tokens, n_bytes):
    return nats_per_token * n_tokens / math.log(2) / n_bytes


SOLUTIONS = {
    "06.1": Solution(evaluation_windows, {
        "the windows are a token too far apart (the last target of one is also the first input of the next), so a "
        "target between two windows is never predicted.": loses_between_windows,
        "what does not fill a window is thrown away; pad the last window instead, with targets of -100.":
            drops_the_rest,
        "the padding has targets that count (0 is a token like any other); give it -100.": pads_with_zero,
        "the targets are the inputs themselves; they should be one step on.": does_not_shift,
        "nothing comes after the last token, so it is a target only; inputs are 0 where targets are -100.":
            asks_at_the_end,
        "inputs come first, then targets.": lambda tokens, context: evaluation_windows(tokens, context)[::-1],
        "the last token is a target too: there are len(tokens) - 1 of them.":
            lambda tokens, context: evaluation_windows(tokens[:-1], context)}),
    "06.2": Solution(masked_loss, {
        "the sum leaves out the ignored targets, but the division counts them.": divides_by_all,
        "ignored targets are counted, as if they were token 0.": counts_all,
        "this is the sum over the targets, not their mean.": adds_up,
        "this is in bits (log2); nats are asked for (the natural logarithm).": in_bits,
        "the sign is the other way round: surprise is -ln p.": forgets_the_minus}),
    "06.3": Solution(adamw_step, {
        "the decay is added to the gradient, so Adam divides it by the gradient's size: that is L2 regularisation, "
        "not AdamW.": decays_through_the_gradient,
        "the decay is not multiplied by the learning rate.": decays_without_the_rate,
        "the decay lets weights grow; subtract it.": decays_the_wrong_way,
        "the weights do not decay at all.": does_not_decay,
        "the decay is taken of the weight that Adam has moved already; take it of the old one.":
            decays_the_moved_weight,
        "the two means start at zero and are too small at first; divide by 1 - beta ** step.": does_not_correct}),
    "06.4": Solution(stable_decay, {
        "it falls from the end of the warm-up on; it should stay at 1 until the last part of the run.":
            falls_from_the_warmup,
        "`decay` is the share of the run that falls, at its end; you let the first such share pass.":
            takes_decay_as_the_start,
        "after the last step it goes below zero; hold it at 0.": goes_below_zero,
        "the first step has a learning rate of 0 and learns nothing; count (step + 1) / (warmup + 1).":
            begins_at_zero}),
    "06.5": Solution(whole_gradient, {
        "each piece counts the same, though some hold more targets than others.": averages_pieces,
        "the pieces are added, so the gradient grows with their number.": adds_pieces,
        "the pieces are weighed by their targets, but the sum is not divided by all of them.":
            weighs_without_dividing,
        "each is divided by its count; a mean over more targets must weigh more, so multiply.":
            lambda gradients, counts: sum(gradient / count for gradient, count in zip(gradients, counts, strict=True)),
        }),
    "06.6": Solution(bits_per_byte, {
        "this is in nats; a bit is ln 2 nats.": lambda nats, tokens, size: nats * tokens / size,
        "the division is the wrong way round: fewer tokens for the same bytes is better.":
            lambda nats, tokens, size: nats * size / math.log(2) / tokens,
        "this is per token, so a tokenizer with longer tokens looks worse than it is.":
            lambda nats, tokens, size: nats / math.log(2),
        "dividing by ln 2 turns nats into bits; you multiplied.":
            lambda nats, tokens, size: nats * math.log(2) * tokens / size}),
}
