"""What is said of a wrong answer whatever its cause is true of it, and nothing that an answer gives breaks a check."""
import random

import pytest
import torch

from minillm.notebook.checks import CRASHED, WRONG, Exercise, Solution, verdict
from minillm.notebook.judging.facts import facts

NUMBERS = [2.0, 5.0, 7.5, 11.0]
TABLES = [torch.randn(4, 6, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
SHARES = [each.softmax(-1) for each in TABLES]
TEXTS = ["one", "three", "seven", "eight"]
LISTS = [[3, 1, 2], [9, 4], [5, 7, 6, 8], [1, 2]]


def told(right, change, known=None, names=()):
    """The facts about answers that are the right ones, changed."""
    given = [change(each, *arguments) for each, arguments in zip(right, known or [()] * len(right), strict=True)]
    return " ".join(facts(given, right, known or [(i,) for i in range(len(right))], names))


@pytest.mark.parametrize("change, said", [
    (lambda x: 2 * x, "too large, by exactly the factor 2"),
    (lambda x: x / 4, "too small, by exactly the factor 4"),
    (lambda x: x + 3, "Always exactly 3 too much"),
    (lambda x: -x, "Only the sign is wrong"),
    (lambda x: 1 / x, "1 divided by the right value"),
    (lambda x: x ** 2, "the square of the right value"),
    (lambda x: 4.0, "the same for every input: 4"),
    (lambda x: str(x), "It is a text (str), and a number is asked for"),
])
def test_a_fact_about_numbers_names_what_was_done_to_all_of_them(change, said):
    assert said in told(NUMBERS, change)


def test_a_factor_and_a_shift_are_called_by_the_arguments_that_they_are():
    sizes = [(3,), (4,), (7,), (9,)]
    assert "the factor `n_layers`" in told(NUMBERS, lambda x, n: x * n, sizes, ["n_layers"])
    assert "exactly `d` too little" in told(NUMBERS, lambda x, d: x - d, sizes, ["d"])
    assert "`d` comes back as it went in" in told(NUMBERS, lambda x, d: float(d), sizes, ["d"])


@pytest.mark.parametrize("change, said", [
    (lambda x: x.T, "of another shape"),
    (lambda x: x.flip(0), "in reverse order along the first axis"),
    (lambda x: torch.cat([x[:, 3:], x[:, :3]], 1), "the two halves of the last axis exchanged"),
    (lambda x: torch.stack([x[:, :3], x[:, 3:]], -1).flatten(1), "halves of the last axis side by side"),
    (lambda x: torch.cat([x[:, ::2], x[:, 1::2]], 1), "every other one moved to the second half"),
    (lambda x: x[[1, 3, 0, 2]], "in another order"),
    (lambda x: x * x.abs().amax(-1, keepdim=True), "Each row is the right one times a factor of its own"),
    (lambda x: x / x.abs().max(), "Each case is the right one times a factor of its own"),
    (lambda x: torch.cat([x[:1], x[1:] + x[1:] ** 2 + 1]), "the first row is right each time"),
    (lambda x: torch.cat([x[:, :-1], x[:, -1:] ** 2 + 1], 1), "wrong only in the last column"),
    (lambda x: x + x.abs() + 0.1, "Wherever it is wrong, it is too large"),
    (lambda x: x > 0, "It holds True or False instead of numbers"),
    (lambda x: x[0], "It has 1 axes, and 2 are asked for"),
    (lambda x: x[:, :-1], "axis 1 is 1 too short"),
])
def test_a_fact_about_tensors_names_what_was_done_to_all_of_them(change, said):
    assert said in told(TABLES, change)


def test_sums_along_the_wrong_axis_are_seen():
    assert "sum to 1 along axis 1, yours do not; yours do along axis 0" in " ".join(
        facts([each.softmax(0) for each in TABLES], SHARES, [()] * 4, []))


@pytest.mark.parametrize("change, said", [
    (lambda x, gain: x + gain, "plus `gain`"), (lambda x, gain: x - gain, "less `gain`"),
    (lambda x, gain: x * gain, "times `gain`"), (lambda x, gain: x / gain, "divided by `gain`")])
def test_an_argument_too_many_is_called_by_its_name(change, said):
    gains = [(torch.rand(6, generator=torch.Generator().manual_seed(seed)) + 0.5,) for seed in range(4)]
    assert said in told(TABLES, change, gains, ["gain"])


def test_a_wrong_length_is_called_by_what_it_is():
    cases = [(torch.zeros(n), size) for n, size in ((2, 5), (3, 4), (5, 9))]
    right = [torch.zeros(size, 2) for _, size in cases]
    given = [torch.zeros(len(x), 2) for x, _ in cases]
    assert facts(given, right, cases, ["ids", "vocab_size"]) == [
        "Axis 0 should be as long as `vocab_size`, not `ids.shape[0]`."]


@pytest.mark.parametrize("right, change, said", [
    (TEXTS, lambda x: x + "!", "has, too much, '!' at its end"),
    ([f"<{each}" for each in TEXTS], lambda x: x[1:], "lacks '<' at its beginning"),
    (LISTS, lambda x: x[::-1], "in reverse order"),
    (LISTS, sorted, "in another order"),
    (LISTS, lambda x: x[:-1], "ends too early"),
    (LISTS, lambda x: [*x, 0], "goes on too long"),
    ([dict.fromkeys(each, 3) for each in TEXTS], lambda x: dict.fromkeys(x, 1), "every value is 1"),
    ([dict.fromkeys(each, 3) for each in TEXTS], lambda x: dict(list(x.items())[1:]), "keys are lacking"),
    ([(a, a + 1.0) for a in NUMBERS], lambda x: x[::-1], "The first part and the second are exchanged"),
    ([(a, a + 1.0) for a in NUMBERS], lambda x: (x[0], 2 * x[1]), "Of the 2 parts the first is right"),
    ([(a, a + 1.0) for a in NUMBERS], lambda x: x[1], "It is part 2 of what is asked for"),
])
def test_a_fact_about_contents_names_what_was_done_to_all_of_them(right, change, said):
    assert said in told(right, change)


def test_where_only_some_cases_are_wrong_the_fact_is_of_these():
    given = [each if i == 0 else 2 * each for i, each in enumerate(NUMBERS)]
    assert facts(given, NUMBERS, [()] * 4, []) == ["Where it is wrong: always too large, by exactly the factor 2."]


@pytest.mark.parametrize("right", [NUMBERS, TABLES, SHARES, TEXTS, LISTS], ids=["numbers", "tables", "shares",
                                                                               "texts", "lists"])
def test_of_right_answers_no_fault_is_told(right):
    assert facts(right, right, [(i,) for i in range(len(right))], ["seed"]) == []


class Hostile:
    """What raises at everything that one could ask it."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    __eq__ = __len__ = __iter__ = __bool__ = __repr__ = lambda self, *others: 1 / 0
    __hash__ = None


class Sulking(float):
    __sub__ = __rsub__ = __truediv__ = __eq__ = lambda self, *others: 1 / 0
    __hash__ = float.__hash__


ITSELF: list = []
ITSELF.append(ITSELF)
ODD = {
    "hostile": Hostile(), "hostile inside": [Hostile()], "hostile pair": (Hostile(), 1.0), "sulking": Sulking(1.0),
    "a list of itself": ITSELF, "infinite": float("inf"), "no number": float("nan"), "huge": 10 ** 400, "complex": 1j,
    "lone surrogate": "\ud800", "bytes": b"\xff", "a type": int, "empty": [], "mixed keys": {1: "a", "b": 2},
    "sparse": torch.eye(3).to_sparse(), "without data": torch.empty(3, 3, device="meta"), "no elements": torch.empty(0),
    "complex tensor": torch.ones(3, dtype=torch.complex64), "NaN tensor": torch.full((4, 6), float("nan")),
    "no axes": torch.tensor(1.0), "whole": torch.ones(4, 6, dtype=torch.int64), "half": torch.ones(4, 6).half(),
    "list of tensors": [torch.ones(2), torch.ones(3)], "an array": torch.ones(2).numpy().astype(object)}
ASKED = {"a number": 1.5, "a whole number": 3, "a text": "abc", "bytes": b"abc", "a list": [1, 2],
         "a pair": (torch.ones(2), 1.0), "a tensor": torch.arange(24.0).reshape(4, 6), "truths": torch.ones(2) > 0,
         "a dictionary": {"a": 1}, "a truth": True}


@pytest.mark.parametrize("asked", ASKED)
def test_whatever_an_answer_gives_the_check_says_that_it_is_wrong(asked):
    exercise = Exercise("99.1", "Odd", points=1, minutes=1, difficulty="easy", cases=lambda random: [(1,), (2,), (3,)])
    solution = Solution(lambda i: ASKED[asked], {"twice": lambda i: [ASKED[asked]] * 2, "fails": lambda i: 1 // 0})
    for name, value in ODD.items():
        for answer in (lambda i, value=value: value, lambda i, value=value: value if i > 1 else ASKED[asked]):
            found = verdict(exercise, answer, solution=solution, seeds=[0])
            assert found.status == WRONG and str(found).startswith("✗ 99.1: your function, given"), name


def test_a_fact_that_raises_is_no_fact(monkeypatch):
    from minillm.notebook.judging import facts as home
    monkeypatch.setattr(home, "numbers", lambda *given: 1 / 0)
    assert home.facts([2.0, 4.0], [1.0, 3.0], [(0,), (1,)], []) == []


@pytest.mark.parametrize("raised", [SystemExit, KeyError("a"), RecursionError, MemoryError, StopIteration,
                                    type("Mute", (Exception,), {"__str__": lambda self: 1 / 0})])
def test_whatever_an_answer_raises_is_said(raised):
    def answer(number):
        raise raised
    exercise = Exercise("99.1", "Odd", points=1, minutes=1, difficulty="easy", cases=lambda random: [(1,), (2,)])
    found = verdict(exercise, answer, solution=Solution(lambda number: 2 * number), seeds=[0])
    assert found.status == CRASHED and "raise raised" in found.message


def test_cases_with_what_is_random_stay_as_they_are():
    cases = [(random.Random(0).random(),)]
    assert "`x` comes back" in told([0.5], lambda right, x: x, cases, ["x"])
