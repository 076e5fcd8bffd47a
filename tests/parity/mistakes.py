"""Make the mistakes that a port of each family is likely to hold: the comparison has to notice every one."""
from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import torch

from minillm.config import ModelConfig, RopeScaling
from minillm.pretrained.layouts import State

# fields of the config told wrongly, or tensors put in the wrong place
Mistake = dict | Callable[[State], State]


def swapped(a: str, b: str) -> Callable[[State], State]:
    """Two tensors in each other's place."""
    def swap(state: State) -> State:
        names = {name: name.replace(a, "?").replace(b, a).replace("?", b) for name in state}
        return {names[name]: tensor for name, tensor in state.items()}
    return swap


def changed(part: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[State], State]:
    """Every tensor whose name holds `part`, changed."""
    return lambda state: {name: change(x) if part in name else x for name, x in state.items()}


def forgotten(part: str) -> Callable[[State], State]:
    return changed(part, torch.zeros_like)


def ungained(part: str) -> Callable[[State], State]:
    return changed(part, torch.ones_like)


def interleaved(part: str, n: int) -> Callable[[State], State]:
    """Rows that follow each other in n parts, taken as if they alternated."""
    return changed(part, lambda x: x.unflatten(0, (n, -1)).transpose(0, 1).flatten(0, 1))


def scaled_by(part: str, factor: float) -> Callable[[State], State]:
    """Every tensor whose name holds this pattern, times a number."""
    return lambda state: {name: x * factor if re.search(part, name) else x for name, x in state.items()}


def alternating(state: State) -> State:
    """Gate and up taken from a matrix as if their rows followed each other, where they take turns."""
    out = dict(state)
    for name in state:
        if ".experts." in name and ".gate_proj." in name:
            up = name.replace("gate_proj", "up_proj")
            out[name], out[up] = torch.stack([state[name], state[up]], 1).flatten(0, 1).chunk(2)
    return out


def halves_exchanged(state: State) -> State:
    """Queries and keys whose pairs turn the other way round."""
    return {name: x.unflatten(0, (-1, 2, 4)).flip(1).flatten(0, 2) if name.endswith(("q_proj.weight", "k_proj.weight"))
            else x for name, x in state.items()}


ROPE = {"neighbouring pairs": dict(rope_pairs="neighbours"), "another theta": dict(rope_theta=700.0)}
GATE = {"gate and up exchanged": swapped("gate_proj", "up_proj")}
MIXTURE = {"one expert too many": dict(experts_per_token=3), **GATE,
           "experts in another order": swapped("experts.0", "experts.1")}
