"""Say what is true of wrong numbers in every case: a factor, a shift, a curve, a side; in tensors also an order."""
from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from minillm.notebook.agreement import difference, show_value

CLOSE = 1e-6
CONSTANTS = {1 / math.log(2): "1 / ln 2", math.log(10): "ln 10", math.log2(10): "ln 10 / ln 2", math.pi: "π",
             math.log(2) ** -2: "1 / ln 2 / ln 2", math.sqrt(2): "√2"}
CURVES: dict[str, Callable[[float], float]] = {
    "the right value with the other sign": lambda x: -x,
    "1 divided by the right value": lambda x: 1 / x,
    "1 minus the right value": lambda x: 1 - x,
    "the right value plus 1": lambda x: x + 1,
    "e to the power of the right value": math.exp,
    "2 to the power of the right value": lambda x: 2 ** x,
    "the natural logarithm of the right value": math.log,
    "the logarithm of the right value to base 2": math.log2,
    "the square of the right value": lambda x: x * x,
    "the square root of the right value": math.sqrt,
    "the right value rounded": lambda x: float(round(x)),
    "the right value without its digits behind the point": lambda x: float(int(x))}


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def alike(mine: Sequence, right: Sequence, tolerance: float = CLOSE) -> bool:
    return all(not difference(a, b, tolerance) for a, b in zip(mine, right, strict=True))


def numbers(outputs, expected, known, cases, names) -> list[str]:
    if not all(is_number(each) for each in [*outputs, *expected]):
        return []
    if not all(math.isfinite(each) for each in [*outputs, *expected]):
        return []
    return _proportion(outputs, expected, known) or _shift(outputs, expected, known) or \
        _curve(outputs, expected) or _equals(outputs, known) or _side(outputs, expected)


def _proportion(outputs, expected, known) -> list[str]:
    pairs = [(i, mine, right) for i, (mine, right) in enumerate(zip(outputs, expected, strict=True)) if right]
    if len(pairs) < 2 or any(not mine for _, mine, _ in pairs) or \
            any(not right and mine for mine, right in zip(outputs, expected, strict=True)):
        return []
    ratios = [mine / right for _, mine, right in pairs]
    for factors, word in ((ratios, "too large"), ([1 / each for each in ratios], "too small")):
        if _equal(factors) and factors[0] != 1:
            if _near(factors[0], -1):
                return ["Only the sign is wrong."]
            if factors[0] > 1:
                return [f"Always {word}, by exactly the factor {_constant(factors[0])}."]
        for name, values in known.items():
            if not _equal(values) and _each_near(factors, [values[i] for i, *_ in pairs]):
                return [f"Always {word}, by exactly the factor {name}."]
    return []


def _shift(outputs, expected, known) -> list[str]:
    steps = [mine - right for mine, right in zip(outputs, expected, strict=True)]
    scale = [max(1.0, abs(right)) for right in expected]
    for signed, word in ((steps, "too much"), ([-step for step in steps], "too little")):
        exact = all(abs(step - signed[0]) <= CLOSE + 1e-12 * size for step, size in zip(signed, scale, strict=True))
        if exact and signed[0] > 0:
            return [f"Always exactly {show_value(float(signed[0]))} {word}."]
        for name, values in known.items():
            for times in (1, 2):
                if not _equal(values) and all(abs(step - times * value) <= CLOSE + 1e-12 * size
                                              for step, value, size in zip(signed, values, scale, strict=True)):
                    return [f"Always exactly {'2 · ' if times == 2 else ''}{name} {word}."]
    return []


def _curve(outputs, expected) -> list[str]:
    for words, curve in CURVES.items():
        try:
            if _each_near(outputs, [curve(float(right)) for right in expected]):
                return [f"It is {words}."]
        except (ValueError, ZeroDivisionError, OverflowError):
            continue
    return []


def _equals(outputs, known) -> list[str]:
    return next(([f"It is always {name}."] for name, values in known.items()
                 if not _equal(values) and _each_near(outputs, values)), [])


def _side(outputs, expected) -> list[str]:
    wrong = [(mine, right) for mine, right in zip(outputs, expected, strict=True) if not _near(mine, right)]
    for word, holds in (("large", lambda mine, right: mine > right), ("small", lambda mine, right: mine < right)):
        if len(wrong) > 2 and all(holds(mine, right) for mine, right in wrong):
            ratios = [mine / right for mine, right in wrong if right > 0 and mine > 0]
            factor = statistics.median(ratios) if len(ratios) == len(wrong) else 1
            how_much = f" (in half the cases by more than the factor {max(factor, 1 / factor):.3g})"
            return [f"Wherever it is wrong, it is too {word}{how_much if max(factor, 1 / factor) > 1.01 else ''}."]
    return []


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-9)


