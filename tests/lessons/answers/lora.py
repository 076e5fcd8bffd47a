"""Answers to notebook 08, right and wrong, written from its texts alone before its solutions were read."""
import math

import torch
import torch.nn.functional as F

# 08.1


def _learned_cut(prompt, answer, end):
    row = prompt + answer + [end]
    targets = [-100] * (len(prompt) - 1) + answer + [end]
    return row[:-1], targets


def _learned_zipped(prompt, answer, end):
    row = [*prompt, *answer, end]
    pairs = [(row[i], row[i + 1] if i + 1 >= len(prompt) else -100) for i in range(len(row) - 1)]
    return [read for read, _ in pairs], [target for _, target in pairs]


def _learned_masked(prompt, answer, end):
    if not answer or answer[-1] != end:
        answer = answer + [end]
    row = prompt + answer
    targets = row[1:]
    for i in range(len(prompt) - 1):
        targets[i] = -100
    return row[:-1], targets


def _learned(inputs, targets):
    """inputs(row, n) and targets(row, n) of the whole row of ids, and how many of them are the prompt."""
    def learned(prompt, answer, end):
        row, n = prompt + answer + [end], len(prompt)
        return inputs(row, n), targets(row, n)
    return learned


def _learned_in_place(prompt, answer, end):
    n = len(prompt)
    prompt += [*answer, end]
    return prompt[:-1], [-100] * (n - 1) + prompt[n:]


# 08.2


def _padded_by_hand(rows, end):
    width = max(len(inputs) for inputs, _ in rows)
    return (torch.tensor([inputs + [end] * (width - len(inputs)) for inputs, _ in rows]),
            torch.tensor([targets + [-100] * (width - len(targets)) for _, targets in rows]))


def _padded_full(rows, end):
    width = max(map(lambda row: len(row[0]), rows))
    inputs, targets = torch.full((len(rows), width), end), torch.full((len(rows), width), -100)
    for i, (x, y) in enumerate(rows):
        inputs[i, :len(x)], targets[i, :len(y)] = torch.tensor(x), torch.tensor(y)
    return inputs, targets


def _padded_by_torch(rows, end, *, fill=(None, -100), batch_first=True):
    return tuple(torch.nn.utils.rnn.pad_sequence([torch.tensor(row[i]) for row in rows], batch_first=batch_first,
                                                 padding_value=end if fill[i] is None else fill[i]) for i in (0, 1))


def _padded(change):
    return lambda rows, end: change(*_padded_full(rows, end), end)


def _cut(rows, end):
    width = min(len(inputs) for inputs, _ in rows)
    return tuple(torch.tensor([row[i][:width] for row in rows]) for i in (0, 1))


def _padded_left(rows, end):
    width = max(len(inputs) for inputs, _ in rows)
    return (torch.tensor([[end] * (width - len(x)) + x for x, _ in rows]),
            torch.tensor([[-100] * (width - len(y)) + y for _, y in rows]))


# 08.3, 08.4, 08.5


def _corrected_loop(x, W, A, B, alpha):
    rows = x.reshape(-1, x.shape[-1])
    out = torch.stack([W @ row + alpha / A.shape[0] * (B @ (A @ row)) for row in rows])
    return out.reshape(*x.shape[:-1], W.shape[0])


def _corrected(scale=lambda alpha, A, W: alpha / len(A), whole=lambda base, delta, scale: base + scale * delta):
    return lambda x, W, A, B, alpha: whole(x @ W.T, x @ A.T @ B.T, scale(alpha, A, W))


def _merged_into_w(x, W, A, B, alpha):
    W += alpha / len(A) * B @ A
    return x @ W.T


def _gradients_in_a_loop(x, A, B, slope, scale):
    of_a, of_b = torch.zeros_like(A), torch.zeros_like(B)
    for row, back in zip(x, slope, strict=True):
        of_a += scale * torch.outer(B.T @ back, row)
        of_b += scale * torch.outer(back, A @ row)
    return of_a, of_b


