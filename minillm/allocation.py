"""Keep the memory that a step of training frees: the next step wants the same again."""
from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4        # malloc.h
MOST = 1 << 30       # bytes that stay with the process while nothing uses them


@cache
def keep_freed_memory() -> bool:
    """Let the C library hold on to large pieces that are freed; True where it does now, once for each process.

    glibc gives a freed tensor of more than 32 MiB, and the end of its heap, back to the system at once, and every page
    of the next one is a page fault that fills it with zeros: up to a quarter of a step's time on a processor, for
    as much as 100 MB a step.  Other C libraries, and GPUs (PyTorch keeps their memory itself), are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):       # musl has none
        return False
    whole = mallopt(_MMAP_THRESHOLD, MOST) or mallopt(_MMAP_MAX, 0)     # before 2.35 the first went to 32 MiB only
    return bool(whole and mallopt(_TRIM_THRESHOLD, MOST))
