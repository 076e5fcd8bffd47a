"""Show a model what comes next, again and again, and nudge its weights towards it."""
from __future__ import annotations

import itertools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from minillm import reading, surprise
from minillm.allocation import keep_freed_memory
from minillm.layers import fast
from minillm.model import evaluating
from minillm.precision import Precision, choose_precision, choose_threads

MOST_LOGITS = 1 << 26  # that `evaluate` asks for at a time, where one window has no more: 256 MiB in fp32
IGNORED = -100  # a target that costs nothing: padding, or a prompt that is read but not learned
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Step:
    """What one step of training did."""
    step: int         # counted from 0
    loss: float       # nats per target, before the step
    lr: float         # of the first parameter group
    grad_norm: float  # before clipping
    tokens: int       # targets learned from
    seconds: float    # taken by this step; the caller's own time is not counted


@fast.by(surprise.by_pieces, when=surprise.can_be_by_pieces)
def next_token_loss(logits: Float[Tensor, "batch seq vocab"], targets: Int[Tensor, "batch seq"]
                    ) -> Float[Tensor, ""]:
    r"""Mean surprise at what really came next, in nats; targets of -100 are left out.

    $$ \mathcal{L} = -\frac{1}{T} \sum_{t=1}^{T} \ln \mathrm{softmax}(\ell_t)_{w_{t+1}} $$
    """
    total = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / (targets != IGNORED).sum().clamp(min=1)


def train(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, optimizer: torch.optim.Optimizer,
          schedule: Callable[[int], float] = lambda step: 1.0, loss: Loss = next_token_loss,
          n_steps: int | None = None, start: int = 0, clip: float | None = 1.0,
          micro_batch: int | None = None, precision: str | Precision = "auto", seed: int = 0,
          say: Callable[[str], None] = print) -> Iterator[Step]:
    """Train, one step for each batch (inputs, targets), and report each step.

    The caller owns the loop: ``for step in train(...)`` may plot, log, save or simply ``break``.  Closing
    the generator or pressing Ctrl-C leaves model and optimizer as the reported steps made them.

    `schedule(step)` multiplies every learning rate.  `n_steps` ends the run (None: when the batches end).
    `micro_batch` sequences go through the model at a time; their gradients add up to the whole batch's.  `clip` bounds
    the norm of the gradient.  `precision` is "fp32" (on a CPU exactly repeatable), "medium", "bf16", "fp16" or
    "auto", which times the first batch and says what it chose.  Dropout depends on `seed` and the number of the step
    alone: to go on after `start` steps, pass the batches that are left, and every bit is as if it had never stopped.

    Under `torchrun` every process passes the same batches and learns from its own share of each.  Works on any module
    that maps tokens to logits.  Raises FloatingPointError before a gradient that is not finite reaches the weights.
    """
    if clip is not None and not clip > 0 or micro_batch is not None and micro_batch < 1:
        raise ValueError(f"clip={clip} and micro_batch={micro_batch} must be above 0, or None for neither")
    if not (n_steps is None or isinstance(n_steps, Integral)):
        raise ValueError(f"n_steps={n_steps} must be a whole number, or None for as many as there are batches")
    device = next(model.parameters()).device
    keep_freed_memory()
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    numbers = itertools.count(start) if n_steps is None else range(start, n_steps)
    for step, batch in zip(numbers, batches, strict=False):
        began = time.perf_counter()
        with _whole_steps() as interrupted, _own_dropout(seed, step, device):
            batch = _checked(batch)
            _within(model, batch[0])
            _within(model, batch[1], but=IGNORED)
            inputs, targets = (x.to(device, non_blocking=True) for x in batch)
            if not isinstance(precision, Precision):
                precision = measure_precision(precision, model, batch, loss=loss, say=say)
            factor = schedule(step)
            if not 0 <= factor < math.inf:  # NaN, too
                raise ValueError(f"schedule({step}) is {factor}; a learning rate cannot be multiplied by that")
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            value, n_targets = _gradient(model.train(), inputs, targets, loss, micro_batch, precision)
            precision.scaler.unscale_(optimizer)
            norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf if clip is None else clip)
            norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # FSDP2 keeps it split
            value, norm = torch.stack([value, norm.to(value.dtype)]).tolist()
            # fp16 may overflow backwards: the step is left out and the scale halved. That mends no loss, nor scale 1
            mendable = precision.scaler.is_enabled() and math.isfinite(value) and precision.scaler.get_scale() >= 1
            if not (math.isfinite(norm) or mendable):
                whole = all(torch.isfinite(p).all() for p in model.parameters())
                kept = "the weights are those of the step before" if whole else "that before has spoiled the weights"
                raise FloatingPointError(f"loss={value:g} and gradient norm={norm:g} at step {step}; {kept}. Lower the "
                                         f"learning rate, or choose precision=\"fp32\"")
            precision.scaler.step(optimizer)
            precision.scaler.update()
        yield Step(step, value, optimizer.param_groups[0]["lr"], norm, n_targets, time.perf_counter() - began)
        if interrupted:
            raise KeyboardInterrupt


