"""Stand in for a device that this machine has not: tensors of the CPU that say they lie elsewhere.

As on a GPU, an operation on tensors of both places is refused, so what was made on the CPU and never moved is found.
"Elsewhere" is called "meta", the one device that PyTorch looks for no driver behind; a layer's own tables stay on the
CPU there, so the model is to have none (``position="learned"``).
"""
from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

ELSEWHERE = torch.device("meta")
MOVES = ("_to_copy", "copy_")


class There(torch.Tensor):
    """A tensor that lies elsewhere, and what it holds."""

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        tensor = torch.Tensor._make_wrapper_subclass(cls, held.shape, strides=held.stride(), dtype=held.dtype,
                                                     device=ELSEWHERE)
        tensor.held = held
        return tensor

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return Elsewhere().__torch_dispatch__(function, types, args, kwargs)


class Elsewhere(TorchDispatchMode):
    """Within this, ``x.to(ELSEWHERE)`` and ``device=ELSEWHERE`` work, and a module moves as ever."""

    def __enter__(self):
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # else a weight would not change its class
        return super().__enter__()

    def __exit__(self, *error):
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), function.overloadpacket.__name__
        tensors = [x for x in tree_iter((args, kwargs)) if isinstance(x, torch.Tensor)]
        there = any(isinstance(x, There) for x in tensors)
        if name == "index" and isinstance(args[0], There):  # places may be named from the CPU
            tensors = [args[0]]
        if there and name not in MOVES and any(x.dim() and not isinstance(x, There) for x in tensors):
            raise RuntimeError(f"{name}: expected all tensors to be on the same device")
        if kwargs.get("device") is not None:
            there, kwargs["device"] = torch.device(kwargs["device"]) == ELSEWHERE, torch.device("cpu")
        args_here, kwargs = tree_map(lambda x: x.held if isinstance(x, There) else x, (args, kwargs))
        out = function(*args_here, **kwargs)
        if name.endswith("_") and not name.endswith("__"):
            return args[0]
        return tree_map(lambda x: There(x) if there and isinstance(x, torch.Tensor) else x, out)
