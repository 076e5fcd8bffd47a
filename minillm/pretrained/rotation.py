"""Read and write how a published model turns queries and keys, told in any of the ways of the years."""
from __future__ import annotations

import math
from typing import Any

from minillm.config import ModelConfig, RopeScaling

ROPE = ("rope_parameters", "rope_scaling", "rope_theta")  # keys of config.json
FRACTION = ("partial_rotary_factor", "rotary_pct", "rotary_emb_base")
OLD = {"rope_theta": ("rope_theta", "rotary_emb_base"),
       "partial_rotary_factor": ("partial_rotary_factor", "rotary_pct")}
LOCAL = ("rope_local_base_freq",)
BLEND = ("factor", "original_max_position_embeddings")
KINDS = {  # kind -> what else its settings may say
    "default": (), "linear": ("factor",), "llama3": (*BLEND, "low_freq_factor", "high_freq_factor"),
    "yarn": (*BLEND, "beta_slow", "beta_fast", "mscale", "mscale_all_dim", "attention_factor",
             "truncate")}
LACKS = {"dynamic": "angles that change with the length of the text",
         "longrope": "a factor for each pair, and other angles once the text is long"}
COMMON = ("rope_type", "type", "rope_theta", "partial_rotary_factor")


def read_rope(theirs: dict[str, Any], facts: dict[str, Any], names: tuple[str, str]) -> dict[str, Any]:
    """The fields about rotation; `names` are the family's own keys for theta and for the fraction that is turned.
    Refuses what is told twice and differently, and what is not built here."""
    by_layer = "rope_theta_local" in facts
    sharp = "folded" if by_layer else "scale" if facts.get("attention") == "latent" else "angles"
    told, local = [], []
    for key in ("rope_scaling", "rope_parameters"):
        rope = theirs.get(key) or {}
        if not isinstance(rope, dict):
            raise ValueError(f"{key}={rope!r} is no object with a rope_type; is config.json complete?")
        if by_layer and key == "rope_scaling" and "type" in rope and "rope_type" not in rope:
            raise ValueError(f"{key}={rope} names its kind 'type', which this family's code passes over; say rope_type")
        nested = bool({"full_attention", "sliding_attention"} & rope.keys())
        if nested and not by_layer or by_layer and key == "rope_parameters" and rope and not nested:
            raise ValueError(f"{key}={rope}, {'layer by layer' if nested else 'for all layers at once'}, is not "
                             f"built here for this family; choose another checkpoint")
        parts = [rope.get(kind) or {} for kind in ("full_attention", "sliding_attention")] if nested else [rope, {}]
        if not all(isinstance(part, dict) for part in parts) or _read_scaling(parts[1], theirs, sharp):
            raise ValueError(f"{key}={rope} stretches the angles of windowed layers, or is no object; that is not "
                             f"built here; choose another checkpoint")
        told += [parts[0]] if rope else []
        local += [parts[1]] if rope else []
    scaling = _agreed("rope_scaling", [_read_scaling(rope, theirs, sharp) or "default" for rope in told],
                      facts.get("rope_scaling", "default"))
    theta, fraction = (_told_by(key, [rope.get(inside) for rope in told], theirs, OLD[inside], usual)
                       for key, inside, usual in zip(names, OLD, (facts.get("rope_theta", 10_000.0),
                                                                  facts.get("rope_fraction", 1.0)), strict=True))
    return {"rope_theta": theta, "rope_fraction": fraction, "rope_scaling": None if scaling == "default" else scaling,
            "rope_theta_local": _agreed("rope_local_base_freq", [rope.get("rope_theta") for rope in local] + [
                theirs.get("rope_local_base_freq")], facts.get("rope_theta_local"))}


def _told_by(key: str, inside: list[Any], theirs: dict[str, Any], names: tuple[str, ...], usual: Any) -> Any:
    """What is told in the object or under the family's own key; under another's it has to be the same."""
    value = _agreed(key, [*inside, theirs.get(key)], usual)
    return _agreed(" or ".join(names), [value, *(theirs.get(name) for name in names)], usual)


def _agreed(name: str, values: list[Any], otherwise: Any) -> Any:
    """The one value that is told, in whichever ways; `otherwise` where none is."""
    found = [value for value in values if value is not None]
    if any(value != found[0] for value in found):
        raise ValueError(f"config.json tells {name} twice and differently: {', '.join(map(str, found))}; which is "
                         f"meant?")
    return found[0] if found else otherwise