def _gradients_by_einsum(x, A, B, slope, scale):
    return scale * torch.einsum("no,or,ni->ri", slope, B, x), scale * torch.einsum("no,ri,ni->or", slope, A, x)


def _gradients(change):
    return lambda x, A, B, s, k: change(k * (s @ B).T @ x, k * s.T @ (x @ A.T), x, A, B, s, k)


def _gradients_by_backward(x, A, B, slope, scale):
    A, B = A.clone().requires_grad_(), B.clone().requires_grad_()
    (scale * (x @ A.T @ B.T) * slope).sum().backward()
    return A.grad, B.grad


def _rule(rule, alpha, r):
    return alpha / r if rule == "alpha/r" else alpha / r ** 0.5


def _merged(scale=_rule, whole=lambda W, delta, scale: W + scale * delta):
    return lambda W, A, B, alpha, rule: whole(W, B @ A, scale(rule, alpha, len(A)))


def _merged_in_place(W, A, B, alpha, rule):
    W += _rule(rule, alpha, A.shape[0]) * B @ A
    return W


# 08.6


def _bits_rows(weights, levels, block):
    rows = weights.reshape(-1, block)
    scale = rows.abs().amax(dim=1, keepdim=True)
    nearest = (rows / scale)[..., None].sub(levels).abs().argmin(-1)
    return (levels[nearest] * scale).reshape(weights.shape)


def _bits_loop(weights, levels, block):
    out = torch.zeros_like(weights)
    for i in range(0, len(weights), block):
        scale = weights[i:i + block].abs().max()
        if scale == 0:
            continue
        for j, weight in enumerate(weights[i:i + block]):
            out[i + j] = levels[(levels - weight / scale).abs().argmin()] * scale
    return out


def _bits_buckets(weights, levels, block):
    return torch.cat([levels[torch.bucketize(piece / piece.abs().max(), (levels[1:] + levels[:-1]) / 2)]
                      * piece.abs().max() for piece in weights.split(block)])


def _bits(scale=lambda rows: rows.abs().amax(1, keepdim=True),
          pick=lambda shares, levels: (shares[..., None] - levels).abs().argmin(-1),
          back=lambda values, of, places: values * of, cut=lambda w, block: w.reshape(-1, block),
          join=lambda rows: rows.flatten()):
    def four_bits(weights, levels, block):
        rows = cut(weights, block)
        of = scale(rows)
        nearest = pick(rows / of, levels)
        return join(back(levels[nearest], of, nearest))
    return four_bits


# 08.7, 08.8, 08.9
def _better_loop(rewards):
    out = []
    for group in rewards.tolist():
        mean = sum(group) / len(group)
        spread = math.sqrt(sum((reward - mean) ** 2 for reward in group) / len(group))
        out.append([(reward - mean) / (spread + 1e-6) for reward in group])
    return torch.tensor(out)




def _gain(c, r, c0, r0):
    return (c - c0) - (r - r0)


def _preferred(change):
    return lambda c, r, c0, r0, beta: change(_gain(c, r, c0, r0), beta)


def _better(centre=lambda r: r.mean(1, keepdim=True), spread=lambda r: r.std(1, keepdim=True, unbiased=False),
            eps=1e-6):
    return lambda r: (r - centre(r)) / (spread(r) + eps)


def _scored(of=lambda logits: logits.log_softmax(-1), first=lambda n: n, back=1, last=lambda end: end,
            total=lambda values, n: sum(values)):
    def log_likelihood(logits, ids, n_prompt):
        table = of(logits)
        return total([table[t - back, ids[t]] for t in range(first(n_prompt), last(len(ids)))], n_prompt)
    return log_likelihood


def _multiplied(logits, ids, n_prompt):
    p, product = logits.softmax(-1), 1.0
    for t in range(n_prompt, len(ids)):
        product = product * p[t - 1, ids[t]]
    return torch.log(product)


