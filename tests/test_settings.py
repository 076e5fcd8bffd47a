"""Every setting of a published config.json: obeyed as transformers obeys it, or refused by name; never passed over."""
from __future__ import annotations

import copy
import tempfile
from functools import cache
from pathlib import Path

import pytest
import torch
import transformers
from transformers import CONFIG_MAPPING

from minillm import weights
from minillm.pretrained import build, check_shapes, files, one_of_twins
from minillm.pretrained.families import FAMILIES
from minillm.pretrained.passed import PASSED
from tests.parity.references import CONFIGS, VOCAB, reference

NAMES = [name for name in CONFIGS if name not in ("deepseek", "llama-2")]  # transformers has no class; llama again
TOKENS = torch.randint(0, VOCAB, (1, 20), generator=torch.Generator().manual_seed(2))
NOT_MINE = {"model_type", "architectures", "transformers_version", "dtype", "id2label", "label2id", "problem_type",
            "chunk_size_feed_forward", "return_dict", "output_attentions", "output_hidden_states"}
OTHER = {  # what a setting is changed to, where half as much again, or the opposite, would say little
    "hidden_act": ["relu", "gelu", "gelu_new", "silu", "tanh"], "hidden_activation": ["relu", "gelu", "silu", "tanh"],
    "activation_function": ["relu", "gelu", "silu", "tanh"], "sliding_window": [3, 1000], "head_dim": [8, 16, 4],
    "clip_qkv": [0.05], "layer_types": [["full_attention"] * 2, ["sliding_attention"] * 2, ["full_attention"]],
    "attn_logit_softcapping": [0.5], "final_logit_softcapping": [0.5], "mlp_only_layers": [[0], [1]],
    "num_key_value_heads": [1, 2, 4], "use_bidirectional_attention": [True, False], "topk_method": ["noaux"],
    "max_window_layers": [0, 1, 2, 9], "num_local_experts": [2], "original_max_position_embeddings": [8],
    "rope_parameters": [{"rope_type": "default"}, {"rope_theta": 77.0}, {"rope_type": "linear", "factor": 3.0},
                        {"type": "linear", "factor": 3.0}, {"rope_type": "dynamic", "factor": 3.0},
                        {"rope_type": "llama3", "factor": 3.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
                        {"rope_type": "yarn", "factor": 3.0}, {"partial_rotary_factor": 0.5}]}
BESIDE = {  # what old files, or other families' files, say beside
    "rope_theta": [77.0], "rope_scaling": [{"type": "linear", "factor": 3.0}, {"rope_type": "default"}],
    "sliding_window": [3], "use_sliding_window": [True, False], "layer_types": [["sliding_attention"] * 2],
    "sliding_window_pattern": [2, 3], "rope_local_base_freq": [55.0], "partial_rotary_factor": [0.5, 1.0],
    "rotary_pct": [0.5], "rotary_emb_base": [77], "head_dim": [4, 8, 16], "num_key_value_heads": [1, 2],
    "attention_bias": [True], "qk_layernorm": [True], "clip_qkv": [0.05], "scale_attn_weights": [False],
    "attn_logit_softcapping": [0.5], "final_logit_softcapping": [0.5], "logit_scale": [0.1], "novelty": [1, True],
    "hidden_activation": ["silu"], "hidden_act": ["silu"], "tie_word_embeddings": [True, False], "n_inner": [40],
    "residual_multiplier": [0.5], "no_rope_layers": [[0, 1]], "max_window_layers": [1]}


@cache
def model(name: str):
    """transformers' tiny random model, and what its folder holds."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = reference(name, Path(folder))
        parts = files.parts(Path(folder))
        return (theirs, files.read_json(Path(folder) / "config.json"), weights.shapes(parts),
                dict(weights.tensors(parts)))


def its_own(name: str) -> dict | None:
    """Of a second model of a family (llama-yarn), what its configuration says otherwise than the first's."""
    first, more = name.split("-")[0], name.partition("-")[2]
    if not more or first not in CONFIGS:
        return None
    usual = CONFIGS[first][1]
    return {key: value for key, value in CONFIGS[name][1].items() if key not in usual or usual[key] != value}


def changes(settings: dict, own: dict | None = None):
    """Each setting taken away, nulled, changed; and settings that are not there put beside.  With `own`, only these."""
    for key, value in settings.items():
        if key in PASSED | NOT_MINE or own is not None and key not in own:
            continue
        yield {k: v for k, v in settings.items() if k != key}
        yield settings | {key: None}
        usual = [not value] if isinstance(value, bool) else [value + 1] if isinstance(value, int) else [
            value * 1.5 + 0.1] if isinstance(value, float) else []
        for other in OTHER.get(key, usual):
            yield settings | {key: other}
            if key == "rope_parameters":
                yield {k: v for k, v in settings.items() if k != key} | {"rope_scaling": other}
    for key, values in BESIDE.items() if own is None else ():
        for value in () if key in settings else values:
            yield settings | {key: value}
            if "ro" in key and "rope_parameters" in settings:
                yield {k: v for k, v in settings.items() if k != "rope_parameters"} | {key: value}
            if "window" in key and "sliding_window" in settings:
                yield settings | {"sliding_window": 3, "use_sliding_window": True} | {key: value}


def logits_of_theirs(theirs, settings: dict):
    """None where transformers itself cannot make a model of these settings and those weights."""
    settings = copy.deepcopy(settings)
    try:
        config = CONFIG_MAPPING[settings.pop("model_type")].from_dict(settings)
        changed = transformers.AutoModelForCausalLM.from_config(config, experts_implementation="eager").eval()
        changed.load_state_dict(theirs.state_dict())
        return changed(TOKENS).logits
    except Exception:  # whatever it may be
        return None


def logits_of_ours(settings: dict, shapes: dict, weights: dict):
    family = FAMILIES[settings["model_type"]]
    config = family.read(settings)
    check_shapes(family, config, shapes)
    return build(config, family.load(one_of_twins(family, config, weights), config, settings))(TOKENS)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_setting_is_obeyed_as_transformers_obeys_it_or_refused(name):
    theirs, settings, shapes, weights = model(name)
    wrong, obeyed = [], 0
    own = its_own(name)
    for changed in changes(settings, own):
        try:
            ours = logits_of_ours(changed, shapes, weights)
        except ValueError:
            continue
        expected = logits_of_theirs(theirs, changed)
        obeyed += expected is not None
        if expected is not None and not (ours - expected).abs().max() < 1e-4:
            wrong.append({k: changed.get(k, "taken away") for k in settings | changed
                          if changed.get(k, "taken away") != settings.get(k, "not there")})
    assert not wrong and obeyed >= (5 if own is None else 1)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_what_is_passed_over_changes_nothing(name):
    theirs, settings, shapes, weights = model(name)
    odd = {key: (not value) if isinstance(value, bool) else 0.4 if isinstance(value, float) else value
           for key, value in settings.items() if key in PASSED - NOT_MINE}
    changed = settings | odd | {"bos_token_id": 3, "eos_token_id": [3, 4], "initializer_range": 0.5, "use_cache": False}
    expected = logits_of_theirs(theirs, changed)
    assert (expected - theirs(TOKENS).logits).abs().max() == 0
    assert torch.equal(logits_of_ours(changed, shapes, weights), logits_of_ours(settings, shapes, weights))
