"""A fast twin is the line that is read: same values, same gradients, same second derivatives."""
from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from minillm.layers import HeadNorm, ReLU2, RMSNorm, RoPE


class Placed(RoPE):
    """RoPE at positions that are no count from 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x, torch.tensor([3, 4, 0, 9, 100]))


PARTS = {"RoPE": lambda: Placed(8), "RoPE of a part": lambda: Placed(8, fraction=0.5),
         "RMSNorm": lambda: RMSNorm(8), "RMSNorm without its gain": lambda: RMSNorm(8, weight=False),
         "HeadNorm": lambda: HeadNorm(4), "ReLU2": lambda: ReLU2(8, 12),
         "ReLU2 with biases": lambda: ReLU2(8, 12, bias=True)}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    part = PARTS[name]().double()
    for weight in part.parameters():
        nn.init.normal_(weight)
    return part


def readable(part: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The line that `show` shows; HeadNorm's norms one head after the other."""
    if isinstance(part, HeadNorm):
        return torch.cat([inspect.unwrap(RMSNorm.forward)(part, head) for head in x.split(4, dim=-1)], dim=-1)
    if isinstance(part, RoPE):
        return inspect.unwrap(RoPE.forward)(part, x, torch.tensor([3, 4, 0, 9, 100]))
    return inspect.unwrap(type(part).forward)(part, x)


@pytest.mark.parametrize("name", PARTS)
def test_a_twin_has_the_values_and_gradients_of_the_line_that_is_read(name):
    part, x = made(name), torch.randn(3, 5, 8, dtype=torch.double, requires_grad=True)
    learned, g = [x, *part.parameters()], torch.randn(3, 5, 8, dtype=torch.double)
    fast, slow = part(x), readable(part, x)
    torch.testing.assert_close(fast, slow)
    for ours, theirs in zip(torch.autograd.grad(fast, learned, g), torch.autograd.grad(slow, learned, g)):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", PARTS)
def test_where_nothing_is_learned_it_is_the_line_that_is_read_too(name, dtype):
    part, x = made(name).to(dtype), torch.randn(3, 5, 8, dtype=dtype)
    with torch.no_grad():
        near = dict(atol=1e-5, rtol=1e-5) if dtype == torch.float32 else dict(atol=0.1, rtol=0.05)  # 8 bits
        torch.testing.assert_close(part(x), readable(part, x).to(dtype), **near)


@pytest.mark.parametrize("name", ["RoPE", "RoPE of a part"])
def test_halves_are_turned_to_the_same_bits(name):
    part, x = made(name).float(), torch.randn(3, 5, 8, requires_grad=True)
    fast, slow = part(x), readable(part, x)
    assert torch.equal(fast, slow) and torch.equal(part(x.detach()), slow)
    with torch.no_grad():
        assert torch.equal(part(x), slow)
    g = torch.randn(3, 5, 8)
    assert torch.equal(*(torch.autograd.grad(y, x, g)[0] for y in (fast, slow)))


def test_a_large_number_in_16_bits_has_its_norm_also_where_nothing_is_learned():
    x = torch.full((1, 8), 300.0, dtype=torch.float16)  # its square is beyond them
    with torch.no_grad():
        assert torch.equal(RMSNorm(8).half()(x), torch.ones_like(x))


@pytest.mark.parametrize("name", PARTS)
def test_second_derivatives_are_those_of_the_line_that_is_read(name):
    part, x = made(name), torch.randn(3, 5, 8, dtype=torch.double, requires_grad=True)
    learned, directions = [x, *part.parameters()], None
    found = []
    for run in (part, lambda x: readable(part, x)):
        first = torch.autograd.grad(run(x).sin().sum(), learned, create_graph=True)
        torch.manual_seed(1)
        directions = [torch.randn_like(each) for each in first]
        along = sum((a * b).sum() for a, b in zip(first, directions))
        found.append(torch.autograd.grad(along, learned))
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradgradcheck(part, (x,))


def test_what_is_shown_is_one_line_and_its_twin_runs():
    for part in (RMSNorm, ReLU2):
        source = inspect.getsource(inspect.unwrap(part.forward))
        assert source.count("\n") == 3 and "return self." in source
        assert inspect.unwrap(part.forward) is not part.forward


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("frozen", ["the gain", "the vectors"])
def test_a_norm_of_which_a_part_is_frozen(frozen, again):
    part, x = made("RMSNorm"), torch.randn(8, dtype=torch.double)       # one vector alone
    learned = x.requires_grad_() if frozen == "the gain" else part.weight
    part.weight.requires_grad_(frozen != "the gain")
    slopes = []
    for y in (part(x), readable(part, x)):
        slope, = torch.autograd.grad(y.square().sum(), learned, create_graph=again)
        slopes.append(torch.autograd.grad(slope.square().sum(), learned)[0] if again else slope)
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("name", ["RMSNorm", "RMSNorm without its gain", "HeadNorm"])
def test_in_16_bits_a_norm_has_its_gradients_but_for_rounding(name):
    exact, x, g = made(name), torch.randn(64, 8, dtype=torch.double), torch.randn(64, 8, dtype=torch.double)
    found = {}
    for dtype in (torch.double, torch.bfloat16, torch.float16):
        part, each = made(name).float() if dtype != torch.double else exact, x.to(dtype).requires_grad_()
        y = part(each)
        found[dtype] = [y, *torch.autograd.grad(y, [each, *part.parameters()], g.to(y.dtype))]
        assert y.dtype == dtype
    for dtype, near in ((torch.bfloat16, 0.02), (torch.float16, 0.003)):
        for ours, theirs in zip(found[dtype], found[torch.double], strict=True):
            assert (ours.double() - theirs).norm() < near * theirs.norm()
