"""A token read quickly is the token that the model reads, whatever the model and whoever looks on or changes it."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from minillm.cache import KVCache
from minillm.config import ModelConfig
from minillm.inspection import capture, intervene
from minillm.lora import add_lora
from minillm.model import Transformer
from minillm.quick import FEW, Quick
from minillm.recipes import small
from minillm.sampling import draw, generate
from tests.variants import SMALL, name_of, variants

OURS = {"GPT-2's": replace(SMALL, norm="layernorm", position="learned", mlp="gelu", bias="all"), "Llama's": SMALL,
        "recipe's": replace(small(31), d_model=SMALL.d_model, n_layers=SMALL.n_layers, n_heads=SMALL.n_heads),
        "shared keys": replace(SMALL, n_kv_heads=2), "part of a head turned": replace(SMALL, rope_fraction=0.5)}


def made(config: ModelConfig) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3.0)  # opinions strong enough that a mistake shows
    return model


def gone_on(model: nn.Module, read, tokens: Tensor, *, n_first: int = 4) -> Tensor:
    """The last logits after each further token of the texts, by `read` from a cache of its own."""
    cache = KVCache(model.config)
    with torch.inference_mode():
        rows = [read(tokens[:, :n_first], cache)]
        return torch.stack([*rows, *(read(tokens[:, i:i + 1], cache) for i in range(n_first, tokens.shape[1]))])


def slowly(model: nn.Module):
    return lambda tokens, cache: model(tokens, cache)[:, -1]


@pytest.mark.parametrize("config", [*OURS.values(), *variants(40)], ids=name_of)
def test_it_is_the_model_itself(config):
    model, tokens = made(config), torch.randint(31, (2, 10), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(gone_on(model, Quick(model), tokens), gone_on(model, slowly(model), tokens),
                               rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_texts", [1, FEW, FEW + 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_for_any_number_of_texts(name, n_texts, dtype):
    model, tokens = made(OURS[name]).to(dtype), torch.randint(31, (n_texts, 6))
    torch.testing.assert_close(gone_on(model, Quick(model), tokens), gone_on(model, slowly(model), tokens),
                               rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OURS)
def test_rounded_weights_leave_it_as_near_to_the_truth_as_the_model_is(name):
    model, tokens = made(OURS[name]), torch.randint(31, (20, 8), generator=torch.Generator().manual_seed(1))
    exact = gone_on(model, slowly(model), tokens)
    model.bfloat16()
    quick, slow = ((gone_on(model, read, tokens).float() - exact).square().mean()
                   for read in (Quick(model), slowly(model)))
    assert 0 < quick < 1.5 * slow


@pytest.mark.parametrize("name", OURS)
def test_no_module_is_called_for_the_products_of_the_usual_models(name, monkeypatch):
    model, tokens = made(OURS[name]), torch.randint(31, (1, 6))
    read, cache = Quick(model), KVCache(model.config)
    with torch.inference_mode():
        read(tokens[:, :5], cache)
        for kind in (nn.Linear, type(model.norm), type(model.blocks[0].attention), type(model.blocks[0].mlp)):
            monkeypatch.setattr(kind, "__call__", lambda *given: pytest.fail("a module was called"))
        assert read(tokens[:, 5:], cache).shape == (1, 31)


def test_what_hooks_name_is_called_as_ever_and_no_longer_than_they_hang():
    model, tokens = made(OURS["recipe's"]), torch.randint(31, (1, 9))
    usual, seen = gone_on(model, slowly(model), tokens), []
    read, cache = Quick(model), KVCache(model.config)
    with torch.inference_mode():
        read(tokens[:, :4], cache), read(tokens[:, 4:5], cache)
        with capture(model, "blocks.*.attention.q_proj", "blocks.*.attention.pattern") as seen:
            looked = read(tokens[:, 5:6], cache)
        assert seen["blocks.1.attention.pattern"].shape == (1, 4, 1, 6) and len(seen) == 4
        torch.testing.assert_close(looked, usual[2], rtol=1e-4, atol=1e-4)
        seen.clear()
        torch.testing.assert_close(read(tokens[:, 6:7], cache), usual[3], rtol=1e-4, atol=1e-4)
        with intervene(model, {"blocks.0.mlp": torch.zeros_like}):
            assert not torch.allclose(read(tokens[:, 7:8], cache), usual[4], rtol=1e-2)
    assert not seen


def test_a_hook_on_every_module_there_is_is_called_too():
    model, tokens, called = made(SMALL), torch.randint(31, (1, 6)), []
    hook = nn.modules.module.register_module_forward_hook(lambda part, given, output: called.append(part))
    try:
        gone_on(model, Quick(model), tokens, n_first=5)
    finally:
        hook.remove()
    assert sum(part is model.blocks[0].mlp.down_proj for part in called) == 2


@torch.inference_mode(False)
def test_weights_and_parts_that_change_between_two_tokens_are_those_of_the_next():
    model, tokens = made(SMALL), torch.randint(31, (1, 9))
    read, cache, own = Quick(model), KVCache(model.config), KVCache(model.config)

    def both(i: int, start: int | None = None) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            now = tokens[:, i if start is None else start:i + 1]
            return read(now, cache), model(now, own)[:, -1]

    def moved_in_place():
        with torch.no_grad():
            model.blocks[0].mlp.up_proj.weight.mul_(2.0)

    def put_in_its_place():
        model.blocks[1].attention.o_proj.weight = nn.Parameter(torch.randn(32, 32))

    def corrected():
        add_lora(model, rank=2)
        nn.init.normal_(model.blocks[0].attention.q_proj.lora_B.weight)

    both(4, 0)
    before, _ = both(5)
    for i, change in enumerate((moved_in_place, put_in_its_place, corrected), 6):
        change()
        quick, slow = both(i)
        torch.testing.assert_close(quick, slow, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, quick)


def test_the_readable_lines_run_where_they_are_asked_for():
    model, tokens = made(SMALL), torch.randint(31, (1, 6))
    fused = gone_on(model, Quick(model), tokens)
    torch.testing.assert_close(gone_on(model.fuse(False), Quick(model), tokens), fused, rtol=1e-4, atol=1e-4)


def test_a_model_that_learns_is_read_without_dropout_and_left_learning():
    model = made(replace(SMALL, dropout=0.5)).train()
    first, again = (list(generate(model, [1, 2], n_tokens=12, temperature=0)) for _ in range(2))
    assert first == again == list(generate(model.eval(), [1, 2], n_tokens=12, temperature=0))
    assert all(part.training for part in model.train().modules())


def test_tokens_are_drawn_as_torch_draws_them():
    laws = torch.rand(5, 40, generator=torch.Generator().manual_seed(0)).softmax(-1)
    ours, theirs = (torch.Generator().manual_seed(7) for _ in range(2))
    for _ in range(20):
        assert torch.equal(draw(laws, ours), torch.multinomial(laws, 1, generator=theirs))


def test_what_cannot_come_is_never_drawn():
    law = torch.tensor([[0.0, 0.5, 0.0, 0.5]]).expand(2000, -1)
    assert set(draw(law, torch.Generator().manual_seed(0)).flatten().tolist()) == {1, 3}
