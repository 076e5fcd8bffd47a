"""Answers to notebook 03, right and wrong, written from its texts alone."""

import math

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, repeat

INF = float("inf")


def loops(query, keys, values):
    scores = [
        sum(a * b for a, b in zip(query.tolist(), key.tolist(), strict=True)) / len(query) ** 0.5
        for key in keys]
    weights = [math.exp(score - max(scores)) for score in scores]
    return sum(w / sum(weights) * value for w, value in zip(weights, values, strict=True))


def row_by_row(scores):
    out = torch.zeros_like(scores)
    for q in range(scores.shape[1]):
        out[:, q, : q + 1] = scores[:, q, : q + 1].softmax(-1)
    return out


def renormalised(scores):
    pattern = (
        (scores - scores.tril().add(torch.full_like(scores, -1e9).triu(1)).amax(-1, keepdim=True))
        .exp()
        .tril())
    return pattern / pattern.sum(-1, keepdim=True)


def stepwise_decode(q, k, v, keys, values):
    keys, values = torch.cat((keys, k.unsqueeze(1)), 1), torch.cat((values, v.unsqueeze(1)), 1)
    return (
        F.softmax(torch.matmul(keys, q.unsqueeze(-1)).squeeze(-1) / math.sqrt(q.size(-1)), -1)
        .unsqueeze(1)
        .matmul(values)
        .squeeze(1),
        keys,
        values)


