"""Answer notebook 02's exercises, and make the mistakes that readers make."""
from __future__ import annotations

import math

import torch

from minillm.notebook.checks import Solution


def embedding_gradient(ids, gradient, vocab_size):
    one_hot = (ids[:, None] == torch.arange(vocab_size)).float()
    return one_hot.T @ gradient


def overwritten(ids, gradient, vocab_size):
    table = torch.zeros(vocab_size, gradient.shape[1])
    for i, row in zip(ids.tolist(), gradient, strict=True):
        table[i] = row
    return table


def waves(n_positions, d_model, theta, halves):
    omega = theta ** -(torch.arange(0, d_model, 2) / d_model)
    angles = torch.outer(torch.arange(n_positions).float(), omega)
    if halves:
        return torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def waving(*, first=0, members=(torch.sin, torch.cos), speed=lambda i, d, theta: theta ** -(2 * i / d)):
    """Waves with another first position, other functions, or the speed of pair i as `speed(i, d_model, theta)`."""
    def made(n, d, theta, halves):
        angles = torch.outer(torch.arange(first, first + n).float(), speed(torch.arange(d // 2), d, theta).float())
        parts = [member(angles) for member in members]
        return torch.cat(parts, dim=1) if halves else torch.stack(parts, dim=2).flatten(1)
    return made


def waves_by_component(n, d, theta, halves):
    table = waves_by_column(n, d, theta, False)
    return torch.cat([table[:, ::2], table[:, 1::2]], dim=1) if halves else table


def waves_by_column(n, d, theta, halves):
    angles = torch.outer(torch.arange(n).float(), theta ** -(2 * torch.arange(d) / d))
    is_sine = torch.arange(d) < d // 2 if halves else torch.arange(d) % 2 == 0
    return torch.where(is_sine, angles.sin(), angles.cos())


def rope(x, positions, theta):
    omega = theta ** -(torch.arange(0, x.shape[-1], 2) / x.shape[-1])
    angles = positions[:, None] * omega
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], dim=-1)


def neighbours(x, positions, theta):
    turned = rope(torch.cat([x[..., ::2], x[..., 1::2]], dim=-1), positions, theta)
    return torch.stack(turned.chunk(2, dim=-1), dim=-1).flatten(-2)


def half_turn(x):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([-b, a], dim=-1)


def combined(partner=half_turn, spread=lambda angles: torch.cat([angles, angles], dim=-1), *,
             speed=lambda i, d, theta: theta ** -(2 * i / d)):
    """x cos + partner(x) sin, with `speed(i, d_head, theta)` for pair i, spread over the components by `spread`."""
    def turned(x, positions, theta):
        angles = spread(positions[:, None] * speed(torch.arange(x.shape[-1] // 2), x.shape[-1], theta))
        return x * angles.cos() + partner(x) * angles.sin()
    return turned


def neighbour_turn(x):
    return torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)


def turn_part(x, positions, d_turned, turn):
    return torch.cat([turn(x[:, :d_turned], positions), x[:, d_turned:]], dim=1)


def to_halves(W, n_heads):
    heads = W.unflatten(0, (n_heads, -1, 2))                     # head, pair, member
    return heads.transpose(1, 2).flatten(0, 2)


def alibi(n_heads, query, key):
    slopes = 2.0 ** (-8 * torch.arange(1, n_heads + 1) / n_heads)
    return -slopes[:, None, None] * (query[:, None] - key)


def sloped(slope):
    """Lowered, with the slope of head h as `slope(h, n_heads)`."""
    return lambda n_heads, query, key: -slope(torch.arange(1, n_heads + 1), n_heads)[:, None, None] * (
        query[:, None] - key)


def stretch(omega, factor, trained, low, high):
    turns = trained * omega / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return kept * omega + (1 - kept) * omega / factor


def stretching(turns=lambda omega, trained: trained * omega / (2 * math.pi), *, least=0.0, most=1.0):
    """Stretched, with the turns of a pair as `turns(omega, trained)`, and the share kept within other bounds."""
    def made(omega, factor, trained, low, high):
        kept = ((turns(omega, trained) - low) / (high - low)).clamp(least, most)
        return kept * omega + (1 - kept) * omega / factor
    return made


def new_scores(q, k, cached, seen, turn):
    position = torch.tensor([seen])
    q, k = turn(q[None], position), turn(k[None], position)
    return torch.cat([cached, k]) @ q[0] / q.shape[-1] ** 0.5


def placed(at):
    """The new token at position `at(kept, seen)`."""
    return lambda q, k, cached, seen, turn: new_scores(q, k, cached, at(len(cached), seen), turn)


SOLUTIONS = {
    "02.1": Solution(embedding_gradient, {
        "where a token occurs twice, the second overwrites the first; their gradients add up": overwritten,
        "only the first occurrence counts; the gradients of all of them add up":
            lambda ids, gradient, vocab_size: overwritten(ids.flip(0), gradient.flip(0), vocab_size),
        "the gradients of one token are averaged; every occurrence adds its whole gradient":
            lambda ids, gradient, vocab_size: embedding_gradient(ids, gradient, vocab_size)
            / ids.bincount(minlength=vocab_size).clamp(min=1)[:, None],
        "this counts how often a token occurs; what it learns is the sum of its gradients":
            lambda ids, gradient, vocab_size: embedding_gradient(ids, torch.ones_like(gradient), vocab_size),
        "this is the sum over all positions, in every row; a row hears only from its own token":
            lambda ids, gradient, vocab_size: gradient.sum(0).expand(vocab_size, -1).clone(),
        "the table has a row per token, not a column: one_hot.T @ gradient, (vocab, d_model)":
            lambda ids, gradient, vocab_size: embedding_gradient(ids, gradient, vocab_size).T,
        "these are the rows of the tokens that occur; all others belong to the table too, with zeros":
            lambda ids, gradient, vocab_size: embedding_gradient(ids, gradient, vocab_size)[ids.unique()],
        "the sign is that of a step of learning; the gradient itself is asked for":
            lambda ids, gradient, vocab_size: -embedding_gradient(ids, gradient, vocab_size),
        "ids count from 0, yours from 1":
            lambda ids, gradient, vocab_size: embedding_gradient(ids, gradient, vocab_size).roll(1, 0)}),
    "02.2": Solution(waves, {
        "all columns are sines; the second of each pair is the cosine": waving(members=(torch.sin, torch.sin)),
        "sine comes first, cosine second": waving(members=(torch.cos, torch.sin)),
        "positions run down the rows, components along them; yours is turned over": lambda *given: waves(*given).T,
        "the angle is divided by theta ** (2 i / D), not multiplied: later pairs are slower":
            waving(speed=lambda i, d, theta: theta ** (2 * i / d)),
        "the exponent is halved: -i / D, where it should be -2 i / D with i the number of the pair":
            waving(speed=lambda i, d, theta: theta ** -(i / d)),
        "the exponent is doubled: if i steps by two already, it is i / D":
            waving(speed=lambda i, d, theta: theta ** -(4 * i / d)),
        "the two members of a pair share one speed; yours changes from component to component": waves_by_component,
        "the two members of a pair share one speed; yours changes from column to column": waves_by_column,
        "the first pair is number 0, with the speed 1; you count from 1":
            waving(speed=lambda i, d, theta: theta ** -(2 * (i + 1) / d)),
        "the first position is 0; you count from 1": waving(first=1),
        "`halves` makes no difference in yours; with it, all sines come first":
            lambda n, d, theta, halves: waves(n, d, theta, False),
        "sines and cosines stand in two halves always; without `halves` they stand side by side":
            lambda n, d, theta, halves: waves(n, d, theta, True),
        "theta is given; you use 10000": lambda n, d, theta, halves: waves(n, d, 10_000.0, halves),
        "the last pair turns at 1 / theta here; divide by D, not by D - 2":
            waving(speed=lambda i, d, theta: theta ** -(2 * i / (d - 2)))}),
    "02.3": Solution(rope, {
        "you pair neighbours (0 with 1, 2 with 3); here component i turns with i + E/2": neighbours,
        "rightly turned, but partners come out side by side; they stay in their halves: cat, not stack":
            lambda *given: torch.stack(rope(*given).chunk(2, dim=-1), dim=-1).flatten(-2),
        "partners are halves, but the angles are laid out for neighbours (1 1 2 2); they must be (1 2 1 2)":
            combined(half_turn, lambda angles: angles.repeat_interleave(2, dim=-1)),
        "partners are neighbours, but the angles are laid out for halves (1 2 1 2)": combined(neighbour_turn),
        "you turn backwards: as good to train, but not what published weights expect; the first member takes the minus":
            lambda x, positions, theta: rope(x, -positions, theta),
        "no partner has a minus, so the length is not kept: the first half takes minus its partner":
            combined(lambda x: torch.cat(x.chunk(2, dim=-1)[::-1], dim=-1)),
        "each component must be mixed with its partner, not with itself": combined(lambda x: x),
        "the exponent starts at 2 / E: the first pair is number 0, and turns by 1 radian per position":
            combined(speed=lambda i, d, theta: theta ** -(2 * (i + 1) / d)),
        "the exponent is halved (-i / E), so the last pair is far too fast: it is -2 i / E, with i from 0 to E/2 - 1":
            combined(speed=lambda i, d, theta: theta ** -(i / d)),
        "each component has a speed of its own; partners share one, theta ** (-2 i / E) with i from 0 to E/2 - 1":
            combined(spread=lambda angles: angles, speed=lambda i, d, theta: theta ** -(torch.arange(d) / d)),
        "the exponent is doubled: i steps by 2 already": combined(speed=lambda i, d, theta: theta ** (-4 * i / d)),
        "later pairs are slower: the exponent is negative": combined(speed=lambda i, d, theta: theta ** (2 * i / d)),
        "theta is given; you use 10000": lambda x, positions, theta: rope(x, positions, 10_000.0),
        "all pairs turn at the same speed, 1": combined(speed=lambda i, d, theta: i * 0 + 1.0),
        "the positions are given; you number the rows 0, 1, 2 …":
            lambda x, positions, theta: rope(x, torch.arange(len(x)), theta),
        "positions beyond the number of rows are clamped; they are places in a text, not rows of x":
            lambda x, positions, theta: rope(x, positions.clamp(max=len(x) - 1), theta),
        "positions are wrapped at the number of rows; they are places in a text, not rows of x":
            lambda x, positions, theta: rope(x, positions % len(x), theta),
        "your positions are one too high": lambda x, positions, theta: rope(x, positions + 1, theta),
        "no component turns, x comes back as it was": lambda x, positions, theta: x.clone(),
        "the sine's part is missing, so the length is not kept": combined(torch.zeros_like),
        "the angles are in radians already": combined(speed=lambda i, d, theta: theta ** -(2 * i / d) * math.pi / 180),
        "this is a whole turn per position and pair; the angle is position × speed, in radians":
            combined(speed=lambda i, d, theta: 2 * math.pi * theta ** -(2 * i / d))}),
    "02.4": Solution(turn_part, {
        "the rest of the head is zero; it keeps its values":
            lambda x, positions, n, turn: torch.cat([turn(x[:, :n], positions), 0 * x[:, n:]], 1),
        "the rest of the head is gone; put it behind what was turned":
            lambda x, positions, d_turned, turn: turn(x[:, :d_turned], positions),
        "you cut the sequence, not the head: components are the last axis":
            lambda x, positions, n, turn: torch.cat([turn(x[:n], positions[:n]), x[n:]]),
        "the last components turn; it should be the first":
            lambda x, positions, n, turn: torch.cat([x[:, :-n], turn(x[:, -n:], positions)], 1),
        "you turn the rest, and leave the first components":
            lambda x, positions, n, turn: torch.cat([x[:, :n], turn(x[:, n:], positions)], 1),
        "the whole head turns": lambda x, positions, d_turned, turn: turn(x, positions),
        "the speeds are those of the whole head; cut first, then turn":
            lambda x, positions, n, turn: torch.cat([turn(x, positions)[:, :n], x[:, n:]], 1),
        "no component turns, x comes back as it was": lambda x, positions, d_turned, turn: x.clone(),
        "the rest stands before what was turned":
            lambda x, positions, d_turned, turn: torch.cat([x[:, d_turned:], turn(x[:, :d_turned], positions)], 1)}),
    "02.5": Solution(to_halves, {
        "this is the way back, from halves to neighbours":
            lambda W, n_heads: W.unflatten(0, (n_heads, 2, -1)).transpose(1, 2).flatten(0, 2),
        "the heads are mixed: permute the rows of each head by itself": lambda W, n_heads: to_halves(W, 1),
        "this is the way back, and the heads are mixed":
            lambda W, n_heads: W.unflatten(0, (2, -1)).transpose(0, 1).flatten(0, 1),
        "the second members come first; the first ones belong in the first half":
            lambda W, n_heads: torch.cat(to_halves(W, n_heads).unflatten(0, (n_heads, 2, -1)).flip(1).unbind(0)
                                         ).flatten(0, 1),
        "the columns change places; the components of a query are the rows of W":
            lambda W, n_heads: torch.cat([W[:, ::2], W[:, 1::2]], dim=1),
        "only the first head is put into the other order; each head is":
            lambda W, n_heads: torch.cat([to_halves(W[:len(W) // n_heads], 1), W[len(W) // n_heads:]]),
        "n_heads is the number of heads, not of the rows in one":
            lambda W, n: torch.cat([W.unflatten(0, (-1, n))[:, start::2] for start in (0, 1)], 1).flatten(0, 1),
        "nothing changes places. A reshape alone moves nothing: transpose between cutting and joining":
            lambda W, n_heads: W.clone()}),
    "02.6": Solution(alibi, {
        "far keys are raised; they must be lowered": lambda *given: -alibi(*given),
        "heads count from 1: the first slope is 2 ** (-8 / H), not 1":
            sloped(lambda h, n: 2.0 ** (-8 * (h - 1) / n)),
        "the slopes are 2 ** -h whatever the number of heads; the exponent is -8 h / H":
            sloped(lambda h, n: 2.0 ** -h),
        "the exponent lacks the 8": sloped(lambda h, n: 2.0 ** (-h / n)),
        "the exponent is upside down: 8 h / H": sloped(lambda h, n: 2.0 ** (-8 * n / h)),
        "the slopes rise from head to head; the first is the steepest": sloped(lambda h, n: 2.0 ** (8 * h / n)),
        "the order of the slopes is reversed; the first is the steepest":
            sloped(lambda h, n: 2.0 ** (-8 * (n + 1 - h) / n)),
        "this is the base e; it is 2": sloped(lambda h, n: torch.exp(-8 * h / n)),
        "all heads have the same slope": sloped(lambda h, n: (h * 0 + 1) * 2.0 ** (-8 / n)),
        "these are slopes alone; multiply by the distance":
            lambda n_heads, query, key: alibi(n_heads, torch.ones_like(query), torch.zeros_like(key)),
        "the distance is counted between rows; query and key hold positions":
            lambda n_heads, query, key: alibi(n_heads, torch.arange(len(query)), torch.arange(len(key))),
        "queries and keys are exchanged: (head, query, key)": lambda *given: alibi(*given).transpose(1, 2),
        "the distance is one too large": lambda n_heads, query, key: alibi(n_heads, query + 1, key)}),
    "02.7": Solution(stretch, {
        "every pair is slowed down: that is linear stretching; those of many turns (trained × omega / 2 π) stay":
            lambda omega, factor, *_: omega / factor,
        "it is the wrong way round: the fast pairs keep their speed, the slow ones are divided":
            lambda omega, factor, *rest: omega + omega / factor - stretch(omega, factor, *rest),
        "the share is not kept within 0 and 1": stretching(least=-math.inf, most=math.inf),
        "turns are radians divided by 2 π": stretching(lambda omega, n: n * omega),
        "this is the wavelength; turns are the trained length divided by it":
            stretching(lambda omega, n: 2 * math.pi / omega),
        "you switch at `high`; between `low` and `high` the two speeds are blended":
            lambda omega, factor, n, low, high: stretch(omega, factor, n, high, high * (1 + 1e-12)),
        "you switch at `low`; between `low` and `high` the two speeds are blended":
            lambda omega, factor, n, low, high: stretch(omega, factor, n, low, low * (1 + 1e-12)),
        "the speeds are multiplied by the factor; slower is divided":
            lambda omega, factor, *rest: stretch(omega, 1 / factor, *rest),
        "the slow pairs stop; they go on at omega / factor":
            lambda omega, factor, *rest: stretch(omega, math.inf, *rest),
        "nothing is slowed down": lambda omega, *_: omega.clone(),
        "these are the shares that are kept; the speeds are asked for":
            lambda omega, factor, n, low, high: ((n * omega / (2 * math.pi) - low) / (high - low)).clamp(0, 1)}),
    "02.8": Solution(new_scores, {
        "the new token is turned as position 0, or not at all: it stands behind all those that were read":
            placed(lambda kept, seen: 0),
        "the position is the number of keys kept; those that went had their positions too":
            placed(lambda kept, seen: kept),
        "counted from 0, the token after `seen` others stands at position seen": placed(lambda kept, seen: seen - 1),
        "counted from 0, the token after `seen` others stands at position seen, not seen + 1":
            placed(lambda kept, seen: seen + 1),
        "the keys of the cache are turned already; you turn them again":
            lambda q, k, cached, seen, turn: new_scores(
                q, k, turn(cached, torch.arange(seen - len(cached), seen)), seen, turn),
        "the keys of the cache are turned already; you turn them again, by their rows":
            lambda q, k, cached, seen, turn: new_scores(q, k, turn(cached, torch.arange(len(cached))), seen, turn),
        "the new key is not turned": lambda q, k, cached, seen, turn: torch.cat(
            [new_scores(q, k, cached, seen, turn)[:-1], turn(q[None], torch.tensor([seen])) @ k / len(q) ** 0.5]),
        "the query is not turned": lambda q, k, cached, seen, turn:
            torch.cat([cached, turn(k[None], torch.tensor([seen]))]) @ q / len(q) ** 0.5,
        "the scores are not divided by the root of the width": lambda q, *rest: new_scores(q, *rest) * len(q) ** 0.5,
        "divide by the root of the width, not of the number of keys": lambda q, k, cached, seen, turn:
            new_scores(q, k, cached, seen, turn) * (len(q) / len(cached)) ** 0.5,
        "divide by the root of the width, not by the width": lambda q, *rest: new_scores(q, *rest) / len(q) ** 0.5,
        "the new token looks at itself too: its own key comes last": lambda *given: new_scores(*given)[:-1],
        "the new token's own key comes last": lambda *given: new_scores(*given).roll(1),
        "these are shares; the scores before the softmax are asked for":
            lambda *given: new_scores(*given).softmax(-1)}),
}
