"""Answer the exercises on training, and know the usual mistakes."""
from __future__ import annotations

import math

import torch

from minillm.lessons.training import mistakes as wrong
from minillm.notebook.checks import Solution


def evaluation_windows(tokens, context_length):
    n = len(tokens) - 1
    rows = -(-n // context_length)
    inputs = torch.zeros(rows * context_length, dtype=torch.long)
    targets = torch.full((rows * context_length,), -100)
    inputs[:n], targets[:n] = tokens[:-1], tokens[1:]
    return inputs.reshape(rows, context_length), targets.reshape(rows, context_length)


def pads_with_zero(tokens, context_length):
    inputs, targets = evaluation_windows(tokens, context_length)
    return inputs, targets.clamp(min=0)


def does_not_shift(tokens, context_length):
    inputs, targets = evaluation_windows(tokens, context_length)
    return inputs, torch.where(targets == -100, targets, inputs)


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


def weighs_without_dividing(gradients, counts):
    return sum(count * gradient for gradient, count in zip(gradients, counts, strict=True))


def bits_per_byte(nats_per_token, n_tokens, n_bytes):
    return nats_per_token * n_tokens / math.log(2) / n_bytes


def muon_step(weight, gradient, mean, lr, beta):
    mean = beta * mean + gradient
    u, _, v = torch.linalg.svd(gradient + beta * mean, full_matrices=False)
    rows, columns = weight.shape
    return weight - lr * max(1.0, rows / columns) ** 0.5 * (u @ v), mean


def soft_loss(logits, wanted, temperature):
    log_p = (logits / temperature).log_softmax(-1)
    log_p_hat = (wanted / temperature).log_softmax(-1)
    return temperature ** 2 * (log_p_hat.exp() * (log_p_hat - log_p)).sum(-1).mean()


def best_split(flops, a, alpha, b, beta):
    product = flops / 6
    n_parameters = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * product ** (beta / (alpha + beta))
    return n_parameters, product / n_parameters


def rounded_rows(matrix):
    scale = matrix.abs().amax(dim=-1, keepdim=True) / 127
    return (matrix / scale.clamp(min=1e-12)).round() * scale


SOLUTIONS = {
    "06.1": Solution(evaluation_windows, {
        "the windows are a token too far apart (the last target of one is also the first input of the next), so a "
        "target between two windows is never predicted.": wrong.loses_between_windows,
        "what does not fill a window is thrown away; pad the last window instead, with targets of -100.":
            wrong.drops_the_rest,
        "the padding has targets that count (0 is a token like any other); give it -100.": pads_with_zero,
        "the targets are the inputs themselves; they should be one step on.": does_not_shift,
        "nothing comes after the last token, so it is a target only; inputs are 0 where targets are -100.":
            asks_at_the_end,
        "inputs come first, then targets.": lambda tokens, context: evaluation_windows(tokens, context)[::-1],
        "the last token is a target too: there are len(tokens) - 1 of them.":
            lambda tokens, context: evaluation_windows(tokens[:-1], context),
        "the targets stand two steps on; one is asked for.": wrong.windows(shift=2),
        "the targets are the inputs themselves, padding too; they should be one step on.": wrong.windows(shift=0),
        "the inputs of the padding are 0; -100 is for targets, and no token.": wrong.windows(fill=-100),
        "a window begins at every token, so most targets come many times; the next begins where the last ended.":
            wrong.full_windows_one_apart,
        "the last window holds nothing but padding where the targets fill the others.": wrong.a_window_too_many,
        "both are one long row; reshape them to (windows, context_length).":
            lambda tokens, context: tuple(each.flatten() for each in evaluation_windows(tokens, context)),
        "these are tuples of windows of several lengths; pad the last, and stack them.":
            lambda tokens, context: (tokens[:-1].split(context), tokens[1:].split(context)),
        "the numbers are right, but these are floats; ids are integers: dtype=torch.long.":
            lambda tokens, context: tuple(each.float() for each in evaluation_windows(tokens, context)),
        "where the last window is not full, reshape finds too few tokens: pad first.":
            lambda tokens, context: (tokens[:-1].reshape(-1, context), tokens[1:].reshape(-1, context)),
        "a target is the next token, not the same place in the next window.":
            lambda tokens, context: (evaluation_windows(tokens, context)[0],
                                     evaluation_windows(tokens, context)[0].roll(-1, 0))}),
    "06.2": Solution(masked_loss, {
        "the sum leaves out the ignored targets, but the division counts them.": divides_by_all,
        "ignored targets are counted, as if they were token 0.":
            wrong.loss_with(counts=lambda targets: targets > -101),
        "this is the sum over the targets, not their mean.": wrong.loss_with(mean=torch.Tensor.sum),
        "this is in bits (log2); nats are asked for (the natural logarithm).":
            wrong.loss_with(mean=lambda surprise: surprise.mean() / math.log(2)),
        "the sign is the other way round: surprise is -ln p.":
            wrong.loss_with(mean=lambda surprise: -surprise.mean()),
        "each row counts the same, though some have fewer targets that count; take one mean over all.":
            wrong.mean_of_rows,
        "-100 is no index; first leave those targets out, or put a token in their place.":
            wrong.loss_with(index=lambda targets: targets),
        "the softmax runs over the wrong axis: over the possible tokens, the last.":
            wrong.loss_with(log_p=lambda logits: logits.log_softmax(1)),
        "the softmax is taken twice.": wrong.loss_with(log_p=lambda logits: logits.softmax(-1).log_softmax(-1)),
        "logits are no probabilities; take the softmax first.": wrong.loss_with(log_p=lambda logits: logits),
        "this is the mean of -p; the logarithm is missing.": wrong.loss_with(log_p=lambda logits: logits.softmax(-1)),
        "token 0 is a target like any other; only -100 does not count.":
            wrong.loss_with(counts=lambda targets: targets > 0),
        "the mean of the logarithms is asked for, not the logarithm of the mean.":
            wrong.loss_with(mean=lambda surprise: -(-surprise).exp().mean().log()),
        "a surprise for each target; their mean is asked for.": wrong.loss_with(mean=lambda surprise: surprise)}),
    "06.3": Solution(adamw_step, {
        "the decay is added to the gradient, so Adam divides it by the gradient's size: that is L2 regularisation, "
        "not AdamW.": decays_through_the_gradient,
        "the decay is not multiplied by the learning rate.": decays_without_the_rate,
        "the decay lets weights grow; subtract it.": decays_the_wrong_way,
        "the weights do not decay at all.": does_not_decay,
        "the decay is taken of the weight that Adam has moved already; take it of the old one.":
            decays_the_moved_weight,
        "the two means start at zero and are too small at first; divide by 1 - beta ** step.": does_not_correct,
        "the first mean is not corrected; divide it by 1 - beta1 ** step.":
            wrong.adamw_with(correct=(False, True)),
        "the mean of squares is not corrected; divide it by 1 - beta2 ** step.":
            wrong.adamw_with(correct=(True, False)),
        "steps are counted from 1 already.": wrong.adamw_with(step_shift=1),
        "the betas are exchanged.": wrong.adamw_with(beta1=0.95, beta2=0.9),
        "beta2 is 0.95 here, not 0.999.": wrong.adamw_with(beta2=0.999),
        "epsilon is added to the root, not under it.": wrong.adamw_with(eps=0.0, inside=1e-8),
        "epsilon is missing: small gradients move the weight too far.": wrong.adamw_with(eps=0.0),
        "the mean of squares needs its root.": wrong.adamw_with(root=lambda q: q),
        "the step goes uphill: subtract Adam's update.": wrong.adamw_with(sign=-1),
        "the second mean is that of the gradient's square, not of the first mean's.":
            wrong.adamw_with(size=lambda gradient, mean: mean),
        "the corrected means are for this step alone; return the running ones.":
            wrong.adamw_with(give=lambda new, mean, square, old: (new, *old[2:])),
        "the means that came in are returned; return the new ones.":
            wrong.adamw_with(give=lambda new, mean, square, old: (new, *old[:2])),
        "three things are asked for: the new weight and both means.":
            wrong.adamw_with(give=lambda new, *rest: new)}),
    "06.4": Solution(stable_decay, {
        "it falls from the end of the warm-up on; it should stay at 1 until the last part of the run.":
            falls_from_the_warmup,
        "`decay` is the share of the run that falls, at its end; you let the first such share pass.":
            takes_decay_as_the_start,
        "after the last step it goes below zero; hold it at 0.": goes_below_zero,
        "the first step has a learning rate of 0 and learns nothing; count (step + 1) / (warmup + 1).":
            begins_at_zero,
        "the warm-up is missing.": wrong.schedule(up=lambda step, warmup: 1.0),
        "the warm-up divides by warmup + 1, so that step `warmup` is the first at 1.":
            wrong.schedule(up=lambda step, warmup: min(1.0, (step + 1) / max(1, warmup))),
        "the warm-up rises beyond 1; take the smaller of the two.":
            wrong.schedule(up=lambda step, warmup: (step + 1) / (warmup + 1)),
        "min, not max: the warm-up stays below 1.":
            wrong.schedule(up=lambda step, warmup: max(1.0, (step + 1) / (warmup + 1))),
        "it falls along a cosine; a straight line is asked for.": wrong.schedule(down=wrong.half_a_cosine),
        "it falls at once; a straight line is asked for.":
            wrong.schedule(down=lambda step, n, decay: float(step < n * (1 - decay))),
        "it falls along a root; a straight line is asked for.": wrong.schedule(
            down=lambda step, n, decay: min(1.0, max(0.0, (n - step) / (n * decay))) ** 0.5),
        "it falls from the first step on; it should stay at 1 until the last part of the run.":
            wrong.schedule(down=lambda step, n, decay: max(0.0, 1 - step / n)),
        "`decay` is a share of all steps, not a number of steps.":
            wrong.schedule(down=lambda step, n, decay: min(1.0, max(0.0, (n - step) / decay))),
        "it reaches 0 one step too late: at step n_steps.":
            wrong.schedule(down=lambda step, n, decay: min(1.0, max(0.0, (n - step + 1) / (n * decay)))),
        "it reaches 0 one step too early: only at step n_steps.":
            wrong.schedule(down=lambda step, n, decay: min(1.0, max(0.0, (n - step - 1) / (n * decay)))),
        "the fall begins where n_steps * (1 - decay) lies, also between two steps: no int() there.":
            wrong.schedule(down=lambda step, n, decay: min(1.0, max(0.0, (n - step) / (n - int(n * (1 - decay)))))),
        "it falls to 0, not to a floor.":
            wrong.schedule(down=lambda step, n, decay: min(1.0, max(0.1, (n - step) / (n * decay)))),
        "after the last step nothing is returned; it is 0 there.": wrong.stops_at_the_end}),
    "06.5": Solution(whole_gradient, {
        "each piece counts the same, though some hold more targets than others.": wrong.averages_pieces,
        "the pieces are added, so the gradient grows with their number.": wrong.adds_pieces,
        "the pieces are weighed by their targets, but the sum is not divided by all of them.":
            weighs_without_dividing,
        "each is divided by its count; a mean over more targets must weigh more, so multiply.":
            lambda gradients, counts: sum(gradient / count for gradient, count in zip(gradients, counts, strict=True)),
        "the weighted pieces are divided by their number; divide by all targets together.":
            lambda gradients, counts: weighs_without_dividing(gradients, counts) / len(gradients),
        "each piece must be weighed by its count before the sum is divided.":
            lambda gradients, counts: sum(gradients) / sum(counts),
        "each piece overwrites the one before: += instead of =.": wrong.the_last_piece,
        "only the first piece is there: does `return` stand inside the loop?": wrong.the_first_piece,
        "divide by all targets, not by the largest count.":
            lambda gradients, counts: weighs_without_dividing(gradients, counts) / max(counts),
        "these are the pieces' shares; add them.": lambda gradients, counts: [
            count * gradient / sum(counts) for gradient, count in zip(gradients, counts, strict=True)],
        "the gradient has a number for each weight; do not add those up.":
            lambda gradients, counts: whole_gradient(gradients, counts).sum(),
        "the gradient has a number for each weight; do not average those.":
            lambda gradients, counts: whole_gradient(gradients, counts).mean(),
        "the weights stand the wrong way round: the first count belongs to the first piece.":
            lambda gradients, counts: whole_gradient(gradients, counts[::-1])}),
    "06.6": Solution(bits_per_byte, wrong.BITS_PER_BYTE),
    "06.7": Solution(muon_step, wrong.MUON), "06.8": Solution(soft_loss, wrong.SOFT),
    "06.9": Solution(best_split, wrong.SPLITS), "06.10": Solution(rounded_rows, wrong.EIGHT_BITS),
}
