"""What a published file holds beside its language model is left out by name, and that model is transformers' own."""
from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from minillm.pretrained import load_pretrained
from minillm.pretrained.families import ALSO, FAMILIES, MISSING, family_of
from minillm.pretrained.wrapped import USUAL, WRAPPERS, text_of
from tests.parity.references import COMMON, VOCAB, reference

TOKENS = torch.randint(5, VOCAB - 5, (2, 20), generator=torch.Generator().manual_seed(1))
AHEAD = {"deepseek_v3": "model.layers.3.", "glm4_moe": "model.layers.3.", "exaone_moe": "mtp.layers.0."}
EYES = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8,
            patch_size=4)
TEXT = COMMON | dict(num_key_value_heads=2, head_dim=8, sliding_window=8)
SENSES = {  # wrapper -> its class, its language model, its eyes
    "gemma3": ("Gemma3ForConditionalGeneration", TEXT | dict(model_type="gemma3_text", num_hidden_layers=7),
               EYES | dict(model_type="siglip_vision_model")),
    "mistral3": ("Mistral3ForConditionalGeneration", TEXT | dict(model_type="mistral"),
                 EYES | dict(model_type="pixtral")),
    "llava": ("LlavaForConditionalGeneration", COMMON | dict(model_type="llama", num_key_value_heads=2),
              EYES | dict(model_type="clip_vision_model"))}


@pytest.mark.parametrize("name", AHEAD)
@torch.no_grad()
def test_a_layer_that_guesses_a_second_token_is_left_out_and_told(name, tmp_path):
    theirs = reference(name, tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    more = {AHEAD[name] + key.partition("layers.2.")[2]: x.clone() for key, x in state.items() if "layers.2." in key}
    more |= {AHEAD[name] + key: torch.randn(4, 4) for key in ("eh_proj.weight", "shared_head.head.weight")}
    save_file(state | more, tmp_path / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((tmp_path / "config.json").read_text()) | {"num_nextn_predict_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(settings | {"num_mtp_layers": 1} if name != "exaone_moe" else
                                                     settings))
    with pytest.warns(UserWarning, match=rf"{len(more)} tensors that guess tokens further ahead are left out: "
                                         rf"{AHEAD[name].removesuffix('layers.0.').rstrip('.')};"):
        ours, _ = load_pretrained(tmp_path)
    assert (ours(TOKENS) - theirs(TOKENS).logits).abs().max() < 1e-4
    (tmp_path / "config.json").write_text(json.dumps(settings | dict.fromkeys(
        ("num_nextn_predict_layers", "num_mtp_layers"), 0)))
    with pytest.raises(ValueError, match=AHEAD[name] + ".*no place for"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize("old", [False, True], ids=["new names", "old names"])
@pytest.mark.parametrize("kind", SENSES)
@torch.no_grad()
def test_the_language_model_of_a_model_of_several_senses_opens(kind, old, tmp_path):
    name, text, eyes = SENSES[kind]
    torch.manual_seed(0)
    theirs = getattr(transformers, name)(CONFIG_MAPPING[kind](text_config=text, vision_config=eyes)).eval()
    for weight in theirs.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    theirs.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    if old != any(key.startswith("language_model.") for key in state):
        state = {written(key, old): x for key, x in state.items()}
        save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match="tensors of other senses than text are left out: .*vision_tower"):
        ours, _ = load_pretrained(tmp_path)
    assert (ours(TOKENS) - theirs(input_ids=TOKENS).logits).abs().max() < 1e-4


def written(name: str, old: bool) -> str:
    """A tensor's name as older or as newer files have it."""
    if old:
        inner = name.removeprefix("model.language_model.")
        return (f"language_model.model.{inner}" if inner != name else
                f"language_model.{name}" if name.startswith("lm_head") else name.removeprefix("model."))
    inner = name.removeprefix("language_model.model.")
    return f"model.language_model.{inner}" if inner != name else name.removeprefix("language_model.") if (
        "lm_head" in name) else f"model.{name}"


def test_sizes_that_a_wrapper_leaves_out_are_those_of_transformers():
    for kind, inner in WRAPPERS.items():
        theirs = CONFIG_MAPPING[kind](text_config={"model_type": inner}).text_config
        ours = text_of({"model_type": kind, "text_config": {}, "eos_token_id": 7}, ["lm_head.weight"])
        assert ours["model_type"] == inner and ours["eos_token_id"] == 7 and not ours["tie_word_embeddings"]
        assert {key: getattr(theirs, key) for key in USUAL[inner]} == USUAL[inner]
        assert text_of({"model_type": kind, "text_config": {}}, [])["tie_word_embeddings"]


def test_every_decoder_that_transformers_has_is_opened_or_refused_by_what_is_missing():
    known = {*FAMILIES, *ALSO, *MISSING, *WRAPPERS}
    assert [name for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if name not in known] == []
    for name, why in MISSING.items():
        with pytest.raises(ValueError, match="needs what minillm has not") as refused:
            family_of({"model_type": name})
        assert why in str(refused.value)
