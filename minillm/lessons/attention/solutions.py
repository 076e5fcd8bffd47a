"""Answer notebook 03's exercises, and make the mistakes that readers make."""
from __future__ import annotations

import torch
from einops import rearrange

from minillm.notebook.checks import Solution


def look(query, keys, values):
    scores = keys @ query / len(query) ** 0.5
    return scores.softmax(dim=0) @ values


def _look_scaled(scale):
    """The same with another divisor: scale(query, keys, values)."""
    return lambda query, keys, values: (keys @ query / scale(query, keys, values)).softmax(0) @ values


def look_by_shares(query, keys, values):
    scores = keys @ query / len(query) ** 0.5
    return scores / scores.sum() @ values


def later(scores):
    return torch.ones_like(scores, dtype=torch.bool).triu(1)


def causal_pattern(scores):
    return scores.masked_fill(later(scores), -torch.inf).softmax(-1)


def _masked(fill, *, hide=later, dim=-1):
    return lambda scores: scores.masked_fill(hide(scores), fill).softmax(dim)


def split_heads(x, n_heads):
    return rearrange(x, "batch seq (head d_head) -> batch head seq d_head", head=n_heads)


def split_by_view(x, n_heads):
    return x.reshape(len(x), n_heads, x.shape[1], -1)


def share(keys, group):
    return keys.repeat_interleave(group, dim=1)


def attend_one(q, keys, values):
    scores = (keys @ q[..., None])[..., 0] / q.shape[-1] ** 0.5
    return (scores.softmax(-1)[:, None] @ values)[:, 0]


def decode(q, k, v, keys, values):
    keys, values = torch.cat([keys, k[:, None]], 1), torch.cat([values, v[:, None]], 1)
    return attend_one(q, keys, values), keys, values


def decode_before_writing(q, k, v, keys, values):
    return attend_one(q, keys, values), *decode(q, k, v, keys, values)[1:]


def decode_in_front(q, k, v, keys, values):
    keys, values = torch.cat([k[:, None], keys], 1), torch.cat([v[:, None], values], 1)
    return attend_one(q, keys, values), keys, values


def decode_over_heads(q, k, v, keys, values):
    keys, values = torch.cat([keys, k[:, None]], 1), torch.cat([values, v[:, None]], 1)
    scores = (keys @ q[..., None])[..., 0] / q.shape[-1] ** 0.5
    return (scores.softmax(0)[:, None] @ values)[:, 0], keys, values


def decode_overwrites(q, k, v, keys, values):
    keys, values = torch.cat([keys[:, :-1], k[:, None]], 1), torch.cat([values[:, :-1], v[:, None]], 1)
    return attend_one(q, keys, values), keys, values


def visible(n_query, n_key, window):
    query, key = torch.arange(n_key - n_query, n_key)[:, None], torch.arange(n_key)
    return (query - key >= 0) & (query - key < window)


def _seen(sees, first=lambda n_query, n_key: n_key - n_query):
    """Where sees(distance, window) holds; first(n_query, n_key) is the position of the first query."""
    def mistaken(n_query, n_key, window):
        queries = torch.arange(n_query) + first(n_query, n_key)
        return sees(queries[:, None] - torch.arange(n_key), window)
    return mistaken


def merge(first, second):
    largest = torch.maximum(first[0], second[0])
    a, b = (first[0] - largest).exp(), (second[0] - largest).exp()
    return largest, a * first[1] + b * second[1], a[:, None] * first[2] + b[:, None] * second[2]


def merge_as_they_are(first, second):
    return torch.maximum(first[0], second[0]), first[1] + second[1], first[2] + second[2]


def merge_sums_alone(first, second):
    largest, total, _ = merge(first, second)
    return largest, total, first[2] + second[2]


def merge_the_wrong_way(first, second):
    largest = torch.maximum(first[0], second[0])
    a, b = (largest - first[0]).exp(), (largest - second[0]).exp()
    return largest, a * first[1] + b * second[1], a[:, None] * first[2] + b[:, None] * second[2]


def merge_in_full(first, second):
    a, b = first[0].exp(), second[0].exp()
    return (torch.maximum(first[0], second[0]), a * first[1] + b * second[1],
            a[:, None] * first[2] + b[:, None] * second[2])


def merge_without_an_axis(first, second):
    largest, total, _ = merge(first, second)
    return largest, total, (first[0] - largest).exp() * first[2] + (second[0] - largest).exp() * second[2]


