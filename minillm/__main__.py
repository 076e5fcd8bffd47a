"""Set everything up and start it: ``python -m minillm lab`` opens the notebooks, ``test`` runs every test.

Needs the standard library alone until an environment exists.  The other commands live in ``cli.py``.
"""
from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from minillm import disk
from minillm.environment import OLDEST_PYTHON, ROOT, SetupError, environment


def personal_copy(source: Path, target: Path, *, fresh: bool = False, now: datetime.datetime | None = None) -> Path:
    """Copy what `target` does not have yet and never touch what it has; `fresh` sets the old copy aside first."""
    if fresh and target.exists():
        now = now or datetime.datetime.now()
        kept = target.with_name(f"{target.name}-{now:%Y-%m-%d-%H%M%S}")
        target.rename(kept)
        print(f"Your earlier notebooks are kept in {kept.name}/", file=sys.stderr)
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        copy = target / relative
        made_here = relative.parts[0] == "runs" or any(part.startswith((".", "__")) for part in relative.parts)
        if made_here or path.is_dir() or copy.exists():
            continue
        disk.write(copy, path.read_bytes())  # a full disk leaves no half notebook
    return target


def child_environment(**more: str) -> dict[str, str]:
    """The environment variables of a program that imports minillm from this folder, installed or not."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**more, **os.environ, "PYTHONPATH": path, "JUPYTER_PREFER_ENV_PATH": "1"}


def lab_options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What `lab` was asked for, and the words that go to JupyterLab; a mistyped one is refused at once."""
    parser = argparse.ArgumentParser(
        prog="python -m minillm lab", description="Set up what is missing and open JupyterLab on your own copy of "
        "the notebooks (my_notebooks/, which is never overwritten).", allow_abbrev=False,
        epilog="JupyterLab's own options go to it in their long form, such as --ServerApp.ip=0.0.0.0.")
    parser.add_argument("notebook", nargs="?", help="which one opens, such as 03_attention; the first when left out")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--port", default="8888", help="the next free one is taken if it is in use")
    parser.add_argument("--fresh", action="store_true", help="begin a new copy; the old one is kept under a dated name")
    options, rest = parser.parse_known_args(arguments)
    for word in rest:
        if not re.match(r"--[A-Z]\w+\.\w+=|--debug$|--(ip|config|certfile|keyfile)=", word):
            raise SetupError(f"there is no option {word}; there are --no-browser, --port, --fresh, and JupyterLab's "
                             "own in their long form, such as --ServerApp.ip=0.0.0.0")
    if not options.port.isdecimal() or not 0 < int(options.port) < 65_536:
        raise SetupError(f"--port takes a number from 1 to 65535, and {options.port!r} was given")
    options.port = int(options.port)
    return options, rest


def lab(arguments: list[str]) -> int:
    """Open JupyterLab on a personal copy of the notebooks."""
    options, rest = lab_options(arguments)
    python = environment(("lab",))
    notebooks = ROOT / "my_notebooks"
    before = set() if options.fresh else set(notebooks.rglob("*.ipynb"))
    copy = personal_copy(ROOT / "notebooks", notebooks, fresh=options.fresh)
    trust(python, sorted(set(copy.rglob("*.ipynb")) - before))
    first = asked_for(options.notebook, copy).relative_to(ROOT).as_posix()
    given = [word.partition("=")[2] for word in rest if re.match(r"--(IdentityProvider|ServerApp)\.token=", word)]
    token, port = given[-1] if given else os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(24), free(options.port)
    command = [python, "-m", "jupyterlab", f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{first}",
               f"--ServerApp.port={port}", "--ServerApp.log_level=WARN", "--LabApp.log_level=WARN",
               "--ServerApp.answer_yes=True", "--ServerApp.use_redirect_file=False",
               *(["--KernelManager.transport=ipc"] if takes_sockets(python) else []), *absolute(rest)]
    if not any(re.match(r"--(ServerApp\.)?(ip|tornado_settings)=", word) for word in rest):
        command.append("--ServerApp.tornado_settings={'ws_ping_interval': 0}")  # the default warns; no line dies here
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
    if options.no_browser or sys.platform.startswith("linux") and not any(map(os.environ.get, displays)):
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container there is often nobody else
    print(f"JupyterLab starts at\n\n    http://localhost:{port}/lab/tree/{first}?token={token}\n\n"
          "and your notebooks are in my_notebooks/. Ctrl-C in this window stops it.", file=sys.stderr, flush=True)
    os.chdir(ROOT)
    return run(command, child_environment(JUPYTER_TOKEN=token))


