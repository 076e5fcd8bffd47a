"""A cause is told where a mistake gives just what an answer gave, on every case, and nowhere else."""
import math

import pytest
import torch

from minillm.notebook.judging.causes import alike, derived, listed, pairs, run

CASES = [([1.0, 2.0, 6.0],), ([4.0, 5.0],), ([3.0, -1.0, 0.5, 8.0],)]
NEAR = 1e-6


def mean(numbers):
    return sum(numbers) / len(numbers)


def scaled(x, factor):
    total = 0.0
    for each in x:
        total += each * factor
    return total


MISTAKES = {"not divided": sum, "the median": lambda numbers: sorted(numbers)[len(numbers) // 2],
            "one too few": lambda numbers: sum(numbers) / (len(numbers) - 1),
            "fails": lambda numbers: numbers[9]}


def outcomes(function, cases=CASES):
    return list(run(function, cases))


@pytest.mark.parametrize("hint", MISTAKES)
def test_a_listed_mistake_is_told_where_it_does_the_same_failures_included(hint):
    assert listed(MISTAKES, CASES, outcomes(MISTAKES[hint]), NEAR) == [hint]


def test_a_listed_mistake_is_not_told_where_one_case_differs_or_fails_otherwise():
    assert listed(MISTAKES, CASES, outcomes(lambda x: sum(x) if len(x) > 2 else 0.0), NEAR) == []
    assert listed(MISTAKES, CASES, outcomes(lambda x: x["a"]), NEAR) == []
    assert listed(MISTAKES, CASES, outcomes(mean), NEAR) == []


def test_where_every_case_fails_what_is_said_must_be_the_same():
    assert not alike(outcomes(lambda x: x[9]), outcomes(lambda x: (1,)[3]), NEAR)
    assert alike(outcomes(lambda x: x[9]), outcomes(lambda x: x[8]), NEAR)
    assert not alike(outcomes(lambda x: x[2]), outcomes(mean), NEAR)


def test_a_value_to_be_found_is_compared_with_the_values_that_are_listed():
    assert listed({"in bits": 8, "in bytes": 1}, [()], outcomes(lambda: 8, [()]), NEAR, called=False) == ["in bits"]
    assert listed({"in bits": 8, "in bytes": 1}, [()], outcomes(lambda: 7, [()]), NEAR, called=False) == []


@pytest.mark.parametrize("change, answer", [
    ("`total += each * factor` is `total = each * factor`", lambda x, k: x[-1] * k),
    ("`each * factor` is `each`", lambda x, k: sum(x)),
    ("`each * factor` is `each / factor`", lambda x, k: sum(x) / k),
    ("`total += each * factor` is `total -= each * factor`", lambda x, k: -sum(x) * k),
    ("in `total = 0.0`, `0.0` is `1.0`", lambda x, k: 1 + sum(x) * k)])
def test_a_change_to_the_reference_is_told_where_it_does_the_same(change, answer):
    cases = [([1.0, 2.0], 3), ([4.0, -2.5, 0.5], 5), ([2.0], 7)]
    assert any(change in each for each in derived(scaled, cases, outcomes(answer, cases), NEAR))


@pytest.mark.parametrize("answer", [lambda x, k: sum(x) * k + 0.125 * len(x), lambda x, k: x["a"], lambda x, k: None])
def test_no_change_is_told_where_none_does_the_same(answer):
    cases = [([1.0, 2.0], 3), ([4.0, -2.5, 0.5], 5), ([2.0], 7)]
    assert derived(scaled, cases, outcomes(answer, cases), NEAR) == []


def test_of_changes_at_one_place_one_is_told():
    cases = [([1.0, 2.0], 1), ([4.0, -2.5], 1)]
    found = derived(scaled, cases, outcomes(lambda x, k: sum(x), cases), NEAR)    # times 1, by 1, without it: the same
    assert found
    assert len(found) == len({each.partition(" is ")[0] for each in found})


PARTS = {"the bias is left out": lambda x, w, b: x * w, "the bias counts twice": lambda x, w, b: x * w + 2 * b,
         "the weight counts twice": lambda x, w, b: 2 * x * w + b, "fails": lambda x, w, b: 1 // 0,
         "a text": lambda x, w, b: "no"}
LINES = [(2.0, 3.0, 5.0), (1.5, -2.0, 7.0), (4.0, 0.5, -3.0)]
RIGHT = [x * w + b for x, w, b in LINES]


def test_two_mistakes_at_once_add_in_a_sum_and_multiply_in_a_product():
    both = outcomes(lambda x, w, b: 2 * x * w, LINES)
    assert pairs(PARTS, LINES, both, RIGHT, NEAR) == [("the bias is left out", "the weight counts twice")]
    products = {"not halved": lambda x, y: x * y, "squared": lambda x, y: x * y * y / 2}
    cases = [(2.0, 3.0), (5.0, 7.0), (1.5, 4.0)]
    found = pairs(products, cases, outcomes(lambda x, y: x * y * y, cases), [x * y / 2 for x, y in cases], NEAR)
    assert found == [("not halved", "squared")]


def test_two_mistakes_at_once_are_seen_in_tensors_of_one_shape():
    cases = [(torch.arange(4.0) + i, 3.0, 5.0) for i in range(3)]
    right = [x * w + b for x, w, b in cases]
    found = pairs(PARTS, cases, outcomes(lambda x, w, b: 2 * x * w, cases), right, NEAR)
    assert found == [("the bias is left out", "the weight counts twice")]
    assert pairs({**PARTS, "sum": lambda x, w, b: x.sum()}, cases, outcomes(lambda x, w, b: x.sum(), cases), right,
                 NEAR) == []


@pytest.mark.parametrize("answer", [
    lambda x, w, b: x * w + b, lambda x, w, b: x + w + b, lambda x, w, b: x * w,
    lambda x, w, b: 1 // 0, lambda x, w, b: math.nan,
    lambda x, w, b: 2 * x * w if x == 2.0 else x * w + b])
def test_no_pair_is_told_of_right_single_failing_or_only_once_wrong_answers(answer):
    found = pairs(PARTS, LINES, outcomes(answer, LINES), RIGHT, NEAR)
    assert ("the bias is left out", "the weight counts twice") not in found


def test_no_pair_is_looked_for_where_the_right_values_are_no_numbers():
    assert pairs({"a": str, "b": repr}, [(1,), (2,)], outcomes(lambda x: "no", [(1,), (2,)]), ["x", "y"], NEAR) == []


def test_a_mistake_gets_copies_of_the_cases():
    cases = [([3.0, 1.0],)]
    outcomes(lambda x: x.clear(), cases)
    assert cases == [([3.0, 1.0],)]
