"""Import once what takes long, then fork for each run.  Standard library alone: it runs before anything is trusted.

Two processes do so: one outside, which becomes pytest with nbval, and one inside the sandbox, which becomes a kernel.
Each fork of the second gets process ids, mounts and files of its own and gives up every capability before it sees a
line of an answer, so that no answer reaches the next, nor the process that it was forked from.
"""
from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable

NEW_MOUNTS, NEW_IPC, NEW_PIDS = 0x00020000, 0x08000000, 0x20000000
PRIVATE, BIND, RECURSIVE, READ_ONLY, NO_SUID, NO_DEVICES, DETACH = 1 << 18, 1 << 12, 1 << 14, 1, 2, 4, 2
DIE_WITH_PARENT, DUMPABLE, AMBIENT, CLEAR_ALL = 1, 4, 47, 4
CAPABILITIES_V3 = 0x20080522
NO_NEW_PRIVILEGES, FILTERED, BY_PROGRAM = 38, 22, 2
LOAD, EQUAL, ABOVE, LEAST, GIVE, REFUSED, ALLOWED = 0x20, 0x15, 0x25, 0x35, 0x06, 0x00050001, 0x7FFF0000
KEYS = {"x86_64": (0xC000003E, 248, 250), "aarch64": (0xC00000B7, 217, 219)}  # a machine's calls from add_key to keyctl
OTHER_CALLS = 0x40000000  # from here on those of x86_64's second kind
SPARE = "/run/minillm"  # an empty folder of the sandbox, to hold on to mounts while others cover them


def serve(path: str, imports: list[str], become: Callable[[socket.socket, dict, list[int]], None]) -> None:
    """Fork for every message on a socket until standard input ends; the fork calls `become` and never returns."""
    for line in imports:
        with contextlib.suppress(Exception):  # what is not there is missed by the cell which needs it
            exec(line, {})
    gc.collect()
    gc.freeze()  # a fork that looks for garbage would copy all of this
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    signal.signal(signal.SIGCHLD, reap)
    print("ready", flush=True)
    while True:
        if 0 in select.select([listener, 0], [], [])[0]:
            return
        connection, _ = listener.accept()
        message, received, *_ = socket.recv_fds(connection, 1 << 20, 4)
        if message and os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            code = 1
            try:
                code = become(connection, json.loads(message), received) or 0
            finally:
                os._exit(code)
        for fd in received:
            os.close(fd)
        connection.close()


