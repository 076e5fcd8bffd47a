"""Say what is true of wrong numbers in every case: a factor, a shift, a curve, a side."""
from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

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
    return proportion(outputs, expected, known) or shift(outputs, expected, known) or \
        _curve(outputs, expected) or _equals(outputs, known) or _side(outputs, expected)


def proportion(outputs, expected, known) -> list[str]:
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


def shift(outputs, expected, known) -> list[str]:
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
