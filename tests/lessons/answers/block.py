"""Answers to notebook 04, right and wrong, written from its texts alone."""

import math

import torch
import torch.nn.functional as F


def _two_step(x, attention, mlp, norm1, norm2):
    y = norm1(x)
    y = attention(y)
    x = x.clone()
    x += y
    z = mlp(norm2(x))
    return z + x


def _one_row(row, eps):
    mean = sum(row) / len(row)
    return (row - mean) / (sum((value - mean) ** 2 for value in row) / len(row) + eps) ** 0.5


def ln_unb(x, eps):
    c = x - x.mean(-1, keepdim=True)
    return c / (c.square().sum(-1, keepdim=True) / (x.shape[-1] - 1) + eps).sqrt()


def ln_out(x, eps):
    c = x - x.mean(-1, keepdim=True)
    return c / (c.square().mean(-1, keepdim=True).sqrt() + eps)


def ln_all(x, eps):
    c = x - x.mean()
    return c / (c.square().mean() + eps).sqrt()


def ln_noc(x, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def ln_nosq(x, eps):
    c = x - x.mean(-1, keepdim=True)
    return c / (c.square().mean(-1, keepdim=True) + eps)


def ln_batch(x, eps):
    c = x - x.mean((0, 1))
    return c / (c.square().mean((0, 1)) + eps).sqrt()


def ln_abs(x, eps):
    c = x - x.mean(-1, keepdim=True)
    return c / (c.abs().mean(-1, keepdim=True) + eps)


def ln_rawsq(x, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def ln_seq(x, eps):
    c = x - x.mean(1, keepdim=True)
    return c / (c.square().mean(1, keepdim=True) + eps).sqrt()


def rm_sum(x, w, eps):
    return x / (x.square().sum(-1, keepdim=True) + eps).sqrt() * w


def rm_gain1(x, w, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * (1 + w)


def rm_no(x, w, eps):
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def rm_c(x, w, eps):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * w


def rm_out(x, w, eps):
    return x / (x.square().mean(-1, keepdim=True).sqrt() + eps) * w


def rm_sqmean(x, w, eps):
    return x / (x.mean(-1, keepdim=True).square() + eps).sqrt() * w


def rm_times(x, w, eps):
    return x * (x.square().mean(-1, keepdim=True) + eps).sqrt() * w


def sw_gateup(x, g, u, d):
    return x @ g.T * (x @ u.T * (x @ u.T).sigmoid()) @ d.T


def sw_glu(x, g, u, d):
    return (x @ g.T).sigmoid() * (x @ u.T) @ d.T


def sw_noT(x, g, u, d):
    return x @ g * (x @ g).sigmoid() * (x @ u) @ d


def sw_plus(x, g, u, d):
    return (x @ g.T * (x @ g.T).sigmoid() + x @ u.T) @ d.T


def sw_noup(x, g, u, d):
    return x @ g.T * (x @ g.T).sigmoid() @ d.T


def sw_both(x, g, u, d):
    h = x @ g.T * (x @ u.T)
    return h * h.sigmoid() @ d.T


def sw_nodown(x, g, u, d):
    return x @ g.T * (x @ g.T).sigmoid() * (x @ u.T)


def sw_relu(x, g, u, d):
    return (x @ g.T).clamp(min=0) * (x @ u.T) @ d.T


def fw_floor(d):
    return d * 2 // 3 // 8 * 8


def fw_ceil(d):
    return (d * 2 // 3 + 7) // 8 * 8


def fw_32(d):
    return round(d * 3 / 2 / 8) * 8


def fw_no8(d):
    return round(d * 2 / 3)


def fw_round8(d):
    return round(d / 8) * 8 * 2 // 3


def fw_float(d):
    return 2 / 3 * d


def fw_half(d):
    return round(d / 2 / 8) * 8


def fw_8s(d):
    return round(2 * d / 3 / 8)


def pb_post(x, a, m, n1, n2):
    x = n1(x + a(x))
    return n2(x + m(x))


def pb_nores(x, a, m, n1, n2):
    return m(n2(a(n1(x))))


def pb_par(x, a, m, n1, n2):
    return x + a(n1(x)) + m(n2(x))


def pb_res_normed(x, a, m, n1, n2):
    h = n1(x)
    x = h + a(h)
    h = n2(x)
    return h + m(h)


def pb_same(x, a, m, n1, n2):
    x = x + a(n1(x))
    return x + m(n1(x))


def pb_out(x, a, m, n1, n2):
    x = x + n1(a(x))
    return x + n2(m(x))


def pb_once(x, a, m, n1, n2):
    return x + m(n2(x + a(n1(x))))


def pb_nonorm(x, a, m, n1, n2):
    x = x + a(x)
    return x + m(x)


def pb_lastres(x, a, m, n1, n2):
    return m(n2(x + a(n1(x))))


def st_lin(n, s):
    return 1 + 2 * n * s


def st_one(n, s):
    return (1 + n * s * s) ** 0.5


def st_no1(n, s):
    return (2 * n) ** 0.5 * s


def st_sq(n, s):
    return 1 + 2 * n * s * s


def st_s(n, s):
    return (1 + 2 * n * s) ** 0.5


def st_out(n, s):
    return 1 + (2 * n) ** 0.5 * s


def st_prod(n, s):
    return (1 + s * s) ** n


def st_half(n, s):
    return (1 + 2 * n * s * s) / 2


def ro_noscale(s, k):
    p = s.softmax(-1)
    w, c = p.topk(k, -1)
    return torch.zeros_like(p).scatter(-1, c, w)


def ro_raw(s, k):
    w, c = s.topk(k, -1)
    return torch.zeros_like(s).scatter(-1, c, w / w.sum(-1, keepdim=True))


def ro_onek(s, k):
    p = s.softmax(-1)
    w, c = p.topk(k, -1)
    return torch.zeros_like(p).scatter(-1, c, 1 / k)


def ro_dim0(s, k):
    p = s.softmax(-1)
    w, c = p.topk(min(k, len(p)), 0)
    return torch.zeros_like(p).scatter(0, c, w / w.sum(0, keepdim=True))


def ro_compact(s, k):
    return s.topk(k, -1).values.softmax(-1)


def ro_allsum(s, k):
    p = s.softmax(-1)
    w, c = p.topk(k, -1)
    return torch.zeros_like(p).scatter(-1, c, w / w.sum())


def ro_smallest(s, k):
    p = s.softmax(-1)
    w, c = p.topk(k, -1, largest=False)
    return torch.zeros_like(p).scatter(-1, c, w / w.sum(-1, keepdim=True))


def ro_zerosoft(s, k):
    w, c = s.topk(k, -1)
    return torch.zeros_like(s).scatter(-1, c, w).softmax(-1)


def ro_first(s, k):
    p = s.softmax(-1).clone()
    p[:, k:] = 0
    return p / p.sum(-1, keepdim=True)


def ro_twice(s, k):
    p = s.softmax(-1)
    w, c = p.topk(k, -1)
    return torch.zeros_like(p).scatter(-1, c, w.softmax(-1))


def ro_max(s, k):
    p = s.softmax(-1)
    w, c = p.topk(k, -1)
    return torch.zeros_like(p).scatter(-1, c, w / w.amax(-1, keepdim=True))


def ba_noN(s, k):
    p = s.softmax(-1)
    f = F.one_hot(p.topk(k, -1).indices, p.shape[-1]).float().mean((0, 1))
    return (f * p.mean(0)).sum()


def ba_k(s, k):
    p = s.softmax(-1)
    f = F.one_hot(p.topk(k, -1).indices, p.shape[-1]).float().sum(1).mean(0)
    return p.shape[-1] * (f * p.mean(0)).sum()


def ba_twice(s, k):
    return ba_ok(s.softmax(-1), k)


def ba_ok(s, k):
    p = s.softmax(-1)
    f = F.one_hot(p.topk(k, -1).indices, p.shape[-1]).float().mean((0, 1))
    return p.shape[-1] * (f * p.mean(0)).sum()


def ba_mean(s, k):
    p = s.softmax(-1)
    f = F.one_hot(p.topk(k, -1).indices, p.shape[-1]).float().mean((0, 1))
    return p.shape[-1] * (f * p.mean(0)).mean()


def ba_raw(s, k):
    f = F.one_hot(s.topk(k, -1).indices, s.shape[-1]).float().mean((0, 1))
    return s.shape[-1] * (f * s.mean(0)).sum()


def ba_counts(s, k):
    p = s.softmax(-1)
    f = F.one_hot(p.topk(k, -1).indices, p.shape[-1]).float().sum((0, 1))
    return p.shape[-1] * (f * p.mean(0)).sum()


def ba_ff(s, k):
    p = s.softmax(-1)
    f = F.one_hot(p.topk(k, -1).indices, p.shape[-1]).float().mean((0, 1))
    return p.shape[-1] * (f * f).sum()


def ba_pp(s, k):
    p = s.softmax(-1)
    return p.shape[-1] * (p.mean(0) ** 2).sum()


def ba_top1(s, k):
    return ba_ok(s, 1)


def ba_chosen(s, k):
    p = s.softmax(-1)
    one = F.one_hot(p.topk(k, -1).indices, p.shape[-1]).float().sum(1)
    f = one.sum(0) / one.sum()
    return p.shape[-1] * (f * (p * one).mean(0)).sum()


def ba_minus(s, k):
    return ba_ok(s, k) - 1


def R_ln(x, eps):
    m = x.mean(-1, True)
    return (x - m) * torch.rsqrt(((x - m) ** 2).mean(-1, True) + eps)


def R_ln2(x, eps):
    n = x.shape[-1]
    mean = x.sum(-1, keepdim=True) / n
    x = x - mean
    return x / torch.sqrt(torch.einsum("bsd,bsd->bs", x, x)[..., None] / n + eps)


def R_rms(x, w, eps):
    return w * (x * (x.pow(2).mean(-1, keepdim=True) + eps) ** (-0.5))


def R_rms2(x, w, eps):
    return x * w / (torch.linalg.vector_norm(x, dim=-1, keepdim=True) ** 2 / x.shape[-1] + eps).sqrt()


def R_sw(x, g, u, d):
    a = torch.einsum("...d,fd->...f", x, g)
    return torch.einsum("...f,df->...d", a / (1 + (-a).exp()) * torch.einsum("...d,fd->...f", x, u), d)


def R_sw2(x, g, u, d):
    return (d @ (g @ x[..., None] * torch.sigmoid(g @ x[..., None]) * (u @ x[..., None])))[..., 0]


def R_fw(d):
    return 8 * round(d / 12)


def R_fw2(d):
    return min(range(0, d + 16, 8), key=lambda w: abs(3 * w - 2 * d))


def R_pb(x, a, m, n1, n2):
    h = x + a(n1(x))
    out = h.clone()
    out = out + m(n2(h))
    return out


def R_st(n, s):
    return math.sqrt(1 + s**2 * n * 2)


def R_st2(n, s):
    return math.hypot(1, *[s] * (2 * n))


def R_st3(n, s):
    return torch.tensor(1 + 2 * n * s * s, dtype=torch.float64).sqrt()


def R_ro(s, k):
    cut = s.topk(k, -1).values[..., -1:]
    return s.masked_fill(s < cut, -math.inf).softmax(-1)


def R_ro2(s, k):
    w, c = s.topk(k, -1)
    return torch.zeros_like(s).scatter(-1, c, w.softmax(-1))


def R_ba(s, k):
    n, N = s.shape
    p = s.softmax(-1)
    counts = torch.bincount(p.topk(k).indices.flatten(), minlength=N)
    return N * (counts / (n * k) * p.mean(0)).sum()


def R_ba2(s, k):
    p = s.softmax(-1)
    return float(
        s.shape[1]
        * sum(((p.topk(k).indices == i).sum() / (len(s) * k) * p[:, i].mean() for i in range(s.shape[1]))))


def N_ln_pages(x, eps):
    centred = x - x.mean((1, 2), keepdim=True)
    return centred / torch.sqrt(centred.square().mean((1, 2), keepdim=True) + eps)


def N_ln_flat(x, eps):
    mean = x.mean(-1)
    return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1) + eps)


def N_pb_replaced(x, attention, mlp, norm1, norm2):
    h = attention(norm1(x))
    return h + mlp(norm2(h))


def N_pb_in_place(x, attention, mlp, norm1, norm2):
    x += attention(norm1(x))
    x += mlp(norm2(x))
    return x


def N_st_loop(n_layers, s):
    size = 1.0
    for _ in range(2 * n_layers):
        size = (size**2 + s**2) ** 0.5
    return size


def N_ro_loop(scores, k):
    p = scores.softmax(-1)
    weights, chosen = p.topk(k, dim=-1)
    weights = weights / weights.sum(-1, keepdim=True)
    out = torch.zeros_like(p)
    for token in range(len(p)):
        out[token, chosen[token]] = weights[token]
    return out


def N_ro_tokens(scores, k):
    p = scores.softmax(0)
    weights, chosen = p.topk(k, dim=-1)
    return torch.zeros_like(p).scatter(-1, chosen, weights / weights.sum(-1, keepdim=True))


def N_ba_loop(scores, k):
    p = scores.softmax(-1)
    n_tokens, n_experts = p.shape
    f = torch.zeros(n_experts)
    for token in range(n_tokens):
        for expert in p[token].topk(k).indices:
            f[expert] += 1 / (n_tokens * k)
    return n_experts * (f * p.mean(0)).sum()


def N_ba_sum(scores, k):
    p = scores.softmax(-1)
    f = torch.bincount(p.topk(k, dim=-1).indices.flatten(), minlength=p.shape[1]) / (len(p) * k)
    return p.shape[1] * (f * p.sum(0)).sum()


RIGHT = {
    "04.1": [
        lambda x, eps: (x - x.mean(2, True)) * ((x - x.mean(2, True)).pow(2).mean(2, True) + eps).rsqrt(),
        lambda x, eps: (
            (x - x.mean(-1)[..., None]) / (x.pow(2).mean(-1) - x.mean(-1) ** 2 + eps).sqrt()[..., None]),
        lambda x, eps: torch.stack([torch.stack([_one_row(row, eps) for row in text]) for text in x]),
        R_ln,
        R_ln2],
    "04.2": [
        lambda x, weight, eps: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight,
        lambda x, weight, eps: torch.einsum(
            "bsd,d->bsd", x / ((x * x).sum(-1, True) / x.shape[-1] + eps) ** 0.5, weight),
        R_rms,
        R_rms2],
    "04.3": [
        lambda x, gate, up, down: torch.einsum(
            "df,...f->...d",
            down,
            torch.einsum("fd,...d->...f", up, x) * (u := x @ gate.mT) / (1 + torch.exp(-u))),
        R_sw,
        R_sw2,
        lambda x, gate, up, down: ((g := x @ gate.T) / (1 + torch.exp(-g)) * (x @ up.T)) @ down.T],
    "04.4": [lambda d_ff: int(8 * round(d_ff / 12)), lambda d_ff: 8 * ((2 * d_ff + 12) // 24), R_fw, R_fw2,
             lambda d_ff: int((2 * d_ff / 3 + 4) // 8 * 8)],
    "04.5": [_two_step, lambda x, a, m, n1, n2: (lambda h: h + m(n2(h)))(x + a(n1(x))), R_pb],
    "04.6": [
        lambda n_layers, s: math.hypot(1, s * math.sqrt(2 * n_layers)),
        lambda n_layers, s: math.sqrt(1 + sum(s * s for _ in range(2 * n_layers))),
        R_st,
        R_st2,
        R_st3,
        N_st_loop],
    "04.7": [
        lambda scores, k: torch.where(
            scores >= scores.topk(k, -1).values[:, -1:], scores, -torch.inf).softmax(-1),
        lambda scores, k: (
            (m := torch.zeros_like(scores).scatter(-1, scores.topk(k).indices, 1) * scores.exp())
            / m.sum(-1, keepdim=True)),
        R_ro,
        R_ro2,
        N_ro_loop],
    "04.8": [
        lambda scores, k: (
            scores.shape[1]
            * sum(
                (scores.topk(k).indices == i).float().sum()
                / (k * len(scores))
                * scores.softmax(1)[:, i].mean()
                for i in range(scores.shape[1]))),
        lambda scores, k: float(
            scores.shape[1]
            * torch.bincount(scores.topk(k).indices.flatten(), minlength=scores.shape[1]).div(
                k * len(scores))
            @ scores.softmax(-1).mean(0)),
        R_ba,
        R_ba2,
        N_ba_loop]}
WRONG = {
    "04.1": {
        "n-1": ln_unb,
        "eps outside": ln_out,
        "over everything": ln_all,
        "not centred": ln_noc,
        "no root": ln_nosq,
        "over the batch": ln_batch,
        "over all tokens of a text": N_ln_pages,
        "without keepdim": N_ln_flat,
        "mean deviation": ln_abs,
        "root of uncentred": ln_rawsq,
        "over seq": ln_seq,
        "std of all": lambda x, eps: (x - x.mean()) / (x.std() + eps),
        "the length": lambda x, eps: x / x.norm(dim=-1, keepdim=True),
        "the unbiased variance, no root": lambda x, eps: (
            (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps)),
        "centred by the median": lambda x, eps: (
            (x - x.median(-1, keepdim=True).values) / (x.std(-1, keepdim=True, unbiased=False) + eps)),
        "mean absolute deviation": lambda x, eps: (
            (x - x.mean(-1, keepdim=True)) / x.abs().mean(-1, keepdim=True)),
        "parentheses forgotten": lambda x, eps: (
            x - x.mean(-1, keepdim=True) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + eps))},
    "04.2": {
        "sum": rm_sum,
        "1+w": rm_gain1,
        "no gain": rm_no,
        "centred": rm_c,
        "eps outside": rm_out,
        "square of mean": rm_sqmean,
        "times root": rm_times,
        "the length": lambda x, weight, eps: weight * x / x.norm(dim=-1, keepdim=True),
        "the length and eps": lambda x, weight, eps: x / (x.norm(dim=-1, keepdim=True) + eps) * weight,
        "multiplied by the root": lambda x, weight, eps: (
            weight * x * torch.sqrt(x.square().mean(-1, keepdim=True) + eps)),
        "over everything": lambda x, weight, eps: weight * x / torch.sqrt(x.square().mean() + eps),
        "gain added": lambda x, weight, eps: (
            weight + x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps)),
        "ε as a factor": lambda x, weight, eps: (
            weight * x / (x.square().mean(-1, keepdim=True).sqrt() * eps))},
    "04.3": {
        "gate and up exchanged": sw_gateup,
        "sigmoid alone": sw_glu,
        "not transposed": sw_noT,
        "sum": sw_plus,
        "no up": sw_noup,
        "silu of product": sw_both,
        "no down": sw_nodown,
        "relu": sw_relu,
        "softmax for SiLU": lambda x, gate, up, down: (torch.softmax(x @ gate.T, -1) * (x @ up.T)) @ down.T,
        "sigmoid of up": lambda x, gate, up, down: ((x @ gate.T) * torch.sigmoid(x @ up.T)) @ down.T,
        "sigmoid of the product": lambda x, gate, up, down: (
            torch.sigmoid((x @ gate.T) * (x @ up.T)) @ down.T),
        "no gate": lambda x, gate, up, down: (x @ up.T) @ down.T},
    "04.4": {
        "down": fw_floor,
        "up": fw_ceil,
        "3/2": fw_32,
        "no 8": fw_no8,
        "rounded first": fw_round8,
        "float": fw_float,
        "half": fw_half,
        "in eights": fw_8s,
        "two thirds, rounded down": lambda d_ff: 2 * d_ff // 3,
        "three halves": lambda d_ff: round(d_ff * 3 / 2),
        "three halves, down to eights": lambda d_ff: int(d_ff * 1.5) // 8 * 8,
        "one step of 8 too many": lambda d_ff: round(2 * d_ff / 3 / 8) * 8 + 8,
        "steps of 4": lambda d_ff: round(2 * d_ff / 3 / 4) * 4,
        "d_ff itself": lambda d_ff: d_ff},
    "04.5": {
        "post": pb_post,
        "no residual": pb_nores,
        "parallel": pb_par,
        "residual from normed": pb_res_normed,
        "norm1 twice": pb_same,
        "output norm": pb_out,
        "first sum not kept": pb_once,
        "no norm": pb_nonorm,
        "last residual missing": pb_lastres,
        "attention's output instead of the stream": N_pb_replaced,
        "in place": N_pb_in_place,
        "attention's part lost for the MLP": lambda x, a, m, n1, n2: x + a(n1(x)) + m(n2(a(n1(x)))),
        "norms one place late": lambda x, a, m, n1, n2: n2(x + m(n1(x + a(x)))),
        "MLP first": lambda x, a, m, n1, n2: x + a(n1(x + m(n2(x)))),
        "nothing done": lambda x, a, m, n1, n2: x,
        "the stream doubled": lambda x, a, m, n1, n2: 2 * x + a(n1(x)) + m(n2(x + a(n1(x))))},
    "04.6": {
        "linear": st_lin,
        "one part a layer": st_one,
        "no embedding": st_no1,
        "no root": st_sq,
        "s not squared": st_s,
        "1 outside": st_out,
        "compound": st_prod,
        "half for root": st_half,
        "one part a layer, 1 outside": lambda n_layers, s: math.sqrt(n_layers) * s + 1,
        "compound growth": lambda n_layers, s: (1 + s) ** n_layers,
        "halved for the root": lambda n_layers, s: 1 + 2 * n_layers * s * s / 2,
        "root and s added": lambda n_layers, s: math.sqrt(2 * n_layers) + s},
    "04.7": {
        "not scaled": ro_noscale,
        "scores": ro_raw,
        "1/k": ro_onek,
        "over tokens": ro_dim0,
        "compact": ro_compact,
        "sum of all": ro_allsum,
        "softmax over the tokens": N_ro_tokens,
        "smallest": ro_smallest,
        "softmax over zeros": ro_zerosoft,
        "first k": ro_first,
        "softmax twice": ro_twice,
        "by the largest": ro_max,
        "only the weights": lambda scores, k: scores.topk(k).values,
        "sigmoid": lambda scores, k: torch.sigmoid(scores),
        "those above the mean": lambda scores, k: (
            scores.softmax(-1) * (scores > scores.mean(-1, keepdim=True))),
        "probabilities at wrong places": lambda scores, k: torch.zeros_like(scores).scatter(
            -1, scores.topk(k).indices, scores.softmax(-1)),
        "scores by their sum": lambda scores, k: torch.zeros_like(scores).scatter(
            -1,
            scores.topk(k).indices,
            (scores.topk(k).values / scores.topk(k).values.sum(-1, keepdim=True)))},
    "04.8": {
        "no N": ba_noN,
        "shares sum to k": ba_k,
        "softmax twice": ba_twice,
        "mean": ba_mean,
        "scores": ba_raw,
        "counts": ba_counts,
        "probabilities summed": N_ba_sum,
        "f f": ba_ff,
        "p p": ba_pp,
        "top-1": ba_top1,
        "p of choosers": ba_chosen,
        "minus 1": ba_minus,
        "variance": lambda scores, k: scores.softmax(-1).mean(0).var(),
        "always 1": lambda scores, k: torch.tensor(1.0),
        "the largest mean": lambda scores, k: scores.shape[1] * scores.softmax(-1).mean(0).max(),
        "entropy": lambda scores, k: -(scores.softmax(-1).mean(0) * scores.softmax(-1).mean(0).log()).sum(),
        "tokens for experts": lambda scores, k: scores.shape[0] * (scores.softmax(-1).mean(0) ** 2).sum()}}
EQUAL = {
    "04.7": [
        "in `weights, chosen = p.topk(k, dim=-1)`, `p.topk(k, dim=-1)` is `p.topk(k)`",
        "in `scores.softmax(-1)`, `-1` is `1`",
        "in `torch.zeros_like(p).scatter(-1, chosen, weights / weights.sum(-1, keepdim=True))`, `-1` is `1`",
        "in `weights.sum(-1, keepdim=True)`, `-1` is `1`"],
    "04.8": [
        "in `scores.softmax(-1)`, `-1` is `1`",
        "in `torch.zeros_like(p).scatter(-1, p.topk(k, dim=-1).indices, 1.0)`, `-1` is `1`",
        "in `torch.zeros_like(p).scatter(-1, p.topk(k, dim=-1).indices, 1.0)`, `1.0` is `10.0`",
        "in `chosen.sum(0) / chosen.sum()`, `chosen.sum(0)` is `chosen`",
        "in `p.topk(k, dim=-1).indices`, `p.topk(k, dim=-1)` is `p.topk(k)`",
        "in `scores.shape[-1]`, `-1` is `1`"]}
