"""The loss by pieces is the line that is read: same values, same gradients, same second derivatives."""
from __future__ import annotations

import inspect

import pytest
import torch

from minillm.surprise import Surprise
from minillm.training import next_token_loss


@pytest.mark.parametrize("piece", [7, 40, 1 << 18])      # a row at a time, some, all at once
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_and_its_gradient_are_those_of_the_line_that_is_read(dtype, piece, monkeypatch):
    monkeypatch.setattr(Surprise, "piece", piece)
    torch.manual_seed(0)
    logits = (9 * torch.randn(3, 4, 11)).to(dtype).requires_grad_()
    logits.data[2, 3, 5] = 300.0                                      # as sure as can be, of what does not come
    targets = torch.randint(11, (3, 4))
    targets[0, 1:3], targets[2, 3] = -100, 0
    found = []
    for loss in (next_token_loss, inspect.unwrap(next_token_loss)):
        value = loss(logits, targets=targets)
        found.append([value, *torch.autograd.grad(3 * value, logits)])
    near = dict(atol=1e-6, rtol=1e-5) if dtype == torch.float32 else dict(atol=1e-4, rtol=0.01)
    torch.testing.assert_close(found[0], found[1], **near)
    assert found[0][1].dtype == dtype and found[0][0].dtype == torch.float32 and (found[0][1][0, 1:3] == 0).all()


def test_the_loss_s_second_derivatives_are_those_of_the_line_that_is_read():
    torch.manual_seed(0)
    logits, along = torch.randn(2, 3, 5, requires_grad=True), torch.randn(2, 3, 5)
    targets = torch.tensor([[1, -100, 0], [4, 4, 2]])
    first = [torch.autograd.grad(loss(logits, targets).square(), logits, create_graph=True)[0]
             for loss in (next_token_loss, inspect.unwrap(next_token_loss))]
    second = [torch.autograd.grad((each * along).sum(), logits)[0] for each in first]
    torch.testing.assert_close(*first)
    torch.testing.assert_close(*second)


def test_the_loss_keeps_no_second_copy_of_its_logits_and_refuses_what_is_no_target():
    logits = torch.randn(2, 3, 5, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each) or each, lambda each: each):
        loss = next_token_loss(logits, torch.full((2, 3), -100))
        assert loss.item() == 0 and sum(each.is_floating_point() and each.numel() == 30 for each in kept) == 2
    assert (torch.autograd.grad(loss, logits)[0] == 0).all()
    for wrong in (-1, 5):
        with pytest.raises(IndexError, match=f"{wrong} is out of bounds"):
            next_token_loss(logits, torch.full((2, 3), wrong))