FOUR = {"one expert too many": dict(experts_per_token=4)}
ONE_PLUS = {"gain without its one": changed("norm.weight", lambda x: x - 1)}
MISTAKES: dict[str, dict[str, Mistake]] = {
    "gpt2": {"exact GELU": dict(mlp="gelu-exact"), "keys before queries": swapped("q_proj", "k_proj"),
             "scores not scaled": dict(attention_scale=1.0),
             "positions one too late": changed("position", lambda x: x.roll(1, 0)),
             "o_proj not transposed": changed("o_proj.weight", lambda x: x.T)},
    "llama": {**ROPE, **GATE, "large eps": dict(norm_eps=1e-3)},
    "llama-2": {**ROPE, "groups interleaved": interleaved("k_proj", 2),
                "norms exchanged": swapped("attention_norm", "mlp_norm")},
    "llama-3.1": {**ROPE, "not stretched": dict(rope_scaling=None)},
    "mistral": {"no window": dict(window=None), "window one too narrow": dict(window=7),
                "window one too wide": dict(window=9), **ROPE},
    "mixtral": {**MIXTURE, "weights not rescaled": dict(normalize_experts=False)},
    "qwen2": {**ROPE, "bias forgotten": forgotten("v_proj.bias"),
              "query bias forgotten": forgotten("q_proj.bias")},
    "qwen3": {**ROPE, "query gain forgotten": ungained("q_norm"),
              "gains exchanged": swapped("q_norm", "k_norm")},
    "qwen3_moe": {**MIXTURE, "weights not rescaled": dict(normalize_experts=False)},
    "mellum": {**MIXTURE, "weights not rescaled": dict(normalize_experts=False), "not stretched": dict(
        rope_scaling=None), "windows everywhere": dict(global_every=None), "one theta": dict(rope_theta_local=500.0)},
    "gemma": {**ONE_PLUS, "embeddings not scaled": dict(embed_scale=False), "SiLU": dict(mlp="swiglu")},
    "gemma2": {**ONE_PLUS, "scores uncapped": dict(attention_softcap=None),
               "logits uncapped": dict(logit_softcap=None), "windows everywhere": dict(global_every=None),
               "usual scale": dict(attention_scale=None),
               "norms exchanged": swapped("attention_out_norm", "mlp_norm")},
    "gemma3": {**ONE_PLUS, "one theta": dict(rope_theta_local=None),
               "global one too early": dict(global_every=5), "gains exchanged": swapped("q_norm", "k_norm")},
    "olmo": {**ROPE, "RMS": dict(norm="rmsnorm"), **GATE},
    "olmo2": {**ROPE, "gain per head": ungained("k_norm"), "norms exchanged": swapped("attention_out_norm",
                                                                                      "mlp_out_norm")},
    "olmoe": {**MIXTURE, "weights rescaled": dict(normalize_experts=True),
              "query gain forgotten": ungained("q_norm")},
    "gpt_neox": {"all of a head turned": dict(rope_fraction=1.0),
                 "one after the other": dict(norm_order="pre"), "rows by part": interleaved("q_proj", 2),
                 "tanh GELU": dict(mlp="gelu")},
    "gpt_neox-unbiased": {"all of a head turned": dict(rope_fraction=1.0), "rows by part": interleaved("q_proj", 2),
                          "side by side": dict(norm_order="parallel"), "bias forgotten": forgotten("down_proj.bias")},
    "bloom": {"no slopes": dict(position="none"), "heads in another order": interleaved("q_proj", 2),
              "embedding gain forgotten": ungained("embed_norm"), "exact GELU": dict(mlp="gelu-exact")},
    "phi": {"all of a head turned": dict(rope_fraction=1.0), "exact GELU": dict(mlp="gelu-exact"),
            "last bias forgotten": forgotten("unembed.bias"), **ROPE},
    "phi3": {**GATE, **ROPE, "keys before values": swapped("k_proj", "v_proj"),
             "no window": dict(window=None)},
    "openai-gpt": {"exact GELU": dict(mlp="gelu-exact"), "keys before queries": swapped("q_proj", "k_proj"),
                   "norms exchanged": swapped("attention_out_norm", "mlp_out_norm")},
    "gpt_bigcode": {"exact GELU": dict(mlp="gelu-exact"), "keys before values": swapped("k_proj", "v_proj"),
                    "scores not scaled": dict(attention_scale=1.0), "positions one too late":
                    changed("position", lambda x: x.roll(1, 0))},
    "opt": {"padding's rows taken": changed("position", lambda x: x.roll(2, 0)), "GELU": dict(mlp="gelu"),
            "norms exchanged": swapped("attention_norm", "mlp_norm"), "bias forgotten": forgotten("v_proj.bias")},
    "falcon": {**ROPE, "tanh GELU": dict(mlp="gelu"), "keys before values": swapped("k_proj", "v_proj")},
    "stablelm": {**ROPE, **GATE, "all of a head turned": dict(rope_fraction=1.0),
                 "shift forgotten": forgotten("norm.bias"), "bias forgotten": forgotten("q_proj.bias")},
    "starcoder2": {**ROPE, "exact GELU": dict(mlp="gelu-exact"), "no window": dict(window=None),
                   "bias forgotten": forgotten("down_proj.bias")},
    "nemotron": {**ONE_PLUS, "all of a head turned": dict(rope_fraction=1.0), "ReLU": dict(mlp="relu"),
                 "shift forgotten": forgotten("norm.bias")},
    "cohere": {**GATE, "halves": dict(rope_pairs="halves"), "another theta": dict(rope_theta=700.0),
               "logits not scaled": lambda state: state | {"norm.weight": state["norm.weight"] * 16}},
    "cohere2": {**GATE, "halves": dict(rope_pairs="halves"), "all layers turn": dict(nope_every=None),
                "windows everywhere": dict(global_every=None)},
    "smollm3": {**ROPE, **GATE, "all layers turn": dict(nope_every=None), "one too early": dict(nope_every=3)},
    "arcee": {**ROPE, "ReLU": dict(mlp="relu"), "large eps": dict(norm_eps=1e-3)},
    "seed_oss": {**ROPE, **GATE, "bias forgotten": forgotten("v_proj.bias")},
    "ernie4_5": {**GATE, "halves": dict(rope_pairs="halves"), "bias forgotten": forgotten("o_proj.bias")},
    "glm": {**GATE, "halves": dict(rope_pairs="halves"), "all of a head turned": dict(rope_fraction=1.0)},
    "glm4": {**GATE, "halves": dict(rope_pairs="halves"), "norms exchanged": swapped("attention_out_norm", "mlp_norm")},
    "granite": {**ROPE, **GATE, "usual scale": dict(attention_scale=None),
                "branches not scaled": changed("down_proj", lambda x: x * 12 / 0.22),
                "logits not scaled": lambda state: state | {"norm.weight": state["norm.weight"] * 8},
                "eps of the longer stream": dict(norm_eps=0.05)},
    "exaone4": {**GATE, "all layers turn": dict(nope_every=None), "windows everywhere": dict(global_every=None),
                "gains exchanged": swapped("q_norm", "k_norm")},
    "exaone4-small": {**ROPE, **GATE, "norms exchanged": swapped("attention_out_norm", "mlp_out_norm")},
    "olmo3": {**ROPE, "windows everywhere": dict(global_every=None), "gain per head": ungained("k_norm")},
    "llama-biased": {**GATE,
                     "bias forgotten": forgotten("v_proj.bias"), "last bias forgotten": forgotten("o_proj.bias")},
    "llama-yarn": {"neighbouring pairs": dict(rope_pairs="neighbours"), "not stretched": dict(rope_scaling=None),
                   "scores not sharpened": dict(attention_scale=8 ** -0.5)},
    "olmo3-yarn": {"not stretched": dict(rope_scaling=None), "stretched in windows too": dict(rope_theta_local=None),
                   "sharpened in windows too": dict(attention_scale=8 ** -0.5 * (1 + 0.1 * math.log(8)) ** 2)},
    "gptj": {"halves": dict(rope_pairs="halves"), "all of a head turned": dict(rope_fraction=1.0),
             "exact GELU": dict(mlp="gelu-exact"), "last bias forgotten": forgotten("unembed.bias")},
    "gpt_oss": {**MIXTURE, "sinks forgotten": changed("sinks", lambda x: x - 50), "usual SwiGLU": dict(mlp="swiglu"),
                "windows everywhere": dict(global_every=None), "router's bias forgotten": forgotten("router.bias"),
                "weights not rescaled": dict(normalize_experts=False), "rows by part": alternating,
                "whole pairs": dict(rope_scaling=RopeScaling("yarn", 8.0, 1.0, 4.0, 32, sharpen=0.1)),
                "scores not sharpened": dict(attention_scale=0.25)},
    "deepseek_v2-groups": {**MIXTURE, **FOUR, "any group": dict(groups_per_token=4),
                           "query's gain forgotten": ungained("q_latent.norm"),
                           "experts not scaled": scaled_by(r"experts\.\d+\.down", 1 / 2.5)},
    "deepseek_v3": {**MIXTURE, **FOUR, "any group": dict(groups_per_token=4), "softmax": dict(router="softmax"),
                    "bias forgotten": forgotten("balance"), "weights not rescaled": dict(normalize_experts=False),
                    "experts not scaled": scaled_by(r"experts\.\d+\.down", 1 / 2.5),
                    "shared experts scaled too": scaled_by("shared.down", 2.5)},
    "youtu": {**GATE, "halves": dict(rope_pairs="halves"), "query's gain forgotten": ungained("q_latent.norm"),
              "latent's gain forgotten": ungained("latent_norm")},
    "glm4_moe": {**MIXTURE, "all of a head turned": dict(rope_fraction=1.0), "bias forgotten": forgotten("balance"),
                 "gains exchanged": swapped("q_norm", "k_norm"),
                 "experts not scaled": scaled_by(r"experts\.\d+\.down", 1 / 1.5)},
    "solar_open": {**MIXTURE, "softmax": dict(router="softmax"), "bias forgotten": forgotten("balance"),
                   "query bias forgotten": forgotten("q_proj.bias")},
    "hyperclovax": {**ROPE, **GATE, "usual scale": dict(attention_scale=None),
                    "logits divided": lambda state: state | {"norm.weight": state["norm.weight"] / 8 ** 2},
                    "norms exchanged": swapped("attention_norm", "attention_out_norm"),
                    "branches not scaled": changed("out_norm", lambda x: x * 12 / 0.22)},
    "llama-mlp-biased": {**ROPE, **GATE, "bias forgotten": forgotten("down_proj.bias")},
    "cwm": {**ROPE, "windows everywhere": dict(global_every=None), "the last of four sees all": dict(
        global_first=False), "not stretched": dict(rope_scaling=None)},
    "ministral": {"neighbouring pairs": dict(rope_pairs="neighbours"), "the wrong layer": dict(global_first=False),
                  "windows everywhere": dict(global_every=None), "window one too wide": dict(window=9)},
    "internlm3": {**ROPE, **GATE, "bias forgotten": forgotten("o_proj.bias"), "another": forgotten("gate_proj.bias")},
    "iquestcoder": {**ROPE, **GATE, "bias forgotten": forgotten("up_proj.bias")},
    "helium": {**GATE, "halves": dict(rope_pairs="halves"), "another theta": dict(rope_theta=700.0)},
    "vaultgemma": {**ONE_PLUS, "scores uncapped": dict(attention_softcap=None), "logits uncapped": dict(
        logit_softcap=None), "windows everywhere": dict(global_every=None), "usual scale": dict(attention_scale=None)},
    "nanochat": {**ROPE, "turned the usual way": halves_exchanged, "ReLU": dict(mlp="relu"),
                 "embeddings not normed": dict(embed_norm=False), "logits uncapped": dict(logit_softcap=None)},
    "codegen": {"halves": dict(rope_pairs="halves"), "all of a head turned": dict(rope_fraction=1.0),
                "keys before values": swapped("k_proj", "v_proj"), "rows by part": interleaved("q_proj", 4),
                "last bias forgotten": forgotten("unembed.bias")},
    "gpt_neo": {"exact GELU": dict(mlp="gelu-exact"), "scores scaled": dict(attention_scale=None),
                "the second sees all": dict(global_first=False), "windows everywhere": dict(global_every=None),
                "bias forgotten": forgotten("o_proj.bias")},
    "biogpt": {"padding's rows taken": changed("position", lambda x: x.roll(2, 0)), "tanh GELU": dict(mlp="gelu"),
               "embeddings not scaled": dict(embed_scale=False), "bias forgotten": forgotten("v_proj.bias")},
    "xglm": {"padding's rows taken": changed("position", lambda x: x.roll(2, 0)), "tanh GELU": dict(mlp="gelu"),
             "sine beside cosine": changed("position", lambda x: x.unflatten(1, (2, -1)).mT.flatten(1)),
             "embeddings not scaled": dict(embed_scale=False)},
    "ctrl": {"positions one too late": changed("position", lambda x: x.roll(1, 0)), "tanh GELU": dict(mlp="gelu"),
             "sine beside cosine": changed("position", lambda x: x.unflatten(1, (2, -1)).mT.flatten(1)),
             "embeddings not scaled": dict(embed_scale=False), "last bias forgotten": forgotten("unembed.bias")},
    "mpt": {"no slopes": dict(position="none"), "usual scale": dict(attention_scale=None),
            "tanh GELU": dict(mlp="gelu"), "keys before values": swapped("k_proj", "v_proj"),
            "rows by head": interleaved("q_proj", 6)},
    "jais2": {**ROPE, "ReLU": dict(mlp="relu"), "bias forgotten": forgotten("o_proj.bias"),
              "shift forgotten": forgotten("norm.bias")},
    "dots1": {**MIXTURE, "any group": dict(groups_per_token=4), "softmax": dict(router="softmax"),
              "bias forgotten": forgotten("balance"), "gains exchanged": swapped("q_norm", "k_norm"),
              "experts not scaled": scaled_by(r"experts\.\d+\.down", 1 / 1.5)},
    "exaone_moe": {**MIXTURE, "all layers turn": dict(nope_every=None), "windows everywhere": dict(global_every=None),
                   "bias forgotten": forgotten("balance"), "shared experts forgotten": forgotten("shared"),
                   "experts not scaled": scaled_by(r"experts\.\d+\.down", 1 / 1.5)},
    "hy_v3": {**MIXTURE, "bias forgotten": forgotten("balance"), "gains exchanged": swapped("q_norm", "k_norm"),
              "softmax": dict(router="softmax"), "experts not scaled": scaled_by(r"experts\.\d+\.down", 1 / 1.5)},
    "minimax_m2": {**MIXTURE, "bias forgotten": forgotten("balance"), "all of a head turned": dict(rope_fraction=1.0),
                   "query gain forgotten": ungained("q_norm")},
    "ernie4_5_moe": {**MIXTURE, "bias forgotten": forgotten("balance"), "halves": dict(rope_pairs="halves"),
                     "sigmoid": dict(router="sigmoid"), "shared experts forgotten": forgotten("shared")},
    "flex_olmo": {**MIXTURE, "query gain forgotten": ungained("q_norm"),
                  "norms exchanged": swapped("attention_out_norm", "mlp_out_norm")},
    "granitemoe": {**MIXTURE, "usual scale": dict(attention_scale=None), "weights not rescaled": dict(
        normalize_experts=False), "branches not scaled": changed("down_proj", lambda x: x * 12 / 0.22),
        "logits not scaled": lambda state: state | {"norm.weight": state["norm.weight"] * 8}},
    "deepseek": {**MIXTURE, "weights rescaled": dict(normalize_experts=True),
                 "shared experts forgotten": forgotten("shared")},
    "deepseek_v2": {**MIXTURE, "halves": dict(rope_pairs="halves"), "not stretched": dict(rope_scaling=None),
                    "scale of a head alone": dict(attention_scale=12 ** -0.5),
                    "scores not sharpened": dict(attention_scale=28 ** -0.5),
                    "latent gain forgotten": ungained("latent_norm"), "keys before values": swapped("k_proj", "v_proj"),
                    "keys and values by part": interleaved("k_proj", 4),
                    "rotary rows of the latent": changed("rotary_proj", lambda x: x.roll(1, 0))},
}


def made(mistake: Mistake, config: ModelConfig, state: State) -> tuple[ModelConfig, State]:
    """The config and the tensors that somebody who makes this mistake ends up with."""
    if isinstance(mistake, dict):
        return replace(config, **mistake), state
    return config, {name: x.contiguous() for name, x in mistake(dict(state)).items()}
