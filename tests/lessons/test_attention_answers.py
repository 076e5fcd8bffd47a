"""Answers to notebook 03's exercises that its lesson does not list: right ones pass, wrong ones do not."""
import math

import pytest
import torch
import torch.nn.functional as F
from einops import einsum, rearrange, repeat

from minillm.notebook.checks import PASSED, verdict

INF = float("inf")


def loops(query, keys, values):
    scores = [sum(a * b for a, b in zip(query.tolist(), key.tolist(), strict=True)) / len(query) ** 0.5 for key in keys]
    weights = [math.exp(score - max(scores)) for score in scores]
    return sum(w / sum(weights) * value for w, value in zip(weights, values, strict=True))


def row_by_row(scores):
    out = torch.zeros_like(scores)
    for q in range(scores.shape[1]):
        out[:, q, :q + 1] = scores[:, q, :q + 1].softmax(-1)
    return out


def renormalised(scores):
    pattern = (scores - scores.tril().add(torch.full_like(scores, -1e9).triu(1)).amax(-1, keepdim=True)).exp().tril()
    return pattern / pattern.sum(-1, keepdim=True)


def stepwise_decode(q, k, v, keys, values):
    keys, values = torch.cat((keys, k.unsqueeze(1)), 1), torch.cat((values, v.unsqueeze(1)), 1)
    return F.softmax(torch.matmul(keys, q.unsqueeze(-1)).squeeze(-1) / math.sqrt(q.size(-1)), -1
                     ).unsqueeze(1).matmul(values).squeeze(1), keys, values


def concatenated(first, second):
    m = torch.stack([first[0], second[0]])
    weights = (m - m.amax(0)).exp()
    return (m.amax(0), (weights * torch.stack([first[1], second[1]])).sum(0),
            (weights[..., None] * torch.stack([first[2], second[2]])).sum(0))


def padded(z, weight):
    out = []
    for h in range(len(z)):
        alone = torch.zeros_like(z)
        alone[h] = z[h]
        out.append(rearrange(alone, "head seq d_head -> seq (head d_head)") @ weight.T)
    return torch.stack(out)


def in_place(state, q, k, v):
    new = state.clone()
    new += k[:, None] * v[None, :]
    return new, (q[:, None] * new).sum(0)


