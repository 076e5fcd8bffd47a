"""Give a submission a kernel of its own, with limits, no network and nothing to look at."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

LEFT_OUT = ("assignments", "solutions.py", "mistakes.py")  # what a student's kernel must not import
KERNEL = "minillm-graded"


@dataclass(frozen=True)
class Limits:
    """What one exercise of one submission may use."""

    wall_seconds: float = 120.0
    cell_seconds: float = 60.0
    cpu_seconds: int = 120
    data_bytes: int = 6_000_000_000
    file_bytes: int = 50_000_000
    core_bytes: int = 0
    processes: int = 64


@lru_cache
def bubblewrap() -> str | None:
    """The path of a bubblewrap that works here, or None: some systems forbid the namespaces that it needs."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    probe = [path, "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", "true"]
    try:
        return path if subprocess.run(probe, capture_output=True, timeout=20).returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired):
        return None


def isolation() -> str:
    """One sentence about what the grader can keep apart on this system."""
    if bubblewrap():
        return "isolated by bubblewrap: no network, no view of the file system, nothing left running"
    return (
        "NOT isolated: bubblewrap (bwrap) is missing or not allowed here, so a hostile submission could read "
        "files, use the network or leave processes running; grade in the container of the teacher's guide")


def student_package(folder: Path, *, whole: bool = False) -> Path:
    """A copy of minillm for the kernel to import, without what gives answers away; returns the folder for its path.

    `whole` keeps everything: for the teacher's own cells.
    """
    found = find_spec("minillm")
    source, target = Path(found.origin).parent, folder / "minillm"
    if not target.exists():
        shutil.copytree(
            source, target, ignore=shutil.ignore_patterns("__pycache__", *(() if whole else LEFT_OUT)))
    data = source.parent / "data"
    if not (source / "_data").exists() and data.is_dir() and not (target / "_data").exists():
        shutil.copytree(data, target / "_data", ignore=shutil.ignore_patterns("__pycache__", "making"))
    return folder


def kernel_command(package: Path, run: Path, limits: Limits) -> list[str]:
    """The command line that starts the kernel: limits, then bubblewrap where there is one, then Python."""
    python = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
              "--HistoryManager.enabled=False"]
    start = [sys.executable, str(Path(__file__).with_name("launch.py")), json.dumps(asdict(limits))]
    wrapper = bubblewrap()
    if wrapper is None:
        return start + python
    shown = [p
             for p in ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/fonts",
                       "/etc/alternatives", "/etc/localtime")
             if Path(p).exists()]
    prefixes = sorted({sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])})
    command = [wrapper, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    for path in [*shown, *prefixes]:
        command += (
            ["--symlink", os.readlink(path), path] if Path(path).is_symlink() else ["--ro-bind", path, path])
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for site in {p for p in sys.path if p and any(p.startswith(x) for x in (*prefixes, "/usr"))}:
        if (Path(site) / "minillm").is_dir():
            command += ["--tmpfs", str(Path(site) / "minillm")]  # the installed one holds the answers
    command += ["--ro-bind", str(package), str(package), "--bind", str(run / "r"), str(run / "r"),
                "--bind", str(run / "w"), str(run / "w"), "--chdir", str(run / "w")]
    for name, value in kernel_environment(package, run).items():
        command += ["--setenv", name, value]
    return [*start, *command, *python]


def kernel_environment(package: Path, run: Path) -> dict[str, str]:
    """What the kernel is told: where the package is, one thread, and no more."""
    return {"PATH": "/usr/bin:/bin",
            "HOME": str(run / "w"),
            "PYTHONPATH": str(package),
            "MPLBACKEND": "agg",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "IPYTHONDIR": str(run / "w" / ".ipython"),
            "JUPYTER_RUNTIME_DIR": str(run / "r")}


def prepare(package: Path, limits: Limits) -> Path:
    """A fresh folder for one run: ``w`` the kernel's working folder, ``r`` its sockets, ``k`` its kernelspec."""
    run = Path(tempfile.mkdtemp(prefix="mg-"))  # short: a socket's path has at most 107 characters
    for name in ("w", "r", "k/kernels/" + KERNEL):
        (run / name).mkdir(parents=True)
    spec = {"argv": kernel_command(package, run, limits),
            "display_name": "graded",
            "language": "python",
            "interrupt_mode": "signal"}
    (run / "k/kernels" / KERNEL / "kernel.json").write_text(json.dumps(spec))
    return run


def descendants(pid: int) -> set[int]:
    """All processes below one, where the system has /proc; empty elsewhere."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, todo = set(), [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        todo += [c for c in children if c not in found]
        found.update(children)
    return found


def kill_tree(process: subprocess.Popen) -> None:
    """End a run and all that it started."""
    below = descendants(process.pid)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    for pid in below | descendants(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    process.wait()


def watch(process: subprocess.Popen, limits: Limits, stopping: threading.Event) -> str | None:
    """Wait for a run; end it where it takes too long, multiplies or is to stop: why, or None if it ended by itself."""
    deadline = time.monotonic() + limits.wall_seconds
    while process.poll() is None:
        if stopping.is_set():
            kill_tree(process)
            return "stopped"
        if time.monotonic() > deadline:
            kill_tree(process)
            return f"timed out after {limits.wall_seconds:g} s"
        if len(descendants(process.pid)) > limits.processes:
            kill_tree(process)
            return f"started more than {limits.processes} processes"
        time.sleep(0.1)
    return None
