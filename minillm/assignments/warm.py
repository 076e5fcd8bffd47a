"""Keep processes warm for a grader: one that becomes pytest, and sandboxes that become kernels (forking.py)."""
from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import nbformat

from minillm.assignments import sandbox, watching
from minillm.assignments.flow import lines_of
from minillm.assignments.sandbox import INSIDE, Limits

RUNS = [f"import {name}" for name in (
    "pytest", "unittest", "pdb", "xml.etree.ElementTree", "nbval.plugin", "minillm.assignments.plugin", "IPython")]
KERNELS = ["import sys; sys.modules['debugpy'] = None  # nobody debugs there, and it takes long"] + [
    f"import {name}" for name in (
        "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.debugger", "IPython.display",
        "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger", "IPython.core.oinspect",
        "IPython.extensions.storemagic", "tornado.platform.asyncio", "tornado.queues", "faulthandler",
        "matplotlib_inline.backend_inline", "comm")]
POSSIBLE = sys.platform == "linux" and hasattr(os, "pidfd_open")


class Forked:
    """A process that was forked for us: nobody's child here, its connection says when it has ended."""

    def __init__(self, connection: socket.socket):
        self.connection, self.code = connection, None
        connection.settimeout(60)
        self.pid = int(connection.recv(16) or 0)
        if not self.pid:
            raise OSError("the process that was kept warm forked nothing")

    def poll(self) -> int | None:
        with suppress(BlockingIOError):
            self.connection.setblocking(False)
            if not self.connection.recv(16):
                self.code = 0
        return self.code

    def wait(self) -> int | None:
        with suppress(OSError):
            self.connection.settimeout(60)
            while self.connection.recv(16):
                pass
        self.connection.close()
        return self.code


class Server:
    """One warm process and the folder that it shares with us."""

    def __init__(self, command: list[str], folder: tempfile.TemporaryDirectory,
                 environment: dict[str, str] | None = None):
        self.folder, self.path, self.made = folder, Path(folder.name, "z"), 0
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        if self.process.stdout.readline() != b"ready\n":
            self.close()
            raise OSError("the process that should be kept warm did not start")

    def ask(self, message: dict, descriptors: Iterable[int] = ()) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(str(self.path))
        socket.send_fds(connection, [json.dumps(message).encode()], [*descriptors])
        return connection

    def alive(self) -> bool:
        return self.process.poll() is None

    def room(self) -> Path:
        """A fresh folder for one run, with a short name: a socket's path has at most 107 characters."""
        self.made += 1
        place = Path(self.folder.name, str(self.made))
        place.mkdir()
        return place

    def close(self) -> None:
        self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        if self.alive():
            watching.kill_tree(self.process)
        self.process.stdout.close()
        sandbox.remove(Path(self.folder.name))
        self.folder.cleanup()


_runs: list[Server] = []
_one_at_a_time = threading.Lock()


def runs() -> Server:
    """The process that becomes pytest; it knows nothing of any course, so one serves all."""
    with _one_at_a_time:
        if not (_runs and _runs[-1].alive()):
            folder = tempfile.TemporaryDirectory(prefix="mgw-")
            command = [sys.executable, "-m", "minillm.assignments.forking", "runs", f"{folder.name}/z",
                       json.dumps(RUNS)]
            own = str(Path(__file__).resolve().parents[2])
            _runs.append(Server(command, folder, {**os.environ, "PYTHONPATH": own, "OMP_NUM_THREADS": "1"}))
            atexit.register(_runs[-1].close)
        return _runs[-1]


class Warm:
    """What a grader keeps warm; safe to use from several threads.  `cells` say what their kernels will import."""

    def __init__(self, package: Path, cells: Iterable[nbformat.NotebookNode] = ()):
        self.package, self.before = package, [*KERNELS, *imports(cells)]
        self._free: list[Server] = []
        self._apart = POSSIBLE and bool(sandbox.bubblewrap())
        self._lock = threading.Lock()

    @contextmanager
    def kernels(self, limits: Limits) -> Iterator[Server | None]:
        """A sandbox that becomes kernels, for one run alone; None where only a fresh one will do."""
        with self._lock:
            self._free = [server for server in self._free if server.alive()]
            server = self._free.pop() if self._free else None
        if server is None and self._apart:
            try:
                server = self._sandbox(limits)
            except OSError:
                self._apart = False
        try:
            yield server
        finally:
            if server is not None:
                with self._lock:
                    self._free.append(server)

    def _sandbox(self, limits: Limits) -> Server:
        folder = tempfile.TemporaryDirectory(prefix="mgw-")
        base = Path(folder.name)
        walls = sandbox.walls(sandbox.bubblewrap(), [self.package], [base], limits,
                              sandbox.kernel_environment(self.package, Path("/tmp")), may_mount=True)
        server = Server([*walls, "--remount-ro", "/", "--chdir", "/tmp", sys.executable, INSIDE, "kernels", f"{base}/z",
                         json.dumps(self.before)], folder)
        probe = sandbox.prepare(server.room(), [])
        with server.ask(asked(server, probe, self.package, limits)) as connection:
            connection.settimeout(60)
            if connection.recv(16) != b"apart":
                server.close()
                raise OSError("the sandbox cannot be divided")
        return server

    def close(self) -> None:
        with self._lock:
            for server in self._free:
                server.close()
            self._free = []


def asked(server: Server, run: Path, package: Path, limits: Limits) -> dict:
    """What a sandbox is told of a kernel."""
    below = [path for path in [*sandbox.environments(), str(package)] if path.startswith("/tmp/")]
    return {"base": server.folder.name, "run": str(run), "seen": below, "limits": asdict(limits),
            "environment": sandbox.kernel_environment(package, run)}


def kernel_command(server: Server, run: Path, package: Path, limits: Limits) -> list[str]:
    """The command line that asks for a kernel where one would be started."""
    return [sys.executable, "-I", "-S", str(sandbox.FORKING), "ask", str(server.path),
            json.dumps(asked(server, run, package, limits)), "{connection_file}"]


def imports(cells: Iterable[nbformat.NotebookNode]) -> list[str]:
    """The lines by which some cells import, each once."""
    return list(dict.fromkeys(line.imports for cell in cells for line in lines_of(cell.source) or () if line.imports))
