"""Say what is true of a wrong answer whatever its cause: a factor, a shift, an order, a part that is right.

Each function looks at all cases at once, so that a sentence holds in every one of them: "too small by exactly the
factor n_layers" is said where the factor is n_layers each time.  A fact may not name the cause, but cannot mislead.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch import Tensor

from minillm.notebook.agreement import as_expected, difference, show_value
from minillm.notebook.judging.contents import counts, lists, texts
from minillm.notebook.judging.figures import CLOSE, alike, is_number, numbers
from minillm.notebook.judging.tensors import tensors

VAGUE = ("Wherever it is wrong", "As many")              # less than what may be true of the wrong cases alone


def facts(outputs: Sequence, expected: Sequence, cases: Sequence[tuple], names: Sequence[str], *,
          tolerance: float = 1e-5) -> list[str]:
    """What holds in every case, else what holds in every wrong one; `names` are those of the arguments."""
    outputs = [as_expected(mine, right) for mine, right in zip(outputs, expected, strict=True)]
    outputs, expected = ([_plain(each) for each in column] for column in (outputs, expected))
    wrong = [i for i, (mine, right) in enumerate(zip(outputs, expected, strict=True))
             if difference(mine, right, tolerance)]
    found = _facts(outputs, expected, cases, names) if wrong else []
    if found and not found[0].startswith(VAGUE) or not 2 <= len(wrong) < len(cases):
        return found
    told = _facts(*([column[i] for i in wrong] for column in (outputs, expected, cases)), names)
    if not told or told[0].startswith(VAGUE):
        return found or told
    return [f"Where it is wrong: {each[0].lower()}{each[1:]}" for each in told]


def _facts(outputs: Sequence, expected: Sequence, cases: Sequence[tuple], names: Sequence[str]) -> list[str]:
    known = _known(cases, names)
    for look in (_back_as_it_came, _always_the_same, _kinds, numbers, texts, tensors, _parts, lists, counts):
        try:
            found = look(outputs, expected, known, cases, names)
        except Exception:                              # noqa: BLE001 - wrong values may be anything; then it is no fact
            continue
        if found:
            return found
    return []


def _plain(value: Any) -> Any:
    return as_expected(value, 0.0) if isinstance(value, Tensor) and value.layout is torch.strided else value


def _known(cases: Sequence[tuple], names: Sequence[str]) -> dict[str, list[float]]:
    """Numbers that the reader has names for, one a case: arguments, lengths and sizes, products of two arguments."""
    known: dict[str, list[float]] = {}
    for i, name in enumerate(names):
        column = [case[i] for case in cases if i < len(case)]
        if len(column) < len(cases):
            continue
        if all(is_number(each) for each in column):
            known[f"`{name}`"] = [float(each) for each in column]
        elif all(isinstance(each, (list, tuple, str, bytes, Mapping)) for each in column):
            known[f"`len({name})`"] = [float(len(each)) for each in column]
        elif all(isinstance(each, Tensor) for each in column):
            for axis in range(min(each.ndim for each in column)):
                known[f"`{name}.shape[{axis}]`"] = [float(each.shape[axis]) for each in column]
    products = {f"{a} · {b}": [x * y for x, y in zip(known[a], known[b], strict=True)]
                for a, b in combinations_with_replacement(known, 2)}
    return known | products


def _back_as_it_came(outputs, expected, known, cases, names) -> list[str]:
    for i, name in enumerate(names):
        if all(i < len(case) for case in cases) and alike(outputs, [case[i] for case in cases]):
            return [f"`{name}` comes back as it went in."]
    return []


def _always_the_same(outputs, expected, known, cases, names) -> list[str]:
    if len(cases) < 3 or alike(expected[1:], [expected[0]] * (len(expected) - 1)):
        return []
    if alike(outputs[1:], [outputs[0]] * (len(outputs) - 1)):
        return [f"It is the same for every input: {show_value(outputs[0])}."]
    return []


def _kinds(outputs, expected, known, cases, names) -> list[str]:
    """Another kind of value than the one that is asked for, in every case."""
    mine, right = {_kind(each) for each in outputs}, {_kind(each) for each in expected}
    if len(mine) != 1 or len(right) != 1 or mine == right:
        return []
    (mine_, right_), sentence = (mine.pop(), right.pop()), ""
    converted = [_converted(each, one) for each, one in zip(outputs, expected, strict=True)]
    if all(each is not None and not difference(each, one, CLOSE)
           for each, one in zip(converted, expected, strict=True)):
        sentence = " The content is right."
    elif "tuple" in right_ or "list" in right_:
        place = [i for i in range(min(map(len, expected)))
                 if all(not difference(each, one[i], CLOSE) for each, one in zip(outputs, expected, strict=True))]
        sentence = f" It is part {place[0] + 1} of what is asked for." if place else ""
    return [f"It is {mine_}, and {right_} is asked for.{sentence}"]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "True or False"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, (list, tuple)):
        return "a list or tuple"
    if isinstance(value, Mapping):
        return "a dictionary"
    names = {str: "a text (str)", bytes: "bytes", Tensor: "a tensor", set: "a set", type(None): "None"}
    name = type(value).__name__
    return names.get(type(value), f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}")


def _converted(value: Any, expected: Any) -> Any:
    """The value as the expected kind, where that can be done without a guess."""
    try:
        if isinstance(expected, Counter):
            return Counter(value)
        if isinstance(expected, str):
            return value.decode() if isinstance(value, bytes) else next(
                (joined for joined in (between.join(value) for between in ("", ".", " ")) if joined == expected), None)
        if isinstance(expected, bytes):
            return value.encode() if isinstance(value, str) else b"".join(value)
        if isinstance(expected, Tensor):
            return torch.stack(list(value)) if isinstance(value[0], Tensor) else torch.tensor(value)
        if isinstance(expected, (list, tuple)):
            return value.tolist() if isinstance(value, Tensor) else list(value)
        if isinstance(expected, (int, float)) and not isinstance(value, Tensor):
            return float(value)
        return value.item() if isinstance(value, Tensor) else None
    except Exception:                                  # noqa: BLE001 - what cannot be converted is not the same
        return None


PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")


def _parts(outputs, expected, known, cases, names) -> list[str]:
    """A tuple of so many parts: which of them are wrong, and how."""
    sizes = {len(each) if isinstance(each, (list, tuple)) else -1 for each in [*outputs, *expected]}
    if len(sizes) != 1 or not 2 <= (size := sizes.pop()) <= 6 or not all(isinstance(each, tuple) for each in expected):
        return []
    for i in range(size):
        for j in range(i + 1, size):
            turned = [(*each[:i], each[j], *each[i + 1:j], each[i], *each[j + 1:]) for each in expected]
            if alike(outputs, turned):
                return [f"The {PLACES[i]} part and the {PLACES[j]} are exchanged."]
    wrong = [i for i in range(size) if not alike([each[i] for each in outputs], [each[i] for each in expected], 1e-5)]
    right = " and ".join(PLACES[i] for i in range(size) if i not in wrong)
    found = []
    if right:
        found.append(f"Of the {size} parts the {right} {'is' if len(wrong) == size - 1 else 'are'} right.")
    for i in wrong if len(wrong) <= 2 or not found else ():
        inside = facts([each[i] for each in outputs], [each[i] for each in expected], cases, names)
        found += [f"The {PLACES[i]} part: {sentence[0].lower()}{sentence[1:]}" for sentence in inside[:1]]
    return found
