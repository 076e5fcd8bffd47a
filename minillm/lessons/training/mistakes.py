"""Make the mistakes of notebook 06 that need no right answer to start from.  Like solutions.py, not for students."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def windows(*, stride=None, shift=1, fill=0):
    """Cut windows of which the next begins `stride` on, with targets `shift` on and inputs padded with `fill`."""
    def cut(tokens, context_length):
        inputs, targets = [], []
        for start in range(0, len(tokens) - shift, stride or context_length):
            y = tokens[start + shift:start + shift + context_length]
            x = tokens[start:start + context_length][:len(y)]
            inputs.append(F.pad(x, (0, context_length - len(x)), value=fill))
            targets.append(F.pad(y, (0, context_length - len(y)), value=-100))
        return torch.stack(inputs), torch.stack(targets)
    return cut


def full_windows_one_apart(tokens, context_length):
    starts = range(len(tokens) - context_length)
    return (torch.stack([tokens[s:s + context_length] for s in starts]),
            torch.stack([tokens[s + 1:s + context_length + 1] for s in starts]))


def a_window_too_many(tokens, context_length):
    n = len(tokens) // context_length + 1
    inputs, targets = torch.zeros(n * context_length, dtype=torch.long), torch.full((n * context_length,), -100)
    inputs[:len(tokens) - 1], targets[:len(tokens) - 1] = tokens[:-1], tokens[1:]
    return inputs.reshape(n, -1), targets.reshape(n, -1)


def loss_with(*, log_p=lambda logits: logits.log_softmax(-1), counts=lambda targets: targets != -100,
              index=lambda targets: targets.clamp(min=0), mean=Tensor.mean):
    """The mean surprise with one thing changed."""
    def loss(logits, targets):
        surprise = -log_p(logits).gather(-1, index(targets)[..., None])[..., 0]
        return mean(surprise[counts(targets)])
    return loss


def mean_of_rows(logits, targets):
    counts = (targets != -100).float()
    surprise = -logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return ((surprise * counts).sum(-1) / counts.sum(-1)).mean()


def adamw_with(*, beta1=0.9, beta2=0.95, correct=(True, True), step_shift=0, root=Tensor.sqrt, eps=1e-8, inside=0.0,
               sign=1, size=lambda gradient, mean: gradient, give=lambda new, mean, square, old: (new, mean, square)):
    """AdamW with one thing changed; `give` chooses what is returned, `old` holds the two means that came in."""
    def step_(weight, gradient, mean, square, step, lr, decay):
        old, step = (mean, square), step + step_shift
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * size(gradient, mean) ** 2
        m = mean / (1 - beta1 ** step) if correct[0] else mean
        q = square / (1 - beta2 ** step) if correct[1] else square
        new = weight - sign * lr * m / (root(q + inside) + eps) - lr * decay * weight
        return give(new, mean, square, (*old, m, q))
    return step_


def schedule(*, up=lambda step, warmup: min(1.0, (step + 1) / (warmup + 1)),
             down=lambda step, n, decay: min(1.0, max(0.0, (n - step) / (n * decay)))):
    """Warm up, stay, decay, with one part changed."""
    return lambda step, n_steps, warmup, decay: up(step, warmup) * down(step, n_steps, decay)


def half_a_cosine(step, n_steps, decay):
    fallen = min(1.0, max(0.0, (step - n_steps * (1 - decay)) / (n_steps * decay)))
    return (1 + math.cos(math.pi * fallen)) / 2


def stops_at_the_end(step, n_steps, warmup, decay):
    if step < n_steps:
        return schedule()(step, n_steps, warmup, decay)
    return None


def the_last_piece(gradients, counts):
    return gradients[-1] * counts[-1] / sum(counts)


def the_first_piece(gradients, counts):
    return gradients[0] * counts[0] / sum(counts)


def drops_the_rest(tokens, context_length):
    rows = (len(tokens) - 1) // context_length
    cut = rows * context_length
    return tokens[:cut].reshape(rows, context_length), tokens[1:cut + 1].reshape(rows, context_length)


def loses_between_windows(tokens, context_length):
    rows = [tokens[start:start + context_length + 1] for start in range(0, len(tokens) - 1, context_length + 1)]
    inputs = torch.zeros(len(rows), context_length, dtype=torch.long)
    targets = torch.full((len(rows), context_length), -100)
    for i, row in enumerate(rows):
        inputs[i, :len(row) - 1], targets[i, :len(row) - 1] = row[:-1], row[1:]
    return inputs, targets


def averages_pieces(gradients, counts):
    return sum(gradients) / len(gradients)


def adds_pieces(gradients, counts):
    return sum(gradients[1:], gradients[0])


BITS_PER_BYTE = {
    "this is in nats; a bit is ln 2 nats.": lambda nats, tokens, size: nats * tokens / size,
    "the division is the wrong way round: fewer tokens for the same bytes is better.":
        lambda nats, tokens, size: nats * size / math.log(2) / tokens,
    "this is per token, so a tokenizer with longer tokens looks worse than it is.":
        lambda nats, tokens, size: nats / math.log(2),
    "dividing by ln 2 turns nats into bits; you multiplied.":
        lambda nats, tokens, size: nats * math.log(2) * tokens / size,
    "this is per byte only if the text is one token; multiply by the number of tokens.":
        lambda nats, tokens, size: nats / math.log(2) / size,
    "these are the bits of the whole text; divide by its bytes.":
        lambda nats, tokens, size: nats / math.log(2) * tokens,
    "the loss is a logarithm already; do not take another.":
        lambda nats, tokens, size: math.log2(nats) * tokens / size,
    "this is per bit of the text: a byte is what is asked for, not its eighth part.":
        lambda nats, tokens, size: nats * tokens / math.log(2) / (8 * size),
    "a bit is ln 2 nats; the logarithm of 10 gives decimal digits.":
        lambda nats, tokens, size: nats * tokens / math.log(10) / size,
    "the loss itself is wanted, not the perplexity exp(loss).":
        lambda nats, tokens, size: math.exp(nats) * tokens / math.log(2) / size,
    "the loss itself is wanted, not the perplexity exp(loss); and a bit is ln 2 nats.":
        lambda nats, tokens, size: math.exp(nats) * tokens / size}


def level(x):
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    return u @ v


def muon_with(*, gather=lambda mean, g, beta: beta * mean + g, ahead=lambda g, mean, beta: g + beta * mean,
              shape=level, scale=lambda rows, columns: max(1.0, rows / columns) ** 0.5, sign=1,
              give=lambda new, mean, ahead, old: (new, mean)):
    """A step of Muon with one thing changed."""
    def step(weight, gradient, mean, lr, beta):
        gathered = gather(mean, gradient, beta)
        towards = ahead(gradient, gathered, beta)
        return give(weight - sign * lr * scale(*weight.shape) * shape(towards), gathered, towards, mean)
    return step


MUON = {
    "a tall matrix goes further, by the root of rows / columns; the scale is missing.":
        muon_with(scale=lambda rows, columns: 1.0),
    "the scale is that of a wide matrix: rows / columns counts, not columns / rows.":
        muon_with(scale=lambda rows, columns: max(1.0, columns / rows) ** 0.5),
    "the scale needs its root.": muon_with(scale=lambda rows, columns: max(1.0, rows / columns)),
    "a wide matrix is not slowed down: the scale is 1 at least.":
        muon_with(scale=lambda rows, columns: (rows / columns) ** 0.5),
    "the mean alone is levelled; add the gradient once more, as it goes on.":
        muon_with(ahead=lambda g, mean, beta: mean),
    "the gradient alone is levelled; the momentum is missing.": muon_with(ahead=lambda g, mean, beta: g),
    "Muon's mean is a sum that forgets; the gradient is not multiplied by 1 - beta.":
        muon_with(gather=lambda mean, g, beta: beta * mean + (1 - beta) * g),
    "beta stands at the wrong one: it shrinks the old mean, not the gradient.":
        muon_with(gather=lambda mean, g, beta: mean + beta * g),
    "the step goes uphill; subtract it.": muon_with(sign=-1),
    "this is the gradient with its singular values; all of them should be one.": muon_with(shape=lambda x: x),
    "divided by its norm, a matrix keeps unequal directions; its singular values should be one.":
        muon_with(shape=lambda x: x / x.norm()),
    "that is Adam's first step, the sign of each number; a matrix's directions are meant.":
        muon_with(shape=torch.sign),
    "each row is levelled by itself, and rows may point the same way; take the matrix as a whole.":
        muon_with(shape=lambda x: x / x.norm(dim=1, keepdim=True)),
    "the singular values are divided by the largest, and stay unequal.":
        muon_with(shape=lambda x: x / torch.linalg.matrix_norm(x, 2)),
    "what comes back as the mean is what was levelled; the running mean is asked for.":
        muon_with(give=lambda new, mean, ahead, old: (new, ahead)),
    "the mean comes back as it was; the new one is needed at the next step.":
        muon_with(give=lambda new, mean, ahead, old: (new, old)),
    "the two stand the wrong way round: the weight first.":
        muon_with(give=lambda new, mean, ahead, old: (mean, new)),
    "the new weight alone comes back; its mean is needed at the next step.":
        muon_with(give=lambda new, mean, ahead, old: new),
}


def soft_with(*, teacher=lambda x, t: (x / t).log_softmax(-1), student=lambda x, t: (x / t).log_softmax(-1),
              each=lambda p, q: q.exp() * (q - p), factor=lambda t: t * t, mean=lambda terms: terms.sum(-1).mean()):
    """The loss of a student with one thing changed; p and q are log-probabilities, q the teacher's."""
    return lambda logits, wanted, temperature: factor(temperature) * mean(
        each(student(logits, temperature), teacher(wanted, temperature)))


