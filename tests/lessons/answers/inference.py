"""Answers to notebook 07, right and wrong, in several styles."""
import math

import torch
import torch.nn.functional as F


def _by_exp(logits, temperature):
    if not temperature:
        return (torch.arange(len(logits)) == logits.argmax()).float()
    powers = torch.exp((logits - logits.max()) / temperature)
    return powers / powers.sum()


def _in_a_loop(logits, temperature):
    if temperature == 0:
        out = torch.zeros(len(logits))
        out[int(logits.argmax())] = 1.0
        return out
    weights = [math.exp(float(each) / temperature) for each in logits]
    return torch.tensor([each / sum(weights) for each in weights])


def _nucleus_loop(p, share):
    out, held = torch.zeros_like(p), 0.0
    for i in p.argsort(descending=True).tolist():
        if held >= share:
            break
        out[i] = p[i]
        held += float(p[i])
    return out / out.sum()


def _nucleus_least(p, share):
    ordered = p.sort(descending=True).values
    n = int((ordered.cumsum(-1) < share).sum()) + 1
    return torch.where(p >= ordered[n - 1], p, 0.0) / ordered[:n].sum()


def _nucleus_masked(p, share):
    ordered, places = torch.sort(p, descending=True)
    drop = torch.cat([torch.zeros(1, dtype=torch.bool), ordered.cumsum(0)[:-1] >= share])
    return p.masked_fill(drop[places.argsort()], 0) / ordered[~drop].sum()


def _rule_where(p, q):
    more = torch.where(p > q, p - q, torch.zeros_like(p))
    return torch.where(q > p, p / q, torch.ones_like(p)), more / more.sum()


def _rule_relu(p, q):
    left = F.relu(p - q)
    return torch.minimum(torch.ones_like(p), p / q), left / (1 - torch.minimum(p, q).sum())


def _rule_list(p, q):
    left = torch.tensor([max(0.0, float(a - b)) for a, b in zip(p, q, strict=True)])
    return [torch.tensor([min(1.0, float(a / b)) for a, b in zip(p, q, strict=True)]), left / left.sum()]


def _score_loop(pattern, n):
    return sum(float(pattern[q, q - n + 1]) for q in range(n, 2 * n)) / n


def _score_diagonal(pattern, n):
    return pattern.diagonal(1 - n)[1:].mean().item()


def _score_gather(pattern, n):
    return pattern[n:].gather(1, torch.arange(1, n + 1)[:, None]).mean()


def _copier_loops(patterns, n):
    best = (0, 0, -1.0)
    for layer, heads in enumerate(patterns, 1):
        for head, pattern in enumerate(heads, 1):
            score = _score_loop(pattern, n)
            best = (layer, head, score) if score > best[2] else best
    return best


def _copier_unravel(patterns, n):
    scores = patterns[..., torch.arange(n, 2 * n), torch.arange(1, n + 1)].mean(-1)
    at = torch.nonzero(scores == scores.max())[0]
    return at[0].item() + 1, at[1].item() + 1, scores.max().item()


def _copier_topmost(patterns, n):
    scores = patterns[..., torch.arange(n, 2 * n), torch.arange(1, n + 1)].mean(-1)
    layer = scores.max(1).values.argmax()
    return layer + 1, scores[layer].argmax() + 1, scores.max()


def _copier_by_layers(patterns, n):
    scores = patterns[..., torch.arange(n, 2 * n), torch.arange(1, n + 1)].mean(-1)
    layer, head = divmod(int(scores.argmax()), len(patterns))
    return layer + 1, head + 1, scores.max().item()


def _copier_best_place(patterns, n):
    looked = patterns[..., torch.arange(n, 2 * n), torch.arange(1, n + 1)].amax(-1)
    layer, head = divmod(int(looked.argmax()), looked.shape[1])
    return layer + 1, head + 1, looked.max().item()


def _lens_rows(x, gain, unembed, eps):
    return torch.stack([unembed @ (gain * row * torch.rsqrt(row.pow(2).mean() + eps)) for row in x])


def _lens_einsum(x, gain, unembed, eps):
    return torch.einsum("ld,d,vd->lv", x / (x.pow(2).sum(-1, True) / x.size(-1) + eps).sqrt(), gain, unembed)


def _shares_einsum(parts, gain, unembed, token, other, eps):
    x = parts.sum(0)
    return torch.einsum("pd,d,d->p", parts, gain, unembed[token] - unembed[other]) * torch.rsqrt((x * x).mean() + eps)


