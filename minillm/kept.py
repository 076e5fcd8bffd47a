"""Look at what is given back to an optimizer, before it is believed."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from minillm import reading

KEPT = {"muon": {"momentum"}, "adam": {"step", "mean", "square"}, None: {"step", "exp_avg", "exp_avg_sq"}}  # by rule

ASKED = {"rule", "lr", "betas", "momentum", "eps", "weight_decay"}  # what every step asks of a group
KERNELS = ("fused", "foreach")  # how it is computed, which may be otherwise here


def check_rates(**settings: float) -> None:
    """Refuse what would climb where it should descend, or never forget."""
    for name, value in settings.items():
        below = 1.0 if name in ("momentum", "beta1", "beta2") else 1e36  # times a factor it is still fp32
        if not 0 <= value < below:  # NaN, too
            raise ValueError(f"{name}={value} must be at least 0 and below {below:g}")


def check_kept(optimizer: torch.optim.Optimizer, told: Mapping[str, Any]) -> None:
    """Refuse a state that an optimizer of this kind, for these weights, never kept.  `load_state_dict` asks first."""
    def need(holds: bool, what: str, value: object) -> None:
        if not holds:
            raise ValueError(f"an optimizer for these weights never kept {reading.shown(value)} as its {what}; were "
                             f"the two saved together?")

    groups, state = told.get("param_groups"), told.get("state")
    need(isinstance(groups, list) and len(groups) == len(optimizer.param_groups), "groups of weights", groups)
    need(isinstance(state, Mapping), "state", state)
    for own, kept in zip(optimizer.param_groups, groups, strict=True):
        need(isinstance(kept, Mapping), "group of weights", kept)
        for name in {*own, *kept} - {"params", "initial_lr", *KERNELS}:
            both = name in own and name in kept  # PyTorch's next version may have a setting more
            need(_alike(own[name], kept[name]) if both else name not in ASKED, str(name), kept.get(name))
        for name in KERNELS:
            need(kept.get(name) is None or type(kept[name]) is bool, name, kept.get(name))
        first = kept.get("initial_lr", 0.0)  # what a schedule multiplies, once there is one
        need(_number(first), "initial_lr", first)
        check_rates(**{"lr": first, **{name: kept[name] for name in ("lr", "eps", "weight_decay", "momentum")
                                       if name in kept}},
                    **dict(zip(("beta1", "beta2"), kept.get("betas", ()), strict=False)))
        places = kept.get("params")
        need(isinstance(places, list) and len(places) == len(own["params"]), "weights of a group", places)
        for place, weight in zip(places, own["params"], strict=True):
            need(type(place) is int, "number of a weight", place)
            row = state.get(place)
            if row is None or row == {}:
                continue  # it has had no gradient yet
            need(isinstance(row, Mapping) and {*row} == KEPT[own.get("rule")], f"row of weight {place}", row)
            for name, value in row.items():
                if name == "step":
                    counts = isinstance(value, Tensor) and value.numel() == 1 if "rule" not in own else _number(value)
                    need(counts and float(value) >= 0, name, value)
                else:
                    need(isinstance(value, Tensor) and value.shape == weight.shape and value.is_floating_point(),
                         name, value)


def _alike(own: object, kept: object) -> bool:
    """Could the second be kept of the first?  Numbers may change, what says how to compute may not."""
    if isinstance(own, tuple):
        return isinstance(kept, tuple) and len(own) == len(kept) and all(map(_number, kept))
    return _number(kept) if _number(own) else own is kept or type(own) is type(kept) and own == kept


def _number(value: object) -> bool:
    return type(value) in (int, float)