SOFT = {
    "the two are the wrong way round: the student must cover what its teacher thinks possible.":
        soft_with(each=lambda p, q: p.exp() * (p - q)),
    "the teacher's logits are not divided by the temperature.":
        soft_with(teacher=lambda x, t: x.log_softmax(-1)),
    "the student's logits are not divided by the temperature.":
        soft_with(student=lambda x, t: x.log_softmax(-1)),
    "neither is softened: divide both by the temperature first.":
        soft_with(teacher=lambda x, t: x.log_softmax(-1), student=lambda x, t: x.log_softmax(-1)),
    "logits are divided by a temperature, not multiplied.":
        soft_with(teacher=lambda x, t: (x * t).log_softmax(-1), student=lambda x, t: (x * t).log_softmax(-1)),
    "the factor of the temperature's square is missing, and gradients shrink as it rises.":
        soft_with(factor=lambda t: 1.0),
    "the temperature stands before the sum once; its square belongs there.": soft_with(factor=lambda t: t),
    "multiply by the temperature's square, do not divide.": soft_with(factor=lambda t: 1 / (t * t)),
    "this is the cross-entropy: the teacher's own entropy is still in it.":
        soft_with(each=lambda p, q: -q.exp() * p),
    "this is the sum over all places, not their mean.": soft_with(mean=lambda terms: terms.sum()),
    "the mean runs over the tokens of the vocabulary, too; sum those, and average over places.":
        soft_with(mean=lambda terms: terms.mean()),
    "this is the sum over the places of a text, and a mean over texts alone.":
        soft_with(mean=lambda terms: terms.sum((-1, -2)).mean()),
    "a loss for each place; their mean is asked for.": soft_with(mean=lambda terms: terms.sum(-1)),
    "the sign is the other way round.": soft_with(factor=lambda t: -t * t),
    "the softmax runs over the places of a text; over the tokens of the vocabulary, the last axis.":
        soft_with(teacher=lambda x, t: (x / t).log_softmax(1), student=lambda x, t: (x / t).log_softmax(1)),
    "this is in bits (log2); nats are asked for.": soft_with(factor=lambda t: t * t / math.log(2)),
    "this compares logits by their squares; a shift of all logits, which changes no probability, would cost.":
        soft_with(teacher=lambda x, t: x / t, student=lambda x, t: x / t, each=lambda p, q: (q - p) ** 2),
    "the difference of log-probabilities is not weighted with the teacher's probabilities.":
        soft_with(each=lambda p, q: q - p),
}