def _shares_two(parts, gain, unembed, token, other, eps):
    normed = parts * gain / (parts.sum(0).pow(2).mean() + eps).sqrt()
    return normed @ unembed[token] - normed @ unembed[other]


RIGHT = {
    "07.1": [_by_exp, _in_a_loop,
             lambda x, t: F.softmax(x / t, 0) if t > 0 else F.one_hot(x.argmax(), x.numel()).float(),
             lambda x, t: torch.softmax(x / max(t, 1e-6), -1),
             lambda x, t: (x / t).softmax(-1) if t else (x == x.max()).float()],
    "07.2": [_nucleus_loop, _nucleus_least, _nucleus_masked],
    "07.3": [_rule_where, _rule_relu, _rule_list,
             lambda p, q: (torch.clamp(p / q, max=1), torch.relu(p - q) / torch.relu(p - q).sum())],
    "07.4": [_score_loop, _score_diagonal, _score_gather],
    "07.5": [_copier_loops, _copier_unravel, _copier_topmost, lambda patterns, n: list(_copier_loops(patterns, n))],
    "07.6": [_lens_rows, _lens_einsum, lambda x, gain, unembed, eps: (x * gain) @ unembed.mT / torch.sqrt(
        x.square().mean(1) + eps)[:, None]],
    "07.7": [_shares_einsum, _shares_two, lambda parts, gain, unembed, a, b, eps: torch.stack(
        [(gain * part) @ (unembed[a] - unembed[b]) for part in parts]) / (parts.sum(0).square().mean() + eps).sqrt()],
    "07.8": [lambda clean, corrupt, slope, best, worst: torch.einsum("ltd,ltd->lt", clean - corrupt, slope) / (
        best - worst),
             lambda clean, corrupt, slope, best, worst: (slope * clean).sum(2) / (best - worst) - (
                 slope * corrupt).sum(2) / (best - worst),
             lambda a, b, s, best, worst: torch.stack(
                 [torch.stack([(u - v) @ w for u, v, w in zip(x, y, z, strict=True)])
                  for x, y, z in zip(a, b, s, strict=True)]) / (best - worst)],
}
WRONG = {
    "07.1": {"multiplies": lambda x, t: (x * t).softmax(0),
             "log-softmax": lambda x, t: (x / max(t, 1e-6)).log_softmax(0),
             "no zero": lambda x, t: torch.exp(x / t) / torch.exp(x / t).sum(),
             "argmax index": lambda x, t: x.argmax() if t == 0 else (x / t).softmax(0),
             "uniform at 0": lambda x, t: torch.ones_like(x) / len(x) if t == 0 else (x / t).softmax(0),
             "not normalised": lambda x, t: torch.exp(x / (t or 1)),
             "sigmoid": lambda x, t: torch.sigmoid(x / (t or 1)), "no temperature": lambda x, t: x.softmax(0),
             "ignores zero": lambda x, t: (x / (t or 1)).softmax(0),
             "p divided": lambda x, t: x.softmax(0) / (t or 1)},
    "07.2": {"drops the crossing": lambda p, s: torch.where(p.sort(descending=True).values.cumsum(0) <= s, p, 0.0),
             "threshold": lambda p, s: p * (p > s), "unsorted": lambda p, s: p * (p.cumsum(0) <= s),
             "nothing": lambda p, s: p.clone(), "uniform": lambda p, s: (p >= p.max() * (1 - s)).float(),
             "sorted out": lambda p, s: p.sort(descending=True).values,
             "ascending": lambda p, s: _nucleus_loop(-p, s).abs(), "one": lambda p, s: (p == p.max()).float(),
             "not normalised": lambda p, s: _nucleus_loop(p, s) * (1 - s),
             "mask of the sorted": lambda p, s: torch.where(
                 p.sort(descending=True).values.cumsum(0) - p.sort(descending=True).values < s, p, 0.0) / p[
                     p.argsort(descending=True)[p.sort(descending=True).values.cumsum(0)
                                                - p.sort(descending=True).values < s]].sum(),
             "1 - share": lambda p, s: _nucleus_loop(p, 1 - s)},
    "07.3": {"again p": lambda p, q: ((p / q).clamp(max=1), p), "again q": lambda p, q: ((p / q).clamp(max=1), q),
             "raw left": lambda p, q: ((p / q).clamp(max=1), (p - q).clamp(min=0)),
             "upside down": lambda p, q: ((q / p).clamp(max=1), _rule_where(p, q)[1]),
             "ratio": lambda p, q: (p / q, _rule_where(p, q)[1]), "product": lambda p, q: (p * q, p),
             "only keep": lambda p, q: (p / q).clamp(max=1), "swapped": lambda p, q: _rule_where(p, q)[::-1],
             "smaller of both": lambda p, q: (torch.minimum(p, q), _rule_where(p, q)[1]),
             "softmax": lambda p, q: (_rule_where(p, q)[0], (p - q).clamp(min=0).softmax(-1)),
             "Python's min": lambda p, q: (min(1, p / q), max(0, p - q)), "only where likelier": lambda p, q: (
                 (p >= q).float(), _rule_where(p, q)[1]),
             "uniform again": lambda p, q: (_rule_where(p, q)[0], torch.full_like(p, 1 / len(p))),
             "signed": lambda p, q: (_rule_where(p, q)[0], (p - q) / (p - q).abs().sum()),
             "keeps none": lambda p, q: (0 * q, p.clone())},
    "07.4": {"same token": lambda a, n: sum(float(a[q, q - n]) for q in range(n, 2 * n)) / n,
             "divided by 2n": lambda a, n: _score_loop(a, n) / 2, "transposed": lambda a, n: _score_loop(a.T, n),
             "diagonal of all": lambda a, n: a.diagonal(1 - n).mean().item(),
             "previous": lambda a, n: a.diagonal(-1).mean().item(),
             "max": lambda a, n: a.diagonal(1 - n)[1:].max().item(),
             "sum": lambda a, n: a.diagonal(1 - n)[1:].sum().item(), "whole": lambda a, n: a[n:, :n].mean().item(),
             "without the last": lambda a, n: a.diagonal(1 - n)[1:-1].mean().item(),
             "other side": lambda a, n: a.diagonal(n - 1).mean().item(),
             "one too many": lambda a, n: a.diagonal(1 - n).mean(),
             "one too far": lambda a, n: sum(float(a[q, q - n + 2]) for q in range(n, 2 * n)) / n},
    "07.5": {"from zero": lambda a, n: (_copier_loops(a, n)[0] - 1, _copier_loops(a, n)[1] - 1, _copier_loops(a, n)[2]),
             "swapped": lambda a, n: (_copier_loops(a, n)[1], _copier_loops(a, n)[0], _copier_loops(a, n)[2]),
             "score only": lambda a, n: _copier_loops(a, n)[2], "no score": lambda a, n: _copier_loops(a, n)[:2],
             "first": lambda a, n: (1, 1, _score_loop(a[0, 0], n)), "last": lambda a, n: (len(a), a.shape[1], 0.5),
             "previous": lambda a, n: _copier_unravel(a.roll(-n + 2, -1), n),
             "by layers": _copier_by_layers, "best place": _copier_best_place,
             "transposed": lambda a, n: _copier_loops(a.mT, n), "only layer": lambda a, n: (_copier_loops(a, n)[0],)},
    "07.6": {"no norm": lambda x, g, u, e: x @ u.T,
             "length": lambda x, g, u, e: (g * x / x.norm(dim=-1, keepdim=True)) @ u.T,
             "last size": lambda x, g, u, e: (g * x / (x[-1].square().mean() + e).sqrt()) @ u.T,
             "whole": lambda x, g, u, e: (g * x / (x.square().mean() + e).sqrt()) @ u.T,
             "no gain": lambda x, g, u, e: (x / (x.square().mean(-1, True) + e).sqrt()) @ u.T,
             "softmax": lambda x, g, u, e: _lens_rows(x, g, u, e).softmax(-1),
             "argmax": lambda x, g, u, e: _lens_rows(x, g, u, e).argmax(-1),
             "std": lambda x, g, u, e: (g * x / (x.std(-1, keepdim=True) + e)) @ u.T,
             "LayerNorm": lambda x, g, u, e: (g * (x - x.mean(-1, True)) / (x.var(-1, keepdim=True) + e).sqrt()) @ u.T,
             "no root": lambda x, g, u, e: (g * x / (x.square().mean(-1, True) + e)) @ u.T,
             "no eps": lambda x, g, u, e: (g * x / x.square().mean(-1, True).sqrt()) @ u.T,
             "axis lost": lambda x, g, u, e: (g * x / (x.square().mean(-1) + e).sqrt()) @ u.T,
             "layer axis": lambda x, g, u, e: (g * x / (x.square().mean(0) + e).sqrt()) @ u.T,
             "gain added": lambda x, g, u, e: (g + x / (x.square().mean(-1, True) + e).sqrt()) @ u.T},
    "07.7": {"own sizes": lambda y, g, u, a, b, e: _lens_rows(y, g, u, e)[:, a] - _lens_rows(y, g, u, e)[:, b],
             "one logit": lambda y, g, u, a, b, e: (g * y / (y.sum(0).square().mean() + e).sqrt()) @ u[a],
             "no size": lambda y, g, u, a, b, e: (g * y) @ (u[a] - u[b]),
             "no gain": lambda y, g, u, a, b, e: (y / (y.sum(0).square().mean() + e).sqrt()) @ (u[a] - u[b]),
             "turned": lambda y, g, u, a, b, e: -_shares_two(y, g, u, a, b, e),
             "total": lambda y, g, u, a, b, e: _shares_two(y, g, u, a, b, e).sum(),
             "scaled to 1": lambda y, g, u, a, b, e: (
                 of := _shares_two(y, g, u, a, b, e)) / of.sum(),
             "length": lambda y, g, u, a, b, e: (g * y / y.sum(0).norm()) @ (u[a] - u[b]),
             "cumulated": lambda y, g, u, a, b, e: _shares_two(y, g, u, a, b, e).cumsum(0),
             "absolute": lambda y, g, u, a, b, e: _shares_two(y, g, u, a, b, e).abs(),
             "mean stream": lambda y, g, u, a, b, e: (g * y / (y.mean(0).square().mean() + e).sqrt()) @ (u[a] - u[b])},
    "07.8": {"reversed": lambda c, k, s, b, w: ((k - c) * s).sum(-1) / (b - w),
             "not scaled": lambda c, k, s, b, w: ((c - k) * s).sum(-1), "mean": lambda c, k, s, b, w: (
                 (c - k) * s).mean(-1) / (b - w), "all": lambda c, k, s, b, w: ((c - k) * s).sum() / (b - w),
             "clean only": lambda c, k, s, b, w: (c * s).sum(-1) / (b - w),
             "lengths": lambda c, k, s, b, w: (c - k).norm(dim=-1) * s.norm(dim=-1) / (b - w),
             "positions": lambda c, k, s, b, w: ((c - k) * s).sum(1) / (b - w),
             "no change": lambda c, k, s, b, w: s.sum(-1) / (b - w),
             "sign lost": lambda c, k, s, b, w: ((c - k) * s).sum(-1) / abs(b - w),
             "matrix product": lambda c, k, s, b, w: ((c - k) @ s) / (b - w),
             "length of the product": lambda c, k, s, b, w: ((c - k) * s).norm(dim=-1) / (b - w),
             "over clean": lambda c, k, s, b, w: ((c - k) * s).sum(-1) / b,
             "plus corrupt": lambda c, k, s, b, w: (((c - k) * s).sum(-1) + w) / (b - w)},
}
EQUAL = {
    "07.1": ["in `-1`, `1` is `0`"],
    "07.2": ["in `-1`, `1` is `0`", "in `torch.zeros_like(p).scatter`, `torch.zeros_like(p)` is `p`"],
    "07.4": ["`pattern[queries, queries - n + 1].mean().item()` is `pattern[queries, queries - n + 1].mean()`"],
    "07.5": [
        "in `(layer + 1, head + 1, scores[layer, head].item())`, `scores[layer, head].item()` is `scores[layer, head]`",
        "in `patterns[:, :, queries, queries - n + 1]`, `(:, :, queries, queries - n + 1)` is "
        "`(:, :, queries, queries - n + 1)`"],
    "07.6": ["in `x.square().mean(-1, keepdim=True)`, `-1` is `1`"]}
TOLD = {  # typed into the page by a reader, who was then told no cause, or that it was right
    "07.3": {"keeps none": "no guess is ever kept"}, "07.4": {"without the last": "last id of the second"},
    "07.5": {"by layers": "divided by the number of layers"}, "07.6": {"LayerNorm": "that is LayerNorm"},
    "07.7": {"length": "plain length"},
    "07.8": {"sign lost": "sign of the scale is lost", "plus corrupt": "the corrupt reading is added"}}