RIGHT = {
    "03.1": [loops, lambda q, k, v: v.T @ F.softmax(k.mv(q) / math.sqrt(q.numel()), 0),
             lambda q, k, v: ((q[None] @ k.T) * k.shape[1] ** -0.5).softmax(-1)[0] @ v],
    "03.2": [row_by_row, renormalised,
             lambda s: (s + torch.full(s.shape[-2:], -INF).triu(1)).softmax(-1),
             lambda s: torch.where(torch.ones(s.shape[-2:]).tril().bool(), s, torch.tensor(-1e30)).softmax(-1)],
    "03.3": [lambda x, n: x.view(*x.shape[:2], n, -1).transpose(1, 2),
             lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=1)],
    "03.4": [lambda k, g: repeat(k, "b h t e -> b (h g) t e", g=g),
             lambda k, g: torch.stack([k] * g, dim=2).flatten(1, 2),
             lambda k, g: k[:, [h // g for h in range(k.shape[1] * g)]]],
    "03.5": [stepwise_decode],
    "03.6": [lambda n, m, w: torch.ones(m, m, dtype=torch.bool).tril().triu(1 - w)[m - n:],
             lambda n, m, w: torch.tensor([[0 <= q - k < w for k in range(m)] for q in range(m - n, m)])],
    "03.7": [concatenated],
    "03.8": [padded, lambda z, w: einsum(z, rearrange(w, "d (h e) -> h d e", h=len(z)), "h t e, h d e -> h t d")],
    "03.9": [in_place, lambda s, q, k, v: (s + einsum(k, v, "i, j -> i j"), q @ s + (q @ k) * v)],
}

WRONG = {
    "03.1": [lambda q, k, v: (k @ q / len(q) ** 0.5).softmax(0).round(decimals=1) @ v,
             lambda q, k, v: (k @ q / (len(q) + 1) ** 0.5).softmax(0) @ v,
             lambda q, k, v: (k @ q / len(q) ** 0.5).sigmoid() @ v,
             lambda q, k, v: (-k @ q / len(q) ** 0.5).softmax(0) @ v,
             lambda q, k, v: (k @ q / len(q) ** 0.5).softmax(0)[:-1] @ v[:-1],
             lambda q, k, v: ((k @ q).abs() / len(q) ** 0.5).softmax(0) @ v,
             lambda q, k, v: (k @ q / math.log(len(q))).softmax(0) @ v,
             lambda q, k, v: (F.normalize(k, dim=1) @ F.normalize(q, dim=0)).softmax(0) @ v],
    "03.2": [lambda s: (s / s.shape[-1] ** 0.5).masked_fill(torch.ones_like(s).triu(1) > 0, -INF).softmax(-1),
             lambda s: s.softmax(-1).tril() / s.softmax(-1).sum(-1, keepdim=True),
             lambda s: s.tril().softmax(-1).tril(), lambda s: s.exp().tril(),
             lambda s: s.masked_fill(torch.ones_like(s).triu(1) > 0, -10.0).softmax(-1),
             lambda s: torch.ones_like(s).tril() / torch.arange(1, s.shape[-1] + 1)[:, None],
             lambda s: s.masked_fill(torch.ones_like(s).triu(1) > 0, -INF).softmax(-1).mean(0, keepdim=True)],
    "03.3": [lambda x, n: x.reshape(len(x), x.shape[1], n, -1).reshape(len(x), n, x.shape[1], -1),
             lambda x, n: torch.stack(x.chunk(n, dim=1), 1) if x.shape[1] % n == 0 else x,
             lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=0), lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=-1),
             lambda x, n: torch.stack(x.chunk(n, dim=-1)[::-1], dim=1)],
    "03.4": [lambda k, g: torch.cat([k] * g, dim=1), lambda k, g: torch.cat([k, k.flip(1)] * g, 1)[:, :k.shape[1] * g],
             lambda k, g: k.repeat_interleave(g, dim=1).flip(1), lambda k, g: k.repeat_interleave(g + 1, dim=1),
             lambda k, g: k.repeat_interleave(g, dim=1) / g],
    "03.5": [lambda q, k, v, K, V: (stepwise_decode(q, k, v, K, V)[0] * 2, *stepwise_decode(q, k, v, K, V)[1:]),
             lambda q, k, v, K, V: stepwise_decode(k, q, v, K, V), lambda q, k, v, K, V: stepwise_decode(k, k, v, K, V),
             lambda q, k, v, K, V: stepwise_decode(q.flip(0), k, v, K, V),
             lambda q, k, v, K, V: (v + stepwise_decode(q, k, v, K, V)[0], *stepwise_decode(q, k, v, K, V)[1:]),
             lambda q, k, v, K, V: stepwise_decode(q, k, k, K, V)],
    "03.6": [lambda n, m, w: torch.ones(n, m, dtype=torch.bool).tril().triu(1 - w),
             lambda n, m, w: torch.ones(m, m, dtype=torch.bool).tril().triu(-w)[m - n:],
             lambda n, m, w: torch.ones(m, m, dtype=torch.bool).tril().triu(1 - w)[:n],
             lambda n, m, w: torch.ones(n, m, dtype=torch.bool).tril(m - n),
             lambda n, m, w: (torch.arange(m) >= m - w).expand(n, m)],
    "03.7": [lambda a, b: (torch.maximum(a[0], b[0]), (a[1] + b[1]) / 2, (a[2] + b[2]) / 2),
             lambda a, b: ((a[0] + b[0]) / 2, *concatenated(a, b)[1:]),
             lambda a, b: (torch.logaddexp(a[0], b[0]), *concatenated(a, b)[1:]),
             lambda a, b: (concatenated(a, b)[0], torch.maximum(a[1], b[1]), concatenated(a, b)[2]),
             lambda a, b: (*concatenated(a, b)[:2], concatenated(a, b)[2] / 2)],
    "03.8": [lambda z, w: padded(z, w).flip(0), lambda z, w: padded(z, -w), lambda z, w: padded(z.flip(1), w),
             lambda z, w: padded(z, w) + padded(z, w).mean(0), lambda z, w: padded(z, w).cumsum(0)],
    "03.9": [lambda s, q, k, v: (s + torch.outer(k, v) / 2, q @ (s + torch.outer(k, v) / 2)),
             lambda s, q, k, v: (s + torch.outer(k, v), q @ s + v), lambda s, q, k, v: (s - torch.outer(k, v), q @ s),
             lambda s, q, k, v: (s + torch.outer(k, v - k @ s), q @ (s + torch.outer(k, v - k @ s))),
             lambda s, q, k, v: (0.9 * s + torch.outer(k, v), q @ (0.9 * s + torch.outer(k, v))),
             lambda s, q, k, v: (s + torch.outer(k.softmax(0), v), q @ (s + torch.outer(k.softmax(0), v)))],
}


def each(answers):
    return [pytest.param(exercise, answer, id=f"{exercise}-{i}") for exercise, those in answers.items()
            for i, answer in enumerate(those)]


@pytest.mark.parametrize("exercise, answer", each(RIGHT))
def test_a_right_answer_of_another_kind_passes(exercise, answer):
    assert verdict(exercise, answer).status == PASSED, str(verdict(exercise, answer))


@pytest.mark.parametrize("exercise, answer", each(WRONG))
def test_a_wrong_answer_that_nobody_listed_is_refused(exercise, answer):
    found = verdict(exercise, answer)
    assert found.status != PASSED and len(found.message) > 20


def test_there_are_enough_of_both():
    assert sum(map(len, RIGHT.values())) >= 15 and sum(map(len, WRONG.values())) >= 40
