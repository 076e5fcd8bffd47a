"""What the norms ignore, and what they are."""
from __future__ import annotations

import pytest
import torch

from minillm.layers import HeadNorm, LayerNorm, RMSNorm

X = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))


def with_weights(norm: torch.nn.Module) -> torch.nn.Module:
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in norm.parameters():
            p.copy_(torch.randn(p.shape, generator=g))
    return norm


def test_by_hand():
    x = torch.tensor([[3.0, 4.0]])  # root mean square: sqrt(12.5)
    torch.testing.assert_close(RMSNorm(2, eps=1e-12)(x), x / 12.5 ** 0.5)
    torch.testing.assert_close(LayerNorm(2, eps=1e-12)(x), torch.tensor([[-1.0, 1.0]]))


@pytest.mark.parametrize("norm", [RMSNorm, LayerNorm])
def test_a_norm_ignores_scale(norm):
    norm = with_weights(norm(8, eps=1e-12))
    torch.testing.assert_close(norm(7.0 * X), norm(X))


def test_layernorm_ignores_shift_and_rmsnorm_does_not():
    torch.testing.assert_close(LayerNorm(8)(X + 3.0), LayerNorm(8)(X), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(RMSNorm(8)(X + 3.0), RMSNorm(8)(X), atol=0.1)


def test_they_are_pytorchs():
    ours, theirs = with_weights(RMSNorm(8)), with_weights(torch.nn.RMSNorm(8, eps=1e-5))
    torch.testing.assert_close(ours(X), theirs(X))
    ours, theirs = with_weights(LayerNorm(8)), with_weights(torch.nn.LayerNorm(8, eps=1e-5))
    torch.testing.assert_close(ours(X), theirs(X))


def test_headnorm_normalises_each_head_by_itself():
    norm = with_weights(HeadNorm(4))
    heads = X.reshape(3, 5, 2, 4)
    plain = RMSNorm(4)
    plain.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(X), torch.cat([plain(heads[..., 0, :]), plain(heads[..., 1, :])], -1))


def test_without_weights_there_is_nothing_to_learn():
    for norm in (RMSNorm(8, weight=False), LayerNorm(8, weight=False)):
        assert list(norm.parameters()) == []
        torch.testing.assert_close(norm(X).square().mean(-1), torch.ones(3, 5), atol=1e-3, rtol=1e-3)


def test_rmsnorm_holds_large_numbers_in_fp16():
    x = torch.tensor([1000.0, 10.0, -300.0, 5.0])
    torch.testing.assert_close(RMSNorm(4).half()(x.half()).float(), RMSNorm(4)(x), rtol=2e-3, atol=0)
