"""`same` and `difference`: what counts as equal, and what is said when it is not."""
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
    (1.0, 1.0 + 1e-7), (1000.0, 1000.005), (1, 1.0), (float("nan"), float("nan")), ("a", "a"),
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
    ("1", 1, "a str instead of an int"),
])
def test_differences_are_named(mine, other, said):
    assert difference(mine, other, 1e-5) == said


def test_large_values_are_written_short():
    assert show_value(torch.zeros(100, 100)) == "a tensor of shape (100, 100)"
    assert show_value(torch.tensor([0.25, 1e-9])) == "tensor([0.25, 0.0])"
    assert len(show_value("x" * 1000)) <= 160
