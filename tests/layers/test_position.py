"""Where each scheme puts the position, and what follows from it."""
from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch

from minillm.config import RopeScaling
from minillm.layers import ALiBi, Learned, RoPE, Sinusoidal
from minillm.layers.position import frequencies, stretch
from minillm.model import Transformer
from tests.variants import SMALL

G = torch.Generator().manual_seed(0)
Q, K = torch.randn(8, generator=G), torch.randn(8, generator=G)


def score(rope: RoPE, query: int, key: int) -> torch.Tensor:
    return rope(Q[None], torch.tensor([query]))[0] @ rope(K[None], torch.tensor([key]))[0]


@pytest.mark.parametrize("pairs", ["halves", "neighbours"])
@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_rope_scores_depend_only_on_distance(pairs, fraction):
    rope = RoPE(8, pairs=pairs, fraction=fraction)
    torch.testing.assert_close(score(rope, 9, 4), score(rope, 105, 100), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(score(rope, 9, 4), score(rope, 9, 5), atol=1e-2)


@pytest.mark.parametrize("pairs", ["halves", "neighbours"])
def test_rope_turns_and_never_stretches(pairs):
    rope = RoPE(8, pairs=pairs)
    turned = rope(Q.expand(50, 8), torch.arange(50))
    torch.testing.assert_close(turned.norm(dim=-1), Q.norm().expand(50))
    torch.testing.assert_close(turned[0], Q)


def test_rope_by_hand():
    rope = RoPE(4, theta=100.0)  # omega = 1 and 1/10
    y = rope(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([2]))
    torch.testing.assert_close(y, torch.tensor([[math.cos(2), math.cos(0.2), math.sin(2), math.sin(0.2)]]))
    rope = RoPE(4, theta=100.0, pairs="neighbours")
    y = rope(torch.tensor([[1.0, 0.0, 1.0, 0.0]]), torch.tensor([2]))
    torch.testing.assert_close(y, torch.tensor([[math.cos(2), math.sin(2), math.cos(0.2), math.sin(0.2)]]))


def test_the_two_pairings_are_one_up_to_the_order_of_components():
    order = torch.tensor([0, 4, 1, 5, 2, 6, 3, 7])  # neighbours, taken from halves
    halves, neighbours = RoPE(8), RoPE(8, pairs="neighbours")
    positions = torch.arange(20)
    x = Q.expand(20, 8)
    torch.testing.assert_close(neighbours(x[:, order], positions), halves(x, positions)[:, order])


def test_what_is_not_turned_stays():
    y = RoPE(8, fraction=0.5)(Q.expand(5, 8), torch.arange(5))
    torch.testing.assert_close(y[:, 4:], Q[4:].expand(5, 4))


def test_linear_scaling_reads_position_t_as_t_over_factor():
    plain, slow = RoPE(8), RoPE(8, scaling=RopeScaling("linear", 4.0))
    torch.testing.assert_close(slow(Q[None], torch.tensor([40])), plain(Q[None], torch.tensor([10])))


def test_llama3_scaling_keeps_fast_pairs_and_slows_slow_ones():
    omega = frequencies(128, 500_000.0)
    ratio = omega / stretch(omega, RopeScaling("llama3", 8.0, 1.0, 4.0, 8192))
    wavelength = 2 * math.pi / omega
    torch.testing.assert_close(ratio[wavelength < 8192 / 4], torch.ones_like(ratio[wavelength < 8192 / 4]))
    torch.testing.assert_close(ratio[wavelength > 8192], torch.full_like(ratio[wavelength > 8192], 8.0))
    assert (ratio.diff() >= -1e-4).all()


def test_yarn_keeps_the_first_pairs_and_slows_the_last_by_all_of_the_factor():
    omega = frequencies(64, 10_000.0)  # DeepSeek-V2's; pair i turns 4096 / 2π x 10000^(-i/32) times:
    ratio = omega / stretch(omega, RopeScaling("yarn", 40.0, 1.0, 32.0, 4096))
    torch.testing.assert_close(ratio[:11], torch.ones(11))  # 32 turns at i = 10.5, rounded down
    torch.testing.assert_close(ratio[23:], torch.full((9,), 40.0))  # 1 turn at i = 22.5, rounded up
    kept = (1 / ratio[10:24] - 1 / 40) / (1 - 1 / 40)
    torch.testing.assert_close(kept, torch.linspace(1, 0, 14))


def test_alibi_prefers_the_near():
    positions = torch.arange(6)
    bias = ALiBi(n_heads=4)(positions, positions)
    assert (bias.diff(dim=-1) > 0).all()
    torch.testing.assert_close(bias[:, 5, 3], -2 * torch.tensor([2.0 ** -2, 2.0 ** -4, 2.0 ** -6, 2.0 ** -8]))


def test_alibi_slopes_of_odd_head_counts_are_interleaved():
    six = ALiBi(6).slopes
    torch.testing.assert_close(six[:4], ALiBi(4).slopes)
    torch.testing.assert_close(six[4:], ALiBi(8).slopes[[0, 2]])


def test_sinusoidal_waves():
    y = Sinusoidal(4, 10, theta=100.0)(torch.zeros(1, 4), torch.tensor([3]))
    torch.testing.assert_close(y, torch.tensor([[math.sin(3), math.cos(3), math.sin(0.3), math.cos(0.3)]]))


def test_learned_positions_are_rows_of_a_table():
    learned = Learned(4, 10)
    torch.nn.init.normal_(learned.weight, generator=G)
    torch.testing.assert_close(learned(torch.ones(2, 4), torch.tensor([7, 1])), 1 + learned.weight[[7, 1]])


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ALiBi(0), "n_heads=0 leaves ALiBi no head to give a slope; make it at least 1"),
    (lambda: RoPE(3), "fraction=1.0 of d_head=3 is 3 components; make that an even number"),
    (lambda: RoPE(0), "d_head=0 is 0 components"),
    (lambda: RoPE(6, fraction=0.5), "fraction=0.5 of d_head=6 is 3 components"),
    (lambda: RoPE(4, fraction=1.5), "d_head=4 is 6 components; make that an even number of at least 2 and at most"),
    (lambda: RoPE(4, theta=0), "theta=0 must be positive"),
    (lambda: RoPE(4, theta=math.nan), "theta=nan must be positive"),
    (lambda: Sinusoidal(3, 8), "d_model=3; make it even"),
    (lambda: Sinusoidal(4, 8, theta=-1.0), "theta=-1.0 must be positive")])
