"""With how many threads torch computes on a page."""
from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial


@contextmanager
def some_threads(n: int):
    """Let torch compute with n threads, if it was imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


one_thread = partial(some_threads, 1)
