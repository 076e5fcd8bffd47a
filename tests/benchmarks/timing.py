"""Time rivals in turn, so that whatever else the machine does falls on all of them alike."""
from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
Row = tuple[str, str, float, str, str]  # what is measured, by whom, value, unit, against the first of the group


def race(title: str, rivals: dict[str, Callable[[], object]], *, work: float, unit: str, repeats: int = 5,
         warm: int = 2) -> list[Row]:
    """Rows of work per second: the median of interleaved repeats, after `warm` calls each."""
    for run in rivals.values():
        for _ in range(warm):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, run in rivals.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    first = next(iter(medians.values()))
    return [(title, name, work / t, unit, f"{first / t:.2f} ×") for name, t in medians.items()]


def in_a_fresh_process(function: str, *arguments: str) -> dict:
    """Call ``tests.benchmarks.<module>.<function>(*arguments)`` in a Python of its own; its result as JSON.

    For peak memory and start-up, which earlier work in the same process would spoil.
    """
    module, _, name = function.rpartition(".")
    code = (f"import json, sys\nfrom tests.benchmarks.{module} import {name}\n"
            f"print(json.dumps({name}(*sys.argv[1:])))")
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(rows: list[Row]) -> None:
    """One table, a line as soon as it is known."""
    before = None
    for title, name, value, unit, ratio in rows:
        digits = 0 if value >= 100 else 2
        print(f"{title if title != before else '':38} {name:36} {value:12,.{digits}f} {unit:12} {ratio}", flush=True)
        before = title
