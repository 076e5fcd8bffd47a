"""Answers to notebook 02, right and wrong, written from its texts alone."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange


def adds_row_by_row(ids, gradient, vocab_size):
    table = torch.zeros(vocab_size, gradient.shape[1])
    for t, token in enumerate(ids):
        table[token] += gradient[t]
    return table


def waves_in_a_loop(n_positions, d_model, theta, halves):
    table = torch.zeros(n_positions, d_model)
    for t in range(n_positions):
        for i in range(d_model // 2):
            angle = t / theta ** (2 * i / d_model)
            table[t, i if halves else 2 * i] = math.sin(angle)
            table[t, i + d_model // 2 if halves else 2 * i + 1] = math.cos(angle)
    return table


def waves_filled_by_slices(n, d, theta, halves):
    angles = torch.arange(n)[:, None] * torch.exp(-math.log(theta) * torch.arange(0, d, 2) / d)
    table = torch.empty(n, d)
    table[:, slice(0, d // 2) if halves else slice(0, None, 2)] = torch.sin(angles)
    table[:, slice(d // 2, None) if halves else slice(1, None, 2)] = torch.cos(angles)
    return table


def turned_in_place(x, positions, d_turned, turn):
    x[:, :d_turned] = turn(x[:, :d_turned], positions)
    return x


def waves_by_einops(n_positions, d_model, theta, halves):
    angles = torch.arange(n_positions)[:, None] * theta ** (-2 * torch.arange(d_model // 2) / d_model)
    both = torch.stack([angles.sin(), angles.cos()])
    return rearrange(both, "two t i -> t (two i)" if halves else "two t i -> t (i two)")


def rope_by_complex_numbers(x, positions, theta):
    half = x.shape[-1] // 2
    omega = 1 / theta ** (torch.arange(half) / half)
    turned = torch.complex(x[:, :half], x[:, half:]) * torch.exp(1j * positions[:, None] * omega)
    return torch.cat([turned.real, turned.imag], dim=1).float()


def rope_as_the_libraries_do(x, positions, theta):
    angles = torch.outer(
        positions.float(), theta ** (-torch.arange(0, x.shape[-1], 2).float() / x.shape[-1]))
    cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def rope_in_a_loop(x, positions, theta):
    y, half = x.clone(), x.shape[1] // 2
    for row, t in enumerate(positions.tolist()):
        for i in range(half):
            c, s = math.cos(t * theta ** (-i / half)), math.sin(t * theta ** (-i / half))
            y[row, i], y[row, i + half] = (
                c * x[row, i] - s * x[row, i + half],
                s * x[row, i] + c * x[row, i + half])
    return y


def part_in_place_of_a_copy(x, positions, d_turned, turn):
    y = x.clone()
    y[:, :d_turned] = turn(x[:, :d_turned], positions)
    return y


def rows_by_index(W, n_heads):
    width = len(W) // n_heads
    order = [h * width + i for h in range(n_heads) for i in [*range(0, width, 2), *range(1, width, 2)]]
    return W[order]


def alibi_in_a_loop(n_heads, query, key):
    return torch.tensor(
        [
            [[-(2 ** (-8 * h / n_heads)) * (int(q) - int(k)) for k in key] for q in query]
            for h in range(1, n_heads + 1)])


def alibi_from_its_ratio(n_heads, query, key):
    ratio = 2 ** (-8 / n_heads)
    return torch.stack([(key - query[:, None]) * ratio ** (h + 1) for h in range(n_heads)])


def stretch_one_by_one(omega, factor, trained, low, high):
    out = []
    for w in omega.tolist():
        turns = trained * w / 2 / math.pi
        share = 1 if turns >= high else 0 if turns <= low else (turns - low) / (high - low)
        out.append(share * w + (1 - share) * w / factor)
    return torch.tensor(out)


def scores_by_einsum(q, k, cached, seen, turn):
    at = torch.full((1,), seen)
    keys = torch.cat((cached, turn(k.unsqueeze(0), at)), dim=0)
    return torch.einsum("d, nd -> n", turn(q.unsqueeze(0), at).squeeze(0), keys) / math.sqrt(len(q))


def scores_of_both_at_once(q, k, cached, seen, turn):
    q, k = turn(torch.stack([q, k]), torch.tensor([seen, seen]))
    return torch.stack([*(cached @ q), k @ q]) * len(q) ** -0.5


def rope_like(
    *,
    cos=torch.cos,
    sin=torch.sin,
    omega=lambda d, theta: theta ** (-torch.arange(0, d, 2) / d),
    signs=(-1, 1),
    at=lambda positions: positions):
    def answer(x, positions, theta):
        angles = at(positions)[:, None] * omega(x.shape[-1], theta)
        a, b = x.chunk(2, -1)
        c, s = cos(angles), sin(angles)
        return torch.cat([a * c + signs[0] * b * s, b * c + signs[1] * a * s], -1)

    return answer


def waves_like(angle, pick=lambda even, odd: (even, odd)):
    def answer(n, d, theta, halves):
        angles = angle(torch.arange(n)[:, None].float(), torch.arange(d // 2), d, theta)
        parts = pick(angles.sin(), angles.cos())
        return torch.cat(parts, 1) if halves else torch.stack(parts, 2).flatten(1)

    return answer


def new(position=lambda seen, kept: seen, scale=lambda width: width**-0.5, own=True):
    def answer(q, k, cached, seen, turn):
        at = torch.tensor([position(seen, len(cached))])
        keys = torch.cat([cached, turn(k[None], at)]) if own else cached
        return keys @ turn(q[None], at)[0] * scale(len(q))

    return answer


def assigns(ids, gradient, vocab_size):
    table = torch.zeros(vocab_size, gradient.shape[1])
    table[ids] = gradient
    return table


def adds_once(ids, gradient, vocab_size):
    table = torch.zeros(vocab_size, gradient.shape[1])
    table[ids] += gradient
    return table


def shares(n_omega, trained, low, high):
    return ((trained * n_omega / (2 * math.pi) - low) / (high - low)).clamp(0, 1)


def g_assign(ids, gradient, vocab_size):
    table = torch.zeros(vocab_size, gradient.shape[1])
    table[ids] = gradient
    return table


def g_inplaceadd(ids, gradient, vocab_size):
    table = torch.zeros(vocab_size, gradient.shape[1])
    table[ids] += gradient
    return table


def g_mean(ids, gradient, vocab_size):
    table = torch.zeros(vocab_size, gradient.shape[1])
    table.index_add_(0, ids, gradient)
    return table / torch.bincount(ids, minlength=vocab_size).clamp(min=1)[:, None]


def g_transposed(ids, gradient, vocab_size):
    return gradient.T @ F.one_hot(ids, vocab_size).float()


def g_byseq(ids, gradient, vocab_size):
    return gradient[ids.clamp(max=len(gradient) - 1)]


def w_from1(n, d, theta, halves):
    t = torch.arange(1, n + 1)[:, None]
    w = theta ** (-(torch.arange(0, d, 2) / d))
    a = t * w
    return torch.cat([a.sin(), a.cos()], 1) if halves else torch.stack([a.sin(), a.cos()], -1).flatten(1)


def w_cosfirst(n, d, theta, halves):
    t = torch.arange(n)[:, None]
    w = theta ** (-(torch.arange(0, d, 2) / d))
    a = t * w
    return torch.cat([a.cos(), a.sin()], 1) if halves else torch.stack([a.cos(), a.sin()], -1).flatten(1)


def w_never_halves(n, d, theta, halves):
    t = torch.arange(n)[:, None]
    w = theta ** (-(torch.arange(0, d, 2) / d))
    a = t * w
    return torch.stack([a.sin(), a.cos()], -1).flatten(1)


def w_noexp2(n, d, theta, halves):
    t = torch.arange(n)[:, None]
    w = theta ** (-(torch.arange(d // 2) / d))
    a = t * w
    return torch.cat([a.sin(), a.cos()], 1) if halves else torch.stack([a.sin(), a.cos()], -1).flatten(1)


def w_half_width(n, d, theta, halves):
    t = torch.arange(n)[:, None]
    w = theta ** (-2 * torch.arange(d) / d)
    a = t * w
    out = torch.empty(n, d)
    if halves:
        out[:, : d // 2] = a.sin()[:, : d // 2]
        out[:, d // 2 :] = a.cos()[:, d // 2 :]
    else:
        out[:, 0::2] = a.sin()[:, 0::2]
        out[:, 1::2] = a.cos()[:, 1::2]
    return out


def r_interleaved(x, positions, theta):
    w = theta ** (-(torch.arange(0, x.shape[-1], 2) / x.shape[-1]))
    a_ = positions[:, None] * w
    a, b = x.chunk(2, -1)
    c, s = (a_.cos(), a_.sin())
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(1)


def r_neighbours(x, positions, theta):
    w = theta ** (-(torch.arange(0, x.shape[-1], 2) / x.shape[-1]))
    a_ = positions[:, None] * w
    a, b = (x[:, ::2], x[:, 1::2])
    c, s = (a_.cos(), a_.sin())
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(1)


def r_arange(x, positions, theta):
    w = theta ** (-(torch.arange(0, x.shape[-1], 2) / x.shape[-1]))
    a_ = torch.arange(len(x))[:, None] * w
    a, b = x.chunk(2, -1)
    c, s = (a_.cos(), a_.sin())
    return torch.cat([a * c - b * s, a * s + b * c], -1)


def r_swapped(x, positions, theta):
    w = theta ** (-(torch.arange(0, x.shape[-1], 2) / x.shape[-1]))
    a_ = positions[:, None] * w
    a, b = x.chunk(2, -1)
    c, s = (a_.cos(), a_.sin())
    return torch.cat([a * s + b * c, a * c - b * s], -1)


def r_plus(x, positions, theta):
    w = theta ** (-(torch.arange(0, x.shape[-1], 2) / x.shape[-1]))
    a_ = positions[:, None] * w
    a, b = x.chunk(2, -1)
    c, s = (a_.cos(), a_.sin())
    return torch.cat([a * c + b * s, a * s + b * c], -1)


def t_rows(x, positions, d, turn):
    return torch.cat([turn(x[:d], positions[:d]), x[d:]], 0)


def t_zero(x, positions, d, turn):
    return torch.cat([turn(x[:, :d], positions), torch.zeros_like(x[:, d:])], 1)


def t_only(x, positions, d, turn):
    return turn(x[:, :d], positions)


def t_mask(x, positions, d, turn):
    full = turn(x, positions)
    full[:, d:] = x[:, d:]
    return full


def h_whole(W, n):
    return torch.cat([W[::2], W[1::2]])


def h_back(W, n):
    heads = W.reshape(n, -1, W.shape[1])
    a, b = heads.chunk(2, 1)
    return torch.stack([a, b], 2).reshape(W.shape)


def h_columns(W, n):
    heads = W.reshape(W.shape[0], n, -1) if W.shape[1] % n == 0 else W[:, None]
    return torch.cat([heads[..., ::2], heads[..., 1::2]], -1).reshape(W.shape)


def h_oddfirst(W, n):
    heads = W.reshape(n, -1, W.shape[1])
    return torch.cat([heads[:, 1::2], heads[:, ::2]], 1).reshape(W.shape)


def h_sizes(W, n):
    heads = W.reshape(-1, n, W.shape[1])
    return torch.cat([heads[:, ::2], heads[:, 1::2]], 1).reshape(W.shape)


def al_plus(n, q, k):
    return 2.0 ** (-8 * torch.arange(1, n + 1) / n)[:, None, None] * (q[:, None] - k)


def al_from0(n, q, k):
    return -(2.0 ** (-8 * torch.arange(n) / n))[:, None, None] * (q[:, None] - k)


def al_T(n, q, k):
    return -(2.0 ** (-8 * torch.arange(1, n + 1) / n))[:, None, None] * (q - k[:, None])


def al_2h(n, q, k):
    return -(2.0 ** (-2.0 * torch.arange(1, n + 1)))[:, None, None] * (q[:, None] - k)


def al_ar(n, q, k):
    return -(2.0 ** (-8 * torch.arange(1, n + 1) / n))[:, None, None] * (
        torch.arange(len(q))[:, None] - torch.arange(len(k)))


def al_mask(n, q, k):
    d = (q[:, None] - k).float()
    d = d.masked_fill(d < 0, math.inf)
    return -(2.0 ** (-8 * torch.arange(1, n + 1) / n))[:, None, None] * d


def s_noclamp(o, f, t, lo, hi):
    kept = (t * o / (2 * math.pi) - lo) / (hi - lo)
    return kept * o + (1 - kept) * o / f


def s_no2pi(o, f, t, lo, hi):
    kept = ((t * o - lo) / (hi - lo)).clamp(0, 1)
    return kept * o + (1 - kept) * o / f


def s_swap(o, f, t, lo, hi):
    kept = ((t * o / (2 * math.pi) - lo) / (hi - lo)).clamp(0, 1)
    return (1 - kept) * o + kept * o / f


def s_times(o, f, t, lo, hi):
    kept = ((t * o / (2 * math.pi) - lo) / (hi - lo)).clamp(0, 1)
    return kept * o + (1 - kept) * o * f


def s_linear(o, f, t, lo, hi):
    return o / f


def s_step(o, f, t, lo, hi):
    return torch.where(t * o / (2 * math.pi) >= hi, o, o / f)


def s_pi(o, f, t, lo, hi):
    kept = ((t * o / math.pi - lo) / (hi - lo)).clamp(0, 1)
    return kept * o + (1 - kept) * o / f


def n_kept(q, k, cached, seen, turn):
    p = torch.tensor([len(cached)])
    q, k = (turn(q[None], p), turn(k[None], p))
    return torch.cat([cached, k]) @ q[0] / math.sqrt(q.shape[-1])


def n_again(q, k, cached, seen, turn):
    keys = torch.cat([cached, k[None]])
    keys = turn(keys, torch.arange(len(keys)) + seen - len(cached))
    return keys @ turn(q[None], torch.tensor([seen]))[0] / math.sqrt(len(k))


def n_plus1(q, k, cached, seen, turn):
    p = torch.tensor([seen + 1])
    q, k = (turn(q[None], p), turn(k[None], p))
    return torch.cat([cached, k]) @ q[0] / math.sqrt(q.shape[-1])


def n_noown(q, k, cached, seen, turn):
    return cached @ turn(q[None], torch.tensor([seen]))[0] / math.sqrt(len(k))


def n_noroot(q, k, cached, seen, turn):
    p = torch.tensor([seen])
    q, k = (turn(q[None], p), turn(k[None], p))
    return torch.cat([cached, k]) @ q[0]


def n_first(q, k, cached, seen, turn):
    p = torch.tensor([seen])
    q, k = (turn(q[None], p), turn(k[None], p))
    return torch.cat([k, cached]) @ q[0] / math.sqrt(q.shape[-1])


def n_soft(q, k, cached, seen, turn):
    p = torch.tensor([seen])
    q, k = (turn(q[None], p), turn(k[None], p))
    return (torch.cat([cached, k]) @ q[0] / math.sqrt(q.shape[-1])).softmax(0)


def R_emb_loop(ids, gradient, vocab_size):
    rows = [[0.0] * gradient.shape[1] for _ in range(vocab_size)]
    for t, i in enumerate(ids.tolist()):
        for d in range(gradient.shape[1]):
            rows[i][d] += gradient[t, d].item()
    return torch.tensor(rows).reshape(vocab_size, gradient.shape[1])


def R_emb_put(ids, gradient, vocab_size):
    return torch.zeros(vocab_size, gradient.shape[1], dtype=gradient.dtype).index_put(
        (ids,), gradient, accumulate=True)


def R_waves(n, d, theta, halves):
    out = torch.zeros(n, d)
    for t in range(n):
        for i in range(d // 2):
            a = t / theta ** (2 * i / d)
            x, y = (i, i + d // 2) if halves else (2 * i, 2 * i + 1)
            out[t, x], out[t, y] = (math.sin(a), math.cos(a))
    return out


def R_rope(x, positions, theta):
    h = x.shape[1] // 2
    z = torch.complex(x[:, :h].double(), x[:, h:].double())
    w = torch.tensor([theta ** (-i / h) for i in range(h)], dtype=torch.float64)
    z = z * torch.polar(torch.ones(len(x), h, dtype=torch.float64), positions.double()[:, None] * w)
    return torch.cat([z.real, z.imag], 1).to(x.dtype)


def R_rope_rot(x, positions, theta):
    d = x.shape[-1]
    w = 1.0 / theta ** (torch.arange(0, d, 2).float() / d)
    a = torch.outer(positions.float(), w)
    a = torch.cat([a, a], -1)
    rot = torch.cat([-x[..., d // 2 :], x[..., : d // 2]], -1)
    return x * a.cos() + rot * a.sin()


def R_alibi(n, q, k):
    return torch.stack([(k[None].float() - q[:, None].float()) * 2 ** (-8 * (h + 1) / n) for h in range(n)])


def R_stretch(o, f, t, lo, hi):
    out = []
    for w in o.tolist():
        turns = t * w / math.tau
        share = min(1.0, max(0.0, (turns - lo) / (hi - lo)))
        out.append(w * (share + (1 - share) / f))
    return torch.tensor(out)


def R_new(q, k, cached, seen, turn):
    both = turn(torch.stack([q, k]), torch.tensor([seen, seen]))
    return torch.stack([*(both[0] @ c for c in cached), both[0] @ both[1]]) / len(q) ** 0.5


RIGHT = {
    "02.1": [
        adds_row_by_row,
        lambda ids, gradient, v: torch.zeros(v, gradient.shape[1]).index_add(0, ids, gradient),
        lambda ids, gradient, v: F.one_hot(ids, v).float().T @ gradient,
        R_emb_loop,
        R_emb_put],
    "02.2": [
        waves_in_a_loop,
        waves_filled_by_slices,
        lambda *given: torch.from_numpy(np.asarray(waves_in_a_loop(*given).tolist(), np.float32)),
        waves_by_einops,
        R_waves],
    "02.3": [rope_by_complex_numbers, rope_as_the_libraries_do, rope_in_a_loop, R_rope, R_rope_rot],
    "02.4": [
        part_in_place_of_a_copy,
        lambda x, positions, n, turn: torch.hstack([turn(x[..., :n], positions), x[..., n:]]),
        lambda x, positions, n, turn: torch.stack(
            [torch.cat([new, row[n:]]) for new, row in zip(turn(x[:, :n], positions), x, strict=True)])],
    "02.5": [
        rows_by_index,
        lambda W, n: rearrange(W, "(head pair member) d -> (head member pair) d", head=n, member=2),
        lambda W, n: W.reshape(n, -1, 2, W.shape[1]).transpose(1, 2).reshape(W.shape)],
    "02.6": [
        alibi_in_a_loop,
        alibi_from_its_ratio,
        R_alibi,
        al_mask,
        lambda n, query, key: (
            -torch.tensor([2.0 ** (-8 * h / n) for h in range(1, n + 1)])[:, None, None]
            * (query[:, None] - key).abs())],
    "02.7": [
        stretch_one_by_one,
        lambda omega, factor, n, low, high: (
            omega / factor
            + (omega - omega / factor)
            * ((n * omega / math.tau - low) / (high - low)).clamp(min=0).clamp(max=1)),
        R_stretch,
        lambda omega, factor, n, low, high: omega * (
            shares(omega, n, low, high) + (1 - shares(omega, n, low, high)) / factor)],
    "02.8": [scores_by_einsum, scores_of_both_at_once, R_new]}
WRONG = {
    "02.1": {
        "= keeps only the last": g_assign,
        "+= with repeated ids": g_inplaceadd,
        "mean over repeats": g_mean,
        "transposed": g_transposed,
        "rows picked by id": g_byseq,
        "rows assigned by ids": assigns,
        "rows added at once, repeats lost": adds_once,
        "one-hot not transposed, or alone": lambda ids, g, v: (
            F.one_hot(ids, v).float() @ g if v == len(ids) else F.one_hot(ids, v).float()),
        "the sum, transposed": lambda ids, g, v: (F.one_hot(ids, v).float().T @ g).T,
        "only the rows that occur": lambda ids, g, v: torch.stack(
            [g[ids == i].sum(0) for i in ids.unique()]),
        "divided by the length": lambda ids, g, v: (
            torch.zeros(v, g.shape[1]).index_add(0, ids, g) / len(ids)),
        "negative slopes cut off": lambda ids, g, v: (
            torch.zeros(v, g.shape[1]).index_add(0, ids, g).clamp(min=0)),
        "the mean of each token": lambda ids, g, v: torch.stack(
            [g[ids == i].sum(0) / max(1, sum(ids == i)) for i in range(v)])},
    "02.2": {
        "positions from 1": w_from1,
        "cos first": w_cosfirst,
        "halves ignored": w_never_halves,
        "exponent without 2": w_noexp2,
        "every component its own speed": w_half_width,
        "the exponent's sign turned": waves_like(lambda t, i, d, theta: t * theta ** (2 * i / d)),
        "i for 2 i": waves_like(lambda t, i, d, theta: t * theta ** (-i / d)),
        "pairs from 1": waves_like(lambda t, i, d, theta: t * theta ** (-2 * (i + 1) / d)),
        "cosine first, by columns": waves_like(
            lambda t, i, d, theta: t * theta ** (-2 * i / d), lambda s, c: (c, s)),
        "two sines": waves_like(lambda t, i, d, theta: t * theta ** (-2 * i / d), lambda s, c: (s, s)),
        "positions + 1": waves_like(lambda t, i, d, theta: (t + 1) * theta ** (-2 * i / d)),
        "theta fixed": waves_like(lambda t, i, d, theta: t * 10_000 ** (-2 * i / d)),
        "whole turns": waves_like(lambda t, i, d, theta: t * 2 * math.pi * theta ** (-2 * i / d)),
        "never in halves": lambda n, d, theta, halves: waves_in_a_loop(n, d, theta, False),
        "the table transposed": lambda n, d, theta, halves: waves_in_a_loop(n, d, theta, halves).T},
    "02.3": {
        "result interleaved": r_interleaved,
        "neighbours": r_neighbours,
        "positions ignored": r_arange,
        "halves of the result exchanged": r_swapped,
        "plus for minus": r_plus,
        "backwards": rope_like(signs=(1, -1)),
        "both signs plus": rope_like(signs=(1, 1)),
        "both signs minus": rope_like(signs=(-1, -1)),
        "sine for cosine": rope_like(cos=torch.sin, sin=torch.cos),
        "exponents from 2 / E": rope_like(omega=lambda d, theta: theta ** (-torch.arange(2, d + 2, 2) / d)),
        "i for 2 i": rope_like(omega=lambda d, theta: theta ** (-torch.arange(d // 2) / d)),
        "4 i for 2 i": rope_like(omega=lambda d, theta: theta ** (-2 * torch.arange(0, d, 2) / d)),
        "positive exponent": rope_like(omega=lambda d, theta: theta ** (torch.arange(0, d, 2) / d)),
        "theta fixed": rope_like(omega=lambda d, theta: 10_000 ** (-torch.arange(0, d, 2) / d)),
        "rows numbered": rope_like(at=lambda p: torch.arange(len(p))),
        "positions wrapped": rope_like(at=lambda p: p % len(p)),
        "positions + 1": rope_like(at=lambda p: p + 1),
        "positions clamped": rope_like(at=lambda p: p.clamp(max=len(p) - 1)),
        "position 0 for all": rope_like(at=lambda p: p * 0),
        "flipped at the end": lambda x, p, theta: rope_as_the_libraries_do(x, p, theta).flip(-1),
        "every component its own speed": lambda x, p, theta: (
            x * (p[:, None] * theta ** (-torch.arange(x.shape[1]) / x.shape[1])).cos()
            + torch.cat([-x.chunk(2, 1)[1], x.chunk(2, 1)[0]], 1)
            * (p[:, None] * theta ** (-torch.arange(x.shape[1]) / x.shape[1])).sin()),
        "x added": lambda x, p, theta: x + rope_as_the_libraries_do(x, p, theta)},
    "02.4": {
        "written into x itself": turned_in_place,
        "rows for components": t_rows,
        "rest zero": t_zero,
        "rest left out": t_only,
        "all turned, rest overwritten (other speeds)": t_mask,
        "only the part": lambda x, p, n, turn: turn(x[:, :n], p),
        "padded with zeros": lambda x, p, n, turn: F.pad(turn(x[:, :n], p), (0, x.shape[1] - n)),
        "rows cut": lambda x, p, n, turn: torch.cat([turn(x[:n], p[:n]), x[n:]]),
        "turned, then cut": lambda x, p, n, turn: torch.cat([turn(x, p)[:, :n], x[:, n:]], 1),
        "the rest turned as well": lambda x, p, n, turn: torch.cat(
            [turn(x[:, :n], p), turn(x[:, n:], p)], 1)},
    "02.5": {
        "heads ignored": h_whole,
        "the way back": h_back,
        "columns": h_columns,
        "odd first": h_oddfirst,
        "n_heads as size": h_sizes,
        "heads mixed": lambda W, n: torch.cat([W[::2], W[1::2]]),
        "the way back, by einops": lambda W, n: rearrange(
            W, "(head member pair) d -> (head pair member) d", head=n, member=2),
        "a reshape alone": lambda W, n: W.reshape(n, 2, -1, W.shape[1]).reshape(W.shape),
        "rows in reverse": lambda W, n: W.flip(0)},
    "02.6": {
        "sign": al_plus,
        "heads from 0": al_from0,
        "transposed": al_T,
        "slopes of four heads": al_2h,
        "positions ignored": al_ar,
        "raised": lambda n, q, k: -alibi_in_a_loop(n, q, k),
        "heads in reverse": lambda n, q, k: alibi_in_a_loop(n, q, k).flip(0),
        "one head too steep": lambda n, q, k: alibi_in_a_loop(n, q, k) * 2 ** (8 / n),
        "rows numbered": lambda n, q, k: alibi_in_a_loop(n, torch.arange(len(q)), torch.arange(len(k))),
        "queries and keys exchanged": lambda n, q, k: alibi_in_a_loop(n, q, k).transpose(1, 2),
        "the first slope for all": lambda n, q, k: alibi_in_a_loop(n, q, k)[0].expand(n, -1, -1),
        "exp of it": lambda n, q, k: alibi_in_a_loop(n, q, k).exp()},
    "02.7": {
        "not clamped": s_noclamp,
        "no 2 pi": s_no2pi,
        "kept turned round": s_swap,
        "times factor": s_times,
        "linear": s_linear,
        "no blend": s_step,
        "pi for 2 pi": s_pi,
        "linear, by hand": lambda w, f, n, low, high: w / f,
        "unchanged": lambda w, f, n, low, high: w * 1,
        "the share turned round": lambda w, f, n, low, high: w - shares(w, n, low, high) * (w - w / f),
        "a hard switch": lambda w, f, n, low, high: torch.where(n * w / (2 * math.pi) > high, w, w / f),
        "the share alone": lambda w, f, n, low, high: shares(w, n, low, high),
        "turns not divided by 2 π": lambda w, f, n, low, high: (
            shares(w * 2 * math.pi, n, low, high) * (w - w / f) + w / f)},
    "02.8": {
        "position = kept": n_kept,
        "cache turned again": n_again,
        "one too far": n_plus1,
        "own key missing": n_noown,
        "no root": n_noroot,
        "own key first": n_first,
        "softmax": n_soft,
        "position 0": new(lambda seen, kept: 0),
        "position kept": new(lambda seen, kept: kept),
        "position seen - 1": new(lambda seen, kept: seen - 1),
        "position seen + 1": new(lambda seen, kept: seen + 1),
        "no root, by einsum": new(scale=lambda width: 1.0),
        "divided by the width": new(scale=lambda width: 1 / width),
        "divided by the root of the keys kept": lambda q, k, cached, seen, turn: (
            new(scale=lambda width: 1.0)(q, k, cached, seen, turn) / len(cached) ** 0.5),
        "own key left out": new(own=False),
        "softmax of the scores": lambda q, k, cached, seen, turn: torch.softmax(
            scores_by_einsum(q, k, cached, seen, turn), 0)},}
TOLD = {  # words of the cause that must be told
    "02.1": {
        "rows assigned by ids": "add up",
        "rows added at once, repeats lost": "add up",
        "the sum, transposed": "one row for each",
        "only the rows that occur": "one row for each",
        "the mean of each token": "averaged"},
    "02.2": {
        "the exponent's sign turned": "multiplied",
        "i for 2 i": "halved",
        "pairs from 1": "number 0",
        "cosine first, by columns": "sine comes first",
        "two sines": "cosine",
        "positions + 1": "first position is 0",
        "theta fixed": "theta is given",
        "every component its own speed": "share one speed",
        "never in halves": "halves",
        "the table transposed": "one row for each"},
    "02.3": {
        "backwards": "backwards",
        "both signs plus": "length",
        "both signs minus": "length",
        "exponents from 2 / E": "exponent starts",
        "i for 2 i": "halved",
        "4 i for 2 i": "doubled",
        "positive exponent": "negative",
        "theta fixed": "theta is given",
        "rows numbered": "positions are given",
        "positions wrapped": "wrapped",
        "positions + 1": "one too high",
        "positions clamped": "clamped",
        "position 0 for all": "no component turns",
        "every component its own speed": "speed of its own",
        "x added": "length"},
    "02.4": {
        "only the part": "as large",
        "padded with zeros": "keeps its values",
        "rows cut": "last axis",
        "turned, then cut": "cut first"},
    "02.5": {
        "heads mixed": "heads are mixed",
        "the way back, by einops": "way back",
        "a reshape alone": "nothing changes places"},
    "02.6": {
        "raised": "lowered",
        "heads in reverse": "reversed",
        "one head too steep": "from 1",
        "rows numbered": "rows",
        "queries and keys exchanged": "queries",
        "the first slope for all": "same slope"},
    "02.7": {
        "linear, by hand": "linear",
        "unchanged": "nothing",
        "the share turned round": "wrong way",
        "a hard switch": "switch at `high`",
        "turns not divided by 2 π": "2 π"},
    "02.8": {
        "position 0": "position 0",
        "position kept": "number of keys kept",
        "position seen - 1": "at position seen",
        "position seen + 1": "seen + 1",
        "no root, by einsum": "root",
        "divided by the width": "not by the width",
        "divided by the root of the keys kept": "not of the number of keys",
        "own key left out": "own",
        "softmax of the scores": "softmax"}}
EQUAL = {
    "02.2": [
        "in `torch.outer(torch.arange(n_positions).float(), omega)`, `torch.arange(n_positions).float()` is "
        "`torch.arange(n_positions)`",
        "in `torch.cat([angles.sin(), angles.cos()], dim=1)`, `1` is `-1`",
        "in `torch.stack([angles.sin(), angles.cos()], dim=2)`, `2` is `-1`"],
    "02.3": [
        "in `x.chunk(2, dim=-1)`, `-1` is `1`",
        "in `torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], "
        "dim=-1)`, `-1` is `1`",
        "in `x.shape[-1]`, `-1` is `1`"],
    "02.4": [
        "in `torch.cat([turn(x[:, :d_turned], positions), x[:, d_turned:]], dim=1)`, `1` is `-1`"],
    "02.5": [
        "in `heads.transpose(1, 2).flatten`, `heads.transpose(1, 2)` is `heads.transpose(2, 1)`"],
    "02.6": [
        "in `slopes[:, None, None]`, `(:, None, None)` is `(:, None, None)`"],
    "02.8": [
        "in `q[0]`, `0` is `-1`",
        "in `q.shape[-1]`, `-1` is `1`",
        "in `q.shape`, `q` is `k`"]}
