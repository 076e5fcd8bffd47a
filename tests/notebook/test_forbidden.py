"""What an exercise forbids is found however it is written, and honest code is left alone."""
import ast
import codecs
import functools
import math
from math import fsum as total

import pytest
import torch
import torch.nn.functional as F

from minillm.notebook.checks import PASSED, WRONG, Exercise, Solution, verdict
from minillm.notebook.judging.forbidden import covers, forbidden_in, mentioned, uses

short = F.cross_entropy


def inner(x):
    return torch.softmax(x, 0)


def outer(x):
    return inner(x)


class Layer(torch.nn.Module):
    def forward(self, x):
        return torch.softmax(x, 0)


def itself(x):
    return itself(x[1:]) if len(x) else 0


def plain(x):
    return torch.exp(x) / torch.exp(x).sum()


def sums(x):
    return total(x)


def by_short(x, y):
    return short(x, y)


def by_import(x):
    import codecs as c
    return c.encode(x)


def kept_in_a_closure():
    call = torch.softmax

    def answer(x):
        return call(x, 0)
    return answer


@pytest.mark.parametrize("source, forbid", [
    ("torch.softmax(x, 0)", "torch.softmax"), ("import torch as t\nt.softmax(x, 0)", "torch.softmax"),
    ("from torch import softmax as s\ns(x, 0)", "torch.softmax"), ("F.cross_entropy(x, y)", "cross_entropy"),
    ("F.cross_entropy(x, y)", "torch.nn.functional.cross_entropy"), ("nn.functional.cross_entropy(x)", "cross_entropy"),
    ("from torch.nn.functional import cross_entropy as ce\nce(x, y)", "cross_entropy"),
    ("import torch.optim", "torch.optim"), ("torch.optim.AdamW(p)", "torch.optim"), ("import codecs", "codecs"),
    ("from codecs import encode", "codecs"), ("'a'.encode()", ".encode"), ("str.encode('a')", ".encode"),
    ("loss.backward()", ".backward"), ("loss.backward()", "backward"), ("x.softmax(0)", "torch.Tensor.softmax"),
    ("x.y.z.softmax(0)", "Tensor.softmax"), ("minillm.layers.RMSNorm", "minillm"), ("x.__class__", "__class__"),
    ("keep = F.rms_norm", "rms_norm"), ("def f(x):\n    return rms_norm(x)", "rms_norm"),
    ("def rms_norm(x):\n    return F.rms_norm(x)", "rms_norm"), ("[bytes(c) for c in x]", "bytes")])
def test_a_forbidden_name_is_found_however_it_is_written(source, forbid):
    assert forbidden_in(ast.parse(source), [forbid]) == [forbid]


@pytest.mark.parametrize("source, forbid", [
    ("torch.softplus(x)", "torch.softmax"), ("softmax = 1\nsoftmax + 1", "torch.softmax"),
    ("optimise(x)", "torch.optim"),
    ("torch.optimize", "torch.optim"), ("'cross_entropy'", "cross_entropy"),
    ("cross_entropy_of_mine(x)", "cross_entropy"),
    ("def rms_norm(x):\n    return x\n\ncheck('04.2', rms_norm)", "rms_norm"),
    ("x.encoded", ".encode"), ("encode(x)", ".encode"), ("# torch.softmax\nx", "torch.softmax"),
    ("x.exp() / x.exp().sum()", "torch.softmax"), ("statistic.mean", "statistics"), ("bytes_of(x)", "bytes")])
def test_honest_code_is_left_alone(source, forbid):
    assert forbidden_in(ast.parse(source), [forbid]) == []


@pytest.mark.parametrize("answer, forbid", [
    (inner, "torch.softmax"), (outer, "torch.softmax"), (Layer, "torch.softmax"), (sums, "math.fsum"),
    (by_short, "torch.nn.functional.cross_entropy"), (by_import, "codecs"), (kept_in_a_closure(), "torch.softmax"),
    (math.fsum, "math.fsum"), (codecs.encode, "_codecs"),
    (functools.wraps(inner)(lambda x: inner(x)), "torch.softmax")])
def test_what_a_function_uses_is_found_through_its_helpers_and_other_names(answer, forbid):
    assert uses(answer, [forbid, "never.used"]) == [forbid]


@pytest.mark.parametrize("answer", [itself, plain, len, lambda x: x])
def test_functions_that_use_nothing_of_it_are_left_alone(answer):
    assert uses(answer, ["torch.softmax", "torch.optim", "codecs", ".encode"]) == []


def test_a_name_covers_what_lies_below_it_and_nothing_beside_it():
    assert covers("torch.nn", "torch.nn.functional.silu")
    assert not covers("torch.nn", "torch.nnx")
    assert not covers("torch.nn.functional", "torch.nn")
    assert mentioned(ast.parse("import torch.nn as nn\nnn.Linear")) >= {"torch.nn", "torch.nn.Linear", ".Linear"}


def test_a_right_answer_by_what_is_forbidden_scores_nothing_and_is_told_what():
    exercise = Exercise("99.1", "Softmax", points=1, minutes=1, difficulty="easy", forbid=("softmax",),
                        cases=lambda random: [(torch.tensor([1.0, 2.0]),), (torch.zeros(3),)])
    found = verdict(exercise, outer, solution=Solution(plain), seeds=[0])
    assert found.status == WRONG
    assert "do without `softmax`" in found.message
    assert verdict(exercise, plain, solution=Solution(plain), seeds=[0]).status == PASSED
