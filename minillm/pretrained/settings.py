"""Translate a model between minillm's names and a published family's: settings, tensors, layouts."""
from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields, replace
from typing import Any

from minillm.config import ModelConfig, RopeScaling, canonical
from minillm.pretrained.layouts import Fused, OnePlus, State

REQUIRED = ("vocab_size", "d_model", "n_layers", "n_heads")
BUFFERS = (".inv_freq", ".attention.bias", ".attention.masked_bias")  # in old files; computed here
HEADS = (".lm_head.", ".embed_out.")  # outside of the prefix that all other tensors share


@dataclass(frozen=True)
class Family:
    """What tells one published family from the others.

    `keys` maps our fields to keys of its config.json ("a|b": either is read, the first is written; "a&b": both are
    written, and have to agree), `values` turns their values into ours where these differ.  `facts` are fields that
    its code takes for granted, or that its config.json may leave out; other fields have ModelConfig's defaults.
    `free` names fields that every family keeps alike (rope, window).  `needs` are keys of which only this value is
    computed here.  `names` replaces whole segments of tensor names, theirs by ours, in this order; saving goes
    backwards.
    """
    model_type: str
    architecture: str
    names: tuple[tuple[str, str], ...]
    keys: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)
    values: dict[str, dict[Any, Any]] = field(default_factory=dict)
    free: tuple[str, ...] = ()
    needs: dict[str, Any] = field(default_factory=dict)
    prefix: str = "model."
    fix: Fused | OnePlus | None = None

    def read(self, theirs: dict[str, Any]) -> ModelConfig:
        """Their config.json as our ModelConfig.  Refuses what would be computed differently here."""
        for key, value in self.needs.items():
            if theirs.get(key, value) != value:
                raise ValueError(f"{self.model_type} with {key}={theirs[key]!r} is not built here, only with "
                                 f"{key}={value!r}; choose another checkpoint")
        ours = dict(self.facts)
        for name, key in self.keys.items():
            found = [theirs[k] for k in re.split("[|&]", key) if theirs.get(k) is not None]
            if "&" in key and len(set(found)) > 1:
                raise ValueError(f"{self.model_type} with {key.replace('&', ' and ')} of {found} is not built here, "
                                 f"where both are {name}; choose another checkpoint")
            if found:
                ours[name] = self._ours(name, key, found[0])
            elif name in REQUIRED:
                raise ValueError(f"config.json of a {self.model_type} model holds no "
                                 f"{key.replace('|', ' or ')}; is the file complete?")
        shared = {**read_rope(theirs, self.facts), **read_window(theirs, self.facts, ours["n_layers"])}
        if _is_yarn(shared["rope_scaling"]) and "yarn" not in self.free:
            raise ValueError(f"{self.model_type} with rope scaling 'yarn' is not built here; built are: default, "
                             f"linear, llama3")
        ours |= {name: value for name, value in shared.items() if name in self.free}
        return canonical(ModelConfig(**ours))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """Our ModelConfig as their config.json; `standing_in_the_way` must be empty."""
        c, theirs = canonical(config), dict(self.needs)
        for name, key in self.keys.items():
            theirs |= dict.fromkeys(key.split("|")[0].split("&"), self._theirs(name, getattr(c, name)))
        if "rope_theta" in self.free:
            theirs |= write_rope(c, self.free)
        if "window" in self.free:
            theirs |= write_window(c, self.free)
        return {"architectures": [self.architecture], "model_type": self.model_type, **theirs}

    def standing_in_the_way(self, config: ModelConfig) -> dict[str, Any]:
        """The fields whose values this family cannot express, with those values."""
        c = canonical(config)
        wrong = [f.name for f in fields(c) if f.name not in self.keys and f.name not in self.free
                 and not _same(getattr(c, f.name), _usual(c, f.name, self.facts.get(f.name, f.default)))]
        wrong += [name for name, table in self.values.items() if getattr(c, name) not in table.values()]
        if "n_experts" in self.keys and not c.n_experts:
            wrong.append("n_experts")
        if _is_yarn(c.rope_scaling) and "yarn" not in self.free:
            wrong.append("rope_scaling")
        return {name: getattr(c, name) for name in sorted(wrong)}

    def load(self, state: State, config: ModelConfig) -> State:
        """Their tensors under our names, in our layout."""
        out = {}
        for name, tensor in state.items():
            name = "." + name.removeprefix(self.prefix)
            for theirs, ours in self.names:
                name = name.replace(theirs, ours)
            if not (name.endswith(BUFFERS) or name == ".unembed.weight" and config.tie_embeddings):
                out[name[1:]] = tensor
        return self.fix.load(out, config) if self.fix else out

    def save(self, state: State, config: ModelConfig) -> State:
        """Our tensors under their names, in their layout."""
        if config.tie_embeddings:
            state = {name: x for name, x in state.items() if name != "unembed.weight"}
        out = {}
        for name, tensor in (self.fix.save(state, config) if self.fix else state).items():
            name = "." + name
            for theirs, ours in reversed(self.names):
                name = name.replace(ours, theirs)
            out[name[1:] if name.startswith(HEADS) else self.prefix + name[1:]] = tensor
        return out

    def _ours(self, name: str, key: str, value: Any) -> Any:
        table = self.values.get(name)
        if table and value not in table:
            raise ValueError(f"{self.model_type} with {key}={value!r} is not built here; built are: "
                             f"{', '.join(map(repr, table))}")
        if table:
            return table[value]
        return value ** -0.5 if name == "attention_scale" else value

    def _theirs(self, name: str, value: Any) -> Any:
        for theirs, ours in self.values.get(name, {}).items():
            if ours == value:
                return theirs
        if name == "attention_scale":  # transformers insists on a whole number where it is one
            inverse = round(value ** -2, 9)
            return int(inverse) if inverse == int(inverse) else inverse
        return value


