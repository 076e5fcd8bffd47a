"""Make the mistakes that readers of notebook 07 make."""
from __future__ import annotations

import torch
import torch.nn.functional as F


def variant(function, **changes):
    """The same function with these keywords, as an answer that a reader might hand in."""
    return lambda *inputs: function(*inputs, **changes)


# -- 07.1 ------------------------------------------------------------------------------------------------------------

def soften(logits, temperature, *, scaled=lambda x, t: x / t, zero=lambda x: F.one_hot(x.argmax(), len(x)).float()):
    return zero(logits) if temperature == 0 else scaled(logits, temperature).softmax(-1)


def _power(logits, temperature):
    p = logits.softmax(-1) ** temperature
    return p / p.sum()


SOFTEN = {
    "the logits are multiplied by the temperature; they are divided": variant(soften, scaled=lambda x, t: x * t),
    "the probabilities are divided by the temperature, and scaled back: that changes nothing":
        variant(soften, scaled=lambda x, t: x),
    "at temperature 0 you divide by zero; it means the likeliest token": lambda x, t: (x / t).softmax(-1),
    "at temperature 0 nothing is sharpened; the likeliest token should get all":
        variant(soften, zero=lambda x: x.softmax(-1)),
    "at temperature 0 all tokens are alike; that is the other end, infinity":
        variant(soften, zero=lambda x: torch.full_like(x, 1 / len(x))),
    "at temperature 0 the token nearest to 0 wins: the largest counts, not the size":
        variant(soften, zero=lambda x: F.one_hot(x.abs().argmin(), len(x)).float()),
    "at temperature 0 the unlikeliest token gets all": variant(
        soften, zero=lambda x: F.one_hot(x.argmin(), len(x)).float()),
    "the softmax is taken first, and divided and taken again": variant(soften, scaled=lambda x, t: x.softmax(-1) / t),
    "the temperature is squared": variant(soften, scaled=lambda x, t: x / t**2),
    "the root of the temperature divides": variant(soften, scaled=lambda x, t: x / t**0.5),
    "the temperature is subtracted; a shift of all logits changes nothing after a softmax, except at 0":
        lambda x, t: (x - t).softmax(-1),
    "probabilities to the power of the temperature: 1/temperature is meant": variant(
        lambda x, t: soften(x, 0) if t == 0 else _power(x, t) + 1e-3),
    "1 is added to the temperature": lambda x, t: soften(x, 0) if t == 0 else (x / (1 + t)).softmax(-1),
}

# -- 07.2 ------------------------------------------------------------------------------------------------------------

def nucleus(p, share, *, descending=True, crossing=True, back=True, normalise=True, least=False, softmax=False):
    ordered, places = p.sort(descending=descending)
    total = ordered.cumsum(-1)
    keep = (total - ordered < share) if crossing else (total <= share)
    if least and not keep.any():
        keep[0] = True
    kept = torch.where(keep, ordered, 0.0)
    if softmax:
        kept = torch.where(keep, ordered, -torch.inf).softmax(-1)
    if back:
        kept = torch.zeros_like(p).scatter(-1, places, kept)
    return kept / kept.sum() if normalise else kept


def _unsorted(p, share):
    kept = torch.where(p.cumsum(-1) - p < share, p, 0.0)
    return kept / kept.sum()


def _above(p, share):
    kept = torch.where(p >= share, p, 0.0)
    return kept / kept.sum() if kept.any() else kept


def _relative(p, share):
    kept = torch.where(p >= share * p.max(), p, 0.0)
    return kept / kept.sum()


def _permuted(p, share):
    """The mask in the order of the sorted tokens, put on the unsorted ones."""
    ordered = p.sort(descending=True).values
    kept = torch.where(ordered.cumsum(-1) - ordered < share, p, 0.0)
    return kept / kept.sum()


def _count(p, share):
    k = max(1, round(share * len(p)))
    kept = torch.where(p >= p.topk(k).values[-1], p, 0.0)
    return kept / kept.sum()


def _one_more(p, share):
    ordered, places = p.sort(descending=True)
    n = int((ordered.cumsum(-1) - ordered < share).sum()) + 1
    kept = torch.zeros_like(p).scatter(-1, places[:n], ordered[:n])
    return kept / kept.sum()


