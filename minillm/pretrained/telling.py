"""Bring what a published config.json tells in a shape of its own into plain keys, and back."""
from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from minillm.config import ModelConfig

Inside = Mapping[str, tuple[str, ...]]       # an object's key -> the settings inside of it
DENSE, LISTED = "first_k_dense_replace", "mlp_layer_types"
ROPE, THETAS = ("rope_parameters", "rope_scaling"), ("rope_theta", "rope_local_base_freq")
END, TURNED = "moe_layer_end_index", "rotary_dim"
NEO = ("attention_layers", "attention_types", "window_size")
AHEAD = r"(model\.)?(layers\.(\d+)|mtp)\."   # a layer's name, or that of all that guesses further ahead
GLOBAL = {"global": "full_attention", "local": "sliding_attention"}


def flat(theirs: dict[str, Any], inside: Inside, listed: Collection[str]) -> dict[str, Any]:
    """The same settings with none inside of another, and lists of layers as other families tell them."""
    for key in inside:
        told = theirs.get(key) or {}
        if not isinstance(told, dict):
            raise ValueError(f"{key}={told!r} is no object with settings; is config.json complete?")
        theirs = {**told, **{name: value for name, value in theirs.items() if name != key}}
    if "layer_types" in listed and theirs.get("layer_types") is None and isinstance(
            n := theirs.get("num_hidden_layers"), int):
        theirs = theirs | {"layer_types": ["full_attention"] * min(n, 10_000)}
    if LISTED in listed and theirs.get(LISTED) is not None:
        theirs = theirs | {DENSE: _count(theirs[LISTED])}
    if NEO[0] in listed:
        theirs = {k: v for k, v in theirs.items() if k not in NEO} | _layer_types(theirs)
    if END in listed and theirs.get(END, -1) not in (-1, (theirs.get("num_hidden_layers") or 0) - 1):
        raise ValueError(f"{END}={theirs[END]} is not built here: built are mixtures in all layers but the first")
    if ROPE[0] in listed and not any(theirs.get(key) for key in ROPE) and (
            told := [key for key in THETAS if theirs.get(key) is not None]):
        raise ValueError(f"config.json tells {told[0]} without {ROPE[0]}, and this family's code passes over that; "
                         f"which is meant?")
    if TURNED in listed and theirs.get(TURNED) is not None:
        width = theirs.get("head_dim", 128)
        if not isinstance(theirs[TURNED], int) or not isinstance(width, int) or not width:
            raise ValueError(f"{TURNED}={theirs[TURNED]!r} of head_dim={width!r} is no share; is config.json complete?")
        theirs = {"partial_rotary_factor": theirs[TURNED] / width} | theirs
    return theirs


def nested(theirs: dict[str, Any], inside: Inside, listed: Collection[str], c: ModelConfig) -> dict[str, Any]:
    """The inverse of `flat`."""
    for key, names in inside.items():
        rest = {name: value for name, value in theirs.items() if name not in names}
        theirs = rest | {key: {name: theirs[name] for name in names if name in theirs}}
    if LISTED in listed:
        theirs = theirs | {LISTED: ["sparse" if c.is_mixture(i) else "dense" for i in range(c.n_layers)]}
    theirs = theirs | {END: -1} if END in listed else theirs
    if ROPE[0] in listed:  # its code reads nothing else, or would read the older way of telling first
        theirs = {name: value for name, value in theirs.items() if name not in (*ROPE[1:], *THETAS)}
    if NEO[0] in listed:
        kinds = {full: kind for kind, full in GLOBAL.items()}
        theirs = theirs | {NEO[1]: [[[kinds[each]], 1] for each in theirs.pop("layer_types")],
                           NEO[2]: theirs.pop("sliding_window")}
    return theirs


def _count(types: Any) -> int:
    """How many layers are dense, if these are the first."""
    known = isinstance(types, list) and all(each in ("dense", "sparse") for each in types)
    if not known or types != sorted(types):
        raise ValueError(f"{LISTED}={types} is not built here: built are mixtures in all layers but the first")
    return types.count("dense")


def _layer_types(theirs: dict[str, Any]) -> dict[str, Any]:
    """GPT-Neo's layers, told as [[["global", "local"], 12]] or one by one, by the names that others use."""
    try:
        kinds = [each for some, times in theirs[NEO[1]] for each in list(some) * times]
        return {"layer_types": [GLOBAL[each] for each in kinds], "sliding_window": theirs.get(NEO[2], 256)}
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"attention_types={theirs.get(NEO[1])} is no list of [kinds, how often], each kind global or "
                         f"local; is config.json complete?") from None


def guesses_ahead(name: str, told: Any, n_layers: int) -> bool:
    """Is this a tensor behind the last layer, of a part that guesses a token further on?  `told`: of how many."""
    if not isinstance(told, int) or isinstance(told, bool) or told < 0:
        raise ValueError(f"config.json tells of {told!r} layers that guess ahead, which must be a whole number of at "
                         f"least 0")
    found = re.match(AHEAD, name)
    return bool(found and told and (found[3] is None or n_layers <= int(found[3]) < n_layers + told))
