"""Say what is true of wrong tensors in every case: sizes, order, a factor or shift, where they are right."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from minillm.notebook.judging.figures import alike, proportion, shift

NEAR = 1e-5
REARRANGED = {
    "The right numbers, with rows and columns exchanged.": lambda x: x.mT if x.ndim > 1 else x,
    "The right numbers, in reverse order along the first axis.": lambda x: x.flip(0),
    "The right numbers, in reverse order along the last axis.": lambda x: x.flip(-1),
    "The right numbers, one place too far along the last axis.": lambda x: x.roll(1, -1),
    "The right numbers, one place too early along the last axis.": lambda x: x.roll(-1, -1),
    "The right numbers, with the two halves of the last axis exchanged.": lambda x: x.roll(x.shape[-1] // 2, -1),
    "The right numbers, with the two halves of the last axis side by side, number by number.":
        lambda x: x.unflatten(-1, (2, -1)).mT.flatten(-2),
    "The right numbers, with every other one moved to the second half of the last axis.":
        lambda x: x.unflatten(-1, (-1, 2)).mT.flatten(-2)}


def tensors(outputs, expected, known, cases, names) -> list[str]:
    if not all(isinstance(each, Tensor) for each in [*outputs, *expected]):
        return []
    if any(mine.shape != right.shape for mine, right in zip(outputs, expected, strict=True)):
        return _shapes(outputs, expected, known)
    kinds = {_content(each) for each in outputs}, {_content(each) for each in expected}
    if kinds[0].isdisjoint(kinds[1]) and len(kinds[1]) == 1:
        return [f"It holds {' or '.join(sorted(kinds[0]))} instead of {kinds[1].pop()}."]
    if not any(each.any() for each in outputs):
        return ["All of it is 0."]
    for words, change in REARRANGED.items():
        try:
            if alike(outputs, [change(right) for right in expected], NEAR):
                return [words]
        except (RuntimeError, IndexError):
            continue
    if not all(each.is_floating_point() for each in expected):
        return _where(outputs, expected) or _sides(outputs, expected)
    return (_with_an_argument(outputs, expected, cases, names) or _proportions(outputs, expected, known)
            or _scaled(outputs, expected) or _where(outputs, expected) or _sums(outputs, expected)
            or _sides(outputs, expected))


def _with_an_argument(outputs, expected, cases, names) -> list[str]:
    """Whether it is the right one with one of the arguments added to it, taken from it, or multiplied."""
    for i, name in enumerate(names):
        given = [case[i] if i < len(case) else None for case in cases]
        if not all(isinstance(each, Tensor) and each.is_floating_point() for each in given):
            continue
        for words, change in WITH.items():
            try:
                if alike(outputs, [change(right, each) for right, each in zip(expected, given, strict=True)], NEAR):
                    return [f"It is the right one {words} `{name}`."]
            except RuntimeError:
                continue
    return []


WITH = {"plus": torch.add, "less": torch.sub, "times": torch.mul, "divided by": torch.div}


def _content(value: Tensor) -> str:
    return "True or False" if value.dtype == torch.bool else "numbers"


def _proportions(outputs, expected, known) -> list[str]:
    spread = {name: [value for value, each in zip(values, expected, strict=True) for _ in range(each.numel())]
              for name, values in known.items()}
    joined = [value for each in outputs for value in _flat(each)], [value for each in expected for value in _flat(each)]
    if not joined[0] or len(joined[0]) > 20_000 or not all(map(math.isfinite, [*joined[0], *joined[1]])):
        return []
    return proportion(*joined, spread) or shift(*joined, spread)


def _flat(value: Tensor) -> list[float]:
    return value.detach().double().flatten().tolist()


def _shapes(outputs, expected, known) -> list[str]:
    if all(mine.numel() == right.numel() for mine, right in zip(outputs, expected, strict=True)):
        if alike([each.flatten() for each in outputs], [each.flatten() for each in expected], NEAR):
            return ["The right numbers in the right order, but of another shape."]
        return ["As many numbers as asked for, but of another shape."]
    ranks = {each.ndim for each in outputs}, {each.ndim for each in expected}
    if len(ranks[0]) > 1 or len(ranks[1]) > 1:
        return []
    if ranks[0] != ranks[1]:
        return [f"It has {ranks[0].pop()} axes, and {ranks[1].pop()} are asked for."]
    for axis in range(expected[0].ndim):
        mine, right = ([each.shape[axis] for each in column] for column in (outputs, expected))
        steps = {a - b for a, b in zip(mine, right, strict=True) if a != b}
        if len(steps) == 1 and (step := steps.pop()):
            return [f"Wherever it is wrong, axis {axis} is {abs(step)} too {'long' if step > 0 else 'short'}."]
        named = [next((name for name, values in known.items() if values == list(map(float, sizes))), "")
                 for sizes in (mine, right)]
        if mine != right and named[1]:
            instead = f", not {named[0]}" if named[0] else ""
            return [f"Axis {axis} should be as long as {named[1]}{instead}."]
    return []


def _scaled(outputs, expected) -> list[str]:
    """Whether all is right but for a factor, one for each case or for each row."""
    for words, rows in (("Each case is the right one times a factor of its own.", lambda x: x.reshape(1, -1)),
                        ("Each row is the right one times a factor of its own.", lambda x: x.reshape(-1, x.shape[-1]))):
        pairs = [(rows(mine.double()), rows(right.double())) for mine, right in zip(outputs, expected, strict=True)
                 if mine.numel()]
        if sum(right.numel() - len(right) for _, right in pairs) > 3 and all(map(_parallel, *zip(*pairs, strict=True))):
            return [words]
    return []


def _parallel(mine: Tensor, right: Tensor) -> bool:
    factor = (mine * right).sum(-1, keepdim=True) / right.square().sum(-1, keepdim=True).clamp(min=1e-30)
    size = mine.abs().amax(-1, keepdim=True).clamp(min=NEAR)
    return bool(((mine - factor * right).abs() <= 10 * NEAR * size).all())


def _sums(outputs, expected) -> list[str]:
    """Numbers that sum to 1, or to 0, along an axis: along which one they do, and along which they should."""
    if len({each.ndim for each in [*outputs, *expected]}) != 1 or not expected[0].ndim:
        return []
    for total in (1.0, 0.0):
        along = [{axis for axis in range(expected[0].ndim) if all(
            each.shape[axis] > 1 and torch.allclose(each.double().sum(axis), torch.tensor(total).double(), atol=1e-3)
            for each in column)} for column in (outputs, expected)]
        if along[1] and not along[1] & along[0]:
            other = f"; yours do along axis {min(along[0])}" if along[0] else ""
            return [f"The right numbers sum to {total:.0f} along axis {max(along[1])}, yours do not{other}."]
    return []


def _where(outputs, expected) -> list[str]:
    """Which places are wrong, or right, where it is the same ones in every case."""
    wrong, whole, order = [], [], True
    for mine, right in zip(outputs, expected, strict=True):
        apart = ~torch.isclose(mine.double(), right.double(), rtol=NEAR, atol=NEAR, equal_nan=True)
        if not mine.numel() or not apart.any():
            order, wrong = order and bool(mine.numel()), [*wrong, set()]
            continue
        ends = {"first row": (apart[:1], apart[1:]), "last row": (apart[-1:], apart[:-1]),
                "first column": (apart[..., :1], apart[..., 1:]), "last column": (apart[..., -1:], apart[..., :-1])}
        wrong.append({words for words, (_, rest) in ends.items() if not rest.any()})
        whole.append({words for words, (end, _) in ends.items() if not end.any()})
        order &= torch.allclose(mine.double().flatten().sort().values, right.double().flatten().sort().values,
                                rtol=NEAR, atol=NEAR)
    if found := sorted(set.intersection(*wrong)):
        return [f"It is wrong only in the {found[0]}."]
    if order and whole:
        return ["The right numbers, in another order."]
    found = sorted(set.intersection(*whole)) if whole else []
    return [f"Of what is wrong elsewhere, the {found[0]} is right each time."] if found else []


def _sides(outputs, expected) -> list[str]:
    """Whether all that is wrong errs to one side, or is all too small in size."""
    pairs = [(mine.double(), right.double()) for mine, right in zip(outputs, expected, strict=True)]
    apart = [~torch.isclose(mine, right, rtol=NEAR, atol=NEAR, equal_nan=True) for mine, right in pairs]
    wrong = torch.cat([torch.stack([mine[at], right[at]]) for (mine, right), at in zip(pairs, apart, strict=True)], 1)
    if wrong.shape[1] < 6:
        return []
    mine, right = wrong
    sides = {"too large": mine > right, "too small": mine < right,
             "too far from 0": mine.abs() > right.abs(), "too near to 0": mine.abs() < right.abs()}
    if _content(expected[0]) == "True or False":
        sides = {"True": mine > right, "False": mine < right}
    return next(([f"Wherever it is wrong, it is {words}."] for words, holds in sides.items() if holds.all()), [])