def read_rope(theirs: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The fields about rotation, told in any of the ways that config.json has had over the years."""
    rope = theirs.get("rope_parameters") or theirs.get("rope_scaling") or {}
    local = rope.get("sliding_attention", {}).get("rope_theta", theirs.get("rope_local_base_freq"))
    rope = rope.get("full_attention", rope)
    theta = rope.get("rope_theta") or theirs.get("rope_theta") or theirs.get("rotary_emb_base")
    fraction = (rope.get("partial_rotary_factor") or theirs.get("partial_rotary_factor")
                or theirs.get("rotary_pct"))
    return {"rope_theta": theta or facts.get("rope_theta", 10_000.0),
            "rope_theta_local": local or facts.get("rope_theta_local"),
            "rope_fraction": fraction or facts.get("rope_fraction", 1.0),
            "rope_scaling": _read_scaling(rope)}


def _read_scaling(rope: dict[str, Any]) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind == "linear":
        return RopeScaling("linear", rope["factor"])
    if kind == "llama3":
        return RopeScaling("llama3", rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"],
                           rope["original_max_position_embeddings"])
    if kind == "yarn":
        sharpen = rope.get("mscale_all_dim") or 0.0
        if rope.get("attention_factor") != 1.0 and not sharpen == rope.get("mscale") != 0:
            raise ValueError("rope scaling 'yarn' is built here only where angles are left as long as they are: "
                             "attention_factor=1, or mscale equal to mscale_all_dim, as in DeepSeek-V2")
        return RopeScaling("yarn", rope["factor"], rope.get("beta_slow", 1.0), rope.get("beta_fast", 32.0),
                           rope["original_max_position_embeddings"], round(sharpen / 10, 12))
    raise ValueError(f"rope scaling {kind!r} is not built here; built are: default, linear, llama3, yarn")


def _is_yarn(scaling: RopeScaling | None) -> bool:
    return scaling is not None and scaling.kind == "yarn"


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
                        "mscale": sharpen, "mscale_all_dim": sharpen, "attention_factor": 1.0,
                        "original_max_position_embeddings": c.rope_scaling.original_context}
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


def read_window(theirs: dict[str, Any], facts: dict[str, Any], n_layers: int) -> dict[str, Any]:
    """Which layers see a window only: told layer by layer, by a pattern, or by the family's own habit."""
    window = theirs.get("sliding_window", facts.get("window"))
    if window is None or theirs.get("use_sliding_window") is False:
        return {"window": None, "global_every": None}
    habit = theirs.get("sliding_window_pattern", facts.get("global_every"))
    types = theirs.get("layer_types")
    if types is None and theirs.get("use_sliding_window"):
        first = theirs.get("max_window_layers", 0)
        types = ["full_attention"] * first + ["sliding_attention"] * (n_layers - first)
    if types is None:
        return {"window": window, "global_every": habit}
    if set(types) == {"full_attention"}:
        return {"window": None, "global_every": None}
    for every in (habit, None, *range(2, n_layers + 1)):
        if types == [_layer_type(every, i) for i in range(n_layers)]:
            return {"window": window, "global_every": every}
    raise ValueError(f"layer_types={types} is no regular pattern; built are windows in all layers, or in all "
                     f"but every n-th")


def write_window(c: ModelConfig, free: tuple[str, ...]) -> dict[str, Any]:
    """The fields about windows for config.json."""
    out: dict[str, Any] = {"sliding_window": c.window}
    if "global_every" in free:
        out["layer_types"] = ["sliding_attention" if c.is_windowed(i) else "full_attention"
                              for i in range(c.n_layers)]
        out |= {"use_sliding_window": c.window is not None,
                "max_window_layers": c.n_layers if c.window is None else 0}
    return out


def _layer_type(global_every: int | None, layer: int) -> str:
    return "full_attention" if global_every and (layer + 1) % global_every == 0 else "sliding_attention"


def _usual(c: ModelConfig, name: str, value: Any) -> Any:
    """What a field is where it is left at `value`: None stands for the usual size beside c's others."""
    if value is not None:
        return value
    try:
        return getattr(replace(c, **{name: value}).resolve(), name)
    except ValueError:
        return value


def _same(a: Any, b: Any) -> bool:
    return math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else a == b
