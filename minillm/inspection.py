"""Look inside a model while it runs, and reach in to change what flows."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


@contextmanager
def capture(model: nn.Module, *patterns: str) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the submodules that a pattern names, under their names, while the block is open.

    ``with capture(model, "blocks.*.attention.pattern") as seen: model(tokens)`` leaves one attention pattern per
    layer in `seen`.  A ``*`` stands for one part of the name.  The output of the last call is kept, undetached;
    what an `intervene` makes of it, where this is opened within one.
    Attention takes its readable path meanwhile: the fused kernel has no pattern to show.
    """
    seen: dict[str, Tensor] = {}
    changes = {name: lambda output, name=name: seen.__setitem__(name, output) for name, _ in named(model, *patterns)}
    with _hooked(model, changes):  # __setitem__ returns None, which leaves the output as it is
        yield seen


@contextmanager
def intervene(model: nn.Module, changes: dict[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Replace the output of each named submodule by `change(output)`, of the same shape, while the block is open.

    ``intervene(model, {"blocks.0.attention.pattern": lambda a: a * kept})`` switches heads off: those for which
    `kept`, of shape (head, 1, 1), is 0.  A name may hold ``*``, as in `capture`.
    """
    with _hooked(model, changes):
        yield


def named(model: nn.Module, *patterns: str) -> list[tuple[str, nn.Module]]:
    """The submodules whose names match a pattern.  Raises ValueError where one matches nothing."""
    modules = dict(model.named_modules())
    found = {}
    for pattern in patterns:
        parts = pattern.split(".")
        names = [n for n in modules if n.count(".") + 1 == len(parts) and n
                 and all(map(fnmatchcase, n.split("."), parts))]
        if not names:
            near = get_close_matches(pattern, modules, 3, 0.4)
            raise ValueError(f"no submodule is called {pattern!r}; near it: {', '.join(near) or 'nothing'}. "
                             f"dict(model.named_modules()) lists all")
        found |= {n: modules[n] for n in names}
    return list(found.items())


def logit_lens(model: nn.Module, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "layer batch seq vocab"]:
    r"""What the model would say if it stopped after each layer.  nostalgebraist 2020, "the logit lens".

    $$ \ell^{(l)}_{tv} = \sum_d W^{unembed}_{vd} \, \mathrm{norm}(x^{(l)}_t)_d $$

    The last layer's row is the model's own output.
    """
    with capture(model, "blocks.*") as seen:
        model(tokens)
    return torch.stack([model.softcap(model.unembed(model.norm(x))) for x in seen.values()])


def token_losses(model: nn.Module, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch next"]:
    """The surprise of each token but the first, in nats: -log p(token | those before it)."""
    logits = model(tokens[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
                           ).unflatten(0, tokens[:, 1:].shape)


@contextmanager
def _hooked(model: nn.Module, changes: dict[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    fused = [m for m in model.modules() if getattr(m, "fused", False)]
    with ExitStack() as undo:
        for module in fused:
            module.fused = False
            undo.callback(setattr, module, "fused", True)
        for pattern, change in changes.items():
            for name, module in named(model, pattern):
                hook = module.register_forward_hook(
                    lambda m, inputs, output, name=name, change=change: _changed(name, output, change(output)))
                undo.callback(hook.remove)
        yield


def _changed(name: str, old: Tensor, new: Tensor | None) -> Tensor | None:
    """What takes the place of an output (None: nothing does)."""
    if new is not None and new.shape != old.shape:
        raise ValueError(f"the change of {name!r} gives shape {tuple(new.shape)}, but its output has "
                         f"{tuple(old.shape)}; keep the shape")
    return new