def _each_near(some: Sequence[float], others: Sequence[float]) -> bool:
    return all(map(_near, some, others))


def _equal(values: Sequence[float]) -> bool:
    return all(_near(each, values[0]) for each in values)


def _constant(value: float) -> str:
    return next((name for known, name in CONSTANTS.items() if _near(value, known)), show_value(float(value)))


def tensors(outputs, expected, known, cases, names) -> list[str]:
    if not all(isinstance(each, Tensor) for each in [*outputs, *expected]):
        return []
    if any(mine.shape != right.shape for mine, right in zip(outputs, expected, strict=True)):
        return _shapes(outputs, expected)
    for words, change in REARRANGED.items():
        try:
            if alike(outputs, [change(right) for right in expected], 1e-5):
                return [words]
        except (RuntimeError, IndexError):
            continue
    flat = [_flat(each) for each in outputs], [_flat(each) for each in expected]
    spread = {name: [value for value, each in zip(values, expected, strict=True) for _ in range(each.numel())]
              for name, values in known.items()}
    joined = [value for each in flat[0] for value in each], [value for each in flat[1] for value in each]
    if joined[0] and len(joined[0]) <= 20_000 and all(map(math.isfinite, [*joined[0], *joined[1]])):
        rough = [(mine, right) for mine, right in zip(*joined, strict=True) if abs(right) > 1e-3]
        found = _proportion(*zip(*rough, strict=True), {}) if len(rough) == len(joined[0]) else []
        return found or _proportion(*joined, spread) or _shift(*joined, spread) or _where(outputs, expected)
    return _where(outputs, expected)


REARRANGED = {
    "The right numbers, with rows and columns exchanged.": lambda x: x.mT if x.ndim > 1 else x,
    "The right numbers, in reverse order along the first axis.": lambda x: x.flip(0),
    "The right numbers, in reverse order along the last axis.": lambda x: x.flip(-1),
    "The right numbers, one place too far along the last axis.": lambda x: x.roll(1, -1),
    "The right numbers, one place too early along the last axis.": lambda x: x.roll(-1, -1)}


def _flat(value: Tensor) -> list[float]:
    return value.detach().double().flatten().tolist()


def _shapes(outputs, expected) -> list[str]:
    if all(mine.numel() == right.numel() for mine, right in zip(outputs, expected, strict=True)):
        for mine, right in zip(outputs, expected, strict=True):
            if difference(mine.flatten(), right.flatten(), 1e-5):
                return ["As many numbers as asked for, but of another shape."]
        return ["The right numbers in the right order, but of another shape."]
    if len({mine.ndim for mine in outputs}) == 1 and outputs[0].ndim != expected[0].ndim:
        return [f"It has {outputs[0].ndim} axes, and {expected[0].ndim} are asked for."]
    for axis in range(expected[0].ndim):
        steps = {mine.shape[axis] - right.shape[axis] for mine, right in zip(outputs, expected, strict=True)
                 if mine.ndim == right.ndim and mine.shape != right.shape}
        if len(steps) == 1 and (step := steps.pop()):
            word = "long" if step > 0 else "short"
            return [f"Wherever it is wrong, axis {axis} is {abs(step)} too {word}."]
    return []


def _where(outputs, expected) -> list[str]:
    """Which places are wrong, where it is the same ones in every case."""
    told = []
    for mine, right in zip(outputs, expected, strict=True):
        apart = ~torch.isclose(mine.double(), right.double(), rtol=1e-5, atol=1e-5, equal_nan=True)
        told.append({words for words, at in (("in the first row", apart[1:]), ("in the last row", apart[:-1]),
                                             ("in the first column", apart[..., 1:]),
                                             ("in the last column", apart[..., :-1])) if not at.any()})
        if mine.numel() and not told[-1] and _sorted(mine) == _sorted(right):
            told[-1] = {"order"}
    common = set.intersection(*told) if told else set()
    if common == {"order"}:
        return ["The right numbers, in another order."]
    return [f"It is wrong only {sorted(common)[0]}."] if common else []


def _sorted(value: Tensor) -> list[float]:
    return [round(each, 4) for each in sorted(_flat(value))]