def merge_keeps_the_first(first, second):
    factor = (second[0] - first[0]).exp()
    return first[0], first[1] + factor * second[1], first[2] + factor[:, None] * second[2]


def written(z, weight):
    slices = weight.chunk(len(z), dim=1)            # of each head, its own columns
    return torch.stack([z_of_head @ columns.T for z_of_head, columns in zip(z, slices, strict=True)])


def written_from_scattered_columns(z, weight):
    return torch.stack([z[h] @ weight[:, h::len(z)].T for h in range(len(z))])


def remember(state, q, k, v):
    state = state + torch.outer(k, v)
    return state, q @ state


SOLUTIONS = {
    "03.1": Solution(look, {
        "the scores are not divided by the root of the width": _look_scaled(lambda q, k, v: 1),
        "divide by the root of the width, not by the width": _look_scaled(lambda q, k, v: len(q)),
        "the root is of the number of keys; the width of a key is meant": _look_scaled(lambda q, k, v: len(k) ** 0.5),
        "the root is of a value's width; the scores sum over the components of a key":
            _look_scaled(lambda q, k, v: v.shape[1] ** 0.5),
        "the sign is turned: the less a key fits, the more it gets": lambda q, k, v: look(-q, k, v),
        "you multiply by the root of the width": _look_scaled(lambda q, k, v: len(q) ** -0.5),
        "divide the scores, before the softmax; after it, the shares no longer sum to one":
            lambda q, k, v: (k @ q).softmax(0) / len(q) ** 0.5 @ v,
        "the softmax is missing: these are the scores themselves":
            lambda q, k, v: (k @ q / len(q) ** 0.5) @ v,
        "shares by exp(score), not by the score itself: a negative one would give a negative share": look_by_shares,
        "exp is taken, but the sum is not divided by": lambda q, k, v: (k @ q / len(q) ** 0.5).exp() @ v,
        "this takes the best value alone; a softmax mixes all": lambda q, k, v: v[(k @ q).argmax()],
        "this is the pattern; the values are still to be mixed with it":
            lambda q, k, v: (k @ q / len(q) ** 0.5).softmax(0),
        "the keys are mixed; it is the values that are handed over":
            lambda q, k, v: (k @ q / len(q) ** 0.5).softmax(0) @ k,
        "all values weigh the same; the scores are not used": lambda q, k, v: v.mean(0)}),
    "03.2": Solution(causal_pattern, {
        "the mask comes after the softmax, so later keys have already taken their share":
            lambda scores: scores.softmax(-1).tril(),
        "a score of 0 is no mask: exp(0) = 1, so later keys still get a share": _masked(0.0),
        "+inf gives the later keys everything, and NaN with two of them: it must be -inf": _masked(torch.inf),
        "the mask is inverted: it hides the past": _masked(-torch.inf, hide=lambda s: ~later(s)),
        "the diagonal is hidden too; a token may look at itself":
            _masked(-torch.inf, hide=lambda s: later(s) | torch.eye(s.shape[-1], dtype=torch.bool)),
        "the diagonal above is visible: each query sees one key ahead":
            _masked(-torch.inf, hide=lambda s: torch.ones_like(s, dtype=torch.bool).triu(2)),
        "the mask hides the lower triangle: it is transposed":
            _masked(-torch.inf, hide=lambda s: torch.ones_like(s, dtype=torch.bool).tril(-1)),
        "the softmax runs over the queries: the columns sum to one, not the rows": _masked(-torch.inf, dim=-2),
        "the softmax runs over the heads; each head has a pattern of its own": _masked(-torch.inf, dim=0),
        "there is no mask": lambda scores: scores.softmax(-1),
        "the softmax is missing": lambda scores: scores.masked_fill(later(scores), -torch.inf),
        "this is the logarithm of the pattern": lambda scores: causal_pattern(scores).log(),
        "-10 is not far enough below the other scores": _masked(-10.0),
        "10 is taken off the later scores, and a large one still shows: -inf alone hides them all":
            lambda scores: (scores - 10.0 * later(scores)).softmax(-1),
        "0 times inf is NaN: fill the hidden places with -inf, and do not multiply a mask of zeros and ones by it":
            lambda scores: (scores + later(scores) * -torch.inf).softmax(-1)}),
    "03.3": Solution(split_heads, {
        "a view cuts the row of numbers at other places: each head now holds a stretch of the text, all of its "
        "numbers. Cut the last axis first, then swap the two axes": split_by_view,
        "neighbouring numbers belong to the same head: (n_heads, d_head), not (d_head, n_heads)":
            lambda x, n: x.unflatten(-1, (-1, n)).permute(0, 3, 1, 2),
        "head and seq are still to be swapped": lambda x, n: x.unflatten(-1, (n, -1)),
        "the heads come last; they come behind the batch": lambda x, n: x.unflatten(-1, (n, -1)).transpose(2, 3),
        "batch and seq have changed places": lambda x, n: split_heads(x.transpose(0, 1), n),
        "the last two axes are swapped": lambda x, n: split_heads(x, n).transpose(2, 3),
        "the batch comes first, then the heads": lambda x, n: split_heads(x, n).transpose(0, 1),
        "n_heads is the number of heads, not the width of one": lambda x, n: split_heads(x, x.shape[-1] // n)}),
    "03.4": Solution(share, {
        "tiled: query head 1 gets key head 1; but the first `group` query heads share key head 0":
            lambda keys, group: keys.repeat(1, group, 1, 1),
        "the positions are repeated, not the heads": lambda keys, group: keys.repeat_interleave(group, dim=2),
        "the rows of the batch are repeated, not the heads": lambda keys, group: keys.repeat_interleave(group, dim=0),
        "the components are repeated, not the heads": lambda keys, group: keys.repeat_interleave(group, dim=3),
        "the group does not share a key out: each of its heads gets all of it":
            lambda keys, group: keys.repeat_interleave(group, dim=1) / group,
        "nothing is shared yet": lambda keys, group: keys,
        "all query heads get key head 0":
            lambda keys, group: keys[:, :1].expand(-1, keys.shape[1] * group, -1, -1),
        "a new axis is left over: merge it into the heads":
            lambda keys, group: keys[:, :, None].expand(-1, -1, group, -1, -1)}),
    "03.5": Solution(decode, {
        "the current token is left out: write it to the cache first, then look": decode_before_writing,
        "the new key and value stand in front; they come last": decode_in_front,
        "keys and values are swapped": lambda q, k, v, keys, values: decode(q, v, k, keys, values),
        "the scores are not divided by the root of d_head":
            lambda q, k, v, keys, values: decode(q * q.shape[-1] ** 0.5, k, v, keys, values),
        "the softmax runs over the heads": decode_over_heads,
        "the root is of the number of keys; the width of a head is meant":
            lambda q, k, v, keys, values: decode(q * (q.shape[1] / (keys.shape[1] + 1)) ** 0.5, k, v, keys, values),
        "the cache is given back as it came: the next token will miss this one":
            lambda q, k, v, keys, values: (decode(q, k, v, keys, values)[0], keys, values),
        "the newest position in the cache is overwritten": decode_overwrites,
        "the token looks at itself alone: the cache is not used":
            lambda q, k, v, keys, values: (v, *decode(q, k, v, keys, values)[1:]),
        "what is gathered alone: keys and values are wanted too": lambda *inputs: decode(*inputs)[0],
        "first what is gathered, then keys, then values": lambda *inputs: (*decode(*inputs)[1:], decode(*inputs)[0]),
        "keys and values are given back in the wrong order":
            lambda *inputs: (decode(*inputs)[0], *decode(*inputs)[:0:-1]),
        "what is gathered keeps an axis of length 1":
            lambda *inputs: (decode(*inputs)[0][:, None], *decode(*inputs)[1:])}),
    "03.6": Solution(visible, {
        "one too wide: a window of 1 is the token itself": _seen(lambda d, w: (d >= 0) & (d <= w)),
        "one too narrow: the window counts the token itself": _seen(lambda d, w: (d >= 0) & (d < w - 1)),
        "the window reaches into the future, too": _seen(lambda d, w: d.abs() < w),
        "the past has no end: the window is not used": _seen(lambda d, w: d >= 0),
        "the future is visible": _seen(lambda d, w: d < w),
        "the token itself is hidden": _seen(lambda d, w: (d > 0) & (d < w)),
        "these are the keys that are hidden": _seen(lambda d, w: ~((d >= 0) & (d < w))),
        "the queries are the last of the keys: the first one stands at n_key - n_query, not at 0":
            _seen(lambda d, w: (d >= 0) & (d < w), first=lambda n_query, n_key: 0),
        "rows are queries, columns are keys: it is transposed": lambda n, m, w: visible(n, m, w).T,
        "the distance is the query's position less the key's": _seen(lambda d, w: (d <= 0) & (d > -w)),
        "these are 0 and 1; make them True and False": lambda n, m, w: visible(n, m, w).float(),
        "these are the distances themselves": _seen(lambda d, w: d)}),
    "03.7": Solution(merge, {
        "the blocks have different largest scores: bring both to the larger one before you add": merge_as_they_are,
        "the sums are brought to the new maximum, the values are not": merge_sums_alone,
        "the values are brought to the new maximum, the sums are not":
            lambda first, second: (merge(first, second)[0], first[1] + second[1], merge(first, second)[2]),
        "the factor is exp(old largest - new largest), at most 1; yours is its inverse": merge_the_wrong_way,
        "exp(largest) itself overflows: subtract the new largest first": merge_in_full,
        "the first block's maximum is kept: where the second's is larger, this overflows": merge_keeps_the_first,
        "do not divide yet: a third block may come":
            lambda *blocks: (*merge(*blocks)[:2], merge(*blocks)[2] / merge(*blocks)[1][:, None]),
        "maxima are not added; the larger one counts":
            lambda first, second: (first[0] + second[0], *merge(first, second)[1:]),
        "the largest of all queries is taken; each query has its own":
            lambda first, second: (merge(first, second)[0].max().expand(len(first[0])), *merge(first, second)[1:]),
        "one factor for each query, with a row of values: give it a second axis, a[:, None]": merge_without_an_axis,
        "the second block is left out": lambda first, second: first,
        "the first block is left out": lambda first, second: second,
        "the smaller of the two maxima is taken":
            lambda first, second: (torch.minimum(first[0], second[0]), *merge(first, second)[1:])}),
    "03.8": Solution(written, {
        "a head's numbers stand side by side: its slice is d_head columns in a row, not every H-th":
            written_from_scattered_columns,
        "a reshape counts the weight off row by row: cut it along its columns, d_head of them for each head":
            lambda z, weight: z @ weight.reshape(len(z), -1, z.shape[2]).mT,
        "the sum is divided evenly; each head writes its own":
            lambda z, weight: (z.transpose(0, 1).flatten(1) @ weight.T / len(z)).expand(len(z), -1, -1),
        "this is the sum over the heads; leave it out": lambda z, weight: written(z, weight).sum(0),
        "seq came first, then head": lambda z, weight: written(z, weight).transpose(0, 1),
        "divided by the number of heads: the heads are added, not averaged":
            lambda z, weight: written(z, weight) / len(z),
        "the heads' slices are taken in the reverse order":
            lambda z, weight: torch.stack([z[h] @ each.T for h, each in
                                           enumerate(reversed(weight.chunk(len(z), dim=1)))]),
        "all heads are given the slice of head 0": lambda z, weight: z @ weight[:, :z.shape[-1]].T,
        "the slices of the weight are multiplied, but by head 0 alone":
            lambda z, weight: torch.stack([z[0] @ each.T for each in weight.chunk(len(z), dim=1)])}),
    "03.9": Solution(remember, {
        "first write, then read: a token may look at itself":
            lambda state, q, k, v: (state + torch.outer(k, v), q @ state),
        "the state is replaced; add to it": lambda state, q, k, v: (torch.outer(k, v), q @ torch.outer(k, v)),
        "the product is turned round: rows of the state belong to the key, columns to the value":
            lambda state, q, k, v: (state + torch.outer(v, k).reshape(state.shape),
                                    q @ (state + torch.outer(v, k).reshape(state.shape))),
        "the key and the query have changed places":
            lambda state, q, k, v: (state + torch.outer(q, v), k @ (state + torch.outer(q, v))),
        "nothing is written": lambda state, q, k, v: (state, q @ state),
        "what is read comes second": lambda *inputs: remember(*inputs)[::-1],
        "the new state is wanted too": lambda *inputs: remember(*inputs)[1],
        "divided by the root of the width: there is no softmax that would need it":
            lambda state, q, k, v: (state + torch.outer(k, v), q @ (state + torch.outer(k, v)) / len(q) ** 0.5),
        "what is read is the product of q, k and v, without the state":
            lambda state, q, k, v: (state + torch.outer(k, v), (q @ k) * v),
        "the outer product is scaled by the query before it is stored":
            lambda state, q, k, v: (state + torch.outer(q * k, v), q @ (state + torch.outer(q * k, v)))}),
}
