"""What is seen is what flowed, and looking changes nothing."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from minillm.inspection import capture, intervene, logit_lens, token_losses
from minillm.model import Transformer
from tests.variants import SMALL

TOKENS = torch.randint(31, (2, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(SMALL).eval()


def test_looking_changes_nothing_and_leaves_nothing(model):
    model.fuse()
    before = model(TOKENS)
    with capture(model, "blocks.*.attention.pattern", "blocks.*"):
        torch.testing.assert_close(model(TOKENS), before)
    assert all(not m._forward_hooks for m in model.modules())
    assert all(b.attention.fused for b in model.blocks)


def test_a_star_is_one_part_of_a_name(model):
    with capture(model, "blocks.*") as seen:
        model(TOKENS)
    assert list(seen) == ["blocks.0", "blocks.1"]


def test_what_is_captured_carries_gradients(model):
    with capture(model, "blocks.0.mlp") as seen:
        loss = model(TOKENS).square().mean()
    grad, = torch.autograd.grad(loss, seen["blocks.0.mlp"])
    assert grad.abs().sum() > 0


def test_an_unknown_name_is_answered_with_near_ones(model):
    with pytest.raises(ValueError, match=r"no submodule is called 'blocks.0.atention'; near it: .*blocks.0.attention"):
        with capture(model, "blocks.0.atention"):
            pass


def test_hooks_go_even_when_the_block_fails(model):
    with pytest.raises(ZeroDivisionError), intervene(model, {"blocks.*.mlp": lambda y: 1 / 0}):
        model(TOKENS)
    model(TOKENS)


@torch.no_grad()
def test_interventions_reach_what_comes_after(model):
    with intervene(model, {"blocks.0": torch.zeros_like}), capture(model, "blocks.*") as seen:
        model(TOKENS)
    torch.testing.assert_close(seen["blocks.1"], torch.zeros_like(seen["blocks.1"]), atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("change", [{}, {"norm_order": "post"}, {"logit_softcap": 2.0}])
def test_the_last_row_of_the_lens_is_the_model(change):
    model = Transformer(replace(SMALL, **change)).eval()
    lens = logit_lens(model, TOKENS)
    assert lens.shape == (2, 2, 12, 31)
    torch.testing.assert_close(lens[-1], model(TOKENS))


@torch.no_grad()
def test_token_losses_average_to_the_cross_entropy(model):
    losses = token_losses(model, TOKENS)
    assert losses.shape == (2, 11)
    mean = F.cross_entropy(model(TOKENS[:, :-1]).flatten(0, 1), TOKENS[:, 1:].flatten())
    torch.testing.assert_close(losses.mean(), mean)


def test_a_look_within_an_intervention_sees_what_it_makes(model):
    name, kept = "blocks.0.attention.pattern", torch.tensor([1.0, 1.0, 0.0, 1.0])[:, None, None]
    with intervene(model, {name: lambda a: a * kept}), capture(model, name) as seen:
        model(TOKENS)
    assert (seen[name][:, 2] == 0).all() and (seen[name][:, :2].sum(-1) > 0.99).all()


def test_a_change_keeps_the_shape_or_is_refused_by_name(model):
    with pytest.raises(ValueError, match=r"'blocks.0.attention.pattern' gives shape \(2, 12\)"):
        with intervene(model, {"blocks.0.attention.pattern": lambda a: a[:, 0, 0]}):
            model(TOKENS)
    assert all(not m._forward_hooks for m in model.modules())
