"""Translate a model between minillm's names and a published family's: settings, tensors, layouts."""
from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from minillm.config import ModelConfig, RopeScaling, canonical
from minillm.fields import check_type
from minillm.pretrained.layouts import Fix, State
from minillm.pretrained.multipliers import Multipliers, Sharpened
from minillm.pretrained.passed import OFF, PASSED
from minillm.pretrained.rotation import FRACTION, LOCAL, ROPE, read_rope, write_rope
from minillm.pretrained.routing import GROUPS, read_groups, write_groups
from minillm.pretrained.telling import Inside, flat, guesses_ahead, nested
from minillm.pretrained.windows import TURNED, read_turned, read_window, write_turned, write_window

REQUIRED = ("vocab_size", "d_model", "n_layers", "n_heads")
BUFFERS = (".inv_freq", ".attention.bias", ".attention.masked_bias")  # in old files; computed here
HEADS = (".lm_head.", ".embed_out.", ".output_projection.")  # outside of the prefix that all other tensors share
INVERSE = ("query_pre_attn_scalar",)  # a width, whose root divides
COUNTED = "rotary_dim"  # components that turn, where others tell their share
OPTIONAL = {f.name for f in fields(ModelConfig) if f.type.endswith("None")}


@dataclass(frozen=True)
class Family:
    """What tells one published family from the others.

    `keys` maps our fields to keys of its config.json ("a|b": two names of one setting; "a&b": two settings that have
    to agree; "a>b": the first, where b tells what is not built; "a+b": two switches that tell it together), `values`
    turns their values into ours where these differ.  `facts` are what its code takes for granted where config.json says
    nothing, and otherwise ModelConfig's defaults hold; `stated` are keys that it has to say something about.  `free`
    names fields that every family tells alike (rope, window), `windows` and `rotary` the keys of these that its code
    reads.  `needs` are keys of which only this value is computed here, `passed` those that change nothing; any other is
    refused.  `turned`: RoPE is in all layers (""), as a list says ("listed"), in those that see a window ("windowed"),
    or in those, if any does ("windowed, if any").  `names` replaces whole segments of tensor names ("^" is where a name
    begins), theirs by ours, in this order; saving goes backwards.  `fix` undoes a layout, `scaled` folds multipliers
    into weights.  `grouped`: experts are chosen from groups "always", or "if limited", as topk_method says.  `inside`:
    objects in config.json, and their keys; `listed`: keys that tell a thing in a shape of their own (telling.py);
    `ahead`: those that tell how many more layers guess further tokens; these are left out, as by transformers.
    """
    model_type: str
    architecture: str
    names: tuple[tuple[str, str], ...]
    keys: dict[str, str]
    facts: dict[str, Any] = field(default_factory=dict)
    values: dict[str, dict[Any, Any]] = field(default_factory=dict)
    free: tuple[str, ...] = ()
    needs: dict[str, Any] = field(default_factory=dict)
    stated: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    rotary: tuple[str, str] = ("rope_theta", "partial_rotary_factor")
    prefix: str = "model."
    fix: Fix | None = None
    scaled: Multipliers | Sharpened | None = None
    turned: str = ""
    grouped: str = ""
    inside: Inside = field(default_factory=dict)
    listed: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()

    def read(self, theirs: dict[str, Any]) -> ModelConfig:
        """Their config.json as our ModelConfig.  Refuses what would be computed differently here."""
        theirs = flat(theirs, self.inside, self.listed)
        self._check(theirs)
        ours = dict(self.facts)
        for name, key in self.keys.items():
            found = [theirs[k] for k in _names(key) if k in theirs and (">" not in key or theirs[k] is not None)]
            found = [tuple(theirs.get(k, False) for k in _names(key))] if "+" in key and found else found
            meant = [value for value in found if ">" not in key or value in list(self.values[name])]
            if any(value != meant[0] for value in meant):
                raise ValueError(f"{self.model_type} with {' and '.join(_names(key))} of {found} is not built here, "
                                 f"where both are {name}; choose another checkpoint")
            if name in self.required and not found:
                raise ValueError(f"config.json of a {self.model_type} model holds no {key.replace('|', ' or ')}; is "
                                 f"the file complete?")
            if found:
                ours[name] = self._ours(name, key, found[0])
        for each in fields(ModelConfig):
            if each.name in ours:
                check_type(each, ours[each.name])  # what follows reckons with them
        told = {key: theirs[key] for key in self.windows if key in theirs}
        if "use_sliding_window" in self.windows:
            told.setdefault("use_sliding_window", False)
        elif "max_window_layers" in self.windows:
            told.setdefault("max_window_layers", 62)
        shared = {**read_rope(theirs, self.facts, self.rotary), **read_window(told, self.facts, ours["n_layers"])}
        if _is_yarn(shared["rope_scaling"]) and "yarn" not in self.free:
            raise ValueError(f"{self.model_type} with rope scaling 'yarn' is not built here; built are: default, "
                             f"linear, llama3")
        for name, value in shared.items():
            if name not in self.free and value != self.facts.get(name, getattr(ModelConfig, name)):
                raise ValueError(f"{self.model_type} with {name}={value} is not built here; choose another checkpoint")
        ours |= {name: value for name, value in shared.items() if name in self.free}
        if self.keys.get("rope_fraction") == COUNTED:
            ours["rope_fraction"] = self._share_turned(theirs.get(COUNTED, 64), ours)
        if self.turned:
            told.setdefault("sliding_window", self.facts.get("window"))
            ours["nope_every"] = read_turned(theirs | told, self.model_type, self.turned, ours["n_layers"], shared)
        if self.grouped:
            ours |= read_groups(theirs, self.facts, limited=self.grouped == "if limited")
        if self.scaled:
            ours["norm_eps"] = self.scaled.eps(theirs, ours.get("norm_eps", ModelConfig.norm_eps))
        config = canonical(ModelConfig(**ours))
        if "d_head" not in self.keys and theirs.get("head_dim", config.d_head) not in (None, config.d_head):
            raise ValueError(f"{self.model_type} with head_dim={theirs['head_dim']!r} is not built here, only with "
                             f"{config.d_head}, which is {config.d_model} / {config.n_heads}; choose another "
                             f"checkpoint")
        return config

    def check_depth(self, theirs: dict[str, Any], n_tensors: int) -> None:
        """Refuse more layers than there are tensors, before anything is made of them."""
        for key in _names(self.keys["n_layers"]):
            if isinstance(n := theirs.get(key), int) and n > n_tensors:
                raise ValueError(f"config.json tells of {n} layers ({key}), but the weights are {n_tensors} tensors; "
                                 f"do the two belong together?")

    @property
    def has_experts_apart(self) -> bool:
        """Is each matrix of each expert a tensor of its own?"""
        return getattr(self.fix, "apart", True)

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that nothing stands in for where config.json does not tell them."""
        return tuple(name for name in self.keys if name in (*REQUIRED, "d_ff", "n_experts", "experts_per_token")
                     and name not in self.facts)

    def _check(self, theirs: dict[str, Any]) -> None:
        """Refuse a setting of which nothing is known, and one that has another value than is built here."""
        needs = OFF | self.needs
        known = {k for key in self.keys.values() for k in _names(key)}
        known |= {"head_dim", *needs, *self.passed, *self.windows, *self.listed, *self.inside, *self.ahead}
        known |= {*(ROPE if "rope_theta" in self.free else ()),
                  *(FRACTION if "rope_fraction" in self.free else ()),
                  *(LOCAL if "rope_theta_local" in self.free else ()), *(TURNED if self.turned == "listed" else ()),
                  *(GROUPS if self.grouped else ()), *(self.scaled.keys if self.scaled else ())}
        for key in self.stated:
            if key not in theirs:
                raise ValueError(f"config.json of a {self.model_type} model does not tell {key}, and what is usual, "
                                 f"which is not {needs[key]!r}, is not built here; is the file complete?")
        for key, value in theirs.items():
            if key in needs:
                if value != needs[key] and not (value is None and not needs[key]):
                    raise ValueError(f"{self.model_type} with {key}={value!r} is not built here, only with "
                                     f"{key}={needs[key]!r}; choose another checkpoint")
            elif key not in known and key not in PASSED and value is not None:
                raise ValueError(f"{self.model_type} with {key}={value!r} is not built here: nothing is known of "
                                 f"such a setting; choose another checkpoint, or take it out of config.json if it "
                                 f"changes nothing")

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """Our ModelConfig as their config.json; `standing_in_the_way` must be empty."""
        c, theirs = canonical(config), {}
        for name, key in self.keys.items():
            value = round(c.rope_fraction * c.d_head) if key == COUNTED else self._theirs(name, getattr(c, name))
            theirs |= dict(zip(key.split("+"), value, strict=True)) if "+" in key else dict.fromkeys(
                re.split("[&>]", key.split("|")[0]), value)
        if "rope_theta" in self.free:
            theirs |= write_rope(c, self.free)
        theirs |= write_window(c, self.windows) | write_turned(c, self.turned)
        theirs |= write_groups(c, limited=self.grouped == "if limited") if self.grouped else {}
        theirs |= self.needs | dict.fromkeys(self.ahead, 0) | (self.scaled.write() if self.scaled else {})
        theirs = nested(theirs, self.inside, self.listed, c)
        return {"architectures": [self.architecture], "model_type": self.model_type, **theirs}

    def standing_in_the_way(self, config: ModelConfig) -> dict[str, Any]:
        """The fields whose values this family cannot express, with those values."""
        c = canonical_once(config)  # all families are asked one after the other
        wrong = [f.name for f in fields(c) if f.name not in self.keys and f.name not in self.free
                 and not _same(getattr(c, f.name), _usual(c, f.name, self.facts.get(f.name, f.default)))]
        if self.grouped:
            wrong = [name for name in wrong if name not in ("n_expert_groups", "groups_per_token")]
        wrong += [name for name, table in self.values.items() if getattr(c, name) not in table.values()]
        if "n_experts" in self.keys and not c.n_experts:
            wrong.append("n_experts")
        if self.turned.startswith("windowed") and (c.nope_every != c.global_every
                                                   or c.window is None and self.turned == "windowed"):
            wrong.append("nope_every")
        if _is_yarn(c.rope_scaling) and "yarn" not in self.free:
            wrong.append("rope_scaling")
        if "rope_theta_local" in self.free and c.rope_scaling and c.rope_theta_local is None:
            wrong.append("rope_theta_local")  # its windowed layers are never stretched
        return {name: getattr(c, name) for name in sorted(wrong)}

    def load(self, state: State, config: ModelConfig, theirs: dict[str, Any]) -> State:
        """Their tensors under our names, in our layout; `theirs` is their config.json."""
        out = {self._our_name(name): tensor for name, tensor in state.items()}
        out = self.fix.load(out, config) if self.fix else out
        return self.scaled.load(out, theirs) if self.scaled else out

    def full_name(self, name: str) -> str:
        """A tensor's name with the prefix that some files leave out."""
        known = name.startswith(self.prefix) or ("." + name).startswith(HEADS)
        return name if known else self.prefix + name

    def is_computed(self, name: str) -> bool:
        """Is this a table that old files hold and that is computed here?"""
        return ("." + self._our_name(name)).endswith(BUFFERS)

    def is_ahead(self, name: str, theirs: dict[str, Any], n_layers: int) -> bool:
        """Is this a tensor of what guesses further tokens?  One layer does where config.json does not say."""
        told = [theirs[key] for key in self.ahead if theirs.get(key) is not None]
        return bool(self.ahead) and guesses_ahead(name, told[0] if told else 1, n_layers)

    def twin(self, config: ModelConfig) -> dict[str, str]:
        """Of a model with tied embeddings, the tensor that a file may hold a second time, and the first."""
        return dict([map(self._their_name, ("unembed.weight", "embed.weight"))]) if config.tie_embeddings else {}

    def _our_name(self, name: str) -> str:
        name = "^." + name.removeprefix(self.prefix)
        for theirs, ours in self.names:
            name = name.replace(theirs, ours)
        return name.removeprefix("^.")

    def _their_name(self, name: str) -> str:
        name = "^." + name
        for theirs, ours in reversed(self.names):
            name = name.replace(ours, theirs)
        name = name.removeprefix("^")
        return name[1:] if name.startswith(HEADS) else self.prefix + name[1:]

    def save(self, state: State, config: ModelConfig) -> State:
        """Our tensors under their names, in their layout."""
        if config.tie_embeddings:
            state = {name: x for name, x in state.items() if name != "unembed.weight"}
        fixed = self.fix.save(state, config) if self.fix else state
        return {self._their_name(name): tensor for name, tensor in fixed.items()}

    def _ours(self, name: str, key: str, value: Any) -> Any:
        table = self.values.get(name)
        if value is None and name not in OPTIONAL:
            raise ValueError(f"{self.model_type} with {key}=null is not built here; is the file complete?")
        if table and value not in list(table):
            raise ValueError(f"{self.model_type} with {key}={value!r} is not built here; built are: "
                             f"{', '.join(map(repr, table))}")
        if table:
            return table[value]
        if name != "attention_scale" or key not in INVERSE or value is None:
            return value
        if not isinstance(value, (int, float)) or not value > 0:
            raise ValueError(f"{self.model_type} with {key}={value!r} is not built here: it must be a number above 0")
        return value ** -0.5

    def _share_turned(self, count: Any, ours: dict[str, Any]) -> float:
        width = ours.get("d_head") or ours["d_model"] // ours["n_heads"]
        if not isinstance(count, int) or not 0 < count <= width:
            raise ValueError(f"{self.model_type} with {COUNTED}={count!r} is not built here: it must be a number of "
                             f"components, of {width} at most")
        return count / width

    def _theirs(self, name: str, value: Any) -> Any:
        for theirs, ours in self.values.get(name, {}).items():
            if ours == value:
                return theirs
        if name == "attention_scale" and self.keys[name] in INVERSE:
            # transformers insists on a whole number where it is one
            inverse = value ** -2
            return round(inverse) if math.isclose(inverse, round(inverse), rel_tol=1e-9) else inverse
        return value


def same_model(a: ModelConfig, b: ModelConfig) -> bool:
    """Are these two one function, but for the rounding of numbers on their way through config.json?"""
    a, b = canonical(a), canonical(b)
    return all(_same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def _names(key: str) -> list[str]:
    return re.split("[|&>+]", key)


def _is_yarn(scaling: RopeScaling | None) -> bool:
    return scaling is not None and scaling.kind == "yarn"


def _usual(c: ModelConfig, name: str, value: Any) -> Any:
    """What a field is where it is left at `value`: None stands for the usual size beside c's others."""
    return _filled(c, name) if value is None else value


canonical_once = lru_cache(maxsize=8)(canonical)


@lru_cache(maxsize=128)
def _filled(c: ModelConfig, name: str) -> Any:
    try:
        return getattr(replace(c, **{name: None}).resolve(), name)
    except ValueError:
        return None


def _same(a: Any, b: Any) -> bool:
    return math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else a == b
