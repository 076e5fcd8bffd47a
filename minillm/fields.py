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
    if fits and kind == "float" and not math.isfinite(value):
        raise ValueError(f"{field.name}={value} is no number that anything can be computed with; make it finite")
    if not (fits or optional and value is None):
        raise ValueError(f"{field.name}={value!r} must be {words}{' or None' if optional else ''}")


def require(holds: bool, message: str) -> None:
    """Refuse, unless this holds."""
    if not holds:
        raise ValueError(message)


def check_stretch(scaling: Any) -> None:
    """Refuse a RopeScaling that nothing can be made of."""
    require(scaling.factor > 0, f"RopeScaling factor={scaling.factor} must be above 0; 1 leaves all as it is")
    require(scaling.original_context >= 1,
            f"RopeScaling original_context={scaling.original_context} must be at least 1 token")
    require(scaling.kind == "linear" or 0 < scaling.low_freq < scaling.high_freq,
            f"RopeScaling low_freq={scaling.low_freq} must be above 0 and below high_freq={scaling.high_freq}: between "
            f"them it blends")


def check_scales(config: Any) -> None:
    """Refuse a zero that Python would take for None, and what turns likely into unlikely."""
    usual = {"attention_scale": "the usual one", "attention_softcap": "no cap", "logit_softcap": "no cap"}
    for name, none in usual.items():
        value = getattr(config, name)
        require(value is None or value > 0, f"{name}={value} must be above 0; None for {none}")


TAKES = {  # annotation -> the types that are taken, in a person's words
    "int": (int, "a whole number (int)"),
    "float": ((int, float), "a number (float)"),
    "bool": (bool, "True or False"),
    "str": (str, "a word (str)"),
}