RIGHT = {
    "08.1": [_learned_cut, _learned_zipped, _learned_masked,
             lambda p, a, end: ([*p, *a], [-100 for _ in p[1:]] + [*a, end])],
    "08.2": [_padded_by_hand, _padded_full, _padded_by_torch],
    "08.3": [_corrected(), _corrected_loop, lambda x, W, A, B, alpha: x @ (W + alpha / len(A) * B @ A).T,
             lambda x, W, A, B, alpha: F.linear(x, W) + F.linear(F.linear(x, A), B) * alpha / B.shape[1]],
    "08.4": [_gradients_in_a_loop, _gradients_by_einsum, _gradients(lambda a, b, *_: (a, b)),
             lambda x, A, B, s, k: ((k * B.T @ s.T) @ x, (s * k).T @ x @ A.T)],
    "08.5": [_merged(), lambda W, A, B, alpha, rule: W + torch.einsum("or,ri->oi", B, A) * {
        "alpha/r": alpha / A.shape[0], "alpha/sqrt(r)": alpha / math.sqrt(A.shape[0])}[rule],
        lambda W, A, B, alpha, rule: torch.addmm(W, B, A, alpha=_rule(rule, alpha, A.shape[0]))],
    "08.6": [_bits_rows, _bits_loop, _bits_buckets],
    "08.7": [_preferred(lambda gain, beta: -torch.log(torch.sigmoid(beta * gain)).mean()),
             _preferred(lambda gain, beta: F.softplus(-beta * gain).mean()),
             _preferred(lambda gain, beta: torch.log1p(torch.exp(-beta * gain)).mean()),
             lambda c, r, c0, r0, beta: float(sum(math.log(1 + math.exp(-beta * float(m))) for m in c - c0 - r + r0)
                                              / len(c))],
    "08.8": [_better(), _better_loop,
             lambda r: (r - r.mean(1)[:, None]) / (r.var(1, unbiased=False).sqrt()[:, None] + 1e-6),
             lambda r: torch.stack([(g - g.mean()) / (((g - g.mean()) ** 2).mean() ** 0.5 + 1e-6) for g in r])],
    "08.9": [_scored(), _multiplied, lambda logits, ids, n: logits.log_softmax(-1)[n - 1:-1].gather(
        1, torch.tensor(ids)[n:, None]).sum(),
        lambda logits, ids, n: float(sum(logits[t - 1, ids[t]] - logits[t - 1].logsumexp(0)
                                         for t in range(n, len(ids))))],
}

