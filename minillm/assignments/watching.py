"""See to it that a run, with all that it started, keeps to its limits, and end it where it does not."""
from __future__ import annotations

import math
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from minillm.assignments.sandbox import Limits

FILES = 20_000  # entries of a folder that are looked at


@runtime_checkable
class Process(Protocol):
    """What is watched: `subprocess.Popen` is one, and so is what was forked from a process that is kept warm."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self) -> int | None: ...


@dataclass
class Used:
    """What some processes use together."""

    processes: int = 0
    cpu_seconds: float = 0.0
    data_bytes: int = 0


def _stat() -> dict[int, list[str]]:
    """Of each process, what Linux says of it: behind its name, so that fields[1] is its parent."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            found[int(entry.parent.name)] = entry.read_text().rpartition(")")[2].split()
    return found


def descendants(*roots: int, stat: dict[int, list[str]] | None = None) -> set[int]:
    """All processes below some, where the system has /proc; empty elsewhere."""
    parents: dict[int, list[int]] = {}
    for pid, fields in (_stat() if stat is None else stat).items():
        parents.setdefault(int(fields[1]), []).append(pid)
    found, todo = set(), [*roots]
    while todo:
        children = parents.get(todo.pop(), [])
        todo += [c for c in children if c not in found]
        found.update(children)
    return found


def used(*roots: int) -> Used:
    """What all processes below `roots` use: their own time and that of children who ended, memory that is theirs."""
    stat, page, tick = _stat(), os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    sum_of = Used()
    for pid in descendants(*roots, stat=stat):
        sum_of.processes += 1
        sum_of.cpu_seconds += sum(map(int, stat[pid][11:15])) / tick
        with suppress(OSError, ValueError, IndexError):
            _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
            sum_of.data_bytes += (resident - shared) * page
    return sum_of


def held(folder: Path) -> float:
    """Bytes below a folder, and a kilobyte for each entry; infinite where not all of it can be looked at."""
    size, seen, todo = 0, 0, [folder]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(Path(entry.path))
                    else:
                        with suppress(FileNotFoundError):
                            size += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:  # removed meanwhile
            continue
        except OSError:  # without rights, or deeper than a path may be long
            return math.inf
        if seen >= FILES:
            return math.inf
    return size + 1024 * seen


def kill_tree(process: Process) -> None:
    """End a run and all that it started."""
    below = descendants(process.pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in below | descendants(process.pid):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def watch(process: Process, limits: Limits, stopping: threading.Event, *, folder: Path, roots: tuple[int, ...] = ()
          ) -> str | None:
    """Wait until a run has ended by itself (None), or uses too much, or is to stop: why it has to be ended.

    What it may use is told of all its processes together, of those below `roots` too.
    """
    deadline, ended, look = time.monotonic() + limits.wall_seconds, None, 0.0
    while process.poll() is None and ended is None:
        time.sleep(0.05)
        if stopping.is_set():
            ended = "stopped"
        elif time.monotonic() > deadline:
            ended = f"timed out after {limits.wall_seconds:g} s"
        elif time.monotonic() > look and Path("/proc/self/stat").exists():
            look = time.monotonic() + 0.3  # to look at every process takes milliseconds
            ended = too_much(used(process.pid, *roots), held(folder), limits)
    return ended


def too_much(now: Used, disk: float, limits: Limits) -> str | None:
    """What of a run goes beyond its limits, in words that follow "the run"."""
    if now.processes > limits.processes:
        return f"started more than {limits.processes} processes"
    if now.cpu_seconds > limits.cpu_seconds:
        return f"timed out after {limits.cpu_seconds} s of computing"
    if now.data_bytes > limits.data_bytes:
        return f"took more than {limits.data_bytes / 1e9:g} GB of memory"
    if disk == math.inf:
        return "wrote more files than can be looked at"
    if disk > limits.disk_bytes:
        return f"wrote more than {limits.disk_bytes / 1e6:g} MB"
    return None
