"""Choose where to compute, how exactly, and with how many threads: the best here, or the same to the last bit."""
from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import torch

# name -> (what autocast turns matrix products into, how fp32 products may be rounded inside)
PRECISIONS = {"fp32": (None, "highest"), "medium": (None, "medium"),
              "bf16": (torch.bfloat16, "highest"), "fp16": (torch.float16, "highest")}


class Precision:
    """A way to compute: weights stay fp32, matrix products may be done in less.

    fp16 also scales the loss, so that small gradients do not vanish.
    Micikevicius et al. 2018, arXiv:1710.03740.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu"):
        if name not in PRECISIONS:
            raise ValueError(f"precision={name!r} is not one of: auto, {', '.join(PRECISIONS)}")
        self.name, self.device = name, torch.device(device)
        self.dtype, self.rounding = PRECISIONS[name]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=name == "fp16")

    def __repr__(self) -> str:
        return f"Precision({self.name!r}, {str(self.device)!r})"

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Compute the loss within this; the backward pass follows the same dtypes by itself."""
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            yield

    @contextmanager
    def rounded(self) -> Iterator[None]:
        """Round fp32 products as this precision allows, forward and backward, and leave all as it was."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self.rounding)
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def choose_device(name: str = "auto") -> torch.device:
    """"auto": CUDA where there is one, else the CPU.  Apple's "mps" only when asked for by name: it has been
    silently wrong for others."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = str(name).partition(":")
    counts = {"cpu": 1, "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
              "mps": int(torch.backends.mps.is_available())}
    if kind not in counts or index and not index.isdecimal():
        raise ValueError(f"device={name!r} is not one of: auto, {', '.join(counts)}, or with a number: cuda:1")
    there = counts[kind]
    if int(index or 0) >= there:
        seen = f"{there} {kind.upper()} device{'' if there == 1 else 's'}" if there else f"no {kind.upper()} device"
        raise ValueError(f"device={name!r} was asked for, but PyTorch sees {seen} here; use device=\"cpu\", or "
                         f"\"auto\"")
    return torch.device(name)


def choose_precision(name: str, device: torch.device, trial: Callable[[Precision], object] | None = None, *,
                     say: Callable[[str], None] = print) -> Precision:
    """The precision of that name; for "auto" the fastest here, and say which and why.

    A GPU takes bf16 where it has it in hardware, else fp16 with a scaled loss (a T4).  A processor without
    bf16 instructions takes fp32.  One that has them runs `trial(precision)` (a forward and a backward pass,
    say) in each way, and takes bf16 or "medium" only where that gains at least a tenth.
    """
    if name != "auto":
        return Precision(name, device)
    if device.type != "cpu":
        chosen = Precision("fp32" if device.type == "mps" else "bf16" if has_bf16(device) else "fp16", device)
        say(f"computing on {device_name(device)} in {chosen.name}")
        return chosen
    if trial is None or not has_bf16(device):
        chosen = Precision("bf16" if has_bf16(device) else "fp32", device)
        say(f"computing on the CPU in {chosen.name}")
        return chosen
    taken = race({name: partial(trial, Precision(name, device)) for name in ("fp32", "medium", "bf16")})
    seconds = {name: min(times) for name, times in taken.items()}
    best = min(seconds, key=lambda name: seconds[name] * (1.0 if name == "fp32" else 1.1))
    times = ", ".join(f"{name} {1000 * s:.3g} ms" for name, s in seconds.items())
    say(f"computing on the CPU in {best} (forward and back: {times})")
    return Precision(best, device)


def choose_threads(trial: Callable[[], object], *, say: Callable[[str], None] = print) -> int:
    """How many threads make a CPU fastest now: one, half of PyTorch's and all of them run `trial()` in turns, and it
    says which it took and why.

    More are taken only where they gain a tenth.  On a busy machine they lose: two that waited for each other's turn
    trained at 204 tokens/s where one made 1,100.  So it is the usual time that counts, not the best; and what takes
    three times as long as another is not tried again.
    """
    most = torch.get_num_threads()

    def with_threads(n: int) -> None:
        with threads(n):
            trial()

    counts = sorted({1, max(1, most // 2), most})
    if len(counts) == 1:
        return most
    taken = race({n: partial(with_threads, n) for n in counts}, patience=3)
    seconds = {n: median(times) for n, times in taken.items()}
    best = min(seconds, key=lambda n: seconds[n] * (1.0 if n == 1 else 1.1))
    times = ", ".join(f"{n} {1000 * s:.3g} ms" for n, s in seconds.items())
    say(f"computing with {best} thread{'s' * (best > 1)} (forward and back: {times})")
    return best


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with n threads within this, and with as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def has_bf16(device: torch.device) -> bool:
    """Does this device multiply bfloat16 matrices in hardware?  ATEN_CPU_CAPABILITY=avx2 makes a processor one that
    does not."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    wide = device.type == "cpu" and "AVX512" in torch.backends.cpu.get_cpu_capability()
    return wide and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def device_name(device: torch.device) -> str:
    """What a person calls it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def processor_name() -> str:
    """What the CPU calls itself."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
             ] if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def race(ways: Mapping[Hashable, Callable[[], object]], *, rounds: int = 4, patience: float = math.inf
          ) -> dict[Hashable, list[float]]:
    """Seconds that each way takes, in turns, so that a neighbour's noise meets all.

    A way that took `patience` times as long as the fastest is left out of the rounds to come.  Where several processes
    learn together, a trial waits for the others': there all must run as often, whatever the clock says.
    """
    taken: dict[Hashable, list[float]] = {name: [] for name in ways}
    for _ in range(1 + rounds):
        fastest = min((min(times) for times in taken.values() if times), default=math.inf)
        for name, way in ways.items():
            if not taken[name] or min(taken[name]) <= patience * fastest:
                start = time.perf_counter()
                way()
                taken[name].append(time.perf_counter() - start)
    return {name: times[1:] or times for name, times in taken.items()}  # the first warms up
