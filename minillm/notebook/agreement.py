"""Say where two values differ, and prove that a reader's build and the library's do the same."""
from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping
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
    for part, ours, theirs in zip(("output", "gradient of the inputs", "gradient of the weights"), *outcome, strict=True):
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
            raise AssertionError(f"not the same: you have a weight named {name!r}; the library's are {sorted(theirs)}")
        if ours[name].shape != theirs[name].shape:
            raise AssertionError(f"not the same: {name} has shape {tuple(ours[name].shape)}, "
                                 f"the library's {tuple(theirs[name].shape)}")
    mine.load_state_dict(theirs)
    return len(theirs)


def _run(function: Callable, inputs: tuple) -> tuple[Any, list[Tensor], dict[str, Tensor]]:
    """Output, gradients of the inputs, gradients of the weights, for the loss sum(cos(i) * output_i)."""
    inputs = copy.deepcopy(inputs)
    leaves = [each.detach().requires_grad_() for each in inputs if isinstance(each, Tensor) and each.is_floating_point()]
    iterator = iter(leaves)
    inputs = tuple(next(iterator) if isinstance(each, Tensor) and each.is_floating_point() else each for each in inputs)
    weights = dict(function.named_parameters()) if isinstance(function, nn.Module) else {}
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        output = function(*inputs)
        losses = [(part * torch.cos(torch.arange(part.numel(), dtype=part.dtype, device=part.device)).view_as(part)).sum()
                  for part in _tensors(output) if part.requires_grad]
        wanted = [*leaves, *(each for each in weights.values() if each.requires_grad)]
        found = torch.autograd.grad(sum(losses), wanted, allow_unused=True) if losses and wanted else []
    found = [torch.zeros_like(each) if grad is None else grad for each, grad in zip(wanted, found)] if losses else []
    names = [name for name, each in weights.items() if each.requires_grad]
    return output, list(found[:len(leaves)]), dict(zip(names, found[len(leaves):]))


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [leaf for each in value for leaf in _tensors(each)] if isinstance(value, (list, tuple)) else []


def difference(mine: Any, other: Any, tolerance: float) -> str:
    """Say in words where two values part, or "" where they agree.

    Floats agree within `tolerance`, absolute for values below 1 and relative above; everything else agrees exactly.
    """
    if isinstance(mine, Tensor) or isinstance(other, Tensor):
        return _tensor_difference(mine, other, tolerance)
    if hasattr(mine, "__array__") and hasattr(other, "__array__"):
        return _tensor_difference(torch.as_tensor(mine), torch.as_tensor(other), tolerance)
    if isinstance(mine, bool) or isinstance(other, bool):
        return "" if mine is other else f"{show_value(mine)} instead of {show_value(other)}"
    if isinstance(mine, (int, float)) and isinstance(other, (int, float)):
        if isinstance(mine, int) and isinstance(other, int):
            return "" if mine == other else f"{mine} instead of {other}"
        both_nan = math.isnan(mine) and math.isnan(other)
        close = both_nan or mine == other or abs(mine - other) <= tolerance * max(1.0, abs(other))
        return "" if close else f"{mine:.6g} instead of {other:.6g}"
    if isinstance(mine, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(mine) != len(other):
            return f"{len(mine)} elements instead of {len(other)}"
        return next((f"at [{i}], {found}" for i, (a, b) in enumerate(zip(mine, other))
                     if (found := difference(a, b, tolerance))), "")
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
        if mine.keys() != other.keys():
            extra, lacking = list(mine.keys() - other.keys()), list(other.keys() - mine.keys())
            return f"the keys differ: {show_value(lacking)} lacking, {show_value(extra)} too many"
        return next((f"at [{key!r}], {found}" for key in other if (found := difference(mine[key], other[key], tolerance))), "")
    if type(mine) is not type(other):
        return f"{_kind(mine)} instead of {_kind(other)}"
    try:
        return "" if bool(mine == other) else f"{show_value(mine)} instead of {show_value(other)}"
    except Exception as error:                         # noqa: BLE001 - an object may refuse to be compared
        return f"they cannot be compared ({error})"


def _tensor_difference(mine: Any, other: Any, tolerance: float) -> str:
    if not (isinstance(mine, Tensor) and isinstance(other, Tensor)):
        return f"{_kind(mine)} instead of {_kind(other)}"
    if mine.shape != other.shape:
        return f"shape {tuple(mine.shape)} instead of {tuple(other.shape)}"
    if mine.is_floating_point() != other.is_floating_point():
        return f"{mine.dtype} instead of {other.dtype}"
    ours, theirs = mine.detach().to("cpu", torch.float64), other.detach().to("cpu", torch.float64)
    agree = torch.isclose(ours, theirs, rtol=0, atol=0, equal_nan=True)
    agree |= (ours - theirs).abs() <= tolerance * theirs.abs().clamp(min=1)
    if agree.all():
        return ""
    where = tuple(int(i) for i in (~agree).nonzero()[0])
    place = f"at [{', '.join(map(str, where))}], " if where else ""
    return f"{place}{ours[where]:.6g} instead of {theirs[where]:.6g} ({int((~agree).sum())} of {agree.numel()} differ)"


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def show_value(value: Any, *, width: int = 160) -> str:
    """Write a value on one short line; a large tensor by its shape."""
    if isinstance(value, Tensor):
        if value.numel() > 16:
            return f"a tensor of shape {tuple(value.shape)}"
        rounded = value.detach().to("cpu", torch.float64).mul(1e4).round().div(1e4).tolist() if value.is_floating_point() \
            else value.tolist()
        return f"tensor({rounded})"
    if isinstance(value, float):
        return f"{value:.6g}"
    if inspect.isroutine(value) or inspect.isclass(value):
        return f"{getattr(value, '__name__', value)!s}"
    if isinstance(value, (list, tuple)) and any(isinstance(each, (Tensor, float)) for each in value):
        inside = ", ".join(show_value(each) for each in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    shown = repr(value)
    return shown if len(shown) <= width else f"{shown[:width - 1]}…"
