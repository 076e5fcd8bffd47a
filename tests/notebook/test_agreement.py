"""`same` and `difference`: what counts as equal, and what is said when it is not."""
import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from minillm.notebook.agreement import difference, same, show_value


class Scale(nn.Module):
    def __init__(self, power=1):
        super().__init__()
        self.weight, self.power = nn.Parameter(torch.rand(3)), power

    def forward(self, x):
        return x * self.weight**self.power


def test_same_copies_the_librarys_weights(capsys):
    mine, library = Scale(), Scale()
    same(mine, library, torch.randn(2, 3))
    assert torch.equal(mine.weight, library.weight)
    assert capsys.readouterr().out == "same: outputs and gradients agree (1 weight copied)\n"


def test_same_finds_another_output():
    with pytest.raises(AssertionError, match="the output differs"):
        same(Scale(power=2), Scale(), torch.ones(3))


def test_same_finds_another_gradient_behind_an_equal_output():
    def detached(x):
        return x.detach() * 2 + 0 * x
    with pytest.raises(AssertionError, match="gradient of the inputs differs"):
        same(detached, lambda x: x * 2, torch.ones(3))


def test_same_finds_another_gradient_of_the_weights():
    class Frozen(Scale):
        def forward(self, x):
            return x * self.weight.detach() + 0 * self.weight
    with pytest.raises(AssertionError, match="gradient of the weights differs"):
        same(Frozen(), Scale(), torch.ones(3))


@pytest.mark.parametrize("mine, said", [
    (nn.Linear(3, 3), "you have a weight named 'bias'|has a weight named 'bias'"),
    (nn.Linear(4, 3, bias=False), r"weight has shape \(3, 4\), the library's \(3, 3\)"),
])
def test_same_names_the_weight_that_does_not_fit(mine, said):
    with pytest.raises(AssertionError, match=said):
        same(mine, nn.Linear(3, 3, bias=False), torch.randn(3))


def test_same_leaves_the_callers_inputs_and_random_numbers_alone():
    x = torch.randn(3)
    kept, state = x.clone(), torch.get_rng_state()
    same(nn.Dropout(0.5), nn.Dropout(0.5), x)
    assert torch.equal(x, kept) and not x.requires_grad and torch.equal(torch.get_rng_state(), state)


def test_same_compares_functions_of_anything(capsys):
    same(lambda text: list(text.encode()), lambda text: [*bytes(text, "utf-8")], "né")
    assert capsys.readouterr().out == "same: outputs agree\n"


@pytest.mark.parametrize("mine, other", [
    (1.0, 1.0 + 1e-7), (0.9999999, 1), (2e15 + 0.5, 2 * 10**15),
    (1000.0, 1000.005), (1, 1.0), (float("nan"), float("nan")), ("a", "a"),
    ([1, (2.0,)], [1, (2.0,)]),
    (torch.tensor([1.0, float("inf")]), torch.tensor([1.0 + 1e-7, float("inf")])), ({"a": 1}, {"a": 1}), (True, True),
])
def test_equal_enough(mine, other):
    assert difference(mine, other, 1e-5) == ""


@pytest.mark.parametrize("mine, other, said", [
    (1.0, 1.1, "1 instead of 1.1"), (2, 3, "2 instead of 3"), (True, 1, "True instead of 1"),
    ([1, 2], [1, 2, 3], "2 elements instead of 3"), ([1, [2, 5]], [1, [2, 4]], "at [1], at [1], 5 instead of 4"),
    ("a", "b", "'a' instead of 'b'"), ({"a": 1}, {"b": 1}, "the keys differ: ['b'] lacking, ['a'] too many"),
    (torch.zeros(2, 3), torch.zeros(3, 2), "shape (2, 3) instead of (3, 2)"),
    (torch.zeros(2), [0.0, 0.0], "a Tensor instead of a list"),
    (torch.tensor([0.0, float("nan")]), torch.tensor([0.0, 1.0]), "at [1], nan instead of 1 (1 of 2 differ)"),
    (torch.tensor([0]), torch.tensor([0.0]), "torch.int64 instead of torch.float32"),
    ("1", 1, "a str instead of an int"), (8030261248.0, 8030261249, "8030261248 instead of 8030261249"),
])
def test_differences_are_named(mine, other, said):
    assert difference(mine, other, 1e-5) == said


def test_large_values_are_written_short():
    assert show_value(torch.zeros(100, 100)) == "a tensor of shape (100, 100)"
    assert show_value(torch.tensor([0.25, 1e-9])) == "tensor([0.25, 0.0])"
    assert len(show_value("x" * 1000)) <= 160


SIGNS = [0.0, 3.0, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("wrap", [float, torch.tensor, lambda x: torch.tensor([1.0, x]), lambda x: [x], np.float64,
                                  lambda x: np.array([1.0, x])])
@pytest.mark.parametrize("mine, other", list(product(SIGNS, SIGNS)))
def test_infinities_and_nan_agree_only_with_themselves(mine, other, wrap):
    alike = mine == other or (math.isnan(mine) and math.isnan(other))
    assert (difference(wrap(mine), wrap(other), 1e-5) == "") == alike


def test_same_tells_scores_with_a_mask_from_scores_without():
    def masked(scores):
        return scores.masked_fill(torch.ones(3, 3).triu(1).bool(), -math.inf)
    with pytest.raises(AssertionError, match="instead of -inf"):
        same(lambda scores: scores * 1.0, masked, torch.ones(3, 3))


@pytest.mark.parametrize("value, expected", [
    (torch.tensor(3), 3), (torch.tensor(0.5), 0.5), (np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True),
    (0.5, torch.tensor(0.5)), (2, torch.tensor(2)), ((1, (2,)), [1, [2]]), ([1, [2]], (1, (2,))),
    ([torch.tensor(3), np.int64(4)], [3, 4]), (np.ones(3, dtype=np.float32), torch.ones(3)), (bytearray(b"a"), b"a"),
    (Counter(a=1, b=0), Counter(a=1)), ({"a": 1, "b": 0}, Counter(a=1)), ((b"a", torch.tensor(1.0)), [b"a", 1.0]),
])
def test_how_a_value_is_wrapped_does_not_matter(value, expected):
    assert difference(value, expected, 1e-5) == ""


@pytest.mark.parametrize("value, expected", [
    (torch.tensor([3]), 3), ("3", 3), (b"a", "a"), (3, [3]), (True, 1), (torch.tensor(True), 1), ({1: 2}, [(1, 2)]),
    (True, torch.tensor(1.0)), (Counter(a=1), Counter(a=1, b=2)), (iter([1]), [1]), ([[1]], [(1, 2)]),
])
def test_another_kind_of_value_is_not_unwrapped(value, expected):
    assert difference(value, expected, 1e-5)


def test_whole_numbers_in_tensors_agree_exactly():
    assert difference(torch.tensor([1_000_000]), torch.tensor([1_000_001]), 1e-5)
    assert difference(torch.tensor([2**62]), torch.tensor([2**62 + 1]), 1e-5)


def test_a_value_that_cannot_be_written_is_named_by_its_kind():
    class Mute:
        def __repr__(self):
            raise RuntimeError("no")
    assert show_value(Mute()) == show_value([Mute()])[1:-1] == "a Mute whose repr raises RuntimeError"
    assert show_value([0.1] * 10**6).endswith("…")
