"""A correction that starts as nothing, can be merged, and never eats what was learned."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minillm.lora import LoRALinear, add_lora, merge_lora
from minillm.model import Transformer
from tests.variants import SMALL

TOKENS = torch.randint(31, (2, 12), generator=torch.Generator().manual_seed(0))
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def made(config=SMALL) -> Transformer:
    torch.manual_seed(0)
    return Transformer(config).eval()


def learn(model: Transformer) -> Transformer:
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for m in model.modules():
            if isinstance(m, LoRALinear):
                m.lora_B.weight.normal_(generator=g)
    return model


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, n_experts=4, n_shared_experts=1), replace(SMALL, bias="all")])
def test_at_the_start_nothing_changes(config):
    before = made(config)(TOKENS)
    assert torch.equal(add_lora(made(config), targets=ALL)(TOKENS), before)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, n_experts=4, n_shared_experts=1), replace(SMALL, bias="all")])
def test_merged_is_unmerged(config):
    model = learn(add_lora(made(config), targets=ALL))
    with torch.no_grad():
        apart = model(TOKENS)
        assert not torch.allclose(apart, made(config)(TOKENS), atol=1e-2)
        torch.testing.assert_close(merge_lora(model)(TOKENS), apart, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(m, LoRALinear) for m in model.modules())
    assert model.state_dict().keys() == made(config).state_dict().keys()


def test_only_the_corrections_learn():
    model = add_lora(made(), rank=4)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        f"blocks.{i}.attention.{t}.lora_{m}.weight" for i in range(2) for t in ("q_proj", "v_proj") for m in "AB"}
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 2 * 2 * 4 * (32 + 32)
    model(TOKENS).square().sum().backward()
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def test_a_correction_has_its_rank():
    model = learn(add_lora(made(), rank=3))
    for m in model.modules():
        if isinstance(m, LoRALinear):
            assert torch.linalg.matrix_rank(m.correction()) == 3


def test_a_second_call_is_refused_and_loses_nothing():
    model = learn(add_lora(made()))
    before = model(TOKENS)
    with pytest.raises(ValueError, match="merge_lora"):
        add_lora(model)
    assert torch.equal(model(TOKENS), before)


@pytest.mark.parametrize(("options", "words"), [
    ({"targets": ("query",)}, "target 'query' names no linear layer; this model has: down_proj"),
    ({"rank": 0}, "rank=0 must lie between 1 and"), ({"rank": 33}, "rank=33 must lie between"),
    ({"targets": ("unembed",)}, "tied embeddings")])
def test_what_cannot_be_corrected_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        add_lora(made(), **options)


def test_a_refusal_leaves_the_model_as_it_was():
    model = made(replace(SMALL, n_kv_heads=1))  # rank 16 fits q_proj (32 x 32), but not v_proj (8 x 32)
    with pytest.raises(ValueError, match="rank=16 must lie between 1 and the smaller side of the matrix, 8"):
        add_lora(model, rank=16)
    assert not any(isinstance(m, LoRALinear) for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_dropout_acts_in_training_alone():
    model = learn(add_lora(made(), dropout=0.5))
    assert torch.equal(model(TOKENS), model(TOKENS))
    model.train()
    assert not torch.equal(model(TOKENS), model(TOKENS))
    assert add_lora(made().train()).blocks[0].attention.q_proj.dropout.training


def test_seeds_decide_the_start():
    a, b, c = (add_lora(made(), seed=s).blocks[0].attention.q_proj.lora_A.weight for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_the_caller_s_randomness_is_neither_used_nor_moved():
    model, before = made(), torch.get_rng_state()
    add_lora(model)
    assert torch.equal(before, torch.get_rng_state())


def test_targets_are_a_name_or_several_but_never_none():
    one, same = (add_lora(made(), targets=t) for t in ("q_proj", ["q_proj"]))
    assert [n for n, _ in one.named_parameters()] == [n for n, _ in same.named_parameters()]
    with pytest.raises(ValueError, match="targets is empty"):
        add_lora(made(), targets=())


def test_a_layer_is_pefts_with_the_same_matrices():
    """One layer of PEFT around an equal matrix, A and B copied into it: outputs and gradients are ours."""
    from peft import LoraConfig
    from peft.tuners.lora import Linear

    base = torch.nn.Linear(12, 7)
    ours = LoRALinear(base, rank=3, alpha=5.0)
    theirs = Linear(torch.nn.Linear(12, 7), "default", config=LoraConfig(r=3, lora_alpha=5), r=3, lora_alpha=5)
    with torch.no_grad():
        ours.lora_B.weight.normal_(generator=torch.Generator().manual_seed(1))
        theirs.base_layer.load_state_dict(base.state_dict())
        for half in ("lora_A", "lora_B"):
            getattr(theirs, half)["default"].weight.copy_(getattr(ours, half).weight)
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ours(x), theirs(x))
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(ours.lora_A.weight.grad, theirs.lora_A["default"].weight.grad)
    torch.testing.assert_close(ours.lora_B.weight.grad, theirs.lora_B["default"].weight.grad)
