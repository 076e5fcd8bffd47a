"""Draw small models from the whole product of architectural choices, each choice value at least once."""
from __future__ import annotations

import random
from dataclasses import replace

from minillm.config import CHOICES, ModelConfig, RopeScaling

LATENT = dict(position="rope", rope_fraction=1.0, n_kv_heads=None, qk_norm=None)  # what latent attention needs
SMALL = ModelConfig(vocab_size=31, d_model=32, n_layers=2, n_heads=4, context_length=24)
OTHERS = {  # choices that are not words
    "n_kv_heads": (None, 1, 2), "window": (None, 5), "global_every": (None, 2), "attention_softcap": (None, 3.0),
    "logit_softcap": (None, 5.0), "n_experts": (0, 4), "n_shared_experts": (0, 2), "n_dense_layers": (0, 1),
    "normalize_experts": (True, False), "tie_embeddings": (True, False), "embed_scale": (False, True),
    "embed_norm": (False, True), "unembed_bias": (False, True), "norm_weight": (True, False),
    "balance_bias": (False, True),
    "full_every": (None, 2), "full_first": (False, True), "conv_width": (None, 3), "attention_gate": (False, True),
    "attention_sinks": (False, True),
    "rope_fraction": (1.0, 0.5), "nope_every": (None, 2), "rope_theta_local": (None, 500.0),
    "attention_scale": (None, 0.2), "d_head": (None, 12), "d_latent": (None, 20), "d_rotary": (None, 6),
    "rope_scaling": (None, RopeScaling("linear", 2.0), RopeScaling("llama3", 8.0, 1.0, 4.0, 12),
                     RopeScaling("yarn", 8.0, 0.2, 1.0, 12, sharpen=0.1)),
}


def variants(count: int, *, seed: int = 0) -> list[ModelConfig]:
    """`count` configs that fit together; the first ones go through every value of every choice in turn."""
    rng, table, found = random.Random(seed), {**CHOICES, **OTHERS}, []
    turn = [(name, value) for name, values in table.items() for value in values]
    while len(found) < count:
        drawn = {name: rng.choice(values) for name, values in table.items()}
        forced = dict([turn[len(found)]] if len(found) < len(turn) else [])
        more = [3 if kind == "heads" else 1 for kind in CHOICES["attention"]]  # more can be said of heads
        drawn |= {"attention": rng.choices(CHOICES["attention"], more)[0], **forced}
        if drawn["attention"] == "latent":
            fits = all(LATENT.get(name, value) == value for name, value in forced.items())
            drawn |= LATENT if fits else {"attention": "heads"}
        if drawn["global_every"] and drawn["window"] is None:
            drawn["window"] = 5
        if "linear_attention" not in forced and rng.random() < 0.7:  # more can be said of softmax
            drawn["linear_attention"] = None
        if drawn["n_shared_experts"] and not drawn["n_experts"]:
            drawn["n_experts"] = 4
        found.append(replace(SMALL, **drawn))
    return found


def name_of(config: ModelConfig) -> str:
    """What sets a config apart, for a test's name."""
    return "-".join(f"{k}={v}" for k, v in config.to_dict().items() if k in CHOICES or k in OTHERS)[:120] or "plain"
