"""Configurations refuse what cannot work, and survive a round trip."""
from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import fields, replace

import pytest

from minillm.config import GATED, ModelConfig, RopeScaling
from minillm.environment import ROOT
from minillm.layers import MLPS
from minillm.layers.accounts import tally
from minillm.presets import PRESETS, scaled
from tests.variants import name_of, variants


@pytest.mark.parametrize("config", variants(60, seed=3), ids=name_of)
def test_a_config_survives_json(config):
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(("change", "words"), [
    ({"d_model": 30}, "d_model=30 does not split into n_heads=4"),
    ({"n_kv_heads": 3}, "n_heads=4 cannot share n_kv_heads=3"),
    ({"norm": "batchnorm"}, "norm='batchnorm' is not one of: rmsnorm, layernorm"),
    ({"d_head": 5}, "RoPE turns pairs"),
    ({"global_every": 2}, "needs a window"),
    ({"n_experts": 2, "experts_per_token": 3}, "experts_per_token=3 must lie between 1 and n_experts=2"),
    ({"n_shared_experts": 1}, "needs a mixture"),
    ({"dropout": 1.0}, "dropout=1.0"),
    ({"rope_theta": 0.0}, "rope_theta=0.0 must be positive"),
    ({"nope_every": 1}, "choose position='none', or at least 2"),
    ({"rope_theta_local": -1.0}, "rope_theta_local=-1.0 must be positive"),
    ({"norm_eps": 1e308}, "norm_eps=1e+308 is more than fp32 holds, 3.4e+38; make it smaller"),
    ({"attention_scale": 1e308}, "attention_scale=1e+308 is more than fp32 holds"),
    ({"vocab_size": 0}, "vocab_size=0 must be at least 1"),
    ({"window": 0}, "window=0 must be at least 1"),
    ({"attention": "latent", "position": "learned"}, "position='learned' has not; choose position='rope'"),
    ({"attention": "latent", "n_kv_heads": 2}, "n_kv_heads=2 has no heads to share; leave n_kv_heads None"),
    ({"attention": "latent", "qk_norm": "head"}, "leave qk_norm None"),
    ({"attention": "latent", "rope_fraction": 0.5}, "leave rope_fraction 1 and set d_rotary"),
    ({"attention": "latent", "d_rotary": 5}, "of d_rotary=5 is 5 components"),
    ({"attention": "latent", "d_rotary": 2, "rope_scaling": RopeScaling("yarn", 2.0)}, "2 components are one pair"),
])
def test_what_does_not_fit_is_refused_by_name_and_number(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        replace(ModelConfig(), **change)


@pytest.fixture(scope="module")
def plain():
    """minillm/config.py as a user has it: the tests' own check of annotations would refuse a wrong type first."""
    spec = importlib.util.spec_from_file_location("plain_config", ROOT / "minillm" / "config.py")
    module = sys.modules["plain_config"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["plain_config"]


@pytest.mark.parametrize("wrong", [
    {"n_layers": 1.5}, {"n_layers": 2.0}, {"d_model": "64"}, {"n_heads": True}, {"n_layers": None},
    {"n_experts": False}, {"window": 8.0}, {"n_kv_heads": "2"}, {"dropout": "0.1"}, {"rope_theta": True},
    {"norm_eps": None}, {"attention_softcap": "50"}, {"tie_embeddings": 1}, {"norm_weight": "yes"},
    {"embed_norm": None}, {"rope_scaling": "linear"}, {"norm": 3}], ids=str)
def test_a_value_of_another_type_is_refused_with_field_value_and_what_it_takes(plain, wrong):
    (name, value), = wrong.items()
    kind = {field.name: field.type for field in fields(ModelConfig)}[name]
    words = {"int": "a whole number", "float": "a number", "bool": "True or False", "RopeScaling": "a RopeScaling",
             "str": "rmsnorm"}[kind.partition(" | ")[0]]
    for make, values in ((lambda values: plain.ModelConfig(**values), wrong),
                         (plain.ModelConfig.from_dict, json.loads(json.dumps(wrong)))):
        with pytest.raises(ValueError) as refused:
            make(values)
        said = str(refused.value)
        assert said.startswith(f"{name}={value!r} ") and words in said
        assert ("or None" in said) == ("None" in kind)


def test_every_field_takes_its_default_and_a_number_may_be_written_without_a_point():
    for field in fields(ModelConfig):
        assert replace(ModelConfig(), **{field.name: field.default}) == ModelConfig()
    whole = ModelConfig.from_dict(json.loads('{"rope_theta": 500000, "dropout": 0, "attention_softcap": 50}'))
    assert whole == ModelConfig(rope_theta=5e5, dropout=0.0, attention_softcap=50.0)


@pytest.mark.parametrize(("scaling", "words"), [
    ({"factor": "2"}, "factor='2' must be a number"), ({"original_context": 1.5}, "must be a whole number"),
    ({"sharpen": "x"}, "sharpen='x' must be a number"), ({"faktor": 2.0}, "RopeScaling has no field 'faktor'; did you "
                                                                          "mean factor?")])
def test_a_scaling_read_from_json_is_checked_like_the_rest(plain, scaling, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        plain.ModelConfig.from_dict({"rope_scaling": scaling})


def test_only_yarn_sharpens():
    with pytest.raises(ValueError, match="belongs to yarn, not to linear"):
        RopeScaling("linear", 2.0, sharpen=0.1)


def test_a_replaced_config_keeps_no_stale_size():
    wide = replace(ModelConfig(d_model=128), d_model=384)
    assert (wide.resolve().d_ff, wide.resolve().d_head) == (1024, 96)
    assert replace(wide, mlp="gelu").resolve().d_ff == 4 * 384


def test_resolving_twice_changes_nothing():
    for config in PRESETS.values():
        assert config.resolve().resolve() == config.resolve()


def test_an_mlp_is_gated_where_it_has_a_third_matrix():
    assert {name for name, mlp in MLPS.items() if tally(mlp, 1, 1).learned == 3} == set(GATED)


@pytest.mark.parametrize("mlp", ["swiglu", "geglu"])
@pytest.mark.parametrize("d_model", [64, 128, 384, 768])
def test_a_gate_costs_no_parameters(mlp, d_model):
    c = ModelConfig(d_model=d_model, mlp=mlp).resolve()
    assert 3 * c.d_ff * d_model == pytest.approx(2 * 4 * d_model * d_model, rel=0.02)  # d_ff is a multiple of 8


@pytest.mark.parametrize("size", ["nano", "small"])
@pytest.mark.parametrize("name", PRESETS)
def test_scaling_down_keeps_every_choice(name, size):
    big, small = PRESETS[name], scaled(PRESETS[name], size, vocab_size=65)
    for choice in ("norm", "norm_order", "attention", "position", "mlp", "bias", "tie_embeddings", "qk_norm",
                   "embed_scale"):
        assert getattr(small, choice) == getattr(big, choice)
    assert (small.n_kv_heads or small.n_heads) < small.n_heads or (big.n_kv_heads or big.n_heads) == big.n_heads


def test_an_unknown_field_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean n_layers"):
        ModelConfig.from_dict({"n_layer": 2})