def split_with(*, product=lambda flops: flops / 6, balance=lambda a, alpha, b, beta: alpha * a / (beta * b),
               root=lambda alpha, beta: 1 / (alpha + beta), power=lambda alpha, beta: beta / (alpha + beta),
               give=lambda n, product: (n, product / n)):
    """The best split of a budget with one thing changed."""
    def split(flops, a, alpha, b, beta):
        whole = product(flops)
        return give(balance(a, alpha, b, beta) ** root(alpha, beta) * whole ** power(alpha, beta), whole)
    return split


SPLITS = {
    "six operations for each parameter and token: divide the budget by 6.": split_with(product=lambda flops: flops),
    "a forward pass takes two, and the backward pass four more: six, not two.":
        split_with(product=lambda flops: flops / 2),
    "the backward pass takes four more: six operations, not three.": split_with(product=lambda flops: flops / 3),
    "the two stand the wrong way round: parameters first.":
        split_with(give=lambda n, product: (product / n, n)),
    "the powers are exchanged: the better text pays, the larger the model may be.":
        split_with(power=lambda alpha, beta: alpha / (alpha + beta)),
    "where the slope is zero, the exponents come down: alpha a against beta b, not a against b.":
        split_with(balance=lambda a, alpha, b, beta: a / b),
    "the balance is upside down.": split_with(balance=lambda a, alpha, b, beta: beta * b / (alpha * a)),
    "the exponents are at the wrong factors: alpha belongs to a.":
        split_with(balance=lambda a, alpha, b, beta: beta * a / (alpha * b)),
    "the balance needs its root, 1 / (alpha + beta).": split_with(root=lambda alpha, beta: 1.0),
    "the balance is left out: without it, a and b would not matter.":
        split_with(balance=lambda a, alpha, b, beta: 1.0),
    "equal shares are best only where both terms are alike.": split_with(
        balance=lambda a, alpha, b, beta: 1.0, power=lambda alpha, beta: 0.5),
    "twenty tokens for each parameter is what one law said of one text; minimise this one.":
        lambda flops, a, alpha, b, beta: ((flops / 120) ** 0.5, 20 * (flops / 120) ** 0.5),
    "the tokens are what is left of the product: divide it by the parameters.":
        split_with(give=lambda n, product: (n, product)),
    "the number of parameters alone comes back; the tokens are asked for, too.":
        split_with(give=lambda n, product: n),
    "the logarithms come back; the numbers are asked for.":
        split_with(give=lambda n, product: (math.log(n), math.log(product / n))),
}


