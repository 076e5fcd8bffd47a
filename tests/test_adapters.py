"""PEFT's own writer and reader agree with ours, both ways; what does not fit is named."""
from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from minillm.lora import MATRICES, DoRALinear, LoRALinear, add_lora, corrections, merge_lora
from minillm.model import Transformer
from minillm.presets import PRESETS, scaled
from minillm.pretrained import export_hf
from minillm.pretrained.adapters import CONFIG, WEIGHTS, load_adapter, save_adapter

CONFIGS = {"llama": replace(scaled(PRESETS["llama-3-8b"], "nano", vocab_size=61), context_length=32),
           "qwen": replace(scaled(PRESETS["qwen3-0.6b"], "nano", vocab_size=61), context_length=32)}
TOKENS = torch.randint(61, (2, 11), generator=torch.Generator().manual_seed(0))
KINDS = {"LoRA": {}, "rsLoRA": {"rule": "alpha/sqrt(r)"}, "DoRA": {"layer": DoRALinear}}


def made(name: str = "llama") -> Transformer:
    torch.manual_seed(0)
    return Transformer(CONFIGS[name]).eval()


def learned(model: Transformer) -> Transformer:
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in corrections(model).values():
            layer.lora_B.weight.normal_(std=0.05, generator=g)
            if isinstance(layer, DoRALinear):
                layer.magnitude.mul_(1 + 0.1 * torch.rand(layer.magnitude.shape, generator=g))
    return model


def theirs(model: Transformer, folder):
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(export_hf(model, None, folder)).eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_peft_opens_what_we_write(kind, name, tmp_path):
    from peft import PeftModel
    ours = learned(add_lora(made(name), targets=MATRICES, rank=3, alpha=5, **KINDS[kind]))
    base = theirs(made(name), tmp_path / "base")
    before = base(TOKENS).logits
    peft = PeftModel.from_pretrained(base, save_adapter(ours, tmp_path / "adapter")).eval()
    with torch.no_grad():
        torch.testing.assert_close(peft(TOKENS).logits, ours(TOKENS), atol=1e-5, rtol=1e-5)
        assert (ours(TOKENS) - before).abs().max() > 1e-2


@pytest.mark.parametrize("options", [
    {}, {"use_rslora": True}, {"use_dora": True}, {"target_modules": ["q_proj", "down_proj"]},
    {"rank_pattern": {"v_proj": 2}, "alpha_pattern": {r"layers\.0\.self_attn\.q_proj": 9}},
    {"modules_to_save": ["lm_head"]}], ids=str)
def test_we_open_what_peft_writes(options, tmp_path, capsys):
    from peft import LoraConfig, get_peft_model
    model = made()
    if model.config.tie_embeddings and "modules_to_save" in options:
        pytest.fail("this test needs a model whose ends are its own")
    torch.manual_seed(2)
    peft = get_peft_model(theirs(model, tmp_path / "base"), LoraConfig(
        task_type="CAUSAL_LM", init_lora_weights=False, **{"r": 4, "lora_alpha": 6, "target_modules": list(MATRICES),
                                                           **options})).eval()
    if "modules_to_save" in options:
        with torch.no_grad():
            peft.base_model.model.lm_head.modules_to_save["default"].weight.mul_(1.5)
    peft.save_pretrained(tmp_path / "adapter")
    opened = load_adapter(made(), tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(opened(TOKENS), peft(TOKENS).logits, atol=1e-5, rtol=1e-5)
    n = len(load_file(tmp_path / "adapter" / WEIGHTS))
    assert f"{n} tensors found: corrections of {len(corrections(opened))} matrices" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_comes_back_and_merges(kind, tmp_path):
    ours = learned(add_lora(made(), targets=("q_proj", "up_proj"), rank=3, **KINDS[kind]))
    again = load_adapter(made(), save_adapter(ours, tmp_path / "a"), say=str)
    with torch.no_grad():
        assert torch.equal(again(TOKENS), ours(TOKENS))
        torch.testing.assert_close(merge_lora(again)(TOKENS), ours(TOKENS), atol=1e-5, rtol=1e-5)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [CONFIG, WEIGHTS]


def test_two_small_files(tmp_path):
    save_adapter(add_lora(made(), rank=1), tmp_path / "a")
    base = sum(p.nbytes for p in made().parameters())
    assert sum(path.stat().st_size for path in (tmp_path / "a").iterdir()) < base / 5


def changed(folder, *, drop=(), rename=(), **settings):
    tensors = load_file(folder / WEIGHTS)
    for word in drop:
        tensors = {name: x for name, x in tensors.items() if word not in name}
    for old, new in rename:
        tensors = {name.replace(old, new): x for name, x in tensors.items()}
    save_file(tensors, folder / WEIGHTS)
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **settings}))
    return folder


