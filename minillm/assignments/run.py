"""Execute one grading notebook in a sandbox and hear, over a pipe, how each cell went."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import v4

from minillm.assignments import sandbox, watching
from minillm.assignments import warm as warming
from minillm.assignments.sandbox import KERNEL, Limits
from minillm.assignments.values import MARK
from minillm.assignments.warm import Forked, Warm

LEFT_OUT = ("cacheprovider", "unraisableexception", "threadexception", "warnings", "faulthandler")  # of pytest


@dataclass
class CellReport:
    """How one cell went."""

    outcome: str  # passed | failed
    values: list[str] = field(default_factory=list)
    error: list[str] | None = None  # name, text and traceback of the exception
    timed_out: bool = False
    trouble: str | None = None


@dataclass
class Run:
    """How a notebook went: a report per code cell that was reached, and why the run was ended, if it was."""

    cells: dict[int, CellReport]
    ended: str | None = None


class Stopped(Exception):
    """The teacher stopped the grading while this notebook ran: it says nothing about what was handed in."""


def cell(source: str, role: str, **own) -> nbformat.NotebookNode:
    """A code cell for a run, with what the plugin has to know about it."""
    made = v4.new_code_cell(source, metadata={"minillm": {"role": role, **own}})
    made.execution_count = 1
    return made


def expecting(made: nbformat.NotebookNode, values: list[str]) -> nbformat.NotebookNode:
    """The cell with the values that it must give."""
    made.outputs = [v4.new_output("display_data", {"text/plain": MARK + v}) for v in values]
    return made


def execute(cells: list[nbformat.NotebookNode], *, limits: Limits = Limits(), package: Path, record: bool = False,
            stopping: threading.Event | None = None, warm: Warm | None = None) -> Run:
    """Run the cells from top to bottom in a fresh kernel.  `record`: compare nothing, hear the values.

    Once another thread sets `stopping`, the run and all that it started are ended, and it raises Stopped.  `warm`
    spares the time that imports take.
    """
    stopping = stopping or threading.Event()
    for number, made in enumerate(cells):
        made.metadata.minillm["compare"], made["id"] = not record, f"cell-{number}"
    with warm.kernels(limits) if warm else nullcontext() as kernels:
        run = kernels.room() if kernels else Path(tempfile.mkdtemp(prefix="mg-"))
        try:
            sandbox.prepare(run, warming.kernel_command(kernels, run, package, limits) if kernels
                            else sandbox.kernel_command(package, run, limits))
            path = run / "run.ipynb"
            kernel = {"kernelspec": {"name": KERNEL, "display_name": "graded"}}
            nbformat.write(v4.new_notebook(cells=cells, metadata=kernel), path)
            roots = (kernels.process.pid,) if kernels else ()
            return _heard(run, path, limits, stopping, warm, roots)
        finally:
            sandbox.remove(run)


def _heard(run: Path, path: Path, limits: Limits, stopping: threading.Event, warm: Warm | None, roots: tuple[int, ...]
           ) -> Run:
    """Start pytest on a notebook and listen until it ends."""
    plugins = ["nbval.plugin", "minillm.assignments.plugin", *(f"no:{name}" for name in LEFT_OUT)]
    arguments = ["-q", *(word for name in plugins for word in ("-p", name)), "-c", os.devnull, "--rootdir", str(run),
                 "--confcutdir", str(run), "--nbval", "--nbval-kernel-name", KERNEL,
                 f"--nbval-cell-timeout={limits.cell_seconds}", "--color=no", str(path)]
    receive, send = os.pipe()
    lines: list[str] = []
    reader = threading.Thread(target=_read, args=(receive, lines), daemon=True)
    try:
        process = _started(run, arguments, limits, warm, send)
    except BaseException:
        os.close(receive)
        raise
    finally:
        os.close(send)
    reader.start()
    try:
        ended = watching.watch(process, limits, stopping, folder=run, roots=roots)
    finally:
        watching.kill_tree(process)
    if stopping.is_set():
        raise Stopped
    reader.join(10)
    reports = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be cut short
    return Run({r.pop("cell"): CellReport(**r) for r in reports}, ended)


def _started(run: Path, arguments: list[str], limits: Limits, warm: Warm | None, send: int) -> watching.Process:
    outside = {"data_bytes": limits.data_bytes, "file_bytes": limits.file_bytes, "core_bytes": 0}
    if warm and warming.POSSIBLE:
        return Forked(warming.runs().ask({"arguments": arguments, "cwd": str(run), "environment": _environment(run),
                                          "limits": outside}, [send]))
    launch = [sys.executable, str(Path(sandbox.__file__).with_name("launch.py"))]
    variables = {**_environment(run), "MINILLM_REPORT": str(send)}
    return subprocess.Popen([*launch, json.dumps({**outside, "environment": variables}),
                             sys.executable, "-m", "pytest", *arguments], cwd=run, pass_fds=(send,),
                            start_new_session=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _read(fd: int, lines: list[str]) -> None:
    with os.fdopen(fd, errors="replace") as pipe:
        for line in pipe:
            lines.append(line)


def _environment(run: Path) -> dict[str, str]:
    kept = {k: v
            for k, v in os.environ.items()
            if k in ("PATH", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH", "VIRTUAL_ENV")}
    own = str(Path(__file__).resolve().parents[2])
    return {**kept,
            "HOME": str(run / "w"),
            "PYTHONPATH": own,
            "LANG": "C.UTF-8",
            "JUPYTER_PATH": str(run / "k"),
            "JUPYTER_RUNTIME_DIR": str(run / "r"),
            "JUPYTER_NO_CONFIG": "1",
            "IPYTHONDIR": str(run / "w" / ".ipython"),
            "OMP_NUM_THREADS": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