WRONG = {
    "08.1": {
        "not shifted": _learned(lambda row, n: row, lambda row, n: [-100] * n + row[n:]),
        "masked one too far": _learned(lambda row, n: row[:-1], lambda row, n: [-100] * n + row[n + 1:]),
        "no end": lambda p, a, end: ((p + a)[:-1], [-100] * (len(p) - 1) + a),
        "the prompt is learned": _learned(lambda row, n: row[:-1], lambda row, n: row[1:]),
        "the end is read": _learned(lambda row, n: row, lambda row, n: [-100] * (n - 1) + row[n:] + [-100]),
        "masked by 0": _learned(lambda row, n: row[:-1], lambda row, n: [0] * (n - 1) + row[n:]),
        "the inputs are masked, too": _learned(lambda row, n: [-100] * n + row[n:-1],
                                               lambda row, n: [-100] * (n - 1) + row[n:]),
        "tensors": _learned(lambda row, n: torch.tensor(row[:-1]),
                            lambda row, n: torch.tensor([-100] * (n - 1) + row[n:])),
        "the prompt is changed": _learned_in_place,
        "prompt and answer": lambda p, a, end: (p, a),
        "nothing is learned": lambda p, a, end: (p + a, [-100] * len(p + a)),
        "masked by the end": lambda p, a, end: (p + a, [end] * (len(p) - 1) + a + [end]),
        "one list": lambda p, a, end: p + a + [end],
    },
    "08.2": {
        "targets are masked where an end is read": _padded(lambda x, y, end: (x, y.masked_fill(x == end, -100))),
        "ends are masked by their id": _padded(lambda x, y, end: (x, y.masked_fill(y == end, -100))),
        "targets are filled with the end": lambda rows, end: _padded_by_torch(rows, end, fill=(None, end)),
        "on the left": _padded_left, "cut to the shortest": _cut,
        "sorted": lambda rows, end: _padded_full(sorted(rows, key=lambda row: len(row[0])), end),
        "one more": _padded(lambda x, y, end: (F.pad(x, (0, 1), value=end), F.pad(y, (0, 1), value=-100))),
        "lists": _padded(lambda x, y, end: (x.tolist(), y.tolist())),
        "inputs are filled with 0": lambda rows, end: _padded_by_torch(rows, end, fill=(0, -100)),
        "(seq, batch)": lambda rows, end: _padded_by_torch(rows, end, batch_first=False),
        "one row of all": lambda rows, end: tuple(torch.tensor(sum((list(row[i]) for row in rows), []))
                                                  for i in (0, 1)),
        "inputs twice": _padded(lambda x, y, end: (x, x)),
        "one too short": _padded(lambda x, y, end: (x[:, :-1], y[:, :-1])),
        "the last first": _padded(lambda x, y, end: (x.flip(0), y.flip(0))),
    },
    "08.3": {
        "no scale": _corrected(lambda alpha, A, W: 1.0), "alpha alone": _corrected(lambda alpha, A, W: alpha),
        "by d_in": _corrected(lambda alpha, A, W: alpha / A.shape[1]),
        "x on the right": lambda x, W, A, B, alpha: W @ x + alpha / A.shape[0] * (B @ (A @ x)),
        "by √r": _corrected(lambda alpha, A, W: alpha / len(A) ** 0.5),
        "the correction alone": _corrected(whole=lambda base, delta, scale: scale * delta),
        "all is scaled": _corrected(whole=lambda base, delta, scale: scale * (base + delta)),
        "W is changed": _merged_into_w,
        "W x is scaled, not the correction": _corrected(whole=lambda base, delta, scale: scale * base + delta),
        "a bend around all": _corrected(whole=lambda base, delta, scale: torch.relu(base + scale * delta)),
        "by r + 1": _corrected(lambda alpha, A, W: alpha / (len(A) + 1)),
        "a bend between": lambda x, W, A, B, alpha: x @ W.T + alpha / len(A) * torch.relu(x @ A.T) @ B.T,
    },
    "08.4": {
        "no scale": _gradients(lambda a, b, x, A, B, s, k: (a / k, b / k)),
        "changed places": _gradients(lambda a, b, *_: (b, a)),
        "a mean": _gradients(lambda a, b, x, *_: (a / len(x), b / len(x))),
        "neither A nor B": lambda x, A, B, s, k: (k * s.T @ x, k * s.T @ x),
        "transposed": _gradients(lambda a, b, *_: (a.T, b.T)),
        "scaled twice": _gradients(lambda a, b, x, A, B, s, k: (a * k, b * k)),
        "A's is zero": _gradients(lambda a, b, *_: (torch.zeros_like(a), b)),
        "autograd": _gradients_by_backward,
        "the first row": lambda x, A, B, s, k: (k * torch.outer(B.T @ s[0], x[0]), k * torch.outer(s[0], A @ x[0])),
        "zeros": lambda x, A, B, s, k: (torch.zeros_like(A), torch.zeros_like(B)),
        "ones": lambda x, A, B, s, k: (torch.ones_like(A), torch.ones_like(B)),
        "a bend": lambda x, A, B, s, k: (k * (s @ B).T @ x, k * s.T @ (x @ A.T).relu()),
        "with the matrices": _gradients(lambda a, b, x, A, B, *_: (a + A, b + B)),
    },
    "08.5": {
        "A B": lambda W, A, B, alpha, rule: W + _rule(rule, alpha, A.shape[0]) * A @ B,
        "always by r": _merged(lambda rule, alpha, r: alpha / r), "W is changed": _merged_in_place,
        "transposed": _merged(whole=lambda W, delta, scale: (W + scale * delta).T),
        "√(alpha / r)": _merged(lambda rule, alpha, r: alpha / r if rule == "alpha/r" else (alpha / r) ** 0.5),
        "the other rule": _merged(lambda rule, alpha, r: alpha / r ** 0.5 if rule == "alpha/r" else alpha / r),
        "no scale": _merged(lambda *_: 1.0),
        "the correction alone": _merged(whole=lambda W, delta, scale: scale * delta),
        "r is d_out": lambda W, A, B, alpha, rule: W + _rule(rule, alpha, B.shape[0]) * B @ A,
        "minus": _merged(whole=lambda W, delta, scale: W - scale * delta),
        "W is scaled": lambda W, A, B, alpha, rule: W * (1 + alpha / len(A)) + B @ A,
        "multiplied": lambda W, A, B, alpha, rule: W @ (B @ A),
    },
    "08.6": {
        "one scale": lambda w, levels, block: _bits_rows(w, levels, len(w)),
        "the largest, not the largest size": _bits(scale=lambda rows: rows.amax(1, keepdim=True)),
        "not multiplied back": _bits(back=lambda values, of, places: values),
        "the places of the levels": _bits(back=lambda values, of, places: places),
        "even steps": lambda w, levels, block: torch.cat([(p / p.abs().max() * 7).round() / 7 * p.abs().max()
                                                          for p in w.split(block)]),
        "a row for each block": _bits(join=lambda rows: rows),
        "the difference with its sign": _bits(pick=lambda shares, levels: (shares[..., None] - levels).argmin(-1)),
        "the level below": _bits(pick=lambda shares, levels: (
            torch.searchsorted(levels, shares.contiguous(), right=True) - 1).clamp(0)),
        "the deviation": _bits(scale=lambda rows: rows.std(1, keepdim=True)),
        "every so manyeth": _bits(cut=lambda w, block: w.reshape(block, -1).T, join=lambda rows: rows.T.flatten()),
        "as they were": lambda w, levels, block: w, "zeros": lambda w, levels, block: torch.zeros_like(w),
        "bfloat16": lambda w, levels, block: w.bfloat16().float(),
        "even steps of all": lambda w, levels, block: (w / w.abs().max() * 7).round() / 7 * w.abs().max(),
    },
    "08.7": {
        "no start": lambda c, r, c0, r0, beta: -F.logsigmoid(beta * (c - r)).mean(),
        "turned": _preferred(lambda gain, beta: -F.logsigmoid(-beta * gain).mean()),
        "no minus": _preferred(lambda gain, beta: F.logsigmoid(beta * gain).mean()),
        "a sum": _preferred(lambda gain, beta: -F.logsigmoid(beta * gain).sum()),
        "one for each pair": _preferred(lambda gain, beta: -F.logsigmoid(beta * gain)),
        "no beta": _preferred(lambda gain, beta: -F.logsigmoid(gain).mean()),
        "beta outside": _preferred(lambda gain, beta: -beta * F.logsigmoid(gain).mean()),
        "divided": lambda c, r, c0, r0, beta: -F.logsigmoid(beta * (c / c0 - r / r0)).mean(),
        "the logarithm again": lambda c, r, c0, r0, beta: -F.logsigmoid(
            beta * (torch.log(c / c0) - torch.log(r / r0))).mean(),
        "the mean inside": _preferred(lambda gain, beta: -F.logsigmoid(beta * gain.mean())),
        "gains added": lambda c, r, c0, r0, beta: -F.logsigmoid(beta * ((c - c0) + (r - r0))).mean(),
        "no logarithm": _preferred(lambda gain, beta: -torch.sigmoid(beta * gain).mean()),
        "the margin alone": _preferred(lambda gain, beta: -beta * gain.mean()),
        "squares": _preferred(lambda gain, beta: ((gain - 1 / (2 * beta)) ** 2).mean()),
        "a hinge": _preferred(lambda gain, beta: torch.relu(1 - beta * gain).mean()),
    },
    "08.8": {
        "by n - 1": _better(spread=lambda r: r.std(1, keepdim=True)),
        "of all": _better(lambda r: r.mean(), lambda r: r.std(unbiased=False)),
        "along the groups": _better(lambda r: r.mean(0), lambda r: r.std(0, unbiased=False)),
        "centred alone": _better(spread=lambda r: 1.0, eps=0.0), "no ε": _better(eps=0.0),
        "the variance": _better(spread=lambda r: r.var(1, keepdim=True, unbiased=False)),
        "ε under the root": _better(spread=lambda r: (r.var(1, keepdim=True, unbiased=False) + 1e-6).sqrt(), eps=0.0),
        "axes lost": _better(lambda r: r.mean(1), lambda r: r.std(1, unbiased=False)),
        "turned": lambda r: -_better()(r), "ε behind": lambda r: _better(eps=0.0)(r) + 1e-6,
        "the median": _better(lambda r: r.median(1, keepdim=True).values),
        "as they were": lambda r: r, "ranks": lambda r: r.argsort(-1).float(), "zeros": lambda r: torch.zeros_like(r),
        "from a half": lambda r: (r - 0.5) * 2,
    },
    "08.9": {
        "not shifted": _scored(back=0), "the prompt, too": _scored(first=lambda n: 1),
        "logits": _scored(of=lambda logits: logits), "probabilities": _scored(of=lambda logits: logits.softmax(-1)),
        "no logarithm": lambda *inputs: _multiplied(*inputs).exp(),
        "a mean": _scored(total=lambda values, n: sum(values) / len(values)),
        "along the positions": _scored(of=lambda logits: logits.log_softmax(0)),
        "the loss": _scored(total=lambda values, n: -sum(values)),
        "the first is missed": _scored(first=lambda n: n + 1), "one too early": _scored(first=lambda n: n - 1),
        "bits": _scored(of=lambda logits: logits.softmax(-1).log2()),
        "the last alone": lambda logits, ids, n: logits[-1].log_softmax(-1)[ids[-1]],
        "by the prompt's length": _scored(total=lambda values, n: sum(values) / n),
        "0": lambda logits, ids, n: torch.tensor(0.0),
    },
}

