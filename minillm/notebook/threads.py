"""With how many threads torch computes on a page."""
from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial


def some_threads(n: int) -> AbstractContextManager[None]:
    """Let torch compute with n threads, if it was imported."""
    if "torch" not in sys.modules:
        return nullcontext()
    from minillm.precision import threads
    return threads(n)


one_thread = partial(some_threads, 1)
