"""Read and write from how many groups of experts a published mixture chooses."""
from __future__ import annotations

from typing import Any

from minillm.config import ModelConfig

GROUPS = ("n_group", "topk_group", "topk_method")  # keys of config.json
ALL, LIMITED = "greedy", "group_limited_greedy"


def read_groups(theirs: dict[str, Any], facts: dict[str, Any], *, limited: bool) -> dict[str, int]:
    """The fields about groups; `limited`: they count only where topk_method says so."""
    method = theirs.get("topk_method", ALL if limited else "noaux_tc")
    if method not in ((ALL, LIMITED) if limited else ("noaux_tc",)):
        raise ValueError(f"topk_method={method!r} is not built here; built are: greedy and group_limited_greedy of "
                         f"DeepSeek-V2, noaux_tc of DeepSeek-V3")
    told = {}
    for key, name in zip(GROUPS, ("n_expert_groups", "groups_per_token"), strict=False):
        value = theirs.get(key, facts.get(name, 1))
        if method != ALL and (not isinstance(value, int) or isinstance(value, bool)):
            raise ValueError(f"{key}={value!r} must be a whole number; is config.json complete?")
        told[name] = 1 if method == ALL else value
    return told


def write_groups(c: ModelConfig, *, limited: bool) -> dict[str, Any]:
    """The fields about groups for config.json."""
    every = c.n_expert_groups == 1 and limited
    return {"n_group": c.n_expert_groups, "topk_group": c.groups_per_token,
            "topk_method": ALL if every else LIMITED if limited else "noaux_tc"}
