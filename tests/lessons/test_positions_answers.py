"""Notebook 02's checks, tried with answers as people write them: every right one passes, every wrong one is refused."""
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from minillm.notebook.checks import CRASHED, PASSED, WRONG, verdict

# -- right, in other words than the course's -------------------------------------------------------------------------

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


def rope_by_complex_numbers(x, positions, theta):
    half = x.shape[-1] // 2
    omega = 1 / theta ** (torch.arange(half) / half)
    turned = torch.complex(x[:, :half], x[:, half:]) * torch.exp(1j * positions[:, None] * omega)
    return torch.cat([turned.real, turned.imag], dim=1).float()


def rope_as_the_libraries_do(x, positions, theta):
    angles = torch.outer(positions.float(), theta ** (-torch.arange(0, x.shape[-1], 2).float() / x.shape[-1]))
    cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def rope_in_a_loop(x, positions, theta):
    y, half = x.clone(), x.shape[1] // 2
    for row, t in enumerate(positions.tolist()):
        for i in range(half):
            c, s = math.cos(t * theta ** (-i / half)), math.sin(t * theta ** (-i / half))
            y[row, i], y[row, i + half] = c * x[row, i] - s * x[row, i + half], s * x[row, i] + c * x[row, i + half]
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
    return torch.tensor([[[-2 ** (-8 * h / n_heads) * (int(q) - int(k)) for k in key] for q in query]
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


RIGHT = [
    ("02.1", adds_row_by_row),
    ("02.1", lambda ids, gradient, v: torch.zeros(v, gradient.shape[1]).index_add(0, ids, gradient)),
    ("02.1", lambda ids, gradient, v: F.one_hot(ids, v).float().T @ gradient),
    ("02.2", waves_in_a_loop), ("02.2", waves_filled_by_slices),
    ("02.3", rope_by_complex_numbers), ("02.3", rope_as_the_libraries_do), ("02.3", rope_in_a_loop),
    ("02.4", part_in_place_of_a_copy),
    ("02.4", lambda x, positions, n, turn: torch.hstack([turn(x[..., :n], positions), x[..., n:]])),
    ("02.5", rows_by_index),
    ("02.5", lambda W, n: rearrange(W, "(head pair member) d -> (head member pair) d", head=n, member=2)),
    ("02.6", alibi_in_a_loop), ("02.6", alibi_from_its_ratio),
    ("02.7", stretch_one_by_one),
    ("02.7", lambda omega, factor, n, low, high: omega / factor + (omega - omega / factor) * (
        (n * omega / math.tau - low) / (high - low)).clamp(min=0).clamp(max=1)),
    ("02.8", scores_by_einsum), ("02.8", scores_of_both_at_once),
]


@pytest.mark.parametrize("exercise, answer", RIGHT)
def test_right_answers_pass_however_they_are_written(exercise, answer):
    found = verdict(exercise, answer)
    assert found.status == PASSED, str(found)


# -- wrong -----------------------------------------------------------------------------------------------------------

def rope_like(*, cos=torch.cos, sin=torch.sin, omega=lambda d, theta: theta ** (-torch.arange(0, d, 2) / d),
              signs=(-1, 1), at=lambda positions: positions):
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


def new(position=lambda seen, kept: seen, scale=lambda width: width ** -0.5, own=True):
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


WRONG_ANSWERS = [  # exercise, answer, a word of the cause that must be told (or "" where any refusal will do)
    ("02.1", assigns, "add up"), ("02.1", adds_once, "add up"),
    ("02.1", lambda ids, g, v: F.one_hot(ids, v).float() @ g if v == len(ids) else F.one_hot(ids, v).float(), ""),
    ("02.1", lambda ids, g, v: (F.one_hot(ids, v).float().T @ g).T, "one row for each"),
    ("02.1", lambda ids, g, v: torch.stack([g[ids == i].sum(0) for i in ids.unique()]), "one row for each"),
    ("02.1", lambda ids, g, v: torch.zeros(v, g.shape[1]).index_add(0, ids, g) / len(ids), ""),
    ("02.1", lambda ids, g, v: torch.zeros(v, g.shape[1]).index_add(0, ids, g).clamp(min=0), ""),
    ("02.1", lambda ids, g, v: torch.stack([g[ids == i].sum(0) / max(1, sum(ids == i)) for i in range(v)]), "averaged"),
    ("02.2", waves_like(lambda t, i, d, theta: t * theta ** (2 * i / d)), "multiplied"),
    ("02.2", waves_like(lambda t, i, d, theta: t * theta ** (-i / d)), "halved"),
    ("02.2", waves_like(lambda t, i, d, theta: t * theta ** (-2 * (i + 1) / d)), "number 0"),
    ("02.2", waves_like(lambda t, i, d, theta: t * theta ** (-2 * i / d), lambda s, c: (c, s)), "sine comes first"),
    ("02.2", waves_like(lambda t, i, d, theta: t * theta ** (-2 * i / d), lambda s, c: (s, s)), "cosine"),
    ("02.2", waves_like(lambda t, i, d, theta: (t + 1) * theta ** (-2 * i / d)), "first position is 0"),
    ("02.2", waves_like(lambda t, i, d, theta: t * 10_000 ** (-2 * i / d)), "theta is given"),
    ("02.2", waves_like(lambda t, i, d, theta: t * 2 * math.pi * theta ** (-2 * i / d)), ""),
    ("02.2", lambda n, d, theta, halves: waves_in_a_loop(n, d, theta, False), "halves"),
    ("02.2", lambda n, d, theta, halves: waves_in_a_loop(n, d, theta, halves).T, "one row for each"),
    ("02.3", rope_like(signs=(1, -1)), "backwards"), ("02.3", rope_like(signs=(1, 1)), "length"),
    ("02.3", rope_like(signs=(-1, -1)), "length"), ("02.3", rope_like(cos=torch.sin, sin=torch.cos), ""),
    ("02.3", rope_like(omega=lambda d, theta: theta ** (-torch.arange(2, d + 2, 2) / d)), "exponent starts"),
    ("02.3", rope_like(omega=lambda d, theta: theta ** (-torch.arange(d // 2) / d)), "halved"),
    ("02.3", rope_like(omega=lambda d, theta: theta ** (-2 * torch.arange(0, d, 2) / d)), "doubled"),
    ("02.3", rope_like(omega=lambda d, theta: theta ** (torch.arange(0, d, 2) / d)), "negative"),
    ("02.3", rope_like(omega=lambda d, theta: 10_000 ** (-torch.arange(0, d, 2) / d)), "theta is given"),
    ("02.3", rope_like(at=lambda p: torch.arange(len(p))), "positions are given"),
    ("02.3", rope_like(at=lambda p: p % len(p)), "wrapped"), ("02.3", rope_like(at=lambda p: p + 1), "one too high"),
    ("02.3", rope_like(at=lambda p: p.clamp(max=len(p) - 1)), "clamped"),
    ("02.3", rope_like(at=lambda p: p * 0), "no component turns"),
    ("02.3", lambda x, p, theta: rope_as_the_libraries_do(x, p, theta).flip(-1), ""),
    ("02.3", lambda x, p, theta: x + rope_as_the_libraries_do(x, p, theta), "length"),
    ("02.4", lambda x, p, n, turn: turn(x[:, :n], p), "as large"),
    ("02.4", lambda x, p, n, turn: F.pad(turn(x[:, :n], p), (0, x.shape[1] - n)), "keeps its values"),
    ("02.4", lambda x, p, n, turn: torch.cat([turn(x[:n], p[:n]), x[n:]]), "last axis"),
    ("02.4", lambda x, p, n, turn: torch.cat([turn(x, p)[:, :n], x[:, n:]], 1), "cut first"),
    ("02.4", lambda x, p, n, turn: torch.cat([turn(x[:, :n], p), turn(x[:, n:], p)], 1), ""),
    ("02.5", lambda W, n: torch.cat([W[::2], W[1::2]]), "heads are mixed"),
    ("02.5", lambda W, n: rearrange(W, "(head member pair) d -> (head pair member) d", head=n, member=2), "way back"),
    ("02.5", lambda W, n: W.reshape(n, 2, -1, W.shape[1]).reshape(W.shape), "nothing changes places"),
    ("02.5", lambda W, n: W.flip(0), ""),
    ("02.6", lambda n, q, k: -alibi_in_a_loop(n, q, k), "lowered"),
    ("02.6", lambda n, q, k: alibi_in_a_loop(n, q, k).flip(0), "reversed"),
    ("02.6", lambda n, q, k: alibi_in_a_loop(n, q, k) * 2 ** (8 / n), "from 1"),
    ("02.6", lambda n, q, k: alibi_in_a_loop(n, torch.arange(len(q)), torch.arange(len(k))), "rows"),
    ("02.6", lambda n, q, k: alibi_in_a_loop(n, q, k).transpose(1, 2), "queries"),
    ("02.6", lambda n, q, k: alibi_in_a_loop(n, q, k)[0].expand(n, -1, -1), "same slope"),
    ("02.6", lambda n, q, k: alibi_in_a_loop(n, q, k).exp(), ""),
    ("02.7", lambda w, f, n, low, high: w / f, "linear"), ("02.7", lambda w, f, n, low, high: w * 1, "nothing"),
    ("02.7", lambda w, f, n, low, high: w - shares(w, n, low, high) * (w - w / f), "wrong way"),
    ("02.7", lambda w, f, n, low, high: torch.where(n * w / (2 * math.pi) > high, w, w / f), "switch at `high`"),
    ("02.7", lambda w, f, n, low, high: shares(w, n, low, high), ""),
    ("02.7", lambda w, f, n, low, high: shares(w * 2 * math.pi, n, low, high) * (w - w / f) + w / f, "2 π"),
    ("02.8", new(lambda seen, kept: 0), "position 0"), ("02.8", new(lambda seen, kept: kept), "number of keys kept"),
    ("02.8", new(lambda seen, kept: seen - 1), "at position seen"),
    ("02.8", new(lambda seen, kept: seen + 1), "seen + 1"),
    ("02.8", new(scale=lambda width: 1.0), "root"), ("02.8", new(scale=lambda width: 1 / width), "not by the width"),
    ("02.8", new(own=False), "own"),
    ("02.8", lambda q, k, cached, seen, turn: torch.softmax(scores_by_einsum(q, k, cached, seen, turn), 0), "softmax"),
]


@pytest.mark.parametrize("exercise, answer, cause", WRONG_ANSWERS)
def test_wrong_answers_are_refused_and_told_why(exercise, answer, cause):
    found = verdict(exercise, answer)
    assert found.status in (WRONG, CRASHED), str(found)
    assert cause in str(found), str(found)


def test_numbers_from_numpy_pass_where_they_are_right():
    found = verdict("02.2", lambda *given: torch.from_numpy(np.asarray(waves_in_a_loop(*given).tolist(), np.float32)))
    assert found.status == PASSED, str(found)
