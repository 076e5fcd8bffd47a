"""Find the published family that a file, or a configuration, belongs to."""
from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from minillm.config import ModelConfig, canonical
from minillm.pretrained import gpts, llamas, mixtures
from minillm.pretrained.missing import MISSING
from minillm.pretrained.settings import Family

FAMILIES = {family.model_type: family for family in (*llamas.ROWS, *gpts.ROWS, *mixtures.ROWS)}
ALSO = {"kimi_k2": "deepseek_v3", "gpt-sw3": "gpt2"}  # another name of the same code


def family_of(theirs: dict[str, Any]) -> Family:
    """The family that a config.json belongs to."""
    kind = theirs.get("model_type")
    kind = ALSO.get(kind, kind) if isinstance(kind, str) else kind
    if kind in tuple(MISSING):
        raise ValueError(f"model_type={kind!r} needs what minillm has not: {MISSING[kind]}; choose a model of another "
                         f"family, or open it with transformers")
    if kind not in tuple(FAMILIES):
        near = "".join(f"; the nearest is {name}" for name in get_close_matches(str(kind), FAMILIES, 1, cutoff=0.4))
        raise ValueError(f"model_type={kind!r} is not a family known here{near}; known are: {', '.join(FAMILIES)}; "
                         f"choose one of these, or open it with transformers")
    return FAMILIES[kind]


def family_for(config: ModelConfig) -> Family:
    """The first family that is exactly this configuration.

    Raises ValueError where there is none, naming the fields that stand in the nearest one's way.
    """
    c = canonical(config)
    ways = {name: family.standing_in_the_way(c) for name, family in FAMILIES.items()}
    nearest = min(ways, key=lambda name: len(ways[name]))  # the first of equals
    if ways[nearest]:
        fields = ", ".join(f"{name}={value!r}" for name, value in ways[nearest].items())
        raise ValueError(f"no published family has this combination of choices; the nearest, {nearest}, "
                         f"has not: {fields}. "
                         f"Change that, or keep the model in minillm's own format with save(...)")
    return FAMILIES[nearest]
