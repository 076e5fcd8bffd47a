"""Answer notebook 04's exercises, and make the mistakes that readers make."""
from __future__ import annotations

import math

import torch

from minillm.notebook.checks import Solution


def layer_norm(x, eps):
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred ** 2).mean(-1, keepdim=True) + eps)


def layer_norm_with(x, eps, *, axis=-1, unbiased=False, centred=True, inside=True, use_eps=True, root=True):
    """LayerNorm with one thing done otherwise."""
    mean = x.mean(axis, keepdim=True)
    variance = x.var(axis, keepdim=True, unbiased=unbiased)
    top = x - mean if centred else x
    eps = eps if use_eps else 0.0
    if not root:
        return top / (variance + eps)
    return top / torch.sqrt(variance + eps) if inside else top / (torch.sqrt(variance) + eps)


def variant(function, **changes):
    """The same function with these keywords, as an answer that a reader might hand in."""
    return lambda *inputs: function(*inputs, **changes)


def rms_norm(x, weight, eps):
    return weight * x / torch.sqrt((x ** 2).mean(-1, keepdim=True) + eps)


def rms_norm_with(x, weight, eps, *, axis=-1, centred=False, total=False, inside=True, use_eps=True, gain=None,
                  early=False, root=True):
    """RMSNorm with one thing done otherwise."""
    if centred:
        x = x - x.mean(-1, keepdim=True)
    if early:
        x, weight = x * weight, torch.ones_like(weight)
    size = (x ** 2).sum(axis, keepdim=True) if total else (x ** 2).mean(axis, keepdim=True)
    eps = eps if use_eps else 0.0
    below = size + eps if not root else torch.sqrt(size + eps) if inside else torch.sqrt(size) + eps
    weight = gain(weight) if gain else weight
    return weight * x / below


def silu(u):
    return u * torch.sigmoid(u)


def swiglu(x, gate, up, down):
    g = x @ gate.T
    return (g * torch.sigmoid(g) * (x @ up.T)) @ down.T


def fair_width(d_ff):
    return round(2 * d_ff / 3 / 8) * 8


def pre_block(x, attention, mlp, norm1, norm2):
    x = x + attention(norm1(x))
    return x + mlp(norm2(x))


def stream_size(n_layers, s):
    return (1 + 2 * n_layers * s ** 2) ** 0.5


def route(scores, k):
    p = scores.softmax(-1)
    weights, chosen = p.topk(k, dim=-1)
    return torch.zeros_like(p).scatter(-1, chosen, weights / weights.sum(-1, keepdim=True))


def route_with(scores, k, *, of=lambda s: s.softmax(-1), normalise="chosen", largest=True):
    p = of(scores)
    chosen = p.topk(min(k, p.shape[-1]), dim=-1, largest=largest).indices
    weights = p.gather(-1, chosen)
    if normalise == "chosen":
        weights = weights / weights.sum(-1, keepdim=True)
    if normalise == "softmax":
        weights = weights.softmax(-1)
    if normalise == "alike":
        weights = torch.full_like(weights, 1 / k)
    if normalise == "ones":
        weights = torch.ones_like(weights)
    return torch.zeros_like(p).scatter(-1, chosen, weights)


def balance(scores, k):
    p = scores.softmax(-1)
    chosen = torch.zeros_like(p).scatter(-1, p.topk(k, dim=-1).indices, 1.0)
    share = chosen.sum(0) / chosen.sum()
    return scores.shape[-1] * (share * p.mean(0)).sum()