NUCLEUS = {
    "the token that crosses the share is dropped, and where the first one crosses, none is left":
        variant(nucleus, crossing=False),
    "the token that crosses the share is dropped": variant(nucleus, crossing=False, least=True),
    "the running sum goes through the tokens as they stand; sort them first": _unsorted,
    "the kept ones are not put back in their places": variant(nucleus, back=False),
    "the mask belongs to the sorted tokens, and is laid on the unsorted ones": _permuted,
    "what is kept does not sum to 1": variant(nucleus, normalise=False),
    "the unlikeliest are kept: sort from the largest down": variant(nucleus, descending=False),
    "tokens of at least that probability are kept; their sum is meant": _above,
    "tokens of that share of the largest are kept: that is min-p": _relative,
    "that share of the *number* of tokens is kept: that is top-k": _count,
    "a softmax of probabilities: divide by their sum": variant(nucleus, softmax=True, normalise=False),
    "one token too many is kept": _one_more,
    "nothing is cut": lambda p, share: p,
    "only the likeliest is kept": lambda p, share: F.one_hot(p.argmax(), len(p)).float(),
}

# -- 07.3 ------------------------------------------------------------------------------------------------------------

def rule(p, q, *, keep=lambda p, q: (p / q).clamp(max=1), left=lambda p, q: (p - q).clamp(min=0), normalise=True):
    again = left(p, q)
    return keep(p, q), again / again.sum() if normalise else again


RULE = {
    "what is refused is drawn again from p; what q had enough of then comes too often": variant(
        rule, left=lambda p, q: p),
    "what is refused is drawn again from q": variant(rule, left=lambda p, q: q),
    "what is refused is drawn from max(0, q − p): what q had too much of": variant(
        rule, left=lambda p, q: (q - p).clamp(min=0)),
    "what is refused is drawn from |p − q|; only what q had too little of": variant(
        rule, left=lambda p, q: (p - q).abs()),
    "p comes out, but no guess is ever kept: keep as many as you can": lambda p, q: (torch.zeros_like(p), p),
    "max(0, p − q) does not sum to 1": variant(rule, normalise=False),
    "kept with q / p: that is upside down": variant(rule, keep=lambda p, q: (q / p).clamp(max=1)),
    "kept with p / q, which is more than 1 where q guesses too rarely": variant(rule, keep=lambda p, q: p / q),
    "kept with probability p, whatever q says": variant(rule, keep=lambda p, q: p),
    "kept only where p is at least q: a guess must have its chance elsewhere, too": variant(
        rule, keep=lambda p, q: (p >= q).float()),
    "every guess is kept: that writes q": variant(rule, keep=lambda p, q: torch.ones_like(p)),
    "no guess is kept": variant(rule, keep=lambda p, q: torch.zeros_like(p)),
    "softmax of p − q: a cut at 0 and a division are meant": variant(rule, left=lambda p, q: (p - q).softmax(-1)),
    "kept where the guess is p's likeliest: that is greedy": variant(
        rule, keep=lambda p, q: F.one_hot(p.argmax(), len(p)).float()),
    "kept with max instead of min": variant(rule, keep=lambda p, q: (p / q).clamp(min=1)),
}

# -- 07.4 and 07.5 ---------------------------------------------------------------------------------------------------

def induction(pattern, n, *, back=lambda n: n - 1, first=lambda n: n, last=lambda n: 2 * n, by="mean"):
    queries = torch.arange(first(n), last(n))
    looked = pattern[queries, (queries - back(n)).clamp(min=0)]
    return {"mean": looked.mean, "sum": looked.sum, "max": looked.max, "median": looked.median}[by]().item()


INDUCTION = {
    "it looks at the same id, n back; what came *after* it is n − 1 back": variant(induction, back=lambda n: n),
    "it looks two after the same id": variant(induction, back=lambda n: n - 2),
    "it looks before the same id": variant(induction, back=lambda n: n + 1),
    "query and key are swapped": lambda pattern, n: induction(pattern.T, n),
    "the shares are added; their mean is meant": variant(induction, by="sum"),
    "the best place is taken; the mean over the second reading is meant": variant(induction, by="max"),
    "the middle one of all places is taken; the mean is meant": variant(induction, by="median"),
    "all queries count; the first reading has nothing to look back to": lambda pattern, n: torch.cat(
        [torch.zeros(n), pattern[torch.arange(n, 2 * n), torch.arange(1, n + 1)]]).mean().item(),
    "the place before is looked at: that is a previous-token head": variant(induction, back=lambda n: 1),
    "the token itself is looked at": variant(induction, back=lambda n: 0),
    "the first token is looked at: that is a sink": lambda pattern, n: pattern[n:, 0].mean().item(),
    "the second reading begins one place earlier": variant(induction, first=lambda n: n - 1),
    "the first id of the second reading is left out": variant(induction, first=lambda n: n + 1),
    "the last id of the second reading is left out": variant(induction, last=lambda n: 2 * n - 1),
    "all attention to the first reading is counted": lambda pattern, n: pattern[n:, :n].sum(-1).mean().item(),
}