def rows_with(*, largest=lambda x: x.abs().amax(-1, keepdim=True), steps=127, turn=torch.round, least=1e-12,
              back=lambda codes, scale: codes * scale):
    """Rows rounded to eight bits with one thing changed."""
    def rounded(matrix):
        scale = largest(matrix) / steps
        return back(turn(matrix / scale.clamp(min=least)), scale)
    return rounded


EIGHT_BITS = {
    "one scale for the whole matrix: a row of small numbers is lost; each row has its own.":
        rows_with(largest=lambda x: x.abs().max()),
    "each column has its scale; each row should.": rows_with(largest=lambda x: x.abs().amax(0, keepdim=True)),
    "the scale is the largest number; the most negative may be larger in size.":
        rows_with(largest=lambda x: x.amax(-1, keepdim=True)),
    "128 steps would need the code 128, and eight bits end at 127.": rows_with(steps=128),
    "from -127 to 127 there are 127 steps to each side, not 255.": rows_with(steps=255),
    "it is cut off towards zero; the nearest code is asked for.": rows_with(turn=torch.trunc),
    "it is rounded down; the nearest code is asked for.": rows_with(turn=torch.floor),
    "these are the codes; multiply them by their row's scale.": rows_with(back=lambda codes, scale: codes),
    "nothing is rounded.": rows_with(turn=lambda x: x),
    "a row of zeros has scale 0, and 0 / 0 is no number; keep the division from failing.": rows_with(least=0.0),
    "the scale is the row's mean size, so most of what is larger would need more than eight bits.":
        rows_with(largest=lambda x: x.abs().mean(-1, keepdim=True)),
    "the largest code is divided by, where the scale is to be multiplied with.":
        rows_with(back=lambda codes, scale: codes / 127),
    "this is what rounding takes away; what is left is asked for.":
        lambda matrix: matrix - rows_with()(matrix),
    "negative numbers are lost: codes run from -127 to 127.": rows_with(turn=lambda x: x.round().clamp(min=0)),
}