@pytest.mark.parametrize("change, words", [
    ({"peft_type": "IA3"}, "IA3"), ({"bias": "all"}, "bias='all'"), ({"init_lora_weights": "pissa"}, "pissa"),
    ({"layer_replication": [[0, 1]]}, "layer_replication"), ({"a_new_setting": 3}, "a_new_setting=3"),
    ({"fan_in_fan_out": True}, "fan_in_fan_out"), ({"r": 7}, "lora_A has 3 rows, but .* says rank 7"),
    ({"drop": ["layers.0.self_attn.q_proj.lora_B"]}, "q_proj lacks lora_B"),
    ({"rename": [("self_attn", "attn")]}, "belongs to 'model.layers.0.attn.q_proj'"),
    ({"rename": [("lora_A", "lora_E")]}, "lora_E.weight' is no part"), ({"use_dora": True}, "lacks magnitude"),
    ({"rename": [("layers.0.self_attn.q_proj.lora_A.weight", "norm.weight")]}, "model.norm")])
def test_what_does_not_fit_is_named_and_the_model_is_left_alone(change, words, tmp_path):
    folder = changed(save_adapter(learned(add_lora(made(), rank=3)), tmp_path / "a"), **change)
    model = made()
    with pytest.raises(ValueError, match=words):
        load_adapter(model, folder)
    assert not corrections(model) and all(p.requires_grad for p in model.parameters())


def test_names_without_peft_s_prefix_are_found(tmp_path):
    ours = learned(add_lora(made(), rank=3))
    folder = changed(save_adapter(ours, tmp_path / "a"), rename=[("base_model.model.model.", "")])
    with torch.no_grad():
        assert torch.equal(load_adapter(made(), folder, say=str)(TOKENS), ours(TOKENS))


def test_another_model_s_adapter_and_a_second_one_are_refused(tmp_path):
    folder = save_adapter(add_lora(made("qwen"), rank=3), tmp_path / "a")
    wide = Transformer(replace(CONFIGS["llama"], d_model=CONFIGS["llama"].d_model * 2))
    with pytest.raises(ValueError, match="made for another"):
        load_adapter(wide, folder)
    with pytest.raises(ValueError, match="merge_lora"):
        load_adapter(add_lora(made("qwen")), folder)
    with pytest.raises(ValueError, match="no corrections to save"):
        save_adapter(made(), tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="adapter_config.json"):
        load_adapter(made(), tmp_path / "nothing")


def test_a_format_that_fuses_matrices_says_so(tmp_path):
    torch.manual_seed(0)
    gpt2 = Transformer(replace(scaled(PRESETS["gpt2"], "nano", vocab_size=61), context_length=32))
    with pytest.raises(ValueError, match="gpt2 format keeps blocks.0.attention.q_proj inside a larger"):
        save_adapter(add_lora(gpt2), tmp_path / "a")


def test_dora_is_pefts_gradients_too():
    from peft import LoraConfig
    from peft.tuners.lora import Linear
    base = torch.nn.Linear(12, 7)
    ours = DoRALinear(base, rank=3, alpha=5.0)
    assert torch.allclose(ours(torch.ones(1, 12)), base(torch.ones(1, 12)), atol=1e-6)
    other = Linear(torch.nn.Linear(12, 7), "default", config=LoraConfig(r=3, lora_alpha=5, use_dora=True), r=3,
                   lora_alpha=5)
    with torch.no_grad():
        ours.lora_B.weight.normal_(generator=torch.Generator().manual_seed(1))
        other.base_layer.load_state_dict(base.state_dict())
        for half in ("lora_A", "lora_B"):
            getattr(other, half)["default"].weight.copy_(getattr(ours, half).weight)
        other.lora_magnitude_vector["default"].weight.copy_(ours.magnitude)
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ours(x), other(x), atol=1e-5, rtol=1e-5)
    ours(x).square().sum().backward()
    other(x).square().sum().backward()
    for half in ("lora_A", "lora_B"):
        torch.testing.assert_close(getattr(ours, half).weight.grad, getattr(other, half)["default"].weight.grad,
                                   atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.magnitude.grad, other.lora_magnitude_vector["default"].weight.grad, atol=1e-4,
                               rtol=1e-4)
    assert isinstance(ours, LoRALinear) and ours.correction().shape == base.weight.shape