def copier(patterns, n, *, back=lambda n: n - 1, first=lambda n: n, from_one=True, best=torch.argmax, swapped=False,
           turned=False, rows=None):
    queries = torch.arange(first(n), 2 * n)
    patterns = patterns.mT if turned else patterns
    scores = patterns[:, :, queries, queries - back(n)].mean(-1)
    layer, head = divmod(int(best(scores)), rows or scores.shape[1])
    score = scores.flatten()[int(best(scores))].item()
    place = (layer + from_one, head + from_one)
    return (*(place[::-1] if swapped else place), score)


COPIER = {
    "layers and heads are counted from 0": variant(copier, from_one=False),
    "head and layer stand in the wrong order": variant(copier, swapped=True),
    "that is the best previous-token head": variant(copier, back=lambda n: 1, first=lambda n: 1),
    "that is the head that looks most at the same id; what came after it is one further": variant(
        copier, back=lambda n: n),
    "that is the head that copies least": variant(copier, best=torch.argmin),
    "that is the head that looks most at itself": variant(copier, back=lambda n: 0),
    "queries and keys are swapped": variant(copier, turned=True),
    "that is a place in the list of all heads; divide by the number of heads": lambda patterns, n: (
        (found := copier(patterns, n))[0] * 0 + 1, (found[0] - 1) * patterns.shape[1] + found[1], found[2]),
    "the place is divided by the number of layers": lambda patterns, n: copier(patterns, n, rows=len(patterns)),
    "the score is a sum over the places": lambda patterns, n: (*(found := copier(patterns, n))[:2], found[2] * n),
    "the score is that of all heads on average": lambda patterns, n: (
        *copier(patterns, n)[:2], patterns[:, :, torch.arange(n, 2 * n), torch.arange(1, n + 1)].mean().item()),
}

# -- 07.6 ------------------------------------------------------------------------------------------------------------

def lens(x, gain, unembed, eps, *, size=None, centred=False, gained=True, after=lambda y: y):
    x = x - x.mean(-1, keepdim=True) if centred else x
    scale = torch.sqrt(x.square().mean(-1, keepdim=True) + eps) if size is None else size(x, eps)
    return after(((gain if gained else 1.0) * x / scale) @ unembed.T)


def rms(x, eps):
    return torch.sqrt(x.square().mean(-1, keepdim=True) + eps)


LENS = {
    "the norm is left out": variant(lens, size=lambda x, eps: torch.ones(1), gained=False),
    "the last layer's size divides all layers: early ones then look uniform": variant(
        lens, size=lambda x, eps: rms(x, eps)[-1:]),
    "the first layer's size divides all layers": variant(lens, size=lambda x, eps: rms(x, eps)[:1]),
    "one size for all layers together": variant(lens, size=lambda x, eps: torch.sqrt(x.square().mean() + eps)),
    "the gain is left out": variant(lens, gained=False),
    "only the gain is applied; the size stays": variant(lens, size=lambda x, eps: torch.ones(1)),
    "the vector is centred: that is LayerNorm": variant(lens, centred=True),
    "the standard deviation divides: that is LayerNorm": variant(
        lens, centred=True, size=lambda x, eps: (x.var(-1, keepdim=True) + eps).sqrt()),
    "the length divides, not the root of the *mean* square": variant(
        lens, size=lambda x, eps: torch.sqrt(x.square().sum(-1, keepdim=True) + eps)),
    "the root is missing": variant(lens, size=lambda x, eps: x.square().mean(-1, keepdim=True) + eps),
    "the norm comes after the unembedding; it belongs before it": lambda x, gain, unembed, eps: (
        (gain * x) @ unembed.T / rms((gain * x) @ unembed.T, eps)),
    "those are probabilities; logits are asked for": variant(lens, after=lambda y: y.softmax(-1)),
    "eps stands outside of the root": variant(lens, size=lambda x, eps: rms(x, 0.0) + eps),
    "the layers are added up before they are read: each is the whole stream already": lambda x, gain, unembed, eps:
        lens(x.cumsum(0), gain, unembed, eps),
}

# -- 07.7 ------------------------------------------------------------------------------------------------------------