def asked_for(name: str | None, folder: Path) -> Path:
    """The notebook of this name, with or without its ending; the first one where none is named."""
    found = sorted(folder.glob("*.ipynb"))
    for path in found:
        if name is None or Path(name).name in (path.name, path.stem):
            return path
    raise SetupError(f"there is no notebook {name!r} in {folder.name}/; there are {', '.join(p.stem for p in found)}")


def takes_sockets(python: str) -> bool:
    """Can kernels be reached by files, which only their owner reads?  Not on Windows, on some networks' disks, or where
    the path is too long for a socket: there they listen on ports of this machine."""
    probe = ("import os, socket\nfrom jupyter_core.paths import jupyter_runtime_dir as folder\n"
             "os.makedirs(folder(), mode=0o700, exist_ok=True)\n"
             "path = os.path.join(folder(), 'kernel-' + 36 * 'x' + f'-ipc-{os.getpid()}')\n"
             "socket.socket(socket.AF_UNIX).bind(path)\nos.remove(path)\n")
    return os.name == "posix" and subprocess.run([python, "-c", probe], capture_output=True).returncode == 0


def trust(python: str, notebooks: list[Path]) -> None:
    """Sign notebooks as JupyterLab does: what they show is our own, and a page loaded again keeps its controls."""
    if notebooks:
        sign = "import sys; from nbformat.sign import TrustNotebookApp; TrustNotebookApp.launch_instance(sys.argv[1:])"
        subprocess.run([python, "-c", sign, *map(str, notebooks)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env=child_environment(), check=False)  # unsigned, they work as well until they are loaded again


def free(port: int, tries: int = 50) -> int:
    """This port, or the next one that nobody listens on."""
    for each in range(port, min(port + tries, 65_536)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
            if os.name == "posix":
                candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", each))
                return each
            except OSError:
                continue
    raise SetupError(f"none of the ports {port} to {port + tries - 1} is free; choose another with --port")


def test(arguments: list[str]) -> int:
    """Run every test: the library's, every notebook's stored outputs compared, and the widgets in a browser."""
    if arguments[:1] in (["-h"], ["--help"]):
        print("usage: python -m minillm test [pytest's own arguments]\n\nSet up what is missing and run every test: "
              "the library's, all notebooks (outputs compared)\nand the widgets in a real browser. For example:\n"
              "  python -m minillm test tests/layers -k rope")
        return 0
    python = environment(("hub", "lab", "test"))
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    command = [python, "-m", "pytest", "-n", str(min(workers, 8)), "--dist", "loadfile", "--no-loadscope-reorder",
               "--nbval", "--nbval-current-env", "--nbval-cell-timeout=300", *absolute(arguments)]
    os.chdir(ROOT)
    return run(command, child_environment(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive"))


def absolute(arguments: list[str]) -> list[str]:
    """The same arguments for a program that runs in the project's folder: what names a file from here still does."""
    here, found = Path.cwd(), []
    for before, argument in zip([""] + arguments, arguments):
        option, sign, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
        name, colons, part = value.partition("::")  # a test in a file
        if here != ROOT and name and before not in ("-k", "-m") and (here / name).exists():
            argument = f"{option}{sign}{here / name}{colons}{part}"
        found.append(argument)
    return found


def run(command: list[str], variables: dict[str, str]) -> int:
    """Run it here, in our place where the system can (so that Ctrl-C goes to it alone)."""
    if os.name == "posix":
        sys.stdout.flush()
        os.execve(command[0], command, variables)
    return subprocess.call(command, env=variables)


def main(arguments: list[str] | None = None) -> int:
    """Every command of minillm.  Returns the exit code: 0 when it did what was asked."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise SetupError(f"minillm needs Python 3.10 or newer and {sys.executable} is {platform.python_version()}"
                             "; run the command with a newer one, from python.org, your system or conda")
        if arguments[:1] == ["lab"]:
            return lab(arguments[1:])
        if arguments[:1] == ["test"]:
            return test(arguments[1:])
        asks = not arguments or {"-h", "--help"} & set(arguments)
        if not asks and (ROOT / "pyproject.toml").exists():
            python = environment(())
            if python != sys.executable:
                return run([python, "-m", "minillm", *arguments], child_environment())
        from minillm.cli import main as commands
        return commands(arguments)
    except SetupError as trouble:
        print(f"minillm: {trouble}.", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nminillm: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