def balance_with(scores, k, *, of=lambda s: s.softmax(-1), share="assignments", mean="all", factor=None, over=0):
    p = of(scores)
    chosen = torch.zeros_like(p).scatter(-1, p.topk(k, dim=-1).indices, 1.0)
    f = {"assignments": chosen.sum(0) / chosen.sum(), "tokens": chosen.mean(0), "counts": chosen.sum(0),
         "probabilities": p.mean(0)}[share]
    if mean == "all":
        q = p.mean(0)
    elif mean == "sum":
        q = p.sum(0)
    elif mean == "chosen":
        q = (p * chosen).sum(0) / chosen.sum(0).clamp(min=1)
    elif mean == "shares":
        q = f
    else:
        q = (p * chosen).mean(0)
    factor = scores.shape[-1] if factor is None else factor
    return factor * (f * q).sum()


SOLUTIONS = {
    "04.1": Solution(layer_norm, {
        "the variance is divided by D - 1, as torch.std and torch.var do unless told otherwise; LayerNorm divides by D":
            variant(layer_norm_with, unbiased=True),
        "ε is added to the standard deviation; it stands inside the root, beside the variance":
            variant(layer_norm_with, inside=False),
        "it is divided by x.std() + ε: std divides by D - 1 unless told otherwise, and ε stands inside the root":
            variant(layer_norm_with, unbiased=True, inside=False),
        "ε is left out, so a row of equal numbers becomes 0 / 0": variant(layer_norm_with, use_eps=False),
        "the mean is not subtracted above the line": variant(layer_norm_with, centred=False),
        "mean and variance are taken along the sequence, so one token changes another":
            variant(layer_norm_with, axis=-2),
        "mean and variance are taken along the batch, so one text changes another": variant(layer_norm_with, axis=0),
        "mean and variance are taken over the whole tensor; each token has its own":
            variant(layer_norm_with, axis=(0, 1, 2)),
        "mean and variance are taken over all tokens of a text; each token has its own":
            variant(layer_norm_with, axis=(1, 2)),
        "it is divided by the variance; the root is missing": variant(layer_norm_with, root=False),
        "the mean square is taken of x itself, not of x minus its mean":
            lambda x, eps: (x - x.mean(-1, keepdim=True)) / torch.sqrt((x ** 2).mean(-1, keepdim=True) + eps),
        "it is only centred; the division is missing": lambda x, eps: x - x.mean(-1, keepdim=True),
        "the squares are summed; their mean is meant":
            lambda x, eps: (x - x.mean(-1, keepdim=True)) / torch.sqrt(
                ((x - x.mean(-1, keepdim=True)) ** 2).sum(-1, keepdim=True) + eps),
        "ε is added twice, inside the root and outside":
            lambda x, eps: (x - x.mean(-1, keepdim=True)) / (torch.sqrt(
                x.var(-1, keepdim=True, unbiased=False) + eps) + eps),
        "it is multiplied by the standard deviation instead of divided":
            lambda x, eps: (x - x.mean(-1, keepdim=True)) * torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + eps),
    }),
    "04.2": Solution(rms_norm, {
        "the mean is subtracted: that is LayerNorm; RMSNorm leaves the mean alone":
            variant(rms_norm_with, centred=True),
        "the squares are summed; their mean is meant, or a wider row gets smaller numbers":
            variant(rms_norm_with, total=True),
        "the gain is applied before the division, so it changes the size that is divided by":
            variant(rms_norm_with, early=True),
        "the gain is 1 + weight; that is Gemma's way of storing it, where weight starts at 0":
            variant(rms_norm_with, gain=lambda w: 1 + w),
        "it is divided by the vector's length, the root of the sum of its squares; their mean is meant":
            lambda x, weight, eps: weight * x / (x.norm(dim=-1, keepdim=True) + eps),
        "the gain, weight, is left out": variant(rms_norm_with, gain=torch.ones_like),
        "ε is added to the root; it stands inside": variant(rms_norm_with, inside=False),
        "ε is left out": variant(rms_norm_with, use_eps=False),
        "the mean square is taken along the sequence, so one token changes another":
            variant(rms_norm_with, axis=-2),
        "the mean square is taken over the whole tensor; each token has its own":
            variant(rms_norm_with, axis=(0, 1, 2)),
        "it is divided by the mean square; the root is missing": variant(rms_norm_with, root=False),
        "it is divided by the mean of the absolute values; squares are meant":
            lambda x, weight, eps: weight * x / (x.abs().mean(-1, keepdim=True) + eps),
        "it is divided by the standard deviation, which the mean has left; the mean square keeps it":
            lambda x, weight, eps: weight * x / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + eps),
        "it is divided by the gain instead of multiplied":
            lambda x, weight, eps: x / torch.sqrt((x ** 2).mean(-1, keepdim=True) + eps) / weight,
    }),
    "04.3": Solution(swiglu, {
        "gate and up are swapped: SiLU belongs on what W_gate gives":
            lambda x, gate, up, down: swiglu(x, up, gate, down),
        "SiLU is applied to the product; it belongs on the gate alone":
            lambda x, gate, up, down: silu((x @ gate.T) * (x @ up.T)) @ down.T,
        "the gate is a plain sigmoid (a GLU); SiLU is u · sigmoid(u)":
            lambda x, gate, up, down: (torch.sigmoid(x @ gate.T) * (x @ up.T)) @ down.T,
        "SiLU is applied to both; what comes from W_up stays as it is":
            lambda x, gate, up, down: (silu(x @ gate.T) * silu(x @ up.T)) @ down.T,
        "gate and up are added; they are multiplied, unit by unit":
            lambda x, gate, up, down: (silu(x @ gate.T) + x @ up.T) @ down.T,
        "W_up is not used: that is a plain MLP with SiLU": lambda x, gate, up, down: silu(x @ gate.T) @ down.T,
        "W_gate is not used": lambda x, gate, up, down: silu(x @ up.T) @ down.T,
        "there is no SiLU at all (a bilinear layer)": lambda x, gate, up, down: ((x @ gate.T) * (x @ up.T)) @ down.T,
        "the gate is a ReLU (a ReGLU)": lambda x, gate, up, down: (torch.relu(x @ gate.T) * (x @ up.T)) @ down.T,
        "the sigmoid is taken of what W_up gives; SiLU is u · sigmoid(u), both of the gate":
            lambda x, gate, up, down: ((x @ gate.T) * torch.sigmoid(x @ up.T)) @ down.T,
        "the gate is a tanh": lambda x, gate, up, down: (torch.tanh(x @ gate.T) * (x @ up.T)) @ down.T,
        "the gate is GELU (a GeGLU)":
            lambda x, gate, up, down: (torch.nn.functional.gelu(x @ gate.T) * (x @ up.T)) @ down.T,
        "W_down is left out, so the output has the hidden width":
            lambda x, gate, up, down: silu(x @ gate.T) * (x @ up.T),
        "SiLU is u · sigmoid(-u) here; the sign inside is turned":
            lambda x, gate, up, down: ((x @ gate.T) * torch.sigmoid(-(x @ gate.T)) * (x @ up.T)) @ down.T,
        "the input is added; that is the block's work, not the MLP's":
            lambda x, gate, up, down: x + swiglu(x, gate, up, down),
    }),
    "04.4": Solution(fair_width, {
        "the same width: three matrices then hold half as much again": lambda d_ff: round(d_ff / 8) * 8,
        "3/2 instead of 2/3: the gate adds a matrix, so each must be narrower":
            lambda d_ff: round(3 * d_ff / 2 / 8) * 8,
        "3/2 instead of 2/3, and rounded down: the gate adds a matrix, so each must be narrower":
            lambda d_ff: 3 * d_ff // 2 // 8 * 8,
        "it is rounded down; to the nearest multiple is asked": lambda d_ff: int(2 * d_ff / 3 // 8) * 8,
        "it is rounded up; to the nearest multiple is asked": lambda d_ff: math.ceil(2 * d_ff / 3 / 8) * 8,
        "half: that would be fair for four matrices": lambda d_ff: round(d_ff / 2 / 8) * 8,
        "a third: the three matrices together then hold half as much": lambda d_ff: round(d_ff / 3 / 8) * 8,
        "8/3 of d_ff: the usual 8/3 is of d_model, where d_ff is 4 d_model": lambda d_ff: round(8 * d_ff / 3 / 8) * 8,
        "4/3: was it doubled?": lambda d_ff: round(4 * d_ff / 3 / 8) * 8,
        "it is not rounded to a multiple of 8": lambda d_ff: round(2 * d_ff / 3),
        "it is rounded to multiples of 64; 8 is asked": lambda d_ff: round(2 * d_ff / 3 / 64) * 64,
        "it is rounded to multiples of 16; 8 is asked": lambda d_ff: round(2 * d_ff / 3 / 16) * 16,
        "the division by 8 was never undone": lambda d_ff: round(2 * d_ff / 3 / 8),
    }),
    "04.5": Solution(pre_block, {
        "the MLP reads the stream as it was before attention: that is the parallel block":
            lambda x, attention, mlp, norm1, norm2: x + attention(norm1(x)) + mlp(norm2(x)),
        "each part is normalised after its sum: that is the post-norm block of 2017":
            lambda x, attention, mlp, norm1, norm2: norm2((y := norm1(x + attention(x))) + mlp(y)),
        "the norms stand behind the parts (OLMo 2's order); here they stand before":
            lambda x, attention, mlp, norm1, norm2: (y := x + norm1(attention(x))) + norm2(mlp(y)),
        "the stream itself goes through the norm; it must be left untouched":
            lambda x, attention, mlp, norm1, norm2: norm2(y := norm1(x) + attention(norm1(x))) + mlp(norm2(y)),
        "nothing is added to the stream: each part's output replaces it":
            lambda x, attention, mlp, norm1, norm2: mlp(norm2(attention(norm1(x)))),
        "the first norm is used twice": lambda x, a, m, n1, n2: pre_block(x, a, m, n1, n1),
        "the norms are swapped": lambda x, a, m, n1, n2: pre_block(x, a, m, n2, n1),
        "MLP and attention are swapped": lambda x, a, m, n1, n2: pre_block(x, m, a, n1, n2),
        "there is no norm": lambda x, a, m, n1, n2: pre_block(x, a, m, lambda y: y, lambda y: y),
        "attention's output replaces the stream; it must be added to it":
            lambda x, attention, mlp, norm1, norm2: (y := attention(norm1(x))) + mlp(norm2(y)),
        "the second part is not added to the stream": lambda x, a, m, n1, n2: m(n2(x + a(n1(x)))),
        "the first sum is missing: the MLP reads attention's output alone":
            lambda x, attention, mlp, norm1, norm2: x + mlp(norm2(attention(norm1(x)))),
        "the second sum starts from the old stream, and attention's part is lost":
            lambda x, attention, mlp, norm1, norm2: x + mlp(norm2(x + attention(norm1(x)))),
        "the MLP is missing": lambda x, attention, mlp, norm1, norm2: x + attention(norm1(x)),
        "attention is missing": lambda x, attention, mlp, norm1, norm2: x + mlp(norm2(x)),
        "only the MLP has a norm before it": lambda x, a, m, n1, n2: pre_block(x, a, m, lambda y: y, n2),
        "only attention has a norm before it": lambda x, a, m, n1, n2: pre_block(x, a, m, n1, lambda y: y),
    }),
    "04.6": Solution(stream_size, {
        "one part per layer is counted; attention and MLP both write": lambda n, s: math.sqrt(1 + n * s ** 2),
        "the sizes are added; for independent vectors the squares add": lambda n, s: 1 + 2 * n * s,
        "s is not squared": lambda n, s: math.sqrt(1 + 2 * n * s),
        "the embedding's own size, 1, is left out": lambda n, s: max(1.0, math.sqrt(2 * n) * s),
        "the root is missing: that is the mean square": lambda n, s: 1 + 2 * n * s ** 2,
        "the parts are multiplied, as if each scaled the stream": lambda n, s: (1 + s) ** (2 * n),
        "the parts are multiplied, as if each scaled the stream's square": lambda n, s: (1 + s ** 2) ** n,
        "four parts per layer are counted": lambda n, s: math.sqrt(1 + 4 * n * s ** 2),
        "the root is taken of the layers alone": lambda n, s: 1 + math.sqrt(2 * n) * s,
        "the number of layers is squared as well": lambda n, s: math.sqrt(1 + (2 * n * s) ** 2),
        "the last part is not counted": lambda n, s: math.sqrt(1 + (2 * n - 1) * s ** 2),
        "one part too many is counted": lambda n, s: math.sqrt(1 + (2 * n + 1) * s ** 2),
    }),
    "04.7": Solution(route, {
        "the chosen weights are not scaled to sum to one": variant(route_with, normalise="none"),
        "the softmax runs along the tokens; it runs along the experts":
            variant(route_with, of=lambda s: s.softmax(0)),
        "the softmax is taken twice, the second time of probabilities": variant(route_with, normalise="softmax"),
        "the weights are scaled over all tokens together; each token's sum to one":
            lambda scores, k: (p := route_with(scores, k, normalise="none")) / p.sum(),
        "the k worst experts are taken": variant(route_with, largest=False),
        "one expert too many is taken": lambda scores, k: route_with(scores, min(k + 1, scores.shape[-1])),
        "one expert too few is taken": lambda scores, k: route_with(scores, max(k - 1, 1)),
        "all experts keep a weight: nothing is cut": lambda scores, k: scores.softmax(-1),
        "the chosen experts all weigh the same": variant(route_with, normalise="alike"),
        "each chosen expert weighs 1": variant(route_with, normalise="ones"),
        "the raw scores are the weights; they may be negative": variant(route_with, of=lambda s: s, normalise="none"),
        "the raw scores are divided by their sum; softmax comes first": variant(route_with, of=lambda s: s),
        "a sigmoid instead of the softmax (DeepSeek-V3's way)": variant(route_with, of=torch.sigmoid),
        "one expert is taken, whatever k is": lambda scores, k: route_with(scores, 1),
        "scores that are not chosen become 0 before the softmax; they still get a weight there, −∞ would not":
            lambda scores, k: (scores * (route(scores, k) > 0)).softmax(-1),
    }),
    "04.8": Solution(balance, {
        "the mean probability is taken over the tokens that chose the expert; all tokens count":
            variant(balance_with, mean="chosen"),
        "the shares sum to k, not to 1: divide by all assignments, not by the tokens":
            variant(balance_with, share="tokens"),
        "the softmax is taken twice": variant(balance_with, of=lambda s: s.softmax(-1).softmax(-1)),
        "the factor N is missing, so a balanced router gives 1/N": variant(balance_with, factor=1),
        "the factor is k instead of the number of experts": lambda scores, k: balance_with(scores, k, factor=k),
        "probabilities are summed over the tokens; their mean is meant": variant(balance_with, mean="sum"),
        "assignments are counted, not made a share": variant(balance_with, share="counts"),
        "the shares are taken from the probabilities; they count who was chosen":
            variant(balance_with, share="probabilities"),
        "share times share: nothing in it has a gradient": variant(balance_with, mean="shares"),
        "the softmax runs along the tokens": variant(balance_with, of=lambda s: s.softmax(0)),
        "the raw scores stand for probabilities": variant(balance_with, of=lambda s: s),
        "a sigmoid instead of the softmax": variant(balance_with, of=torch.sigmoid),
        "one expert per token is counted, whatever k is": lambda scores, k: balance_with(scores, 1),
        "only the chosen probabilities enter the mean": variant(balance_with, mean="masked"),
        "only the first token is looked at": lambda scores, k: balance_with(scores[:1], k),
    }),
}