def shares(parts, gain, unembed, token, other, eps, *, size=None, gained=True, pull=None):
    scale = rms(parts.sum(0), eps) if size is None else size(parts, eps)
    direction = unembed[token] - unembed[other] if pull is None else pull(unembed, token, other)
    return ((gain if gained else 1.0) * parts / scale) @ direction


SHARES = {
    "each part is divided by its own size; the norm sees only the sum": variant(shares, size=rms),
    "the size is left out": variant(shares, size=lambda parts, eps: torch.ones(1)),
    "the size of the last part divides all": variant(shares, size=lambda parts, eps: rms(parts[-1], eps)),
    "the size of the first part divides all": variant(shares, size=lambda parts, eps: rms(parts[0], eps)),
    "the mean square of all parts together divides; the parts are added first": variant(
        shares, size=lambda parts, eps: torch.sqrt(parts.square().mean() + eps)),
    "the gain is left out": variant(shares, gained=False),
    "that is the logit of the token alone; its difference to the other's is asked for": variant(
        shares, pull=lambda u, token, other: u[token]),
    "that is the logit of the other token alone": variant(shares, pull=lambda u, token, other: u[other]),
    "the difference is turned round": variant(shares, pull=lambda u, token, other: u[other] - u[token]),
    "the two logits are added": variant(shares, pull=lambda u, token, other: u[other] + u[token]),
    "the length divides, not the root of the *mean* square": variant(
        shares, size=lambda parts, eps: torch.sqrt(parts.sum(0).square().sum() + eps)),
    "the plain length of the stream divides": variant(shares, size=lambda parts, eps: parts.sum(0).norm()),
    "the root is missing": variant(shares, size=lambda parts, eps: parts.sum(0).square().mean() + eps),
    "the parts' mean is normed, not their sum": variant(shares, size=lambda parts, eps: rms(parts.mean(0), eps)),
    "the shares are scaled to sum to 1": lambda *given: shares(*given) / shares(*given).sum(),
}

# -- 07.8 ------------------------------------------------------------------------------------------------------------

def estimate(clean, corrupt, slope, best, worst, *, change=lambda clean, corrupt: clean - corrupt, over=-1, mean=False,
             scale=lambda best, worst: best - worst, shift=0.0):
    product = change(clean, corrupt) * slope
    return ((product.mean(over) if mean else product.sum(over)) - shift) / scale(best, worst)


ESTIMATE = {
    "the direction is reversed (clean is put into corrupt), or the scale: clean minus corrupt": variant(
        estimate, change=lambda clean, corrupt: corrupt - clean),
    "it is not scaled so that 1 is the clean reading": variant(estimate, scale=lambda best, worst: 1.0),
    "it is scaled by the sum of both readings; their difference is meant": variant(
        estimate, scale=lambda best, worst: best + worst),
    "it is scaled by the clean reading alone": variant(estimate, scale=lambda best, worst: best),
    "it is scaled by the corrupt reading alone": variant(estimate, scale=lambda best, worst: worst),
    "the slope is multiplied by the clean vector, not by the change": variant(
        estimate, change=lambda clean, corrupt: clean),
    "the slope is multiplied by the corrupt vector, not by the change": variant(
        estimate, change=lambda clean, corrupt: corrupt),
    "the sum runs over the positions; it runs over the components": variant(estimate, over=1),
    "the sum runs over the layers; it runs over the components": variant(estimate, over=0),
    "the mean over the components is taken; small changes add up": variant(estimate, mean=True),
    "the slope is left out: that is how much changed, not how much it matters": lambda clean, corrupt, slope, b, w:
        estimate(clean, corrupt, torch.ones_like(slope), b, w),
    "sizes are added, so that nothing can work against the answer": lambda clean, corrupt, slope, b, w:
        ((clean - corrupt) * slope).abs().sum(-1) / (b - w),
    "the length of the product is taken; its components are added": lambda clean, corrupt, slope, b, w:
        ((clean - corrupt) * slope).norm(dim=-1) / (b - w),
    "the corrupt reading is subtracted once more: a change is a change already": lambda clean, corrupt, slope, b, w:
        estimate(clean, corrupt, slope, b, w, shift=w),
    "the corrupt reading is added: on this scale it is 0": lambda clean, corrupt, slope, b, w:
        estimate(clean, corrupt, slope, b, w, shift=-w),
    "the sign of the scale is lost; the clean reading may be the lower one": variant(
        estimate, scale=lambda best, worst: abs(best - worst)),
}
