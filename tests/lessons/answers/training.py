"""Answers to notebook 06, right and wrong, written from its texts alone before its solutions were read."""
import math

import torch
import torch.nn.functional as F

NONE = -100


def _windows(tokens, context_length):
    n = math.ceil((len(tokens) - 1) / context_length)
    inputs = torch.zeros(n * context_length, dtype=torch.long)
    targets = torch.full((n * context_length,), -100)
    inputs[:len(tokens) - 1], targets[:len(tokens) - 1] = tokens[:-1], tokens[1:]
    return inputs.reshape(n, context_length), targets.reshape(n, context_length)


def _windows_in_a_loop(tokens, context_length):
    xs, ys = [], []
    for start in range(0, len(tokens) - 1, context_length):
        x = tokens[start:start + context_length]
        y = tokens[start + 1:start + context_length + 1]
        x = x[:len(y)]
        missing = context_length - len(y)
        xs.append(torch.cat([x, torch.zeros(missing, dtype=x.dtype)]))
        ys.append(torch.cat([y, torch.full((missing,), -100, dtype=y.dtype)]))
    return torch.stack(xs), torch.stack(ys)


def _windows_padded(tokens, context_length):
    missing = -(len(tokens) - 1) % context_length
    x, y = F.pad(tokens[:-1], (0, missing)), F.pad(tokens[1:], (0, missing), value=-100)
    return [x.view(-1, context_length), y.view(-1, context_length)]


def _windows_with(*, stride=0, shift=1, pad=-100, fill=0, keep_last=False, drop=False):
    def windows(tokens, context_length):
        xs, ys = [], []
        step = context_length + stride
        for start in range(0, len(tokens) - shift, step):
            y = tokens[start + shift:start + shift + context_length]
            x = tokens[start:start + context_length]
            x = x if keep_last else x[:len(y)]
            if drop and len(y) < context_length:
                continue
            xs.append(F.pad(x, (0, context_length - len(x)), value=fill))
            ys.append(F.pad(y, (0, context_length - len(y)), value=pad))
        return torch.stack(xs), torch.stack(ys)
    return windows


def _windows_dropped(tokens, context_length):
    n = (len(tokens) - 1) // context_length
    return (tokens[:n * context_length].reshape(n, context_length),
            tokens[1:n * context_length + 1].reshape(n, context_length))


def _windows_overlapping(tokens, context_length):
    starts = range(len(tokens) - context_length)
    return (torch.stack([tokens[s:s + context_length] for s in starts]),
            torch.stack([tokens[s + 1:s + context_length + 1] for s in starts]))


def _windows_one_more(tokens, context_length):
    n = len(tokens) // context_length + 1
    x, y = torch.zeros(n * context_length, dtype=torch.long), torch.full((n * context_length,), -100)
    x[:len(tokens) - 1], y[:len(tokens) - 1] = tokens[:-1], tokens[1:]
    return x.reshape(n, -1), y.reshape(n, -1)


def _windows_flat(tokens, context_length):
    x, y = _windows(tokens, context_length)
    return x.flatten(), y.flatten()


def _windows_swapped(tokens, context_length):
    x, y = _windows(tokens, context_length)
    return y, x


def _masked(logits, targets):
    counts = targets != -100
    log_p = logits.log_softmax(-1)
    picked = log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -picked[counts].mean()


def _masked_flat(logits, targets):
    logits, targets = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
    logits, targets = logits[targets >= 0], targets[targets >= 0]
    chosen = logits[torch.arange(len(targets)), targets]
    return (torch.logsumexp(logits, dim=1) - chosen).mean()


def _masked_loop(logits, targets):
    losses = []
    for row, answers in zip(logits, targets):
        for scores, answer in zip(row.tolist(), answers.tolist()):
            if answer != -100:
                top = max(scores)
                total = sum(math.exp(score - top) for score in scores)
                losses.append(top + math.log(total) - scores[answer])
    return sum(losses) / len(losses)


