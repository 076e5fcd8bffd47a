"""Fold numbers that scale parts of a published model into its weights: there is then nothing to multiply."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minillm.pretrained.layouts import State
from minillm.pretrained.rotation import lengthened

Key = tuple[str, float]  # a key of config.json, and what holds where it is not told
NONE = ("", 1.0)


@dataclass(frozen=True)
class Multipliers:
    r"""By which numbers a family scales embeddings, branches and logits (Granite; Cohere; after Yang et al. 2022,
    arXiv:2203.03466).

    $$ x = \kappa_{\mathrm{embed}} \, W^{embed}_w, \qquad
       x \leftarrow x + \kappa_{\mathrm{branch}} \, \mathrm{part}(\mathrm{norm}(x)), \qquad
       \ell = \frac{\kappa_{\mathrm{logit}}}{\kappa_{\mathrm{divisor}}} \, W^{unembed} \, \mathrm{norm}(x) $$

    A norm does not see how long its input is, but for ε. So the whole stream may be divided by κ_embed, which leaves
    the embedding as it is, branches of κ_branch / κ_embed, and ε / κ_embed²; what scales logits goes into the last
    norm's gain, what scales a mixture beside its shared experts into the experts' last matrix. A model that is written
    has every multiplier 1.
    """
    embed: Key = NONE
    branch: Key = NONE
    logit: Key = NONE
    divisor: Key = NONE
    experts: Key = NONE

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for key, _ in (self.embed, self.branch, self.logit, self.divisor, self.experts)
                     if key)

    def eps(self, theirs: dict[str, Any], norm_eps: float) -> float:
        """What a norm adds to the mean square of the shortened stream."""
        return norm_eps / _number(theirs, self.embed) ** 2

    def load(self, state: State, theirs: dict[str, Any]) -> State:
        branch = _number(theirs, self.branch) / _number(theirs, self.embed)
        factors = {"norm": _number(theirs, self.logit) / _number(theirs, self.divisor)}
        if "blocks.0.mlp_out_norm.weight" in state:  # what these norms read is shorter, too, as their ε is less
            shorter = 1 / _number(theirs, self.embed)
            factors |= {"o_proj": shorter, "down_proj": shorter, "attention_out_norm": branch, "mlp_out_norm": branch}
        else:
            factors |= {"o_proj": branch, "down_proj": branch}
        experts = _number(theirs, self.experts)
        return {name: _times(x, factors.get(name.split(".")[-2], 1.0) * (
            experts if ".experts." in name and ".down_proj." in name else 1.0)) for name, x in state.items()}

    def write(self) -> dict[str, float]:
        return dict.fromkeys(self.keys, 1.0)


def _times(x: Tensor, factor: float) -> Tensor:
    """Multiplied in 32 bits at least, so that it is rounded once."""
    return x if factor == 1 else x.to(torch.promote_types(x.dtype, torch.float32)) * factor


def _number(theirs: dict[str, Any], key: Key) -> float:
    name, usual = key
    value = theirs.get(name, usual)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not (value > 0 and math.isfinite(value)):
        raise ValueError(f"config.json says {name}={value!r}, which must be a number above 0; is the file complete?")
    return value


@dataclass(frozen=True)
class Sharpened:
    """YaRN's sharper scores where only layers without a window are stretched (OLMo 3): folded into these layers' query
    norm, since the scale of scores is one for all.  A model that is written has the factor 1."""
    every: int
    keys = ()

    def eps(self, theirs: dict[str, Any], norm_eps: float) -> float:
        return norm_eps

    def load(self, state: State, theirs: dict[str, Any]) -> State:
        types = theirs.get("layer_types")
        full = [kind == "full_attention" for kind in types] if types else None

        def is_full(name: str) -> bool:
            layer = int(name.split(".")[1])
            return full[layer] if full else (layer + 1) % self.every == 0
        factor = lengthened(theirs) ** 2
        return {name: _times(x, factor if name.endswith(".q_norm.weight") and is_full(name) else 1.0)
                for name, x in state.items()}

    def write(self) -> dict[str, float]:
        return {}
