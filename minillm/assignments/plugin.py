"""Watch nbval from inside pytest: hide the expected outputs, compare values, report each cell on a pipe.

Loaded by `run.py` with ``-p minillm.assignments.plugin`` in a process that executes one exercise of one submission.
"""
from __future__ import annotations

import json
import os
import queue
import time

import nbval.kernel
import pytest
from jupyter_client.manager import KernelManager

from minillm.assignments.values import agree, values_of

PIPE = "MINILLM_REPORT"


def pytest_configure(config: pytest.Config) -> None:
    """Take the pipe out of the environment before any kernel starts, and let kernels talk without a network."""
    fd = int(os.environ.pop(PIPE))
    os.set_inheritable(fd, False)
    config.pluginmanager.register(Reporter(fd), "minillm-reporter")
    if os.name == "posix":
        sockets = os.path.join(
            os.environ["JUPYTER_RUNTIME_DIR"], "kernel.json")  # a folder that the kernel sees, too
        nbval.kernel.KernelManager = lambda **options: KernelManager(
            transport="ipc", connection_file=sockets, **options)
    nbval.kernel.RunningKernel.await_reply = await_reply


def await_reply(kernel: nbval.kernel.RunningKernel, msg_id: str, timeout: float | None = None) -> None:
    """Wait for a cell's reply, and notice at once when its kernel has died (nbval waits for the timeout)."""
    deadline = time.monotonic() + (timeout or 60.0)
    while time.monotonic() < deadline:
        try:
            if kernel.get_message("shell", timeout=0.5)["parent_header"].get("msg_id") == msg_id:
                return
        except queue.Empty:
            if not kernel.is_alive():
                raise RuntimeError("the kernel died") from None
    raise queue.Empty


class Reporter:
    """One line of JSON per cell that ran: its place, its outcome, the values it gave, the error it ended with."""

    def __init__(self, fd: int):
        self.pipe = os.fdopen(fd, "w", buffering=1)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            own = item.cell.metadata.get("minillm", {})
            # an answer's comments and tags must not decide how it is compared
            item.options.update(skip=False, check=own.get("role") == "check" and own.get("compare", True),
                                check_exception=False)
            item.compare_outputs = Comparison(item, item.compare_outputs, float(own.get("tolerance", 1e-4)))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for path in {item.path for item in session.items}:
            path.unlink()  # the expected outputs live on in this process alone

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo):
        report = (yield).get_result()
        if report.when == "call" or report.failed:
            outputs = item.test_outputs or []
            errors = [o for o in outputs if o.get("output_type") == "error"]
            line = {"cell": item.cell_num,
                    "outcome": report.outcome,
                    "values": values_of(outputs),
                    "error": told(errors[-1]) if errors else None,
                    "timed_out": bool(item.parent.timed_out),
                    "trouble": None if errors else str(call.excinfo.value)[:500] if call.excinfo else None}
            self.pipe.write(json.dumps(line) + "\n")


def told(error: dict) -> list[str]:
    """An exception's name, text and traceback, as text, whatever the kernel sent."""
    parts = error.get("traceback")
    traceback = "\n".join(map(str, parts[-40:])) if isinstance(parts, list) else ""
    return [str(error.get("ename"))[:200], str(error.get("evalue"))[:2000], traceback[-20_000:]]


class Comparison:
    """nbval's own comparison of the values alone; where strings differ, numbers may differ by the tolerance."""

    def __init__(self, item: pytest.Item, strictly, tolerance: float):
        self.item, self.strictly, self.tolerance = item, strictly, tolerance

    def __call__(self, test: list, ref: list, skip_compare=None) -> bool:
        test, ref = ([o for o in outputs if values_of([o])] for outputs in (test, ref))
        return self.strictly(test, ref, skip_compare) or agree(
            values_of(test), values_of(ref), self.tolerance)