def test_sizes_without_a_pair_a_head_or_a_wave_are_refused_with_the_way_out(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


@pytest.mark.parametrize("pairs", ["halves", "neighbours"])
def test_rope_takes_no_memory_for_positions_and_is_exact_at_any(pairs):
    rope, far = RoPE(8, pairs=pairs), torch.tensor([0, 1, 1023, 131_071, 1_000_000])
    assert sum(x.nbytes for x in rope.buffers()) == 8 * 4
    turns = far[:, None].float() * frequencies(8, 10_000.0)                      # as whoever keeps a table fills it
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    a, b = x.chunk(2, -1) if pairs == "halves" else (x[:, 0::2], x[:, 1::2])
    c, d = a * turns.cos() - b * turns.sin(), a * turns.sin() + b * turns.cos()
    expected = torch.cat([c, d], -1) if pairs == "halves" else torch.stack([c, d], -1).flatten(-2)
    assert torch.equal(torch.stack([rope(x[i:i + 1], far[i:i + 1])[0] for i in range(5)]), rope(x, far))
    torch.testing.assert_close(rope(x, far), expected, atol=1e-6, rtol=1e-6)


def test_a_model_of_a_million_positions_is_built_in_no_time_and_no_memory():
    model = Transformer(replace(SMALL, position="rope", context_length=1 << 20))
    assert sum(x.nbytes for x in model.buffers()) < 1000
    near = Transformer(replace(SMALL, position="rope"))
    near.load_state_dict(model.state_dict())
    tokens = torch.arange(24)[None]
    assert torch.equal(model(tokens), near(tokens))


def test_rope_under_vmap_gradients_and_on_the_meta_device():
    rope, x, at = RoPE(8), torch.randn(3, 2, 5, 8, generator=torch.Generator().manual_seed(0)), torch.arange(5)
    torch.testing.assert_close(torch.func.vmap(lambda x: rope(x, at))(x), rope(x, at))
    turned = torch.func.jacrev(lambda x: rope(x, at).square().sum())(x)
    torch.testing.assert_close(turned, 2 * x)                                    # rotations keep lengths
    assert RoPE(8).to("meta").to_empty(device="cpu")(x, at).equal(rope(x, at))
