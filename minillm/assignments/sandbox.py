"""Give a submission a kernel of its own, with limits, no network and nothing to look at."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from minillm.assignments.forking import SPARE

LEFT_OUT = ("assignments", "solutions.py", "mistakes.py")  # what a student's kernel must not import
KERNEL = "minillm-graded"
FORKING = Path(__file__).with_name("forking.py")
INSIDE = "/run/forking.py"  # where the sandbox has it
BECOME = [sys.executable, "-I", "-S", INSIDE, "become"]  # what follows, without what bubblewrap leaves it
NOBODY = "65534"
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives",
          "/etc/localtime")


@dataclass(frozen=True)
class Limits:
    """What one exercise of one submission may use, all its processes together (a file: each by itself)."""

    wall_seconds: float = 120.0
    cell_seconds: float = 60.0
    cpu_seconds: int = 120
    data_bytes: int = 6_000_000_000
    file_bytes: int = 50_000_000
    disk_bytes: int = 200_000_000
    core_bytes: int = 0
    processes: int = 64


@lru_cache
def bubblewrap() -> str | None:
    """The path of a bubblewrap that works here, or None: some systems forbid the namespaces that it needs."""
    return None if trouble() else shutil.which("bwrap")


@lru_cache
def trouble() -> str:
    """Why the sandbox does not work here, "" where it does: tried with the very walls of a kernel, and its Python."""
    path = shutil.which("bwrap")
    if path is None:
        return "bubblewrap (bwrap) is not installed"
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:
        probe = [*walls(path, [Path(folder)], [], Limits(), {}), *BECOME, sys.executable, "-c", "import ipykernel"]
        try:
            tried = subprocess.run(probe, capture_output=True, text=True, errors="replace", timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap does not start ({type(error).__name__})"
    said = " ".join(tried.stderr.split())[-300:]
    return f"bubblewrap does not work ({said or f'exit code {tried.returncode}'})" if tried.returncode else ""


def isolation() -> str:
    """One sentence about what the grader can keep apart on this system."""
    if bubblewrap():
        return "isolated by bubblewrap: no network, no view of the file system, nothing left running"
    return (f"NOT isolated: {trouble() or 'bubblewrap is missing'}, so an answer can forge its score, change what "
            f"others get, read and change your files, use the network and leave processes running; grade where it is "
            f"isolated, as the teacher's guide says")


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


def environments() -> list[str]:
    """The folders that the kernel's Python lives in."""
    return sorted({sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])})


def walls(wrapper: str, seen: list[Path], shared: list[Path], limits: Limits, variables: dict[str, str], *,
          may_mount: bool = False) -> list[str]:
    """bubblewrap's command line: nothing but the system, Python and what is `seen`; `shared` can be written, too.

    Never root inside, whoever starts it, and without capabilities (`may_mount`: but the one to hide more).  What root
    owns outside is still root's to write, the system's own settings in /proc/sys among it: so /proc is read-only.  A
    folder for passing files comes first: an environment or a clone may lie below it.
    """
    size = ["--size", str(limits.disk_bytes)] if _knows(wrapper, "--size") else []
    command = [wrapper, "--unshare-all", "--unshare-user", "--uid", NOBODY, "--gid", NOBODY, "--cap-drop", "ALL",
               *(["--cap-add", "CAP_SYS_ADMIN"] if may_mount else ["--die-with-parent"]), "--new-session", "--clearenv",
               *(["--disable-userns"] if _knows(wrapper, "--disable-userns") else []),
               "--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev", *size, "--tmpfs", "/dev/shm",
               "--remount-ro", "/dev", *size, "--tmpfs", "/tmp",
               "--dir", SPARE, "--ro-bind", str(FORKING), INSIDE]
    for path in filter(os.path.exists, SYSTEM):
        command += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    prefixes = environments()
    for path in prefixes:
        command += ["--ro-bind", path, path]
    for site in {p for p in sys.path if p and any(p.startswith(x) for x in (*prefixes, "/usr"))}:
        if (Path(site) / "minillm").is_dir():
            command += ["--tmpfs", str(Path(site) / "minillm")]  # the installed one holds the answers
    for path in seen:
        command += ["--ro-bind", str(path), str(path)]
    for path in shared:
        command += ["--bind", str(path), str(path)]
    for name, value in variables.items():
        command += ["--setenv", name, value]
    return command


@lru_cache
def _knows(wrapper: str, option: str) -> bool:
    """Whether this bubblewrap has an option: older ones lack some, and are as tight without them where not root's."""
    try:
        return option in subprocess.run([wrapper, "--help"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False


def kernel_command(package: Path, run: Path, limits: Limits) -> list[str]:
    """The command line that starts a kernel: limits, then bubblewrap where there is one, then Python."""
    python = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
              "--HistoryManager.enabled=False"]
    variables = kernel_environment(package, run)
    start = [sys.executable, str(Path(__file__).with_name("launch.py")),
             json.dumps({**asdict(limits), "environment": variables})]
    wrapper = bubblewrap()
    if wrapper is None:
        return start + python
    size = ["--size", str(limits.disk_bytes)] if _knows(wrapper, "--size") else []
    return [*start, *walls(wrapper, [package], [run / "r"], limits, variables), *size, "--tmpfs", str(run / "w"),
            "--remount-ro", "/", "--chdir", str(run / "w"), *BECOME, *python]


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


def prepare(run: Path, command: list[str]) -> Path:
    """Fill the folder for one run: ``w`` the kernel's working folder, ``r`` its sockets, ``k`` how it is started."""
    for name in ("w", "r", "k/kernels/" + KERNEL):
        (run / name).mkdir(parents=True)
    spec = {"argv": command, "display_name": "graded", "language": "python", "interrupt_mode": "signal"}
    (run / "k/kernels" / KERNEL / "kernel.json").write_text(json.dumps(spec))
    return run


def remove(folder: Path) -> None:
    """Remove a folder whatever an answer made in it: too deep for Python's own way, or without rights."""
    if os.name == "posix":
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            with suppress(OSError):
                subprocess.run([*command, str(folder)], stdin=subprocess.DEVNULL, capture_output=True,
                               env={"PATH": os.defpath})
    shutil.rmtree(folder, ignore_errors=True)
