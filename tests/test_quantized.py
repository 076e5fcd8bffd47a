"""NF4 is the published table and the nearest level; memory is what the formula says."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minillm.lora import MATRICES, add_lora, corrections, merge_lora
from minillm.model import Transformer
from minillm.quantized import (
    BLOCK,
    LEVELS,
    Int8Linear,
    NF4Linear,
    QLoRALinear,
    dequantize,
    in_int8,
    memory,
    price,
    quantize,
)
from tests.variants import SMALL

TOKENS = torch.randint(31, (2, 12), generator=torch.Generator().manual_seed(0))
PUBLISHED = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
             -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
             0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]


def test_the_levels_are_those_of_the_paper():
    torch.testing.assert_close(LEVELS, torch.tensor(PUBLISHED), atol=1e-6, rtol=0)   # Dettmers et al., appendix E


@pytest.mark.parametrize("shape", [(7, 10), (64, 64), (3, 1)])
def test_every_weight_goes_to_the_nearest_level_of_its_block(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    codes, scales = quantize(weight)
    row = torch.nn.functional.pad(weight.flatten(), (0, -weight.numel() % BLOCK)).unflatten(0, (-1, BLOCK))
    largest = row.abs().amax(1)
    nearest = ((row / largest[:, None])[..., None] - LEVELS).abs().argmin(-1)
    expected = (LEVELS[nearest] * largest[:, None]).flatten()[:weight.numel()].unflatten(0, shape)
    assert torch.equal(scales, largest) and len(codes) == row.numel() // 2
    torch.testing.assert_close(dequantize(codes, scales, shape), expected)


def test_zeros_stay_zeros_and_what_is_quantised_once_stays():
    layer = NF4Linear(torch.nn.Linear(64, 4))
    layer.codes, layer.scales = quantize(layer.weight)
    again = dequantize(*quantize(layer.weight), (4, 64))
    assert torch.equal(again, layer.weight)
    assert not dequantize(*quantize(torch.zeros(2, 64)), (2, 64)).any()


def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(SMALL).eval()


def test_qlora_starts_as_its_rounded_base_and_learns_in_bfloat16():
    ours = add_lora(model(), targets=MATRICES, rank=4, layer=QLoRALinear)
    rounded = model()
    with torch.no_grad():
        for name in corrections(ours):
            layer = rounded.get_submodule(name)
            layer.weight.copy_(dequantize(*quantize(layer.weight), tuple(layer.weight.shape)))
        torch.testing.assert_close(ours(TOKENS), rounded(TOKENS), atol=1e-5, rtol=1e-5)
    ours(TOKENS).square().sum().backward()
    assert all(p.dtype == torch.bfloat16 and p.grad is not None for p in ours.parameters() if p.requires_grad)
    with torch.no_grad():
        for layer in corrections(ours).values():
            layer.lora_B.weight.normal_(std=0.1, generator=torch.Generator().manual_seed(2))
        apart = ours(TOKENS)
        torch.testing.assert_close(merge_lora(ours)(TOKENS), apart, atol=8e-2, rtol=2e-2)   # A x keeps 8 bits


def test_memory_is_the_formula_s():
    ours = add_lora(model(), targets=MATRICES, rank=4, layer=QLoRALinear)
    sizes = {name: tuple(layer.base.weight.shape) for name, layer in corrections(ours).items()}
    total = sum(p.numel() for p in model().parameters())
    quantised = sum(out * into for out, into in sizes.values())
    blocks = sum(-(-out * into // BLOCK) for out, into in sizes.values())
    learned = sum(4 * (out + into) for out, into in sizes.values())
    tables = sum(b.nbytes for m in ours.modules() if not isinstance(m, NF4Linear) for b in m.buffers(recurse=False))
    found = memory(ours)
    assert found["frozen"] - tables == 4 * (total - quantised) + blocks * (BLOCK // 2 + 4)
    assert found["learned"] == found["gradients"] == 2 * learned and found["Adam"] == 4 * learned
    full = memory(model())
    assert full["learned"] == 4 * total and sum(found.values()) < sum(full.values()) / 4


def test_eight_bits_are_the_nearest_whole_numbers_of_each_row():
    layer = torch.nn.Linear(40, 6)
    with torch.no_grad():
        layer.weight[2] *= 100.0  # a row of its own size spoils no other
        layer.weight[3] = 0.0
    rounded = Int8Linear(layer)
    step = layer.weight.abs().amax(1, keepdim=True) / 127
    assert ((rounded.weight - layer.weight).abs() <= step / 2 * 1.001).all()
    assert rounded.codes.dtype == torch.int8
    assert rounded.codes.abs().amax(1).tolist() == [127, 127, 127, 0, 127, 127]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("width", [64, 40, 31])
@pytest.mark.parametrize("n_rows", [1, Int8Linear.few, Int8Linear.few + 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_few_rows_and_many_are_multiplied_by_the_same_matrix(width, n_rows, bias, dtype):
    torch.manual_seed(0)
    rounded, x = Int8Linear(torch.nn.Linear(width, 45, bias=bias)), torch.randn(n_rows, 1, width).to(dtype)
    expected = torch.nn.functional.linear(x.bfloat16().float(), rounded.weight, rounded.bias)
    with torch.no_grad():
        y = rounded(x)
    assert y.dtype == dtype and y.shape == expected.shape
    torch.testing.assert_close(y.float(), expected, atol=0.02, rtol=0.02)  # what comes out has 8 bits, too


@pytest.mark.parametrize("choices", [{}, {"bias": "all", "tie_embeddings": False}, {"n_experts": 4},
                                     {"attention": "latent"}], ids=str)
def test_a_model_in_eight_bits_says_nearly_the_same_and_at_what_price(choices):
    exact, rounded = (Transformer(replace(SMALL, **choices)).eval() for _ in range(2))
    with torch.no_grad():
        for weight in exact.parameters():
            weight.mul_(3.0)
    rounded.load_state_dict(exact.state_dict())
    in_int8(rounded)
    assert not any(type(part) is torch.nn.Linear for name, part in rounded.named_modules() if "router" not in name)
    text = TOKENS[0].tolist()
    assert price(exact, exact, text) == pytest.approx(0.0, abs=1e-6)
    assert 0 < price(exact, rounded, text) < 0.05
    p, q = (model(TOKENS[:1])[0].log_softmax(-1).detach() for model in (exact, rounded))
    assert price(exact, rounded, text) == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-2, abs=1e-6)
    wrong = [weight.copy_(weight.roll(1)) for weight in (rounded.embed.weight.data,)]
    assert wrong and price(exact, rounded, text) > 0.01