@torch.no_grad()
def evaluate(model: nn.Module, tokens: Sequence[int] | Integer[np.ndarray, "seq"] | Int[Tensor, "seq"], *,
             context_length: int | None = None, stride: int | None = None, precision: str = "fp32") -> float:
    """Mean surprise over a whole text, in nats per token: every token but the first is predicted once.

    The text is read in windows of `context_length` (None: the model's own) that do not overlap, so each prediction has
    1 to `context_length` tokens before it.  With a `stride`, windows begin that far apart and only their last `stride`
    predictions count: slower, and kinder, for each has more before it.
    """
    if isinstance(tokens, str) or tokens is None:
        raise ValueError(f"tokens={tokens and tokens[:20]!r} is text or nothing, not ids; give tokenizer.encode(text)")
    if len(tokens) < 2:
        raise ValueError(f"tokens={len(tokens)} leave nothing to predict; at least 2 are needed")
    if context_length is not None and (not isinstance(context_length, Integral) or context_length < 1):
        raise ValueError(f"context_length={context_length} must be a whole number above 0, or None for the model's own")
    n = len(tokens) - 1
    context = min(context_length or model.config.context_length, n)
    stride = context if stride is None else stride
    if not 1 <= stride <= context:
        raise ValueError(f"stride={stride} must lie between 1 and context_length={context}")
    way = Precision(precision, device := next(model.parameters()).device)
    ends = [*range(context, n, stride), n]  # the last window is moved back, and counts what is left
    fresh = [end - before for before, end in zip([0, *ends], ends, strict=False)]
    rows, total = max(1, min(8192, MOST_LOGITS // max(1, _vocabulary(model))) // context), 0.0
    with evaluating(model):
        for i in range(0, len(ends), rows):
            windows = torch.stack([torch.as_tensor(tokens[end - context:end + 1]) for end in ends[i:i + rows]]).long()
            _within(model, windows)
            windows = windows.to(device)
            with way.forward(), way.rounded():
                logits = model(windows[:, :-1]).flatten(0, 1)
            targets, few = windows[:, 1:].flatten(), max(1, MOST_LOGITS // 4 // logits.shape[-1])
            parts = zip(logits.split(few), targets.split(few), strict=True)  # one softmax of all would double them
            losses = torch.cat([F.cross_entropy(part.float(), right, reduction="none") for part, right in parts])
            losses = losses.unflatten(0, (-1, context)).double()
            total += sum(row[-k:].sum().item() for row, k in zip(losses, fresh[i:i + rows], strict=True))
    return total / n


def _checked(batch: Any) -> tuple[Tensor, ...]:
    """Inputs and targets, in eight bytes each.  Refuses what holds no ids."""
    pair = tuple(batch) if isinstance(batch, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(x, Tensor) for x in pair):
        raise ValueError(f"a batch of type {type(batch).__name__} is no pair of tensors (inputs, targets)")
    if any(x.dtype.is_floating_point or x.dtype == torch.bool or not x.numel() for x in pair):
        raise ValueError(f"a batch of {[x.dtype for x in pair]} and {[tuple(x.shape) for x in pair]} holds no ids")
    return tuple(x.long() for x in pair)


def _vocabulary(model: nn.Module) -> int:
    return getattr(getattr(getattr(model, "module", model), "config", None), "vocab_size", 0)


def _within(model: nn.Module, ids: Tensor, *, but: int = 0) -> None:
    """Refuse an id that the model has no row for, before a GPU would break off over it without a word."""
    size = _vocabulary(model)
    if size and ids.device.type == "cpu":
        wrong = ids[(ids >= size) | (ids < 0) & (ids != but)]
        if len(wrong):
            raise ValueError(f"id {wrong[0]} is outside vocab_size={size}; were these ids made by another tokenizer?")


def measure_precision(name: str, model: nn.Module, batch: tuple[Tensor, Tensor], *,
                      loss: Loss = next_token_loss, say: Callable[[str], None] = print) -> Precision:
    """The precision of that name; for "auto", the one in which this model takes about 1,000 tokens of this
    batch forward and back in the least time.  Nothing is learned from them."""
    device, trial = next(model.parameters()).device, _trial(model, batch, loss)
    if dist.is_initialized() and dist.get_rank() > 0:
        say = str
    chosen = choose_precision(name, device, trial, say=say)
    if dist.is_initialized():  # clocks differ; all must do as the first one does
        names = [chosen.name]
        dist.broadcast_object_list(names)
        chosen = Precision(names[0], device)
    model.zero_grad(set_to_none=True)
    return chosen


def measure_threads(precision: str, model: nn.Module, batch: tuple[Tensor, Tensor], *,
                    loss: Loss = next_token_loss, say: Callable[[str], None] = print) -> int:
    """With how many threads this model takes about 1,000 tokens of this batch forward and back in the least time.

    Threads divide sums, and so decide the last bits.  Where those must not hang on how busy a machine is, in "fp32",
    and where none are to choose, on a GPU or in one of several processes, PyTorch's number stays.
    """
    device = next(model.parameters()).device
    if precision == "fp32" or device.type != "cpu" or dist.is_initialized():
        return torch.get_num_threads()
    way = Precision("fp32" if precision == "auto" else precision, device)
    chosen = choose_threads(partial(_trial(model, batch, loss), way), say=say)
    model.zero_grad(set_to_none=True)
    return chosen


def _trial(model: nn.Module, batch: tuple[Tensor, Tensor], loss: Loss) -> Callable[[Precision], None]:
    """About 1,000 tokens forward and back, to be timed."""
    device = next(model.parameters()).device
    rows = slice(0, max(1, 1024 // batch[0].shape[1]))
    inputs, targets = (x[rows].to(device) for x in batch)

    def trial(precision: Precision) -> None:
        with _own_dropout(0, 0, device), precision.rounded():  # draws nothing of the step's own
            with precision.forward():
                value = loss(model(inputs), targets)
            value.backward()

    return trial


def snapshot(optimizer: torch.optim.Optimizer, step: int, precision: Precision | None = None, **more: Any
             ) -> dict[str, Any]:
    """What a run needs, beside the weights, to go on after `step` steps as if it had never stopped.  `more` is kept
    with it: the seed, the batch size, whatever says which batches come next."""
    way = {"precision": precision.name, "scaler": precision.scaler.state_dict()} if precision else {}
    return {"step": step, "optimizer": optimizer.state_dict(), **way, **more}


def restore(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> int:
    """Give the optimizer back what `snapshot` kept; returns the number of steps done, `train`'s `start`.  A precision's
    loss scale is given back by ``precision.scaler.load_state_dict(state["scaler"])``."""
    reading.check(state, {"step": range(2 ** 63), "optimizer": dict}, "the state of this run")
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def _gradient(model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss, micro_batch: int | None,
              precision: Precision) -> tuple[Tensor, int]:
    """Fill every `.grad` with the gradient of the mean over all targets; return the mean and their count."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    if len(inputs) % world:
        raise ValueError(f"batch={len(inputs)} must be a multiple of {world}, for {world} processes to share it evenly")
    n_targets = int((targets != IGNORED).sum())
    inputs, targets = inputs.chunk(world)[rank], targets.chunk(world)[rank]
    parts = list(zip(*(x.split(micro_batch or len(x)) for x in (inputs, targets)), strict=True))
    mean = torch.zeros((), device=inputs.device)
    model.zero_grad(set_to_none=True)
    for i, (x, y) in enumerate(parts):
        weight = int((y != IGNORED).sum()) / max(n_targets, 1)
        with _synchronised(model, i == len(parts) - 1), precision.rounded():
            with precision.forward():
                value = loss(model(x), y) * weight
            if not value.requires_grad:
                raise ValueError("loss(logits, targets) gave a number that no weight has a part in; use the logits")
            precision.scaler.scale(value * world).backward()  # DDP and FSDP take the mean over processes
        mean += value.detach()
    if world > 1:
        dist.all_reduce(mean)
    return mean, n_targets


@contextmanager
def _synchronised(model: nn.Module, last: bool) -> Iterator[None]:
    """Let DDP exchange gradients once per step, not once per micro-batch.  (FSDP2 sums as it goes.)"""
    with nullcontext() if last or not hasattr(model, "no_sync") else model.no_sync():
        yield


@contextmanager
def _own_dropout(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Draw from a stream that belongs to this step, and leave the caller's stream where it was."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(((seed * 1_000_003 + step) * 1009 + rank) % 2 ** 64)
        yield


@contextmanager
def _whole_steps() -> Iterator[list[int]]:
    """Hold a Ctrl-C back until the step is done (a second one is obeyed at once)."""
    pending: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pending
        return

    def note(number, frame):
        if pending:
            raise KeyboardInterrupt
        pending.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pending
    finally:
        signal.signal(signal.SIGINT, before)
