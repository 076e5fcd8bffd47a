"""Make the mistakes of 08.1 to 08.5: hint -> an answer that makes it.  `solutions` has the others."""
from __future__ import annotations

import math

import torch


def _learned(prompt, answer, end, *, ids=None, masked=None, ignore=-100):
    """08.1 with another row of ids, or another number of masked targets."""
    ids = prompt + answer + [end] if ids is None else ids
    masked = len(prompt) - 1 if masked is None else masked
    return ids[:-1], [ignore] * masked + ids[1 + masked:]


LEARNED = {
    "no end of text is learned, so the model will never stop": lambda p, a, end: _learned(p, a, end, ids=p + a),
    "the mask reaches one place too far: the answer's first token is never learned":
        lambda p, a, end: _learned(p, a, end, masked=len(p)),
    "the mask is one place too short: the prompt's last token is learned as well":
        lambda p, a, end: _learned(p, a, end, masked=len(p) - 2),
    "the prompt is learned, too: nothing is masked": lambda p, a, end: _learned(p, a, end, masked=0),
    "the targets are not shifted: each token is to predict itself":
        lambda p, a, end: (p + a, [-100] * len(p) + a),
    "the targets are not shifted: each stands beside itself, the end as well":
        lambda p, a, end: (p + a + [end], [-100] * len(p) + a + [end]),
    "the targets are shifted twice: each token is to predict the one after the next":
        lambda p, a, end: (p + a, [-100] * (len(p) - 2) + a + [end, -100]),
    "what costs nothing is marked by -100; 0 is a token": lambda p, a, end: _learned(p, a, end, ignore=0),
    "what costs nothing is marked by -100; -1 is the last row of a table, or an error":
        lambda p, a, end: _learned(p, a, end, ignore=-1),
    "the end of text is masked, so the model will never stop":
        lambda p, a, end: (p + a, [-100] * (len(p) - 1) + a + [-100]),
    "the end is among the inputs; nothing comes after it":
        lambda p, a, end: (p + a + [end], [-100] * (len(p) - 1) + a + [end, -100]),
    "two ends of text are written; one is enough": lambda p, a, end: _learned(p, a, end, ids=p + a + [end, end]),
    "the prompt is learned and the answer masked: the other way round":
        lambda p, a, end: (p + a, p[1:] + [-100] * len(a) + [end]),
    "an end of text stands in front; the prompt begins by itself":
        lambda p, a, end: ([end] + p + a, [-100] * len(p) + a + [end]),
    "an end of text stands between prompt and answer; the model would stop before it has said anything":
        lambda p, a, end: (p + [end] + a, [-100] * len(p) + a + [end]),
}


def _padded(rows, end, *, inputs=None, targets=-100, left=False, width=None):
    """08.2 with other padding."""
    width = max(len(each) for each, _ in rows) if width is None else width
    fill = (end if inputs is None else inputs, targets)

    def filled(row, value):
        more = [value] * (width - len(row))
        return more + row if left else row[:width] + more
    return tuple(torch.tensor([filled(list(row[i]), fill[i]) for row in rows]) for i in (0, 1))


def _after(rows, end, change):
    inputs, targets = _padded(rows, end)
    return inputs, change(inputs, targets)


def _one_more(inputs, targets, end):
    targets = targets.clone()
    for row in range(len(targets)):
        last = int((targets[row] == end).nonzero()[0]) + 1
        if last < targets.shape[1]:
            targets[row, last] = end
    return targets