def _read_scaling(rope: dict[str, Any], theirs: dict[str, Any], sharp: str) -> RopeScaling | None:
    """`sharp`: where yarn sharpens scores. In their "scale" (DeepSeek), which mscale_all_dim tells; by longer "angles",
    cosines and sines; or those are "folded" into weights."""
    kind = _agreed("rope_type", [rope.get("rope_type"), rope.get("type")], "default")
    if kind not in tuple(KINDS):
        why = f", which needs {LACKS[kind]}," if kind in tuple(LACKS) else ""
        raise ValueError(f"rope scaling {kind!r}{why} is not built here; built are: {', '.join(KINDS)}")
    for key, value in rope.items():
        if key not in (*COMMON, *KINDS[kind]) and value is not None:
            raise ValueError(f"rope scaling {kind!r} with {key}={value!r} is not built here; choose another checkpoint")

    def need(key: str, usual: Any = None) -> Any:
        value = usual if rope.get(key) is None else rope[key]
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ValueError(f"rope scaling {kind!r} needs {key}, a number, but config.json says {value!r}; is the "
                             f"file complete?")
        return value

    if kind == "default":
        return None
    if kind == "linear":
        return RopeScaling("linear", need("factor"))
    original = need("original_max_position_embeddings", theirs.get("max_position_embeddings"))
    if kind == "llama3":
        return RopeScaling("llama3", need("factor"), need("low_freq_factor"), need("high_freq_factor"), original)
    sharpen, longer = rope.get("mscale_all_dim") or 0.0, _longer(rope, need)
    if sharp == "scale" and not math.isclose(longer, 1):
        raise ValueError("rope scaling 'yarn' is built here only where angles are left as long as they are: "
                         "attention_factor=1, or mscale equal to mscale_all_dim, as in DeepSeek-V2")
    if sharp == "angles":
        sharpen = (longer - 1) / math.log(need("factor")) * 10 if longer != 1 else 0.0
    if not isinstance(whole := rope.get("truncate", True), bool):
        raise ValueError(f"rope scaling 'yarn' with truncate={whole!r} is not built here; it must be true or false")
    return RopeScaling("yarn", need("factor"), need("beta_slow", 1.0), need("beta_fast", 32.0), original,
                       0.0 if sharp == "folded" else round(sharpen / 10, 12), whole)


def _longer(rope: dict[str, Any], need: Any) -> float:
    """By how much yarn makes cosines and sines longer: as told, or as its paper suggests."""
    if rope.get("attention_factor") is not None:
        return need("attention_factor")

    def suggested(much: float) -> float:
        return 1 + 0.1 * much * math.log(need("factor")) if need("factor") > 1 else 1.0
    told = [rope.get("mscale"), rope.get("mscale_all_dim")]
    return suggested(need("mscale")) / suggested(need("mscale_all_dim")) if all(told) else suggested(1.0)


def lengthened(theirs: dict[str, Any]) -> float:
    """What a model whose layers differ multiplies cosines and sines by, in layers without a window."""
    for key in ("rope_parameters", "rope_scaling"):
        rope = theirs.get(key) or {}
        rope = rope.get("full_attention", rope)
        if rope.get("rope_type") == "yarn":
            return _longer(rope, rope.__getitem__)
    return 1.0


def write_rope(c: ModelConfig, free: tuple[str, ...]) -> dict[str, Any]:
    """The fields about rotation for config.json, in the old form and in the new (transformers 5)."""
    scaling: dict[str, Any] = {}
    if c.rope_scaling:
        scaling = {"rope_type": c.rope_scaling.kind, "factor": c.rope_scaling.factor}
        if c.rope_scaling.kind == "llama3":
            scaling |= {"low_freq_factor": c.rope_scaling.low_freq,
                        "high_freq_factor": c.rope_scaling.high_freq,
                        "original_max_position_embeddings": c.rope_scaling.original_context}
        if c.rope_scaling.kind == "yarn":
            sharpen = round(c.rope_scaling.sharpen * 10, 12)
            scaling |= {"beta_slow": c.rope_scaling.low_freq, "beta_fast": c.rope_scaling.high_freq,
                        "original_max_position_embeddings": c.rope_scaling.original_context,
                        "truncate": c.rope_scaling.whole_pairs}
            scaling |= {"mscale": sharpen, "mscale_all_dim": sharpen, "attention_factor": 1.0} if (
                c.attention == "latent") else {
                "attention_factor": 1 + c.rope_scaling.sharpen * math.log(c.rope_scaling.factor)}
    old: dict[str, Any] = {"rope_theta": c.rope_theta, "rope_scaling": scaling or None}
    new = {"rope_type": "default", **scaling, "rope_theta": c.rope_theta}
    if "rope_fraction" in free:
        new["partial_rotary_factor"] = c.rope_fraction
        old |= {"partial_rotary_factor": c.rope_fraction, "rotary_pct": c.rope_fraction,
                "rotary_emb_base": c.rope_theta}
    if "rope_theta_local" in free:
        local = c.rope_theta_local or c.rope_theta
        old["rope_local_base_freq"] = local
        new = {"full_attention": new, "sliding_attention": {"rope_type": "default", "rope_theta": local}}
    return {**old, "rope_parameters": new}