TOLD = {
    "08.1": {"not shifted": "the targets are not shifted", "no end": "never stop"},
    "08.2": {"ends are masked by their id": "the real one as well", "on the left": "the padding stands on the left"},
    "08.3": {"by √r": "that is rsLoRA's rule", "all is scaled": "the scale multiplies W x as well"},
    "08.4": {"transposed": "both are transposed", "autograd": "do without", "A's is zero": "only while W_B is"},
    "08.5": {"√(alpha / r)": "of alpha as well", "always by r": "the rule is ignored"},
    "08.6": {"the places of the levels": "the codes are given", "the difference with its sign": "with its sign",
             "even steps": "the levels are not used", "every so manyeth": "it is neighbours"},
    "08.7": {"one for each pair": "the mean is missing", "divided": "they are logarithms already",
             "the logarithm again": "taken twice"},
    "08.8": {"ε under the root": "under the root", "by n - 1": "n - 1"},
    "08.9": {"not shifted": "the logits are not shifted", "bits": "these are bits"},
}

EQUAL = {
    "08.1": ["in `[end]`, `end` is `prompt`"],                      # the row's last id is never read
    "08.6": ["in `((blocks / scale)[..., None] - levels).abs`, `(blocks / scale)[..., None] - levels` is "
             "`levels - (blocks / scale)[..., None]`"],
    "08.8": ["in `rewards.mean(-1, keepdim=True)`, `-1` is `1`",
             "in `rewards.std(-1, keepdim=True, unbiased=False)`, `-1` is `1`"],
    "08.9": ["in `len(ids)`, `ids` is `logits`", "in `logits.log_softmax(-1)`, `-1` is `1`"],
}