def _per_target(logits, targets):
    return -logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]


def _masked_with_zero_in_the_mean(logits, targets):
    loss = _per_target(logits, targets) * (targets != -100)
    return loss.mean()


def _masked_all(logits, targets):
    return _per_target(logits, targets).mean()


def _masked_sum(logits, targets):
    return _per_target(logits, targets)[targets != -100].sum()


def _masked_mean_of_rows(logits, targets):
    counts = (targets != -100).float()
    loss = (_per_target(logits, targets) * counts).sum(-1) / counts.sum(-1)
    return loss.mean()


def _masked_index_100(logits, targets):
    return -logits.log_softmax(-1).gather(-1, targets[..., None])[targets != -100].mean()


def _masked_wrong_axis(logits, targets):
    log_p = logits.log_softmax(1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -log_p[targets != -100].mean()


def _masked_softmax_twice(logits, targets):
    return _masked(logits.softmax(-1), targets)


def _masked_logits_as_p(logits, targets):
    p = logits.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -p[targets != -100].mean()


def _masked_log_left_out(logits, targets):
    p = logits.softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -p[targets != -100].mean()


def _masked_bits(logits, targets):
    return _masked(logits, targets) / math.log(2)


def _masked_sign(logits, targets):
    return -_masked(logits, targets)


def _masked_target_zero_too(logits, targets):
    return _per_target(logits, targets)[targets > 0].mean()


def _masked_cross_entropy(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


def _masked_log_of_mean(logits, targets):
    p = logits.softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -p[targets != -100].mean().log()


def _adamw(weight, gradient, mean, square, step, lr, decay):
    b1, b2, eps = 0.9, 0.95, 1e-8
    mean = b1 * mean + (1 - b1) * gradient
    square = b2 * square + (1 - b2) * gradient**2
    update = (mean / (1 - b1**step)) / ((square / (1 - b2**step)).sqrt() + eps)
    return weight - lr * update - lr * decay * weight, mean, square


def _adamw_shrinks_first(weight, gradient, mean, square, step, lr, decay):
    mean = mean.lerp(gradient, 0.1)
    square = torch.lerp(square, gradient * gradient, 0.05)
    m_hat, q_hat = mean / (1 - 0.9**step), square / (1 - 0.95**step)
    weight = weight * (1 - lr * decay)
    return weight - lr * m_hat / (q_hat**0.5 + 1e-8), mean, square


def _adamw_as_torch_does(weight, gradient, mean, square, step, lr, decay):
    weight, mean, square = weight.clone(), mean.clone(), square.clone()
    weight.mul_(1 - lr * decay)
    mean.mul_(0.9).add_(gradient, alpha=0.1)
    square.mul_(0.95).addcmul_(gradient, gradient, value=0.05)
    size = lr / (1 - 0.9**step)
    denominator = square.sqrt() / math.sqrt(1 - 0.95**step) + 1e-8
    weight.addcdiv_(mean, denominator, value=-size)
    return [weight, mean, square]


def _adamw_with(*, b1=0.9, b2=0.95, eps="outside", correct=True, s=0, where="beside", lr_in_decay=True, root=True,
                corrected_returned=False, old_means=False, second_only=False, first_only=False, sign=-1):
    def step_(weight, gradient, mean, square, step, lr, decay):
        if where == "gradient":
            gradient = gradient + decay * weight
        m = b1 * mean + (1 - b1) * gradient
        q = b2 * square + (1 - b2) * gradient**2
        m_hat = m / (1 - b1**(step + s)) if correct and not second_only else m
        q_hat = q / (1 - b2**(step + s)) if correct and not first_only else q
        if eps == "outside":
            below = (q_hat.sqrt() if root else q_hat) + 1e-8
        elif eps == "inside":
            below = (q_hat + 1e-8).sqrt()
        else:
            below = q_hat.sqrt()
        update = m_hat / below
        shrink = {"beside": (lr if lr_in_decay else 1) * decay * weight, "gradient": 0, "none": 0,
                  "plus": -lr * decay * weight}[where]
        new = weight + sign * lr * update - shrink
        if where == "after":
            new = new
        return (new, m_hat, q_hat) if corrected_returned else (new, mean, square) if old_means else (new, m, q)
    return step_


def _adamw_decays_the_new_weight(weight, gradient, mean, square, step, lr, decay):
    new, mean, square = _adamw(weight, gradient, mean, square, step, lr, 0.0)
    return new * (1 - lr * decay), mean, square


def _adamw_weight_only(weight, gradient, mean, square, step, lr, decay):
    return _adamw(weight, gradient, mean, square, step, lr, decay)[0]


def _adamw_in_place(weight, gradient, mean, square, step, lr, decay):
    new, m, q = _adamw(weight, gradient, mean, square, step, lr, decay)
    mean.copy_(m)
    square.copy_(q)
    return new, mean, square


def _adamw_by_torch(weight, gradient, mean, square, step, lr, decay):
    parameter = torch.nn.Parameter(weight.clone())
    parameter.grad = gradient.clone()
    optimizer = torch.optim.AdamW([parameter], lr=lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=decay)
    optimizer.state[parameter] = {"step": torch.tensor(float(step - 1)), "exp_avg": mean.clone(),
                                  "exp_avg_sq": square.clone()}
    optimizer.step()
    state = optimizer.state[parameter]
    return parameter.detach(), state["exp_avg"], state["exp_avg_sq"]


def _adamw_square_of_the_mean(weight, gradient, mean, square, step, lr, decay):
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.95 * square + 0.05 * mean**2
    update = mean / (1 - 0.9**step) / ((square / (1 - 0.95**step)).sqrt() + 1e-8)
    return weight - lr * update - lr * decay * weight, mean, square


def _stable(step, n_steps, warmup, decay):
    up = min(1, (step + 1) / (warmup + 1))
    down = min(1, max(0, (n_steps - step) / (decay * n_steps)))
    return up * down


def _stable_by_cases(step, n_steps, warmup, decay):
    start = n_steps * (1 - decay)
    if step < warmup and step <= start:
        return (step + 1) / (warmup + 1)
    if step >= n_steps:
        return 0.0
    if step > start:
        return (n_steps - step) / (n_steps - start) * min(1, (step + 1) / (warmup + 1))
    return 1.0


def _stable_one_line(step, n, w, d):
    return max(0.0, min(1.0, (1 - step / n) / d)) * min(1.0, (1 + step) / (1 + w))


def _stable_with(up=lambda s, w: min(1, (s + 1) / (w + 1)), down=lambda s, n, d: min(1, max(0, (n - s) / (d * n))),
                 join=lambda a, b: a * b):
    return lambda step, n, warmup, decay: join(up(step, warmup), down(step, n, decay))


def _stable_cosine(step, n_steps, warmup, decay):
    start = n_steps * (1 - decay)
    c = min(1, max(0, (step - start) / (n_steps - start)))
    return min(1, (step + 1) / (warmup + 1)) * (1 + math.cos(math.pi * c)) / 2


def _stable_without_warmup(step, n_steps, warmup, decay):
    return min(1, max(0, (n_steps - step) / (decay * n_steps)))


def _stable_negative_after_the_end(step, n_steps, warmup, decay):
    return min(1, (step + 1) / (warmup + 1)) * min(1, (n_steps - step) / (decay * n_steps))


def _stable_falls_at_once(step, n_steps, warmup, decay):
    start = n_steps * (1 - decay)
    up = min(1, (step + 1) / (warmup + 1))
    return up if step < start else 0


def _stable_without_return_after_the_end(step, n_steps, warmup, decay):
    start = n_steps * (1 - decay)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if step < start:
        return 1
    if step < n_steps:
        return (n_steps - step) / (n_steps - start)


def _whole(gradients, counts):
    return sum(g * n for g, n in zip(gradients, counts)) / sum(counts)


def _whole_stacked(gradients, counts):
    weights = torch.tensor(counts, dtype=torch.float32)
    return (torch.stack(gradients) * (weights / weights.sum())[:, None]).sum(0)


def _whole_running(gradients, counts):
    total, seen = torch.zeros_like(gradients[0]), 0
    for gradient, count in zip(gradients, counts):
        seen += count
        total = total + (gradient - total) * count / seen
    return total


def _whole_overwrites(gradients, counts):
    for gradient, count in zip(gradients, counts):
        total = gradient * count
    return total / sum(counts)


def _whole_returns_early(gradients, counts):
    total = torch.zeros_like(gradients[0])
    for gradient, count in zip(gradients, counts):
        total += gradient * count
        return total / sum(counts)


def _whole_in_place(gradients, counts):
    total = gradients[0]
    total *= counts[0]
    for gradient, count in zip(gradients[1:], counts[1:]):
        total += gradient * count
    return total / sum(counts)


RIGHT = {
    "06.1": [_windows, _windows_in_a_loop, _windows_padded],
    "06.2": [_masked, _masked_flat, _masked_loop],
    "06.3": [_adamw, _adamw_shrinks_first, _adamw_as_torch_does],
    "06.4": [_stable, _stable_by_cases, _stable_one_line, _stable_with(join=min)],   # where both slopes meet is open
    "06.5": [_whole, _whole_stacked, _whole_running],
    "06.6": [lambda nats, tokens, n_bytes: nats * tokens / math.log(2) / n_bytes,
             lambda nats, tokens, n_bytes: nats / math.log(2) / (n_bytes / tokens),
             lambda nats, tokens, n_bytes: torch.tensor(nats * tokens / n_bytes) * math.log2(math.e)],
}

WRONG = {
    "06.1": {
        "stride one too long": _windows_with(stride=1),
        "not shifted": _windows_with(shift=0),
        "shifted twice": _windows_with(shift=2),
        "padding 0 in the targets": _windows_with(pad=0),
        "-100 in the inputs": _windows_with(fill=-100),
        "last token kept among the inputs": _windows_with(keep_last=True),
        "last window dropped": _windows_dropped,
        "overlapping": _windows_overlapping,
        "one window too many": _windows_one_more,
        "flat": _windows_flat,
        "swapped": _windows_swapped,
        "floats": lambda tokens, n: tuple(each.float() for each in _windows(tokens, n)),
        "reshaped without padding": lambda tokens, n: (tokens[:-1].reshape(-1, n), tokens[1:].reshape(-1, n)),
        "not padded": lambda tokens, n: (tokens[:-1].split(n), tokens[1:].split(n)),
        "next window as target":
            lambda t, n: (_windows(t, n)[0], torch.roll(_windows(t, n)[0], -1, 0))},
    "06.2": {
        "divided by all": _masked_with_zero_in_the_mean,
        "all counted": _masked_all,
        "sum": _masked_sum,
        "mean of rows": _masked_mean_of_rows,
        "-100 as an index": _masked_index_100,
        "wrong axis": _masked_wrong_axis,
        "softmax twice": _masked_softmax_twice,
        "logits as probabilities": _masked_logits_as_p,
        "log left out": _masked_log_left_out,
        "bits": _masked_bits,
        "sign": _masked_sign,
        "target 0 left out": _masked_target_zero_too,
        "PyTorch's own": _masked_cross_entropy,
        "log of the mean": _masked_log_of_mean},
    "06.3": {
        "decay in the gradient": _adamw_with(where="gradient"),
        "no decay": _adamw_with(where="none"),
        "decay without lr": _adamw_with(lr_in_decay=False),
        "decay added": _adamw_with(where="plus"),
        "decay of the new weight": _adamw_decays_the_new_weight,
        "no correction": _adamw_with(correct=False),
        "steps from 0": _adamw_with(s=1),
        "beta2 = 0.999": _adamw_with(b2=0.999),
        "eps inside the root": _adamw_with(eps="inside"),
        "no eps": _adamw_with(eps="none"),
        "no root": _adamw_with(root=False),
        "corrected means returned": _adamw_with(corrected_returned=True),
        "old means returned": _adamw_with(old_means=True),
        "second moment not corrected": _adamw_with(first_only=True),
        "first moment not corrected": _adamw_with(second_only=True),
        "uphill": _adamw_with(sign=1),
        "weight alone": _adamw_weight_only,
        "in place": _adamw_in_place,
        "torch.optim": _adamw_by_torch,
        "square of the mean": _adamw_square_of_the_mean,
        "betas swapped": _adamw_with(b1=0.95, b2=0.9)},
    "06.4": {
        "warm-up from 0": _stable_with(up=lambda s, w: min(1, s / max(1, w))),
        "warm-up without + 1 below": _stable_with(up=lambda s, w: min(1, (s + 1) / max(1, w))),
        "no warm-up": _stable_without_warmup,
        "cosine": _stable_cosine,
        "negative after the end": _stable_negative_after_the_end,
        "falls at once": _stable_falls_at_once,
        "None after the end": _stable_without_return_after_the_end,
        "decays from the start": _stable_with(down=lambda s, n, d: max(0, 1 - s / n)),
        "decay counted in steps": _stable_with(down=lambda s, n, d: min(1, max(0, (n - s) / d))),
        "the last step is not 0": _stable_with(down=lambda s, n, d: min(1, max(0, (n - s + 1) / (d * n)))),
        "0 one step early": _stable_with(down=lambda s, n, d: min(1, max(0, (n - 1 - s) / (d * n)))),
        "decay begins at the share": _stable_with(down=lambda s, n, d: min(1, max(0, (n - s) / ((1 - d) * n)))),
        "max for min": _stable_with(up=lambda s, w: max(1, (s + 1) / (w + 1))),
        "falls to the floor 0.1": _stable_with(down=lambda s, n, d: min(1, max(0.1, (n - s) / (d * n)))),
        "falls from a whole step on":
            _stable_with(down=lambda s, n, d: min(1, max(0, (n - s) / (n - int(n * (1 - d)))))),
        "square root": _stable_with(down=lambda s, n, d: min(1, max(0, (n - s) / (d * n))) ** 0.5)},
    "06.5": {
        "mean of means": lambda gradients, counts: sum(gradients) / len(gradients),
        "sum": lambda gradients, counts: sum(gradients),
        "weighted, divided by the pieces":
            lambda gradients, counts: sum(g * n for g, n in zip(gradients, counts)) / len(counts),
        "not divided": lambda gradients, counts: sum(g * n for g, n in zip(gradients, counts)),
        "divided by counts": lambda gradients, counts: sum(g / n for g, n in zip(gradients, counts)),
        "divided by the total, not weighted": lambda gradients, counts: sum(gradients) / sum(counts),
        "overwrites": _whole_overwrites,
        "returns early": _whole_returns_early,
        "in place": _whole_in_place,
        "weighted by the largest":
            lambda gradients, counts: sum(g * n for g, n in zip(gradients, counts)) / max(counts),
        "list, not sum": lambda gradients, counts: [g * n / sum(counts) for g, n in zip(gradients, counts)],
        "a number": lambda gradients, counts: float(_whole(gradients, counts).sum())},
    "06.6": {
        "nats": lambda nats, tokens, n_bytes: nats * tokens / n_bytes,
        "multiplied by ln 2": lambda nats, tokens, n_bytes: nats * math.log(2) * tokens / n_bytes,
        "upside down": lambda nats, tokens, n_bytes: nats / math.log(2) * n_bytes / tokens,
        "per token": lambda nats, tokens, n_bytes: nats / math.log(2),
        "tokens ignored": lambda nats, tokens, n_bytes: nats / math.log(2) / n_bytes,
        "bits in all": lambda nats, tokens, n_bytes: nats / math.log(2) * tokens,
        "log of the loss": lambda nats, tokens, n_bytes: math.log2(nats) * tokens / n_bytes,
        "8 bits in a byte": lambda nats, tokens, n_bytes: nats * tokens / math.log(2) / (8 * n_bytes),
        "log base 10": lambda nats, tokens, n_bytes: nats * tokens / math.log(10) / n_bytes,
        "exp": lambda nats, tokens, n_bytes: math.exp(nats) * tokens / n_bytes / math.log(2)},
}


# -- Muon, students, budgets, eight bits -------------------------------------------------------------------------------

def _muon(weight, gradient, mean, lr, beta):
    mean = mean * beta + gradient
    U, S, V = torch.svd(gradient + beta * mean)
    d_out, d_in = gradient.shape
    return weight - lr * math.sqrt(max(1, d_out / d_in)) * U @ V.T, mean


def _muon_by_roots(weight, gradient, mean, lr, beta):
    new = beta * mean + gradient
    x = (gradient + beta * new).double()
    values, vectors = torch.linalg.eigh(x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T)
    root = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    x = (x @ root if x.shape[0] >= x.shape[1] else root @ x).float()
    scale = (x.shape[0] / x.shape[1]) ** 0.5 if x.shape[0] > x.shape[1] else 1
    return weight - lr * scale * x, new


def _muon_by_products(weight, gradient, mean, lr, beta):
    new = gradient + beta * mean
    x = (gradient + beta * new).double()
    x = x / x.norm()
    for _ in range(60):
        x = 1.5 * x - 0.5 * x @ x.T @ x
    return weight - lr * max(1, len(x) / len(x[0])) ** 0.5 * x.float(), new


def _muon_with(*, ema=False, nesterov=True, scale="tall", how="svd", sign=1, out="both"):
    def answer(weight, gradient, mean, lr, beta):
        new = beta * mean + ((1 - beta) if ema else 1) * gradient
        x = gradient + beta * new if nesterov else new
        u, s, vh = torch.linalg.svd(x, full_matrices=False)
        x = {"svd": u @ vh, "raw": x, "norm": x / x.norm(), "sign": x.sign(), "top": x / s[0],
             "columns": x / x.norm(dim=0), "values": u * s}[how]
        r = weight.shape[0] / weight.shape[1]
        f = {"tall": max(1, r) ** 0.5, "none": 1, "wide": max(1, 1 / r) ** 0.5, "both": r ** 0.5, "no root": max(1, r),
             "size": max(weight.shape) ** 0.5}[scale]
        moved = weight - sign * lr * f * x
        return {"both": (moved, new), "weight": moved, "old": (moved, mean), "swapped": (new, moved)}[out]
    return answer


def _soft(logits, wanted, temperature):
    return F.kl_div(F.log_softmax(logits / temperature, -1).flatten(0, 1), F.softmax(wanted / temperature, -1).flatten(
        0, 1), reduction="batchmean") * temperature ** 2


def _soft_by_hand(logits, wanted, temperature):
    p, q = ((x / temperature).exp() for x in (logits, wanted))
    p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
    return (q * (q / p).log()).sum(-1).mean() * temperature * temperature


def _soft_as_entropies(logits, wanted, temperature):
    q = (wanted / temperature).softmax(-1)
    cross = -(q * (logits / temperature).log_softmax(-1)).sum(-1)
    own = -(q * q.log()).sum(-1)
    return (cross - own).mean() * temperature ** 2


def _soft_in_a_loop(logits, wanted, temperature):
    total = 0.0
    for row, theirs in zip(logits.flatten(0, 1), wanted.flatten(0, 1)):
        p, q = (row / temperature).softmax(0), (theirs / temperature).softmax(0)
        total += sum(b * math.log(b / a) for a, b in zip(p.tolist(), q.tolist()))
    return temperature ** 2 * total / logits.flatten(0, 1).shape[0]


def _soft_with(*, swap=False, t=(True, True), square=2, entropy=True, reduce="place", log=1.0, axis=-1):
    def answer(logits, wanted, temperature):
        p = (logits / (temperature if t[0] else 1)).log_softmax(axis)
        q = (wanted / (temperature if t[1] else 1)).log_softmax(axis)
        p, q = (q, p) if swap else (p, q)
        each = (q.exp() * ((q if entropy else 0) - p))
        each = {"place": lambda: each.sum(-1).mean(), "all": each.sum, "mean": each.mean,
                "none": lambda: each.sum(-1), "batch": lambda: each.sum() / len(each)}[reduce]()
        return each * temperature ** square * log
    return answer


def _split(flops, a, alpha, b, beta):
    n = ((a * alpha) / (b * beta) * (flops / 6) ** beta) ** (1 / (alpha + beta))
    return n, flops / 6 / n


def _split_by_logarithms(flops, a, alpha, b, beta):
    log_n = (math.log(alpha * a) - math.log(beta * b) + beta * math.log(flops / 6)) / (alpha + beta)
    return math.exp(log_n), math.exp(math.log(flops / 6) - log_n)


def _split_by_search(flops, a, alpha, b, beta):
    low, high = 0.0, math.log(flops / 6)

    def slope(x):
        return -alpha * a * math.exp(-alpha * x) + beta * b * (flops / 6) ** -beta * math.exp(beta * x)
    low, high = low - 200, high + 200
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return [math.exp(low), flops / 6 / math.exp(low)]


def _split_with(*, six=6, swap=False, power=None, balance=lambda a, x, b, y: a * x / (b * y), root=True):
    def answer(flops, a, alpha, b, beta):
        n = balance(a, alpha, b, beta) ** (1 / (alpha + beta) if root else 1)
        n *= (flops / six) ** (power(alpha, beta) if power else beta / (alpha + beta))
        return (flops / six / n, n) if swap else (n, flops / six / n)
    return answer


def _rows(matrix):
    s = matrix.abs().max(dim=1, keepdim=True).values / 127
    s = torch.where(s == 0, torch.ones_like(s), s)
    return torch.round(matrix / s) * s


def _rows_as_int8(matrix):
    out = []
    for row in matrix:
        s = row.abs().max() / 127
        out.append(row if s == 0 else (row / s).round().clamp(-127, 127).to(torch.int8).float() * s)
    return torch.stack(out)


def _rows_upside_down(matrix):
    inverse = 127 / matrix.abs().amax(1, keepdim=True)
    return ((matrix * inverse).round() / inverse).nan_to_num(0.0)


def _rows_with(*, axis=1, steps=127, turn=torch.round, size=torch.Tensor.abs, back=True, safe=True, reduce="max"):
    def answer(matrix):
        sized = size(matrix)
        big = {"max": lambda: sized.amax(axis, keepdim=True),
        "all": sized.max, "mean": lambda: sized.mean(1, keepdim=True),
               "std": lambda: matrix.std(1, keepdim=True)}[reduce]()
        s = big / steps
        s = s.clamp(min=1e-9) if safe else s
        codes = turn(matrix / s)
        return codes * s if back else codes
    return answer


RIGHT |= {
    "06.7": [_muon, _muon_by_roots, _muon_by_products],
    "06.8": [_soft_by_hand, _soft_as_entropies, _soft_in_a_loop],
    "06.9": [_split, _split_by_logarithms, _split_by_search],
    "06.10": [_rows, _rows_as_int8, _rows_upside_down],
}

WRONG |= {
    "06.7": {
        "no scale": _muon_with(scale="none"), "scale of wide ones": _muon_with(scale="wide"),
        "scale below 1": _muon_with(scale="both"), "no root": _muon_with(scale="no root"),
        "by the larger side": _muon_with(scale="size"),
        "mean of the gradients": _muon_with(ema=True), "not ahead": _muon_with(nesterov=False),
        "singular values kept": _muon_with(how="raw"), "norm": _muon_with(how="norm"), "sign": _muon_with(how="sign"),
        "largest value": _muon_with(how="top"), "columns": _muon_with(how="columns"), "uphill": _muon_with(sign=-1),
        "weight alone": _muon_with(out="weight"), "old mean": _muon_with(out="old"),
        "swapped": _muon_with(out="swapped")},
    "06.8": {
        "reversed": _soft_with(swap=True), "student sharp": _soft_with(t=(False, True)),
        "teacher sharp": _soft_with(t=(True, False)), "no temperature": _soft_with(t=(False, False)),
        "no square": _soft_with(square=0), "not squared": _soft_with(square=1), "divided": _soft_with(square=-2),
        "cross-entropy": _soft_with(entropy=False), "sum": _soft_with(reduce="all"),
        "mean of all": _soft_with(reduce="mean"),
        "each place": _soft_with(reduce="none"), "a mean over texts": _soft_with(reduce="batch"),
        "bits": _soft_with(log=1 / math.log(2)), "sign": _soft_with(log=-1.0), "axis": _soft_with(axis=1),
        "PyTorch's own": _soft},
    "06.9": {
        "no six": _split_with(six=1), "two": _split_with(six=2), "three": _split_with(six=3),
        "swapped": _split_with(swap=True),
        "other power": _split_with(power=lambda x, y: x / (x + y)), "equal": _split_with(power=lambda x, y: 0.5),
        "a / b": _split_with(balance=lambda a, x, b, y: a / b), "no balance": _split_with(balance=lambda *_: 1.0),
        "upside down": _split_with(balance=lambda a, x, b, y: b * y / (a * x)),
        "exponents exchanged": _split_with(balance=lambda a, x, b, y: a * y / (b * x)),
        "no root": _split_with(root=False),
        "twenty": lambda flops, *_: ((flops / 120) ** 0.5, (flops * 20 / 6) ** 0.5),
        "size alone": lambda *arguments: _split(*arguments)[0]},
    "06.10": {
        "one scale": _rows_with(reduce="all"), "columns": _rows_with(axis=0), "128": _rows_with(steps=128),
        "255": _rows_with(steps=255), "cut off": _rows_with(turn=torch.trunc), "down": _rows_with(turn=torch.floor),
        "up": _rows_with(turn=torch.ceil), "codes": _rows_with(back=False),
        "largest, not in size": _rows_with(size=lambda x: x),
        "0 / 0": _rows_with(safe=False), "mean size": _rows_with(reduce="mean"), "spread": _rows_with(reduce="std"),
        "torch's int8": lambda matrix: matrix.to(torch.int8).float(), "as it was": lambda matrix: matrix},
}

EQUAL = {
    "06.7": ["in `weight.shape`, `weight` is `gradient`"],
    "06.10": ["in `scale.clamp(min=1e-12)`, `1e-12` is `1e-11`",
              "in `matrix.abs().amax(dim=-1, keepdim=True)`, `-1` is `1`"],
    "06.2": ["in `(..., 0)`, `0` is `-1`"],
    "06.5": ["in `(count * gradient for gradient, count in zip(gradients, counts, strict=True))`, "
             "`zip(gradients, counts, strict=True)` is `zip(counts, gradients, strict=True)`"]}
TOLD = {  # answers that were told another cause, or that passed
    "06.1": {"floats": "these are floats", "reshaped without padding": "pad first"},
    "06.4": {"falls from a whole step on": "also between two steps"}}