PADDED = {
    "the padding is learned: its targets are the end of text, not -100":
        lambda rows, end: _padded(rows, end, targets=end),
    "every end of text is masked, the real one as well, because it is the same token as the padding":
        lambda rows, end: _after(rows, end, lambda x, y: y.masked_fill(y == end, -100)),
    "the inputs are filled up with 0, a token with a meaning of its own; the end of text is meant":
        lambda rows, end: _padded(rows, end, inputs=0),
    "the padding stands on the left; here it stands on the right, where no token before it can see it":
        lambda rows, end: _padded(rows, end, left=True),
    "rows are cut to the shortest: answers lose their ends":
        lambda rows, end: _padded(rows, end, width=min(len(x) for x, _ in rows)),
    "targets of the padding are 0, which is a token; -100 costs nothing":
        lambda rows, end: _padded(rows, end, targets=0),
    "the inputs are filled up with -100, for which an embedding has no row":
        lambda rows, end: _padded(rows, end, inputs=-100),
    "the rows are filled up to one more than the longest":
        lambda rows, end: _padded(rows, end, width=max(len(x) for x, _ in rows) + 1),
    "each row learns to say a second end of text": lambda rows, end: _after(
        rows, end, lambda x, y: _one_more(x, y, end)),
    "the rows are sorted by length; keep their order":
        lambda rows, end: _padded(sorted(rows, key=lambda row: len(row[0])), end),
    "the rows are sorted by length, the longest first; keep their order":
        lambda rows, end: _padded(sorted(rows, key=lambda row: -len(row[0])), end),
    "inputs and targets have changed places": lambda rows, end: _padded(rows, end)[::-1],
    "the mask of the prompts is gone: -100 became the end of text everywhere":
        lambda rows, end: _after(rows, end, lambda x, y: y.masked_fill(y == -100, end)),
    "the axes are (seq, batch); (batch, seq) is meant":
        lambda rows, end: tuple(each.T.contiguous() for each in _padded(rows, end)),
}


def _corrected(scale=lambda alpha, r, A, W: alpha / r, base=1.0, sign=1.0):
    def answer(x, W, A, B, alpha):
        return base * (x @ W.T) + sign * scale(alpha, A.shape[0], A, W) * ((x @ A.T) @ B.T)
    return answer


CORRECTED = {
    "alpha is not divided by the rank": _corrected(lambda alpha, r, A, W: alpha),
    "the scale is upside down: r / alpha": _corrected(lambda alpha, r, A, W: r / alpha),
    "alpha is divided by √r; that is rsLoRA's rule, and α / r is asked for":
        _corrected(lambda alpha, r, A, W: alpha / math.sqrt(r)),
    "alpha is multiplied by the rank": _corrected(lambda alpha, r, A, W: alpha * r),
    "there is no scale at all": _corrected(lambda alpha, r, A, W: 1.0),
    "alpha is divided by d_in, not by the rank: A has the shape (r, d_in)":
        _corrected(lambda alpha, r, A, W: alpha / A.shape[1]),
    "alpha is divided by d_out, not by the rank: B has the shape (d_out, r)":
        _corrected(lambda alpha, r, A, W: alpha / W.shape[0]),
    "W x is missing: the correction stands beside the matrix, not in its place": _corrected(base=0.0),
    "the correction is missing": _corrected(sign=0.0),
    "the correction is subtracted": _corrected(sign=-1.0),
    "the scale multiplies W x as well":
        lambda x, W, A, B, alpha: alpha / A.shape[0] * (x @ W.T + (x @ A.T) @ B.T),
    "the scale is applied twice": _corrected(lambda alpha, r, A, W: (alpha / r) ** 2),
    "the correction is added twice": _corrected(sign=2.0),
    "the two are averaged; they are added":
        lambda x, W, A, B, alpha: (x @ W.T + alpha / A.shape[0] * (x @ A.T) @ B.T) / 2,
}


def _right(x, A, B, slope, scale):
    return scale * (slope @ B).T @ x, scale * slope.T @ (x @ A.T)


def _both(change):
    return lambda *inputs: change(*_right(*inputs), *inputs)


