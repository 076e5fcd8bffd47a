"""Look at a file of weights before any of them is read: names, shapes and kinds of numbers stand in its header."""
from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from minillm import reading
from minillm.config import ModelConfig
from minillm.model import Transformer, WithoutWeights

Held = dict[str, tuple[tuple[int, ...], str, Path]]  # name -> shape, kind of number, file
SIZES = tuple(f.name for f in fields(ModelConfig) if f.type in ("int", "int | None"))
FREE = ("context_length", "window", "global_every", "full_every", "nope_every")  # of which no weight is as large


def shapes(files: Iterable[str | os.PathLike]) -> Held:
    """Every tensor's shape, kind of number and file, from the headers alone."""
    found: Held = {}
    for file in map(Path, files):
        with _opened(file) as part:
            for name in part.keys():  # noqa: SIM118  (no dict)
                if name in found:
                    raise ValueError(f"{name!r} is both in {found[name][2].name} and in {file.name}; which is meant?")
                piece = part.get_slice(name)
                found[name] = tuple(piece.get_shape()), piece.get_dtype(), file
    return found


def tensors(files: Iterable[str | os.PathLike]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor, one by one."""
    for file in map(Path, files):
        with _opened(file) as part:
            for name in part.keys():  # noqa: SIM118
                yield name, part.get_tensor(name)


def borne_out(config: ModelConfig, held: Held, source: object, *, apart: bool = True) -> None:
    """Refuse sizes that no weights of this many numbers can have, before anything is made of them.

    Each size is at most the number of all weights, each layer and each expert has a tensor of its own (the experts of a
    layer may share one where they are not kept `apart`), and a table that every layer works out by itself is no larger
    than a matrix that it has learned.
    """
    total, c = sum(math.prod(shape) for shape, _, _ in held.values()), config.resolve()
    for name in SIZES:
        size = getattr(c, name) or 0
        if name not in FREE and size > total:
            raise ValueError(f"{source} tells of {name}={size}, but all its weights together are {total:,} numbers; do "
                             f"the two belong together?")
    experts = c.n_experts if c.n_layers > c.n_dense_layers else 0
    if c.n_layers * max(1, experts * apart) > len(held) or experts * c.d_model > total:
        raise ValueError(f"{source} tells of {c.n_layers} layers (of {c.n_experts} experts), but the weights are "
                         f"{len(held)} tensors of {total:,} numbers; do the two belong together?")
    if (turned := c.n_layers * (c.d_head + c.d_rotary + c.n_heads)) > total:
        raise ValueError(f"{source} tells of {c.n_layers} layers with {c.n_heads} heads of {c.d_head}, {turned:,} in "
                         f"all, but all its weights together are {total:,} numbers; do the two belong together?")


def on_paper(config: ModelConfig, held: Held, source: object, *, apart: bool = True) -> Transformer:
    """A model of these sizes that takes no memory, once the weights bear them out."""
    borne_out(config, held, source, apart=apart)
    try:
        with WithoutWeights():
            return Transformer(config)
    except (RuntimeError, OverflowError, TypeError) as error:
        raise ValueError(f"sizes such as those that {source} tells cannot be built ({str(error).splitlines()[0]}); do "
                         f"they belong to its weights?") from None


def fits(model: nn.Module, held: Mapping[str, tuple[int, ...]], source: object) -> None:
    """Refuse, by name, the first tensor that is missing, of another shape, or one that the model has no place for."""
    wanted = once(model)
    for name, tensor in wanted.items():
        if name not in held:
            raise ValueError(f"{source} has no tensor {name!r}, which this model needs")
        if held[name] != tuple(tensor.shape):
            raise ValueError(f"{name!r} is {held[name]} in {source}, but {tuple(tensor.shape)} in this model; "
                             f"build the model from the checkpoint's own config")
    for name in held:
        if name not in wanted:
            raise ValueError(f"{source} has a tensor {name!r}, for which this model has no place")


def confirmed(values: dict[str, Any], file: str | os.PathLike, source: object) -> ModelConfig:
    """The configuration that these values tell, if it is that of the weights in a file."""
    config, held = ModelConfig.from_dict(values), shapes([file])
    fits(on_paper(config, held, source), {name: row[0] for name, row in held.items()}, source)
    return config


def once(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer; of tied ones only the first name."""
    first: dict[int, str] = {}
    return {name: tensor for name, tensor in model.state_dict(keep_vars=True).items()
            if first.setdefault(id(tensor), name) == name}


@contextmanager
def _opened(file: Path) -> Iterator[safe_open]:
    reading.regular(file)
    try:
        with safe_open(file, framework="pt") as part:
            yield part
    except FileNotFoundError:  # it may have moved meanwhile
        raise
    except (SafetensorError, OSError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{file} is damaged or cut short ({str(error).splitlines()[0][:200]}); download or copy it "
                         f"again") from error
