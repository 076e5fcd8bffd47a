"""Say what is true of wrong texts, lists and dictionaries in every case: what they lack, have too much, or turn."""
from __future__ import annotations

from collections.abc import Mapping

from minillm.notebook.agreement import difference, show_value
from minillm.notebook.judging.figures import CLOSE


def texts(outputs, expected, known, cases, names) -> list[str]:
    if not all(isinstance(each, type(right)) and isinstance(right, (str, bytes))
               for each, right in zip(outputs, expected, strict=True)):
        return []
    wrong = [(mine, right) for mine, right in zip(outputs, expected, strict=True) if mine != right]
    for mine, right, word in ((0, 1, "lacks"), (1, 0, "has, too much,")):
        ends = {pair[right][len(pair[mine]):] for pair in wrong if pair[right].startswith(pair[mine])}
        starts = {pair[right][:len(pair[right]) - len(pair[mine])] for pair in wrong
                  if pair[right].endswith(pair[mine])}
        for found, place, test in ((ends, "its end", "startswith"), (starts, "its beginning", "endswith")):
            if len(found) == 1 and all(getattr(pair[right], test)(pair[mine]) for pair in wrong):
                return [f"Wherever it is wrong, it {word} {show_value(found.pop())} at {place}."]
    return []


def lists(outputs, expected, known, cases, names) -> list[str]:
    if not all(isinstance(each, (list, tuple)) for each in [*outputs, *expected]):
        return []
    pairs = [(list(mine), list(right)) for mine, right in zip(outputs, expected, strict=True)]
    wrong = [(mine, right) for mine, right in pairs if difference(mine, right, CLOSE)]
    holds = {
        "The right elements, in reverse order.": lambda mine, right: mine == right[::-1],
        "The right elements, in another order.":
            lambda mine, right: sorted(map(repr, mine)) == sorted(map(repr, right)),
        "It ends too early: what is there is right.": lambda mine, right: mine == right[:len(mine)],
        "It begins too late: what is there is right.": lambda mine, right: mine == right[len(right) - len(mine):],
        "It goes on too long: the right elements, and then more.": lambda mine, right: mine[:len(right)] == right,
        "Wherever it is wrong, it is too long.": lambda mine, right: len(mine) > len(right),
        "Wherever it is wrong, it is too short.": lambda mine, right: len(mine) < len(right),
        "As many elements as asked for, but not the same.": lambda mine, right: len(mine) == len(right)}
    for words, test in holds.items():
        try:
            if wrong and all(test(mine, right) for mine, right in wrong):
                return [words]
        except (TypeError, ValueError, RuntimeError):
            continue
    return []


def counts(outputs, expected, known, cases, names) -> list[str]:
    if not all(isinstance(each, Mapping) for each in [*outputs, *expected]):
        return []
    pairs = list(zip(outputs, expected, strict=True))
    wrong = [(mine, right) for mine, right in pairs if difference(mine, right, CLOSE)]
    holds = {
        "The keys are right, and every value is 1.":
            lambda mine, right: mine.keys() == right.keys() and set(mine.values()) == {1},
        "The keys are right, the values are not.": lambda mine, right: mine.keys() == right.keys(),
        "What is there is right, but keys are lacking.":
            lambda mine, right: mine.keys() < right.keys() and all(mine[key] == right[key] for key in mine),
        "All that is asked for is there, with keys too many.":
            lambda mine, right: mine.keys() > right.keys() and all(mine[key] == right[key] for key in right),
        "The values are right, the keys are not.":
            lambda mine, right: sorted(map(repr, mine.values())) == sorted(map(repr, right.values())),
        "Keys are lacking.": lambda mine, right: bool(right.keys() - mine.keys()),
        "There are keys too many.": lambda mine, right: bool(mine.keys() - right.keys()),
        "Wherever it is wrong, a value is too small.":
            lambda mine, right: all(mine.get(key, 0) <= right[key] for key in right),
        "Wherever it is wrong, a value is too large.":
            lambda mine, right: all(mine.get(key, 0) >= right[key] for key in right)}
    for words, test in holds.items():
        try:
            if wrong and all(test(mine, right) for mine, right in wrong):
                return [words]
        except TypeError:
            continue
    return []
