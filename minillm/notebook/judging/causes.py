"""Find mistakes that would have given just what an answer gave: listed ones, two of them at once, derived ones."""
from __future__ import annotations

import ast
import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from minillm.notebook.agreement import as_expected, difference
from minillm.notebook.judging.mutants import mutants
from minillm.notebook.judging.trials import Outcome


def listed(mistakes: dict[str, Any], cases: Sequence[tuple], outcomes: Sequence[Outcome], tolerance: float, *,
           called: bool = True) -> list[str]:
    """The hints of all mistakes that do the same on every case, failures included."""
    return [hint for hint, mistake in mistakes.items() if _does(mistake, cases, outcomes, tolerance, called)]


def derived(reference: Any, cases: Sequence[tuple], outcomes: Sequence[Outcome], tolerance: float) -> list[str]:
    """The changes to the reference that do the same on every case, in words; one for each place in its code."""
    if all(each.crashed for each in outcomes) and len({type(each.error) for each in outcomes}) == 1:
        return []                                      # that every case fails, and how, is no trace of a cause
    found, changed = {}, set()
    for each in mutants(reference):
        if each.before not in changed and _does(each.function, cases, outcomes, tolerance, True):
            found[each.change] = None
            changed |= set(ast.walk(each.before))
    return list(found)


def pairs(mistakes: dict[str, Any], cases: Sequence[tuple], outcomes: Sequence[Outcome], expected: Sequence,
          tolerance: float) -> list[tuple[str, str]]:
    """Two listed mistakes that together give the same: for numbers, errors of sums add, those of products multiply."""
    wrong = [i for i, (each, right) in enumerate(zip(outcomes, expected, strict=True))
             if each.error is not None or difference(each.value, right, tolerance)]
    if any(each.error is not None for each in outcomes) or len(wrong) < 2 or not all(map(_numeric, expected)):
        return []
    given = {hint: values for hint, mistake in mistakes.items() if callable(mistake)
             if (values := _values(mistake, cases, expected)) is not None}
    return [(a, b) for a, b in combinations(given, 2) if any(
        all(_matches(join, x, y, right, each.value, tolerance)
            for x, y, right, each in zip(given[a], given[b], expected, outcomes, strict=True))
        for join in (lambda x, y, right: x + y - right, lambda x, y, right: x * y / right))]


def _numeric(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) or (
        isinstance(value, Tensor) and value.is_floating_point())


def _values(mistake: Callable, cases: Sequence[tuple], expected: Sequence) -> list | None:
    """What a mistake gives, where that has the kind and shape of the right values; else None."""
    given = []
    for arguments, right in zip(cases, expected, strict=True):
        outcome = _once(mistake, arguments)
        value = as_expected(outcome.value, right)
        if outcome.error is not None or not _numeric(value) or getattr(value, "shape", 0) != getattr(right, "shape", 0):
            return None
        given.append(value)
    return given


def _matches(join: Callable, x: Any, y: Any, right: Any, mine: Any, tolerance: float) -> bool:
    try:
        with torch.no_grad():
            return not difference(mine, join(x, y, right), tolerance)
    except (ZeroDivisionError, OverflowError):
        return False


def _does(mistake: Any, cases: Sequence[tuple], outcomes: Sequence[Outcome], tolerance: float, called: bool) -> bool:
    if not called:
        return not difference(outcomes[0].value, mistake, tolerance)
    return alike(outcomes, run(mistake, cases), tolerance)


def alike(outcomes: Sequence[Outcome], others: Iterable[Outcome], tolerance: float) -> bool:
    """Whether two functions did the same on every case; where both fail each time, also in what they say."""
    same_words = all(each.crashed for each in outcomes)
    return all(each.agrees(other, tolerance) and (not same_words or str(each.error) == str(other.error))
               for each, other in zip(outcomes, others, strict=True))


def run(function: Callable, cases: Sequence[tuple]) -> Iterator[Outcome]:
    """What a function does on each case, one after the other, as far as somebody asks."""
    return (_once(function, arguments) for arguments in cases)


def _once(function: Callable, arguments: tuple) -> Outcome:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")            # a mistake's warnings are not the reader's
            return Outcome(function(*copy.deepcopy(arguments)))
    except Exception as error:                         # noqa: BLE001 - a mistake may well crash on some case
        return Outcome(error=error)
