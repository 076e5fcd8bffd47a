"""Say where two values differ, and prove that a reader's build and the library's do the same."""
from __future__ import annotations

import copy
import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def same(mine: Callable, library: Callable, *inputs: Any, tolerance: float = 1e-5) -> None:
    """Give both the same weights and inputs; compare outputs and gradients, and print one sentence.

    Two modules: the library's state_dict is copied into `mine` first, so parameters must have the same names and
    shapes.  Two functions (or methods): outputs, and gradients with respect to floating-point inputs.
    Raises AssertionError that says what differs, and by how much.
    """
    copied = _copy_weights(mine, library)
    outcome = [_run(each, inputs) for each in (mine, library)]
    parts = ("output", "gradient of the inputs", "gradient of the weights")
    for part, ours, theirs in zip(parts, *outcome, strict=True):
        differs = difference(ours, theirs, tolerance)
        if differs:
            raise AssertionError(f"not the same: the {part} differs from the library's; {differs}")
    gradients = any(len(part) for part in outcome[1][1:])
    print("same: " + ("outputs and gradients agree" if gradients else "outputs agree")
          + (f" ({copied} weight{'s' if copied > 1 else ''} copied)" if copied else ""))


def _copy_weights(mine: Callable, library: Callable) -> int:
    if not (isinstance(mine, nn.Module) and isinstance(library, nn.Module)):
        return 0
    ours, theirs = mine.state_dict(), library.state_dict()
    for name in [*theirs, *ours]:
        if name not in ours:
            raise AssertionError(f"not the same: the library has a weight named {name!r}; yours has {sorted(ours)}")
        if name not in theirs:
            raise AssertionError(f"not the same: you have a weight named {name!r}; the library has {sorted(theirs)}")
        if ours[name].shape != theirs[name].shape:
            raise AssertionError(f"not the same: {name} has shape {tuple(ours[name].shape)}, "
                                 f"the library's {tuple(theirs[name].shape)}")
    mine.load_state_dict(theirs)
    return len(theirs)


def _run(function: Callable, inputs: tuple) -> tuple[Any, list[Tensor], dict[str, Tensor]]:
    """Output, gradients of the inputs, gradients of the weights, for the loss sum(cos(i) * output_i)."""
    inputs = copy.deepcopy(inputs)
    inputs = [each.detach().requires_grad_() if _is_float(each) else each for each in inputs]
    leaves = [each for each in inputs if _is_float(each)]
    weights = dict(function.named_parameters()) if isinstance(function, nn.Module) else {}
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        output = function(*inputs)
        loss = sum((part.flatten() * torch.arange(part.numel()).to(part).cos()).sum()
                   for part in _tensors(output) if part.requires_grad)
        trained = {name: each for name, each in weights.items() if each.requires_grad}
        wanted = [*leaves, *trained.values()]
        if not wanted or not isinstance(loss, Tensor):
            return output, [], {}
        found = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    return output, list(found[:len(leaves)]), dict(zip(trained, found[len(leaves):], strict=True))


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [leaf for each in value for leaf in _tensors(each)] if isinstance(value, (list, tuple)) else []


def difference(mine: Any, other: Any, tolerance: float) -> str:
    """Say in words where two values part, or "" where they agree.

    Floats agree within `tolerance`, absolute for values below 1 and relative above; infinities and NaN only with
    themselves; where a whole number is expected, a float must hit it; everything else agrees exactly.  The way a
    value is wrapped (`as_expected`) does not matter.  Never raises: what cannot be compared differs.
    """
    try:
        return _difference(mine, other, tolerance)
    except Exception as error:                         # noqa: BLE001 - an answer may hold anything, itself too
        return f"{_kind(mine)} that cannot be compared with {_kind(other)} ({type(error).__name__})"


