"""NF4 is the published table and the nearest level; memory is what the formula says."""
from __future__ import annotations

import pytest
import torch

from minillm.lora import MATRICES, add_lora, corrections, merge_lora
from minillm.model import Transformer
from minillm.quantized import BLOCK, LEVELS, NF4Linear, QLoRALinear, dequantize, memory, quantize
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