GRADIENTS = {
    "the scale is missing in both": _both(lambda a, b, x, A, B, s, k: (a / k, b / k)),
    "the scale is missing in W_A's gradient": _both(lambda a, b, x, A, B, s, k: (a / k, b)),
    "the scale is missing in W_B's gradient": _both(lambda a, b, x, A, B, s, k: (a, b / k)),
    "W_B's gradient is zero: but W_A x is not, and it is what W_B is multiplied by":
        _both(lambda a, b, x, A, B, s, k: (a, torch.zeros_like(b))),
    "W_A's gradient is always zero; it is so only while W_B is":
        _both(lambda a, b, x, A, B, s, k: (torch.zeros_like(a), b)),
    "the rows are averaged; a gradient is their sum":
        _both(lambda a, b, x, A, B, s, k: (a / len(x), b / len(x))),
    "only the first row of x is looked at":
        lambda x, A, B, s, k: _right(x[:1], A, B, s[:1], k),
    "only the last row of x is looked at":
        lambda x, A, B, s, k: _right(x[-1:], A, B, s[-1:], k),
    "the signs are turned: that is the step, not the gradient": _both(lambda a, b, x, A, B, s, k: (-a, -b)),
    "the scale is applied twice": _both(lambda a, b, x, A, B, s, k: (a * k, b * k)),
    "both are transposed: a gradient has the shape of its matrix":
        _both(lambda a, b, x, A, B, s, k: (a.T.contiguous(), b.T.contiguous())),
    "the slope goes straight to W_A; it goes through W_B first, as W_B meets W_A x and not x":
        lambda x, A, B, s, k: (k * s.T @ x, k * s.T @ x),
    "the scale divides": _both(lambda a, b, x, A, B, s, k: (a / k**2, b / k**2)),
    "the slope is left out of W_B's gradient": lambda x, A, B, s, k: (
        _right(x, A, B, s, k)[0], k * torch.ones_like(s).T @ (x @ A.T)),
    "x is left out of W_A's gradient": lambda x, A, B, s, k: (
        k * (s @ B).T @ torch.ones_like(x), _right(x, A, B, s, k)[1]),
    "only the signs of the slope are used": lambda x, A, B, s, k: _right(x, A, B, s.sign(), k),
}


def _merged(scale=None, *, sign=1.0, base=1.0, turned=False):
    def answer(W, A, B, alpha, rule):
        r = A.shape[0]
        right = alpha / math.sqrt(r) if rule == "alpha/sqrt(r)" else alpha / r
        product = (B @ A).T if turned else B @ A
        return base * W + sign * (scale(alpha, r, rule, right) if scale else right) * product
    return answer


MERGED = {
    "the scale is forgotten": _merged(lambda alpha, r, rule, right: 1.0),
    "the correction is transposed": _merged(turned=True),
    "it is merged twice": _merged(sign=2.0),
    "the scale is upside down": _merged(lambda alpha, r, rule, right: 1 / right),
    "the rule is ignored: always α / r": _merged(lambda alpha, r, rule, right: alpha / r),
    "the rule is ignored: always α / √r": _merged(lambda alpha, r, rule, right: alpha / math.sqrt(r)),
    "alpha is not divided at all": _merged(lambda alpha, r, rule, right: alpha),
    "the two rules have changed places":
        _merged(lambda alpha, r, rule, right: alpha / r if "sqrt" in rule else alpha / math.sqrt(r)),
    "the correction is subtracted: that is how to unmerge": _merged(sign=-1.0),
    "W is missing": _merged(base=0.0),
    "nothing is added": _merged(sign=0.0),
    "the sum is rounded to bfloat16": lambda *inputs: _merged()(*inputs).bfloat16().float(),
    "the sum is halved: the two are averaged": _merged(sign=0.5, base=0.5),
    "√ is taken of alpha as well":
        _merged(lambda alpha, r, rule, right: math.sqrt(alpha / r) if "sqrt" in rule else right),
    "alpha is multiplied by the rank": _merged(lambda alpha, r, rule, right: alpha * r),
}