def _difference(mine: Any, other: Any, tolerance: float) -> str:
    other = _without_numpy(other)
    mine = as_expected(mine, other)
    if isinstance(mine, Tensor) or isinstance(other, Tensor):
        return _tensor_difference(mine, other, tolerance)
    if isinstance(mine, bool) or isinstance(other, bool):
        return "" if mine is other else f"{show_value(mine)} instead of {show_value(other)}"
    if isinstance(mine, (int, float)) and isinstance(other, (int, float)):
        return "" if _close(mine, other, tolerance) else f"{_number(mine)} instead of {_number(other)}"
    if isinstance(mine, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(mine) != len(other):
            return f"{len(mine)} elements instead of {len(other)}"
        return _first((i, _difference(a, b, tolerance)) for i, (a, b) in enumerate(zip(mine, other, strict=True)))
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
        if mine.keys() != other.keys():
            extra, lacking = list(mine.keys() - other.keys()), list(other.keys() - mine.keys())
            return f"the keys differ: {show_value(lacking)} lacking, {show_value(extra)} too many"
        return _first((key, _difference(mine[key], other[key], tolerance)) for key in other)
    if type(mine) is not type(other):
        return f"{_kind(mine)} instead of {_kind(other)}"
    return "" if bool(mine == other) else f"{show_value(mine)} instead of {show_value(other)}"


def as_expected(value: Any, expected: Any) -> Any:
    """Unwrap a value to the kind that is expected, where the content stays the same; else give it back as it is.

    A number for a tensor or array without axes, and the reverse; a list for a tuple, and the reverse; a tensor for
    an array; bytes for a bytearray; counts of zero in a Counter count as absent.  Lists are unwrapped inside as well.
    """
    try:
        return _as_expected(value, expected)
    except Exception:                                  # noqa: BLE001 - what cannot be looked into is not unwrapped
        return value


def _as_expected(value: Any, expected: Any) -> Any:
    if isinstance(expected, (bool, int, float)) and getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    if isinstance(expected, Tensor) and not isinstance(value, Tensor):
        if expected.ndim == 0 and isinstance(value, (int, float)) and not isinstance(value, bool):
            return torch.tensor(value, dtype=expected.dtype if expected.is_floating_point() else None)
        return _without_numpy(value)
    if isinstance(expected, (list, tuple)) and isinstance(value, (list, tuple)):
        if len(value) == len(expected):
            value = [_as_expected(a, b) for a, b in zip(value, expected, strict=True)]
        return list(value) if isinstance(expected, list) else tuple(value)
    if isinstance(expected, Counter) and isinstance(value, Mapping):
        return {key: count for key, count in value.items() if key in expected or not _is_zero(count)}
    if isinstance(expected, bytes) and isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return value


def _without_numpy(value: Any) -> Any:
    if isinstance(value, Tensor) or not (hasattr(value, "__array__") and hasattr(value, "dtype")):
        return value
    return value.item() if value.shape == () else torch.as_tensor(value)


def _is_zero(count: Any) -> bool:
    return isinstance(count, int) and count == 0


def _close(mine: float, other: float, tolerance: float) -> bool:
    if isinstance(mine, int) and isinstance(other, int):
        return mine == other
    if not (math.isfinite(mine) and math.isfinite(other)):
        return mine == other or (math.isnan(mine) and math.isnan(other))
    allowed = max(tolerance, 1e-12 * abs(other)) if isinstance(other, int) else tolerance * max(1.0, abs(other))
    return abs(mine - other) <= allowed


def _number(value: float) -> str:
    whole = isinstance(value, int) or value.is_integer() and abs(value) < 1e15
    return f"{int(value)}" if whole else f"{value:.6g}"


def _first(differences: Iterable[tuple[Any, str]]) -> str:
    return next((f"at [{place!r}], {found}" for place, found in differences if found), "")


def _tensor_difference(mine: Any, other: Any, tolerance: float) -> str:
    if not (isinstance(mine, Tensor) and isinstance(other, Tensor)):
        return f"{_kind(mine)} instead of {_kind(other)}"
    if mine.shape != other.shape:
        return f"shape {tuple(mine.shape)} instead of {tuple(other.shape)}"
    if mine.is_floating_point() != other.is_floating_point():
        return f"{mine.dtype} instead of {other.dtype}"
    kind = torch.complex128 if mine.is_complex() or other.is_complex() else torch.float64
    kind = kind if mine.is_floating_point() or mine.is_complex() else torch.int64
    ours, theirs = mine.detach().to("cpu", kind), other.detach().to("cpu", kind)
    agree = torch.isclose(ours, theirs, rtol=0, atol=0, equal_nan=True)
    finite = ours.isfinite() & theirs.isfinite()
    if kind is not torch.int64:
        agree |= finite & ((ours - theirs).abs() <= tolerance * theirs.abs().clamp(min=1))
    if agree.all():
        return ""
    where = tuple(int(i) for i in (~agree).nonzero()[0])
    place = f"at [{', '.join(map(str, where))}], " if where else ""
    how_many = f"{int((~agree).sum())} of {agree.numel()} differ"
    return f"{place}{show_value(ours[where].item())} instead of {show_value(theirs[where].item())} ({how_many})"


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def show_value(value: Any, *, width: int = 160) -> str:
    """Write a value on one short line; a large tensor by its shape, an object that cannot be written by its kind."""
    try:
        shown = _shown(value)
    except Exception as error:                         # noqa: BLE001 - a repr may raise anything
        shown = f"{_kind(value)} whose repr raises {type(error).__name__}"
    return shown if len(shown) <= width else f"{shown[:width - 1]}…"


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        if value.numel() > 16:
            return f"a tensor of shape {tuple(value.shape)}"
        return f"tensor({(value.detach().double().round(decimals=4) if _is_float(value) else value).tolist()})"
    if isinstance(value, float):
        return _number(value)
    if inspect.isroutine(value) or inspect.isclass(value):
        return f"{getattr(value, '__name__', value)!s}"
    if isinstance(value, (list, tuple)):
        inside = ", ".join(show_value(each) for each in value[:100])
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    return repr(value)
