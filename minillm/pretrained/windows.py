"""Read and write which layers of a published model see a window only, and which turn nothing."""
from __future__ import annotations

from typing import Any

from minillm.config import ModelConfig
from minillm.reading import check

KINDS = ("full_attention", "sliding_attention")
FORM = {"sliding_window_pattern?": int, "max_window_layers?": int, "layer_types?": [str]}
LISTED = {"layer_types?": [str], "no_rope_layers?": [int]}


def read_window(theirs: dict[str, Any], facts: dict[str, Any], n_layers: int) -> dict[str, Any]:
    """The fields about windows, from those keys that the family's code reads.

    `use_sliding_window`, where it is read, is off unless it is on, and then the first max_window_layers see all.
    """
    window = theirs.get("sliding_window", facts.get("window"))
    if window is None or not theirs.get("use_sliding_window", True):
        return _seen(None)
    check(theirs, FORM, "config.json")
    habit, types = theirs.get("sliding_window_pattern", facts.get("global_every")), theirs.get("layer_types")
    begins = facts.get("global_first", False)
    if types is None and ("use_sliding_window" in theirs or "max_window_layers" in theirs):
        first = min(n_layers, max(0, theirs.get("max_window_layers", 28)))
        types = ["full_attention"] * first + ["sliding_attention"] * (n_layers - first)
    if types is None:
        return _seen(window, habit, begins)
    if not isinstance(types, list) or len(types) != n_layers or not set(types) <= set(KINDS):
        raise ValueError(f"layer_types={types} is no list of {n_layers} layers, each {' or '.join(KINDS)}; choose "
                         f"another checkpoint")
    if set(types) == {"full_attention"}:
        return _seen(None)
    for every, first in ((habit, begins), (None, False), *((n, first) for first in (False, True)
                                                           for n in range(2, n_layers + 1))):
        if types == [_layer_type(every, i, first) for i in range(n_layers)]:
            return _seen(window, every, first)
    raise ValueError(f"layer_types={types} is no regular pattern; built are windows in all layers, or in all "
                     f"but every n-th")


def _seen(window: int | None, every: int | None = None, first: bool = False) -> dict[str, Any]:
    return {"window": window, "global_every": every, "global_first": first and every is not None}


def write_window(c: ModelConfig, keys: tuple[str, ...]) -> dict[str, Any]:
    """The fields about windows for config.json."""
    out = {"sliding_window": c.window, "use_sliding_window": c.window is not None,
           "max_window_layers": c.n_layers if c.window is None else 0,
           "layer_types": [KINDS[c.is_windowed(i)] for i in range(c.n_layers)]}
    return {key: value for key, value in out.items() if key in keys}


TURNED = ("no_rope_layers", "no_rope_layer_interval")  # a list with 1 for a layer that turns; of n, the last does not


def read_turned(theirs: dict[str, Any], family: str, rule: str, n_layers: int, window: dict[str, Any]) -> int | None:
    """The field nope_every: which layers do without RoPE, by the family's `rule`."""
    if rule == "listed":
        check(theirs, LISTED, "config.json")
        if set(theirs.get("layer_types") or []) - {"full_attention"}:
            raise ValueError(f"{family} with layer_types={theirs['layer_types']} is not built here, only with full "
                             f"attention in every layer; choose another checkpoint")
        every = theirs.get("no_rope_layer_interval", 4)
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"no_rope_layer_interval={every!r} must be a whole number of at least 1")
        turned = theirs.get("no_rope_layers") or [int((i + 1) % every != 0) for i in range(n_layers)]
        if all(turned) and len(turned) == n_layers:
            return None
        for n in range(2, n_layers + 1):
            if turned == [int((i + 1) % n != 0) for i in range(n_layers)]:
                return n
        raise ValueError(f"no_rope_layers={turned} is no regular pattern of {n_layers} layers; built is RoPE in all "
                         f"but every n-th")
    if window["window"] is None and (rule == "windowed" or theirs.get("sliding_window") is not None):
        raise ValueError(f"{family} turns queries and keys only in layers that see a window, and here is none; that is "
                         f"not built here; choose another checkpoint")
    return window["global_every"]


def write_turned(c: ModelConfig, rule: str) -> dict[str, Any]:
    """Which layers turn, for config.json."""
    listed = {"no_rope_layers": [int(c.is_turned(i)) for i in range(c.n_layers)],
              "no_rope_layer_interval": c.nope_every or c.n_layers + 1}
    return listed if rule == "listed" else {}


def _layer_type(global_every: int | None, layer: int, first: bool) -> str:
    return KINDS[not (global_every and (layer + (not first)) % global_every == 0)]
