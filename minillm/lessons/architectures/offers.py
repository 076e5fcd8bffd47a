"""Say what the explorer's controls offer, and read from a preset what they say of it."""
from __future__ import annotations

from typing import Any

from minillm.config import ModelConfig, set_aside
from minillm.model import labels
from minillm.presets import PRESETS

ROLES = ("block", "attention", "norm", "position", "MLP", "whole model")
GROUPS = {  # the choices, by what they are about; what is shown of the code stands beside it
    "norms and stream": ["norm", "norm_order", "residual"],
    "MLP and experts": ["mlp", "mixture", "groups", "router", "router_bias", "balance_bias"],
    "attention": ["attention", "d_query", "n_kv_heads", "qk_norm", "attention_gate", "attention_sinks", "window",
                  "global_every", "global_first"],
    "linear layers": ["linear_attention", "full_every", "full_first", "conv_width"],
    "positions": ["position", "rope_pairs", "nope_every"],
    "bias and ties": ["bias", "tie_embeddings"]}
NONE = "nothing chosen"  # a drop-down takes None for that; "none" is a choice of bias and position


def plain(value: Any) -> Any:
    """What a control's value says."""
    return None if value == NONE else value


def turned_from(base: ModelConfig, chosen: dict[str, Any]) -> dict[str, Any]:
    """What is chosen otherwise than a preset has it, and has an effect."""
    usual, idle = choices_of(base), aside(chosen)
    return {name: value for name, value in chosen.items() if value != usual[name] and name not in idle}


def aside(chosen: dict[str, Any]) -> dict[str, str]:
    """The controls that mean nothing beside the others, with the reason."""
    found = set_aside(chosen | {"n_experts": chosen["mixture"][0]})
    found |= {"groups": found["n_dense_layers"]} if "n_dense_layers" in found else {}
    return {name: found[name] for name in chosen if name in found}


def choices_of(base: ModelConfig) -> dict[str, Any]:
    """What a preset says of each choice."""
    names = ("residual", "router", "router_bias", "balance_bias", "norm", "norm_order", "attention", "d_query",
             "linear_attention", "full_every", "full_first", "conv_width", "position", "rope_pairs", "nope_every",
             "n_kv_heads", "qk_norm", "attention_gate", "attention_sinks", "window", "global_every", "global_first",
             "mlp", "bias", "tie_embeddings")
    return {name: getattr(base, name) for name in names} | {
        "mixture": mixture_of(base), "groups": (base.n_expert_groups, base.groups_per_token)}


def mixture_of(base: ModelConfig) -> tuple[int, int, int]:
    """How many experts, how many for each token, and how many for all."""
    return (base.n_experts, base.experts_per_token, base.n_shared_experts) if base.n_experts else (0, 0, 0)


def mixtures() -> dict[str, tuple[int, int, int]]:
    """The mixtures of all presets."""
    def words(n: int, k: int, shared: int) -> str:
        return f"{n}, {k} per token" + (f" + {shared} shared" if shared else "") if n else "none (dense)"
    return {words(*each): each for each in sorted({mixture_of(base) for base in PRESETS.values()})}


def groupings() -> dict[str, tuple[int, int]]:
    """Into how many groups presets put their experts, and how many of these a token may visit."""
    found = {(base.n_expert_groups, base.groups_per_token) for base in PRESETS.values()} | {(4, 2)}
    return {"none" if each == (1, 1) else f"{each[0]}, {each[1]} per token": each for each in sorted(found)}


def offered(field: str, none: str) -> dict[str, Any]:
    """The values that presets have of a field that is no word, and none of them."""
    found = sorted({getattr(base, field) for base in PRESETS.values()} - {None})
    if field == "n_kv_heads":
        found = sorted({1, 2, *found})
    words = {"global_every": "every {}th layer", "window": "{:,} tokens", "d_query": "latent of {:,}"}.get(field, "{}")
    return {none: NONE} | {words.format(value).replace("2th", "2nd"): value for value in found}


def values_of(choice: str) -> dict[str, Any]:
    """All values of a choice that is told in words."""
    return {word: NONE if value is None else value for value, word in labels(choice).items()}