def concatenated(first, second):
    m = torch.stack([first[0], second[0]])
    weights = (m - m.amax(0)).exp()
    return (
        m.amax(0),
        (weights * torch.stack([first[1], second[1]])).sum(0),
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


def l_noroot(q, k, v):
    return (k @ q).softmax(0) @ v


def l_vroot(q, k, v):
    return (k @ q / math.sqrt(v.shape[1])).softmax(0) @ v


def l_nosoft(q, k, v):
    return k @ q / math.sqrt(len(q)) @ v


def l_E(q, k, v):
    return (k @ q / len(q)).softmax(0) @ v


def l_nkeys(q, k, v):
    return (k @ q / math.sqrt(len(k))).softmax(0) @ v


def l_norm(q, k, v):
    s = k @ q / math.sqrt(len(q))
    return s / s.sum() @ v


def l_max(q, k, v):
    return v[(k @ q).argmax()]


def l_keys(q, k, v):
    return (k @ q / math.sqrt(len(q))).softmax(0) @ k


def c_zero(s):
    return s.tril().softmax(-1)


def c_after(s):
    return s.softmax(-1).tril()


def c_dim(s):
    return s.masked_fill(torch.ones_like(s).triu(1).bool(), -math.inf).softmax(-2)


def c_diag(s):
    return s.masked_fill(torch.ones_like(s).triu(0).bool(), -math.inf).softmax(-1)


def c_small(s):
    return s.masked_fill(torch.ones_like(s).triu(1).bool(), -10.0).softmax(-1)


def c_lower(s):
    return s.masked_fill(torch.ones_like(s).tril(-1).bool(), -math.inf).softmax(-1)


def c_exp(s):
    e = s.exp().tril()
    return e / e.sum(-1, keepdim=True)


def c_none(s):
    return s.softmax(-1)


def c_masked(s):
    return s.masked_fill(torch.ones_like(s).triu(1).bool(), -math.inf)


def sh_view(x, n):
    return x.reshape(x.shape[0], n, x.shape[1], -1)


def sh_noT(x, n):
    return x.reshape(x.shape[0], x.shape[1], n, -1)


def sh_inner(x, n):
    return rearrange(x, "b s (e h) -> b h s e", h=n)


def sh_list(x, n):
    return list(x.chunk(n, -1))


def sh_stack0(x, n):
    return torch.stack(x.chunk(n, -1))


def sh_numbers(x, n):
    return rearrange(x, "b s (h e) -> b h s e", e=n)


def k_repeat(k, g):
    return k.repeat(1, g, 1, 1)


def k_tile0(k, g):
    return k.repeat_interleave(g, 0)


def k_expand(k, g):
    return k[:, :, None].expand(-1, -1, g, -1, -1)


def k_axis2(k, g):
    return k.repeat_interleave(g, 2)


def k_div(k, g):
    return k.repeat_interleave(g, 1) / g


def d_noappend(q, k, v, K, V):
    s = (K @ q[..., None]).squeeze(-1) / math.sqrt(q.shape[-1])
    return (
        (s.softmax(-1)[:, None] @ V)[:, 0],
        torch.cat([K, k[:, None]], 1),
        torch.cat([V, v[:, None]], 1))


def d_front(q, k, v, K, V):
    K, V = (torch.cat([k[:, None], K], 1), torch.cat([v[:, None], V], 1))
    s = (K @ q[..., None]).squeeze(-1) / math.sqrt(q.shape[-1])
    return ((s.softmax(-1)[:, None] @ V)[:, 0], K, V)


def d_out(q, k, v, K, V):
    K, V = (torch.cat([K, k[:, None]], 1), torch.cat([V, v[:, None]], 1))
    s = (K @ q[..., None]).squeeze(-1) / math.sqrt(q.shape[-1])
    return (s.softmax(-1)[:, None] @ V)[:, 0]


def d_heads(q, k, v, K, V):
    K, V = (torch.cat([K, k[:, None]], 1), torch.cat([V, v[:, None]], 1))
    s = (K @ q[..., None]).squeeze(-1) / math.sqrt(q.shape[-1])
    return ((s.softmax(0)[:, None] @ V)[:, 0], K, V)


def d_noroot(q, k, v, K, V):
    K, V = (torch.cat([K, k[:, None]], 1), torch.cat([V, v[:, None]], 1))
    s = (K @ q[..., None]).squeeze(-1)
    return ((s.softmax(-1)[:, None] @ V)[:, 0], K, V)


def d_axis(q, k, v, K, V):
    K, V = (torch.cat([K, k[:, None]], 1), torch.cat([V, v[:, None]], 1))
    s = (K @ q[..., None]).squeeze(-1) / math.sqrt(q.shape[-1])
    return (s.softmax(-1)[:, None] @ V, K, V)


def d_same(q, k, v, K, V):
    K2, V2 = (torch.cat([K, k[:, None]], 1), torch.cat([V, v[:, None]], 1))
    s = (K2 @ q[..., None]).squeeze(-1) / math.sqrt(q.shape[-1])
    return ((s.softmax(-1)[:, None] @ V2)[:, 0], K, V)


def d_order(q, k, v, K, V):
    a, b, c = d_ok(q, k, v, K, V)
    return (b, c, a)


def d_ok(q, k, v, K, V):
    K, V = (torch.cat([K, k[:, None]], 1), torch.cat([V, v[:, None]], 1))
    s = (K @ q[..., None]).squeeze(-1) / math.sqrt(q.shape[-1])
    return ((s.softmax(-1)[:, None] @ V)[:, 0], K, V)


def v_nooffset(n, m, w):
    q, k = (torch.arange(n)[:, None], torch.arange(m))
    return (k <= q) & (q - k < w)


def v_off1(n, m, w):
    q, k = (torch.arange(n)[:, None] + m - n, torch.arange(m))
    return (k <= q) & (q - k <= w)


def v_nocausal(n, m, w):
    q, k = (torch.arange(n)[:, None] + m - n, torch.arange(m))
    return q - k < w


def v_abs(n, m, w):
    q, k = (torch.arange(n)[:, None] + m - n, torch.arange(m))
    return (q - k).abs() < w


def v_causal(n, m, w):
    q, k = (torch.arange(n)[:, None] + m - n, torch.arange(m))
    return k <= q


def v_self(n, m, w):
    q, k = (torch.arange(n)[:, None] + m - n, torch.arange(m))
    return (k < q) & (q - k < w)


def v_not(n, m, w):
    q, k = (torch.arange(n)[:, None] + m - n, torch.arange(m))
    return ~((k <= q) & (q - k < w))


def v_float(n, m, w):
    q, k = (torch.arange(n)[:, None] + m - n, torch.arange(m))
    return torch.where((k <= q) & (q - k < w), 0.0, -math.inf)


def v_last(n, m, w):
    q, k = (torch.arange(n)[:, None] + m - n, torch.arange(m))
    return (k <= q) & (k >= m - w)


def m_sum(a, b):
    return (torch.maximum(a[0], b[0]), a[1] + b[1], a[2] + b[2])


def m_sumlargest(a, b):
    m = a[0] + b[0]
    x, y = ((a[0] - m).exp(), (b[0] - m).exp())
    return (m, x * a[1] + y * b[1], x[:, None] * a[2] + y[:, None] * b[2])


def m_flip(a, b):
    m = torch.maximum(a[0], b[0])
    x, y = ((m - a[0]).exp(), (m - b[0]).exp())
    return (m, x * a[1] + y * b[1], x[:, None] * a[2] + y[:, None] * b[2])


def m_onlysum(a, b):
    m = torch.maximum(a[0], b[0])
    x, y = ((a[0] - m).exp(), (b[0] - m).exp())
    return (m, x * a[1] + y * b[1], a[2] + b[2])


def m_divided(a, b):
    m = torch.maximum(a[0], b[0])
    x, y = ((a[0] - m).exp(), (b[0] - m).exp())
    s = x * a[1] + y * b[1]
    return (m, s, (x[:, None] * a[2] + y[:, None] * b[2]) / s[:, None])


def m_nosub(a, b):
    m = torch.maximum(a[0], b[0])
    x, y = (a[0].exp(), b[0].exp())
    return (m, x * a[1] + y * b[1], x[:, None] * a[2] + y[:, None] * b[2])


def m_swapped(a, b):
    m = torch.maximum(a[0], b[0])
    x, y = ((a[0] - m).exp(), (b[0] - m).exp())
    return (m, y * a[1] + x * b[1], y[:, None] * a[2] + x[:, None] * b[2])


def m_scalarmax(a, b):
    m = max(a[0].max(), b[0].max()).expand_as(a[0])
    x, y = ((a[0] - m).exp(), (b[0] - m).exp())
    return (m, x * a[1] + y * b[1], x[:, None] * a[2] + y[:, None] * b[2])


def wr_sum(z, W):
    return einsum(z, rearrange(W, "d (h e) -> d h e", h=len(z)), "h s e, d h e -> s d")


def wr_inner(z, W):
    return einsum(z, rearrange(W, "d (e h) -> d h e", h=len(z)), "h s e, d h e -> h s d")


def wr_rows(z, W):
    return einsum(z, W.reshape(len(z), -1, z.shape[2]), "h s e, h d e -> h s d")


def wr_first(z, W):
    return z @ W[:, : z.shape[2]].T


def wr_T(z, W):
    return einsum(z, rearrange(W, "d (h e) -> d h e", h=len(z)), "h s e, d h e -> h d s")


def wr_rev(z, W):
    return einsum(z.flip(0), rearrange(W, "d (h e) -> d h e", h=len(z)), "h s e, d h e -> h s d")


def re_old(state, q, k, v):
    return (state + torch.outer(k, v), q @ state)


def re_T(state, q, k, v):
    state = state + torch.outer(v, k)
    return (state, q @ state)


def re_over(state, q, k, v):
    state = torch.outer(k, v)
    return (state, q @ state)


def re_inplace(state, q, k, v):
    state += torch.outer(k, v)
    return (state, q @ state)


def re_order(state, q, k, v):
    state = state + torch.outer(k, v)
    return (q @ state, state)


def re_read(state, q, k, v):
    state = state + torch.outer(k, v)
    return q @ state


def re_root(state, q, k, v):
    state = state + torch.outer(k, v)
    return (state, q @ state / math.sqrt(len(q)))


def re_k(state, q, k, v):
    state = state + torch.outer(k, v)
    return (state, k @ state)


def re_qv(state, q, k, v):
    state = state + torch.outer(q, v)
    return (state, q @ state)


def R_look(q, k, v):
    w = [
        math.exp(float(q @ each) / math.sqrt(len(q)) - float((k @ q).max()) / math.sqrt(len(q)))
        for each in k]
    return sum((a * b for a, b in zip(w, v))) / sum(w)


def R_causal(s):
    n = s.shape[-1]
    out = torch.zeros_like(s)
    for i in range(n):
        out[:, i, : i + 1] = s[:, i, : i + 1].softmax(-1)
    return out


def R_causal_add(s):
    return (s + torch.full(s.shape[1:], -math.inf).triu(1)).softmax(-1)


def R_split(x, n):
    return torch.stack(x.chunk(n, -1), 1)


def R_split2(x, n):
    return x.unflatten(-1, (n, -1)).transpose(1, 2)


def R_share(k, g):
    return torch.stack([k] * g, 2).flatten(1, 2)


def R_share2(k, g):
    return k[:, [h // g for h in range(k.shape[1] * g)]]


def R_decode(q, k, v, K, V):
    K, V = (torch.cat([K, k.unsqueeze(1)], dim=1), torch.cat([V, v.unsqueeze(1)], dim=1))
    pattern = (K @ q[:, :, None] / q.shape[-1] ** 0.5).softmax(1)
    return ((pattern * V).sum(1), K, V)


def d_by_torch(q, k, v, K, V):
    K, V = (torch.cat([K, k.unsqueeze(1)], dim=1), torch.cat([V, v.unsqueeze(1)], dim=1))
    return (F.scaled_dot_product_attention(q[:, None], K, V)[:, 0], K, V)


def R_decode_list(q, k, v, K, V):
    return list(d_ok(q, k, v, K, V))


def R_visible(n, m, w):
    return torch.tensor([[m - n + i - w < j <= m - n + i for j in range(m)] for i in range(n)]).reshape(
        n, m)


def R_visible2(n, m, w):
    o = torch.ones(n, m, dtype=torch.bool)
    return o.tril(m - n) & o.triu(m - n - w + 1)


def R_merge(a, b):
    big = torch.stack([a[0], b[0]]).amax(0)
    f = [(e[0] - big).exp() for e in (a, b)]
    return (big, f[0] * a[1] + f[1] * b[1], f[0].unsqueeze(-1) * a[2] + f[1].unsqueeze(-1) * b[2])


def R_written(z, W):
    e = z.shape[-1]
    return torch.stack([each @ W[:, i * e : (i + 1) * e].T for i, each in enumerate(z)])


def R_remember(state, q, k, v):
    new = state + k[:, None] * v[None]
    return (new, (q[:, None] * new).sum(0))


def merged_by_logarithms(first, second):
    largest = torch.maximum(first[0], second[0])
    total = torch.logaddexp(first[0] + first[1].log(), second[0] + second[1].log())
    shares = [(each[0] - largest).exp().unsqueeze(1) * each[2] for each in (first, second)]
    return [largest, (total - largest).exp(), sum(shares)]


def by_shares(query, keys, values):
    scores = keys @ query / math.sqrt(len(query))
    shares = scores.exp() / scores.exp().sum()
    return shares @ values


def where_later(scores):
    n = scores.shape[-1]
    return torch.where(torch.ones(n, n).triu(1).bool(), -torch.inf, scores).softmax(dim=-1)


def minus_ten(scores):
    n = scores.shape[-1]
    return (scores - 10 * torch.triu(torch.ones(n, n), diagonal=1)).softmax(dim=-1)


def times_infinity(scores, diagonal=0):
    n = scores.shape[-1]
    return (scores + torch.triu(torch.ones(n, n), diagonal) * -torch.inf).softmax(dim=-1)


def unsqueezed_decode(q, k, v, keys, values):
    keys = torch.cat([keys, k.unsqueeze(1)], dim=1)
    values = torch.cat([values, v.unsqueeze(1)], dim=1)
    pattern = torch.softmax((keys @ q.unsqueeze(-1)).squeeze(-1) / q.shape[-1] ** 0.5, dim=-1)
    return (pattern.unsqueeze(1) @ values).squeeze(1), keys, values


def decode_by_root_of(count, dim):
    """decode that divides by the root of count(keys) and takes its softmax over `dim`."""
    def answer(q, k, v, keys, values):
        keys = torch.cat([keys, k[:, None]], dim=1)
        values = torch.cat([values, v[:, None]], dim=1)
        scores = einsum(q, keys, "h e, h k e -> h k") / math.sqrt(count(keys))
        return einsum(scores.softmax(dim), values, "h k, h k e -> h e"), keys, values
    return answer


def window_by_its_ends(n_query, n_key, window):
    q = torch.arange(n_query)[:, None] + n_key - n_query
    k = torch.arange(n_key)[None, :]
    return (k <= q) & (k > q - window)


def merge_with_factors(first, second):
    (m1, s1, g1), (m2, s2, g2) = first, second
    m = torch.maximum(m1, m2)
    a, b = (m1 - m).exp(), (m2 - m).exp()
    return m, a * s1 + b * s2, a[:, None] * g1 + b[:, None] * g2


def merge_without_an_axis(first, second):
    (m1, s1, g1), (m2, s2, g2) = first, second
    m = torch.maximum(m1, m2)
    a, b = (m1 - m).exp(), (m2 - m).exp()
    return m, a * s1 + b * s2, a * g1 + b * g2


def written_by_head(z, weight):
    slices = rearrange(weight, "d (h e) -> h d e", h=z.shape[0])
    return torch.stack([z[h] @ slices[h].T for h in range(len(z))])


def written_by_reshape(z, weight):
    rows = weight.reshape(z.shape[0], weight.shape[0], z.shape[2])
    return einsum(rows, z, "h d e, h t e -> h t d")


def remember_turned(state, q, k, v):
    state = state + torch.outer(v, k)
    return state, state @ q


def remember_by_sum(state, q, k, v):
    state = state + torch.outer(k, v)
    return state, (state * q[:, None]).sum(0)


RIGHT = {
    "03.1": [
        loops,
        lambda q, k, v: v.T @ F.softmax(k.mv(q) / math.sqrt(q.numel()), 0),
        lambda q, k, v: ((q[None] @ k.T) * k.shape[1] ** -0.5).softmax(-1)[0] @ v,
        R_look,
        by_shares],
    "03.2": [
        row_by_row,
        renormalised,
        lambda s: (s + torch.full(s.shape[-2:], -INF).triu(1)).softmax(-1),
        lambda s: torch.where(torch.ones(s.shape[-2:]).tril().bool(), s, torch.tensor(-1e30)).softmax(-1),
        R_causal,
        R_causal_add,
        where_later],
    "03.3": [
        lambda x, n: x.view(*x.shape[:2], n, -1).transpose(1, 2),
        lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=1),
        R_split,
        R_split2],
    "03.4": [
        lambda k, g: repeat(k, "b h t e -> b (h g) t e", g=g),
        lambda k, g: torch.stack([k] * g, dim=2).flatten(1, 2),
        lambda k, g: k[:, [h // g for h in range(k.shape[1] * g)]],
        R_share,
        R_share2],
    "03.5": [stepwise_decode, R_decode, R_decode_list, unsqueezed_decode],
    "03.6": [
        lambda n, m, w: torch.ones(m, m, dtype=torch.bool).tril().triu(1 - w)[m - n :],
        lambda n, m, w: torch.tensor([[0 <= q - k < w for k in range(m)] for q in range(m - n, m)]),
        R_visible,
        R_visible2,
        window_by_its_ends],
    "03.7": [concatenated, R_merge, merged_by_logarithms, merge_with_factors],
    "03.8": [
        padded,
        lambda z, w: einsum(z, rearrange(w, "d (h e) -> h d e", h=len(z)), "h t e, h d e -> h t d"),
        R_written,
        written_by_head],
    "03.9": [
        in_place,
        lambda s, q, k, v: (s + einsum(k, v, "i, j -> i j"), q @ s + (q @ k) * v),
        R_remember,
        remember_by_sum]}
WRONG = {
    "03.1": {
        "query and keys in the wrong order": lambda q, k, v: torch.softmax(q @ k / math.sqrt(len(q)), dim=0) @ v,
        "no root": l_noroot,
        "root of the value's width": l_vroot,
        "no softmax": l_nosoft,
        "E, no root": l_E,
        "root of how many keys": l_nkeys,
        "shares without exp": l_norm,
        "only the best": l_max,
        "keys mixed": l_keys,
        "shares rounded": lambda q, k, v: (k @ q / len(q) ** 0.5).softmax(0).round(decimals=1) @ v,
        "root of the width + 1": lambda q, k, v: (k @ q / (len(q) + 1) ** 0.5).softmax(0) @ v,
        "sigmoid for softmax": lambda q, k, v: (k @ q / len(q) ** 0.5).sigmoid() @ v,
        "the sign turned": lambda q, k, v: (-k @ q / len(q) ** 0.5).softmax(0) @ v,
        "the last key left out": lambda q, k, v: (k @ q / len(q) ** 0.5).softmax(0)[:-1] @ v[:-1],
        "absolute scores": lambda q, k, v: ((k @ q).abs() / len(q) ** 0.5).softmax(0) @ v,
        "logarithm of the width": lambda q, k, v: (k @ q / math.log(len(q))).softmax(0) @ v,
        "cosine similarity": lambda q, k, v: (F.normalize(k, dim=1) @ F.normalize(q, dim=0)).softmax(0) @ v},
    "03.2": {
        "ten taken off": minus_ten,
        "zero times infinity": lambda s: times_infinity(s, diagonal=1),
        "zero times infinity, the diagonal too": times_infinity,
        "zero for -inf": c_zero,
        "masked after": c_after,
        "softmax over queries": c_dim,
        "self masked": c_diag,
        "-10": c_small,
        "the past masked": c_lower,
        "exp overflow": c_exp,
        "no mask": c_none,
        "no softmax": c_masked,
        "scaled once more": lambda s: (
            (s / s.shape[-1] ** 0.5).masked_fill(torch.ones_like(s).triu(1) > 0, -INF).softmax(-1)),
        "masked after, divided by the whole": lambda s: (
            s.softmax(-1).tril() / s.softmax(-1).sum(-1, keepdim=True)),
        "masked with 0 and again after": lambda s: s.tril().softmax(-1).tril(),
        "exp without division": lambda s: s.exp().tril(),
        "masked with -10, by hand": lambda s: s.masked_fill(torch.ones_like(s).triu(1) > 0, -10.0).softmax(
            -1),
        "all the same share": lambda s: (
            torch.ones_like(s).tril() / torch.arange(1, s.shape[-1] + 1)[:, None]),
        "mean over the heads": lambda s: (
            s.masked_fill(torch.ones_like(s).triu(1) > 0, -INF).softmax(-1).mean(0, keepdim=True))},
    "03.3": {
        "d_head before head": lambda x, n: rearrange(x, "b t (e h) -> b h t e", h=n),
        "not yet swapped": lambda x, n: x.view(*x.shape[:2], n, -1),
        "view without transpose": sh_view,
        "no transpose": sh_noT,
        "heads innermost": sh_inner,
        "a list": sh_list,
        "heads in front": sh_stack0,
        "n_heads as size": sh_numbers,
        "reshaped twice": lambda x, n: x.reshape(len(x), x.shape[1], n, -1).reshape(
            len(x), n, x.shape[1], -1),
        "the sequence cut": lambda x, n: torch.stack(x.chunk(n, dim=1), 1) if x.shape[1] % n == 0 else x,
        "stacked in front": lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=0),
        "stacked behind": lambda x, n: torch.stack(x.chunk(n, dim=-1), dim=-1),
        "heads in reverse": lambda x, n: torch.stack(x.chunk(n, dim=-1)[::-1], dim=1)},
    "03.4": {
        "no axis named": lambda k, g: k.repeat_interleave(g),
        "expanded": lambda k, g: k.expand(-1, k.shape[1] * g, -1, -1),
        "the batch repeated": lambda k, g: k.repeat_interleave(g, dim=0),
        "tiled": k_repeat,
        "axis 0": k_tile0,
        "not flattened": k_expand,
        "axis 2": k_axis2,
        "divided": k_div,
        "tiled by cat": lambda k, g: torch.cat([k] * g, dim=1),
        "tiled, every other turned": lambda k, g: torch.cat([k, k.flip(1)] * g, 1)[:, : k.shape[1] * g],
        "the order reversed": lambda k, g: k.repeat_interleave(g, dim=1).flip(1),
        "one copy too many": lambda k, g: k.repeat_interleave(g + 1, dim=1),
        "divided by the group": lambda k, g: k.repeat_interleave(g, dim=1) / g},
    "03.5": {
        "the root of how many keys": decode_by_root_of(lambda keys: keys.shape[1], -1),
        "the root of how many keys, over heads": decode_by_root_of(lambda keys: keys.shape[1], 0),
        "PyTorch's own": d_by_torch,
        "own key not seen": d_noappend,
        "in front": d_front,
        "only the output": d_out,
        "softmax over heads": d_heads,
        "no root": d_noroot,
        "axis kept": d_axis,
        "cache not grown": d_same,
        "order of the three": d_order,
        "twice what is gathered": lambda q, k, v, K, V: (
            stepwise_decode(q, k, v, K, V)[0] * 2,
            *stepwise_decode(q, k, v, K, V)[1:]),
        "key and query exchanged": lambda q, k, v, K, V: stepwise_decode(k, q, v, K, V),
        "the key for the query": lambda q, k, v, K, V: stepwise_decode(k, k, v, K, V),
        "heads of the query in reverse": lambda q, k, v, K, V: stepwise_decode(q.flip(0), k, v, K, V),
        "the value added": lambda q, k, v, K, V: (
            v + stepwise_decode(q, k, v, K, V)[0],
            *stepwise_decode(q, k, v, K, V)[1:]),
        "keys kept as values": lambda q, k, v, K, V: stepwise_decode(q, k, k, K, V)},
    "03.6": {
        "offset missing": v_nooffset,
        "one too many": v_off1,
        "future seen": v_nocausal,
        "both sides": v_abs,
        "no window": v_causal,
        "not itself": v_self,
        "negated": v_not,
        "0 and -inf": v_float,
        "last keys": v_last,
        "offset forgotten, by tril": lambda n, m, w: torch.ones(n, m, dtype=torch.bool).tril().triu(1 - w),
        "one too wide, by tril": lambda n, m, w: (
            torch.ones(m, m, dtype=torch.bool).tril().triu(-w)[m - n :]),
        "the first rows": lambda n, m, w: torch.ones(m, m, dtype=torch.bool).tril().triu(1 - w)[:n],
        "no window, by tril": lambda n, m, w: torch.ones(n, m, dtype=torch.bool).tril(m - n),
        "the last keys for all": lambda n, m, w: (torch.arange(m) >= m - w).expand(n, m)},
    "03.7": {
        "factors without an axis": merge_without_an_axis,
        "just added": m_sum,
        "largest added": m_sumlargest,
        "difference turned": m_flip,
        "gathered uncorrected": m_onlysum,
        "divided": m_divided,
        "no subtraction": m_nosub,
        "factors exchanged": m_swapped,
        "one largest for all": m_scalarmax,
        "halves of the sums": lambda a, b: (
            torch.maximum(a[0], b[0]),
            (a[1] + b[1]) / 2,
            (a[2] + b[2]) / 2),
        "mean of the largest": lambda a, b: ((a[0] + b[0]) / 2, *concatenated(a, b)[1:]),
        "logaddexp of the largest": lambda a, b: (torch.logaddexp(a[0], b[0]), *concatenated(a, b)[1:]),
        "larger of the sums": lambda a, b: (
            concatenated(a, b)[0],
            torch.maximum(a[1], b[1]),
            concatenated(a, b)[2]),
        "gathered halved": lambda a, b: (*concatenated(a, b)[:2], concatenated(a, b)[2] / 2)},
    "03.8": {
        "a reshape to (head, d_model, d_head)": written_by_reshape,
        "e outside, h inside": lambda z, w: einsum(
            rearrange(w, "d (e h) -> h d e", h=len(z)), z, "h d e, h t e -> h t d"),
        "summed": wr_sum,
        "heads innermost": wr_inner,
        "rows for columns": wr_rows,
        "first slice for all": wr_first,
        "transposed": wr_T,
        "heads reversed": wr_rev,
        "written in reverse": lambda z, w: padded(z, w).flip(0),
        "the sign turned": lambda z, w: padded(z, -w),
        "the sequence reversed": lambda z, w: padded(z.flip(1), w),
        "the mean added": lambda z, w: padded(z, w) + padded(z, w).mean(0),
        "a running sum": lambda z, w: padded(z, w).cumsum(0)},
    "03.9": {
        "value by key, read from the right": remember_turned,
        "read before written": re_old,
        "v kT": re_T,
        "state overwritten": re_over,
        "in place": re_inplace,
        "order": re_order,
        "only read": re_read,
        "root": re_root,
        "read with k": re_k,
        "written with q": re_qv,
        "half is written": lambda s, q, k, v: (s + torch.outer(k, v) / 2, q @ (s + torch.outer(k, v) / 2)),
        "the value added to the old": lambda s, q, k, v: (s + torch.outer(k, v), q @ s + v),
        "subtracted": lambda s, q, k, v: (s - torch.outer(k, v), q @ s),
        "the delta rule": lambda s, q, k, v: (
            s + torch.outer(k, v - k @ s),
            q @ (s + torch.outer(k, v - k @ s))),
        "forgets a tenth": lambda s, q, k, v: (
            0.9 * s + torch.outer(k, v),
            q @ (0.9 * s + torch.outer(k, v))),
        "softmax of the key": lambda s, q, k, v: (
            s + torch.outer(k.softmax(0), v),
            q @ (s + torch.outer(k.softmax(0), v)))},}
EQUAL = {
    "03.1": [
        "in `scores.softmax(dim=0)`, `0` is `-1`"],
    "03.5": [
        "in `(:, 0)`, `0` is `-1`",
        "in `(..., 0)`, `0` is `-1`",
        "in `q.shape[-1]`, `-1` is `1`",
        "in `q.shape`, `q` is `keys`",
        "in `scores.softmax(-1)`, `-1` is `1`"],
    "03.7": [
        "in `largest = torch.maximum(first[0], second[0])`, `torch.maximum(first[0], second[0])` is "
        "`torch.maximum(second[0], first[0])`"],
    "03.8": [
        "in `weight.chunk(len(z), dim=1)`, `1` is `-1`",
        "in `[z_of_head @ columns.T for z_of_head, columns in zip(z, slices, strict=True)]`, `zip(z, "
        "slices, strict=True)` is `zip(z, slices)`"]}
TOLD = {  # typed into the page by a reader, who was then told no cause, or another one
    "03.2": {"ten taken off": "a large one still shows", "zero times infinity": "0 times inf is NaN",
             "zero times infinity, the diagonal too": "0 times inf is NaN"},
    "03.5": {"the root of how many keys": "of the number of keys"},
    "03.7": {"factors without an axis": "give it a second axis"},
    "03.8": {"a reshape to (head, d_model, d_head)": "row by row"}}
