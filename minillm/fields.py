"""Refuse, in one sentence, what a field of a configuration cannot hold."""
from __future__ import annotations

import math
from dataclasses import Field, fields
from typing import Any


def made(kind: type, values: dict[str, Any]) -> Any:
    """A dataclass from plain values.  Refuses a name that it does not know, with the nearest one that it does."""
    known = {f.name for f in fields(kind)}
    for name in values:
        if name not in known:
            from difflib import get_close_matches
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else "; was it written by a newer minillm?"
            raise ValueError(f"{kind.__name__} has no field {name!r}{hint}")
    return kind(**values)


def check_type(field: Field, value: Any) -> None:
    """Refuse a value of another type than its field's annotation names."""
    kind, _, optional = field.type.partition(" | ")
    types, words = TAKES.get(kind, ((), f"a {kind}"))
    fits = isinstance(value, types) or type(value).__name__ == kind
    fits = fits and (kind == "bool" or not isinstance(value, bool))  # True is an int to Python
    if fits and isinstance(value, int) and not -1 << 63 <= value < 1 << 63:
        raise ValueError(f"{field.name} is a number of {value.bit_length()} bits, more than the 64 there are")
    if fits and kind == "float" and not math.isfinite(value):
        raise ValueError(f"{field.name}={value} is no number that anything can be computed with; make it finite")
    if fits and kind == "float" and abs(value) > MOST_FP32:
        raise ValueError(f"{field.name}={value} is more than fp32 holds, {MOST_FP32:g}; make it smaller")
    if not (fits or optional and value is None):
        raise ValueError(f"{field.name}={value!r} must be {words}{' or None' if optional else ''}")


def require(holds: bool, message: str) -> None:
    """Refuse, unless this holds."""
    if not holds:
        raise ValueError(message)


def check_stretch(scaling: Any) -> None:
    """Refuse a RopeScaling that nothing can be made of."""
    require(scaling.factor > 0, f"RopeScaling factor={scaling.factor} must be above 0; 1 leaves all as it is")
    require(abs(scaling.sharpen) <= 10,
            f"RopeScaling sharpen={scaling.sharpen} must lie between -10 and 10; 0.1 is usual")
    require(scaling.original_context >= 1,
            f"RopeScaling original_context={scaling.original_context} must be at least 1 token")
    level = scaling.kind == "yarn" and 0 < scaling.low_freq == scaling.high_freq  # Kimi K2: no blend at all
    require(scaling.kind == "linear" or level or 0 < scaling.low_freq < scaling.high_freq,
            f"RopeScaling low_freq={scaling.low_freq} must be above 0 and below high_freq={scaling.high_freq}: between "
            f"them it blends")


def check_numbers(config: Any) -> None:
    """Refuse a zero that Python would take for None, what turns likely into unlikely, and a context that nothing
    counts or whose table of sines fills the memory."""
    usual = {"attention_scale": "the usual one", "attention_softcap": "no cap", "logit_softcap": "no cap"}
    for name, none in usual.items():
        value = getattr(config, name)
        require(value is None or value > 0, f"{name}={value} must be above 0; None for {none}")
    n, d = config.context_length, config.d_model
    require(n <= MOST_POSITIONS, f"context_length={n} exceeds {MOST_POSITIONS:,}, up to which fp32 tells positions "
                                 f"apart; shorten it")
    require(config.position != "sinusoidal" or n * d <= MOST_WAVES,
            f"context_length={n} positions of d_model={d} sines each are more than a table of {MOST_WAVES:,} numbers; "
            f"shorten the context, or choose position='rope', which keeps no table")


def check_latent(config: Any) -> None:
    """Refuse what latent attention has no place for."""
    require(config.position == "rope",
            f"attention='latent' tells positions by a rotary key, which position={config.position!r} has not; "
            f"choose position='rope'")
    require(config.rope_fraction == 1.0,
            f"attention='latent' turns d_rotary components, not rope_fraction={config.rope_fraction} of a head; "
            f"leave rope_fraction 1 and set d_rotary")
    require(config.n_kv_heads in (None, config.n_heads),
            f"attention='latent' keeps one latent for all n_heads={config.n_heads}, so n_kv_heads={config.n_kv_heads} "
            f"has no heads to share; leave n_kv_heads None")
    require(config.qk_norm is None,
            f"attention='latent' norms its latent, and no keys by qk_norm={config.qk_norm!r}; leave qk_norm None")


def check_experts(config: Any) -> None:
    """Refuse a mixture that does not come out even, or whose router would learn nothing."""
    if config.n_experts:
        require(1 <= config.experts_per_token <= config.n_experts,
                f"experts_per_token={config.experts_per_token} must lie between 1 and n_experts={config.n_experts}")
        require(config.experts_per_token > 1 or config.n_experts == 1 or not config.normalize_experts,
                "experts_per_token=1 with normalize_experts=True makes the one weight 1, whatever the router "
                "says, so it never learns; choose normalize_experts=False, or 2 experts per token")
        require(config.n_dense_layers <= config.n_layers,
                f"n_dense_layers={config.n_dense_layers} exceeds n_layers={config.n_layers}; lower it")
        check_groups(config)
    else:
        require(config.n_shared_experts == 0,
                f"n_shared_experts={config.n_shared_experts} needs a mixture; set n_experts too")


def check_groups(config: Any) -> None:
    """Refuse groups of experts that do not come out even, or hold too few."""
    groups, size = config.n_expert_groups, config.n_experts // config.n_expert_groups
    require(size * groups == config.n_experts,
            f"n_experts={config.n_experts} do not split into n_expert_groups={groups} equal groups; choose a divisor")
    require(config.groups_per_token <= groups,
            f"groups_per_token={config.groups_per_token} exceeds n_expert_groups={groups}; lower it")
    require(config.groups_per_token * size >= config.experts_per_token,
            f"experts_per_token={config.experts_per_token} are not to be had in groups_per_token="
            f"{config.groups_per_token} of {size} experts; raise groups_per_token")
    require(config.router != "sigmoid" or config.groups_per_token == groups or size > 1,
            f"a group is judged by its best two, but n_expert_groups={groups} of n_experts={config.n_experts} hold "
            f"one each; lower n_expert_groups")


MOST_FP32 = 3.4e38
MOST_POSITIONS = 1 << 24  # whole numbers that fp32, in which angles are counted, tells apart
MOST_WAVES = 1 << 26      # 256 MiB of them
TAKES = {  # annotation -> the types that are taken, in a person's words
    "int": (int, "a whole number (int)"),
    "float": ((int, float), "a number (float)"),
    "bool": (bool, "True or False"),
    "str": (str, "a word (str)"),
}