def reap(*_) -> None:
    """Take notice of forks that ended; who asked for one hears it from the connection."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def a_run(connection: socket.socket, asked: dict, received: list[int]) -> int:
    """Become pytest: its report goes to the descriptor that came with the message."""
    import pytest

    os.setsid()
    connection.send(str(os.getpid()).encode())
    limited(asked["limits"])
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"], MINILLM_REPORT=str(received[0]))
    silent()
    return int(pytest.main(asked["arguments"]))


def a_kernel(connection: socket.socket, asked: dict, received: list[int]) -> int:
    """Keep one kernel: end it with the connection, interrupt it when told to."""
    libc = ctypes.CDLL(None, use_errno=True)
    asked_of(libc.unshare(NEW_MOUNTS | NEW_PIDS | NEW_IPC), "unshare")
    first = os.fork()  # the first process of the new process ids
    if first == 0:
        code = 1
        try:
            asked_of(libc.prctl(DIE_WITH_PARENT, signal.SIGKILL), "prctl")
            apart(libc, asked)
            connection.send(b"apart")
            connection.close()  # what follows can only be ended from outside
            code = first_process(asked)
        finally:
            os._exit(code)
    ended = os.pidfd_open(first)
    while True:
        ready = select.select([connection, ended], [], [])[0]
        word = connection.recv(16) if connection in ready else b""
        if word == b"interrupt":
            os.kill(first, signal.SIGINT)
        elif ended in ready or not word:
            os.kill(first, signal.SIGKILL)
            return 0


def apart(libc: ctypes.CDLL, asked: dict) -> None:
    """Give this process files of its own, then nothing with which it could change that."""
    base, run, size = asked["base"], asked["run"], f"size={asked['limits']['disk_bytes']}"
    plain = NO_SUID | NO_DEVICES

    def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> int:
        return libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())

    kept = {f"{SPARE}/{number}": path for number, path in enumerate([f"{run}/r", *asked["seen"]])}
    asked_of(mount("none", "/", "", RECURSIVE | PRIVATE), "private mounts")
    asked_of(mount("tmpfs", SPARE, "tmpfs", plain, size), "the spare folder")
    for spare, path in kept.items():
        os.mkdir(spare)
        asked_of(mount(path, spare, "", BIND), path)
    for folder in ("/dev/shm", "/tmp", *([] if base.startswith("/tmp/") else [base])):
        asked_of(mount("tmpfs", folder, "tmpfs", plain, size), folder)
    for spare, path in kept.items():
        os.makedirs(path, exist_ok=True)
        asked_of(mount(spare, path, "", BIND), path)
    asked_of(libc.umount2(SPARE.encode(), DETACH), "the spare folder")
    os.mkdir(f"{run}/w")
    if mount("proc", "/proc", "proc", plain | READ_ONLY):  # not where root started bubblewrap: there is none to see
        told = {path: open(path).read() for path in ("/proc/cpuinfo", "/proc/meminfo")}  # torch asks for the first
        asked_of(mount("tmpfs", "/proc", "tmpfs", plain, size), "/proc")
        for path, text in told.items():
            with open(path, "w") as file:
                file.write(text)
    asked_of(libc.prctl(AMBIENT, CLEAR_ALL, 0, 0, 0), "ambient capabilities")
    head = (ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0)
    asked_of(libc.capset(head, (ctypes.c_uint32 * 6)()), "capabilities")
    without_keys(libc)
    if mount("tmpfs", "/tmp", "tmpfs", plain) == 0:
        raise OSError("the sandbox can still mount")


def first_process(asked: dict) -> int:
    """Start the kernel and wait for it: when the first process ends, all others of its process ids do."""
    kernel = os.fork()
    if kernel == 0:
        code = 1
        try:
            os.closerange(3, 4096)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            limited(asked["limits"])
            os.chdir(f"{asked['run']}/w")
            os.environ.clear()
            os.environ.update(asked["environment"])
            silent()
            code = kernel_app(asked["connection_file"]) if "connection_file" in asked else 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            os._exit(code)
    ctypes.CDLL(None).prctl(DUMPABLE, 0)  # nor can the kernel look into it
    signal.signal(signal.SIGINT, lambda *_: os.kill(kernel, signal.SIGINT))
    while True:
        ended, status = os.wait()
        if ended == kernel:
            return os.waitstatus_to_exitcode(status) & 0xFF


def kernel_app(connection_file: str) -> int:
    from ipykernel import kernelapp

    sys.argv = ["ipykernel", "-f", connection_file, "--HistoryManager.enabled=False"]
    kernelapp.launch_new_instance()
    return 0


def limited(limits: dict) -> None:
    """Set what this process and its children may use; what the system does not offer is left out."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, key in (("RLIMIT_CPU", "cpu_seconds"), ("RLIMIT_DATA", "data_bytes"),
                      ("RLIMIT_FSIZE", "file_bytes"), ("RLIMIT_CORE", "core_bytes")):
        if hasattr(resource, name) and limits.get(key) is not None:
            most = resource.getrlimit(getattr(resource, name))[1]  # what is set already can only be lowered
            value = limits[key] if most == resource.RLIM_INFINITY else min(limits[key], most)
            resource.setrlimit(getattr(resource, name), (value, value))


class Program(ctypes.Structure):
    """What Linux asks for every call of a process: whether it may be made (seccomp)."""

    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


def without_keys(libc: ctypes.CDLL) -> None:
    """Forbid this process and all below it the system's keyrings: they outlast it, and hold keys of whoever grades."""
    if not keys():
        return
    machine, first, last = keys()
    steps = [(LOAD, 0, 0, 4), (EQUAL, 0, 4, machine), (LOAD, 0, 0, 0), (LEAST, 2, 0, OTHER_CALLS), (ABOVE, 2, 0, last),
             (LEAST, 0, 1, first), (GIVE, 0, 0, REFUSED), (GIVE, 0, 0, ALLOWED)]
    program = Program(len(steps), b"".join(struct.pack("HBBI", *step) for step in steps))
    asked_of(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
    asked_of(libc.prctl(FILTERED, BY_PROGRAM, ctypes.byref(program)), "a filter of calls")


def own_session() -> None:
    """Leave the keyring of whoever started this for an empty one, also for what starts before calls are forbidden."""
    if keys():
        ctypes.CDLL(None).syscall(keys()[-1], 1, None)


def keys() -> tuple[int, ...] | None:
    """This machine, and its first and last call for keys, where they are known."""
    return KEYS.get(os.uname().machine) if sys.platform == "linux" and sys.maxsize > 1 << 32 else None


def silent() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)


def asked_of(code: int, what: str) -> None:
    if code:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def end_with_parent() -> None:
    """Be ended when the process that started this one is; what this becomes keeps that.  Linux alone has it."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)


def ask(path: str, asked: str, connection_file: str) -> None:
    """Stand for a kernel where one is started: ask for it, pass interrupts on, end with it."""
    end_with_parent()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(path)
    signal.signal(signal.SIGINT, lambda *_: connection.send(b"interrupt"))
    connection.send(json.dumps({**json.loads(asked), "connection_file": connection_file}).encode())
    while connection.recv(16):
        pass


if __name__ == "__main__":
    role, *words = sys.argv[1:]
    if role == "ask":
        ask(*words)
    elif role == "become":
        without_keys(ctypes.CDLL(None, use_errno=True))
        os.execv(words[0], words)
    else:
        serve(words[0], json.loads(words[1]), {"runs": a_run, "kernels": a_kernel}[role])
