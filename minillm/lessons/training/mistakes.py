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
