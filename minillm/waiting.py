"""Wait for work that hears nobody: as long as it may take and no longer, and with an ear for Ctrl-C."""
from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")
LOOK = 0.1  # seconds between two looks; Windows tells of a Ctrl-C only then


def beside(work: Callable[[], Made], *, seconds: float = math.inf) -> Made:
    """What `work()` makes, or raises, in a thread beside.

    A library that learns for minutes, or a server that sends a letter a second, cannot be told to end.  Ctrl-C and the
    end of these `seconds` (a TimeoutError) end the waiting: the work goes on unseen, and what it makes is thrown away.
    """
    made, raised = [], []

    def run() -> None:
        try:
            made.append(work())
        except BaseException as error:  # it belongs to whoever waits
            raised.append(error)

    thread, end = threading.Thread(target=run, daemon=True), time.monotonic() + seconds  # a daemon keeps no program up
    thread.start()
    while thread.is_alive():
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not done after {seconds:g} s")
        thread.join(min(left, LOOK))
    if raised:
        raise raised[0]
    return made[0]
