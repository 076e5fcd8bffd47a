"""What is exported opens in transformers with the same logits: every family, also after LoRA has changed and merged."""
from __future__ import annotations

import json

import pytest
import torch
import transformers

from minillm.lora import add_lora, merge_lora
from minillm.pretrained import export_hf, load_pretrained
from tests.parity.references import CONFIGS, VOCAB, reference

TOKENS = torch.randint(0, VOCAB, (2, 20), generator=torch.Generator().manual_seed(1))
ELSEWHERE = {  # the same function as another family's, in whose format it is written
    "phi3": "mistral", "cwm": "ministral", "internlm3": "llama", "iquestcoder": "llama", "opt": "gpt2",
    "solar_open": "glm4_moe", "dots1": "glm4_moe", "hy_v3": "glm4_moe", "helium": "ernie4_5", "codegen": "gptj",
    "xglm": "biogpt"}


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_a_family_that_was_tuned_and_merged_is_the_same_in_transformers(name, tmp_path):
    reference(name, tmp_path / "in")
    model, _ = load_pretrained(tmp_path / "in")
    before = model(TOKENS)
    add_lora(model, rank=2, alpha=4)
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.3)
    wanted = model(TOKENS)
    assert (wanted - before).abs().max() > 1e-3
    export_hf(merge_lora(model), None, tmp_path / "out")
    if name == "deepseek":  # transformers has no class of that name
        theirs = load_pretrained(tmp_path / "out")[0](TOKENS)
    else:
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()(TOKENS).logits
    assert (theirs - wanted).abs().max() < 1e-4
    kind = json.loads((tmp_path / "out" / "config.json").read_text())["model_type"]
    read = json.loads((tmp_path / "in" / "config.json").read_text())["model_type"]
    assert kind == ELSEWHERE.get(read, read)
