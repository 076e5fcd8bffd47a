"""Make the environment that minillm runs in, with nothing but Python itself."""
from __future__ import annotations

import collections
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from minillm import disk

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 10)
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
GIGABYTES = 3  # what the environment takes, with room for pip to unpack; PyTorch with CUDA takes more
GIGABYTES_CUDA = 9
TROUBLES = [  # what pip says -> what to tell the reader; the first that fits
    (r"No space left|Errno 28|not enough space|[Dd]isk quota",
     "the disk is full; free some room here and in the temporary folder (the variable TMPDIR moves it)"),
    (r"CERTIFICATE_VERIFY_FAILED",
     "the network's certificate is not trusted; behind a company's proxy, set PIP_CERT to its certificate file"),
    (r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ConnectionReset|ProxyError|"
     r"Name or service not known|name resolution|getaddrinfo failed|Network is unreachable|nodename nor servname",
     "pip cannot reach the network; connect, or set pip's own index-url to a mirror that you can reach"),
    (r"No matching distribution found for torch|from versions: none\).*torch",
     f"PyTorch has no build for Python {platform.python_version()} on {platform.system()} {platform.machine()}; "
     "take a 64-bit Python 3.10 to 3.13, or conda with environment.yml"),
    (r"Permission ?[Ee]rror|Permission denied|Access is denied",
     f"this folder cannot be written ({ROOT}); clone minillm into a folder of your own"),
]


class SetupError(Exception):
    """What is missing, in one sentence that names the way out."""


def requirements(extras: tuple[str, ...]) -> list[str]:
    """The lines of pyproject.toml for the library and these extras (Python 3.10 has no TOML reader)."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = [re.search(rf"^{name} = \[(.*?)\]", text, re.M | re.S) for name in ("dependencies", *extras)]
    return [line for found in lists for line in re.findall(r'"(.+?)"', found.group(1))]


def is_met(requirement: str) -> bool:
    """Does this Python have the package, in a fitting version?  Reads names with >=, < and a python_version marker."""
    import importlib.metadata  # not at the top: Python 3.7 has none, and must still be told that it is too old
    requirement, _, marker = requirement.partition(";")
    bound = re.search(r'python_version *< *["\'](\d+)\.(\d+)', marker)
    if bound and sys.version_info >= tuple(map(int, bound.groups())):
        return True
    name, ranges = re.match(r"([\w.-]+)(.*)", requirement.strip()).groups()
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    numbers = _numbers(version)
    for sign, limit in re.findall(r"(>=|<)\s*([\d.]+)", ranges):
        if (numbers >= _numbers(limit)) != (sign == ">="):
            return False
    return True


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.match(r"[\d.]*\d", version).group().split(".")]


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment(extras: tuple[str, ...]) -> str:
    """A Python that has all that the extras need: this one where it does, else the one of `.venv`, made if need be."""
    if not (ROOT / "pyproject.toml").exists():
        raise SetupError("the notebooks and tests are not part of an installed minillm; clone its repository, and "
                         "run this command there")
    if all(map(is_met, requirements(extras))):
        return sys.executable
    folder = ROOT / ".venv"
    python = python_of(folder)
    stamp = read_stamp(folder)
    if stamp["digest"] == digest() and set(extras) <= set(stamp["extras"]) and python.exists():
        return str(python)
    extras = tuple(sorted({*extras, *stamp["extras"]}))
    check_room(folder)
    make_environment(folder)
    install(folder, extras)
    return str(python)


def digest() -> str:
    """Changes whenever an installed environment is out of date: other versions asked for, or another folder."""
    parts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"\0".join([*parts, str(ROOT).encode()])).hexdigest()


def read_stamp(folder: Path) -> dict:
    """What was installed into the environment, completely; nothing where an installation was cut off."""
    try:
        return json.loads((folder / "minillm.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"digest": None, "extras": []}


def write_stamp(folder: Path, extras: tuple[str, ...]) -> None:
    disk.write(folder / "minillm.json", json.dumps({"digest": digest(), "extras": extras}))


def check_room(folder: Path) -> None:
    needed = GIGABYTES_CUDA if has_nvidia_gpu() else GIGABYTES
    free = shutil.disk_usage(ROOT).free / 1e9
    if not folder.exists() and free < needed:
        raise SetupError(f"the environment needs about {needed} GB and the disk of {ROOT} has {free:.1f} GB free; "
                         "free some room, or clone minillm onto another disk")


def has_nvidia_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def make_environment(folder: Path) -> None:
    """A virtual environment with pip, unless a sound one stands already (a system Python may refuse installs)."""
    check = [str(python_of(folder)), "-m", "pip", "--version"]
    if python_of(folder).exists() and subprocess.run(check, capture_output=True).returncode == 0:
        return
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise SetupError(f"this Python has no {module} module; on Debian or Ubuntu, run `sudo apt install "
                             "python3-venv`; elsewhere take the Python of python.org or conda")
    print(f"Making an environment in {folder} …", file=sys.stderr, flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True)
    if made.returncode:
        raise SetupError(explain(made.stdout + made.stderr))


def install(folder: Path, extras: tuple[str, ...]) -> None:
    """Install minillm from this folder with the pinned versions; the stamp is written when all of it is there."""
    (folder / "minillm.json").unlink(missing_ok=True)
    command = [str(python_of(folder)), "-m", "pip", "install", "--no-input", "--disable-pip-version-check",
               "--progress-bar", "off", "--constraint", str(ROOT / "constraints.txt"), *torch_index(),
               "--editable", f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)]
    size = "about 5 GB, with CUDA" if has_nvidia_gpu() else "1.4 GB on the disk"
    print(f"Installing the packages, once ({size}): a minute on a fast line, a few on others …", file=sys.stderr,
          flush=True)
    last = collections.deque(maxlen=60)
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
                           errors="replace")
    with pip, open(folder / "install.log", "w", encoding="utf-8") as log:
        for line in pip.stdout:
            log.write(line)
            last.append(line)
            show_progress(line)
    show_progress("")
    if pip.returncode:
        raise SetupError(explain("".join(last)))
    quiet = folder / "share" / "jupyter" / "lab" / "settings"  # no question about news on the first start
    quiet.mkdir(parents=True, exist_ok=True)
    (quiet / "overrides.json").write_text(json.dumps({"@jupyterlab/apputils-extension:notification":
                                                      {"fetchNews": "false", "checkForUpdates": False}}))
    write_stamp(folder, extras)


def torch_index() -> list[str]:
    """Where Linux finds PyTorch without CUDA (gigabytes less), if it can be reached and no NVIDIA GPU wants CUDA."""
    if not sys.platform.startswith("linux") or has_nvidia_gpu():
        return []
    try:
        urllib.request.urlopen(TORCH_CPU_INDEX + "/torch/", timeout=8).close()
    except (OSError, ValueError):
        return []
    return ["--extra-index-url", TORCH_CPU_INDEX]


def show_progress(line: str) -> None:
    """One line that changes, on a terminal; nothing in a log."""
    if sys.stderr.isatty() and (not line or re.match(r"\s*(Collecting|Downloading|Building|Installing)", line)):
        width = shutil.get_terminal_size().columns - 1
        print("\r" + line.strip()[:width].ljust(width), end="" if line else "\r", file=sys.stderr, flush=True)


def explain(output: str) -> str:
    """One sentence for what pip or venv said in many."""
    for pattern, sentence in TROUBLES:
        if re.search(pattern, output):
            return sentence
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["nothing"]
    errors = [line for line in lines if re.match(r"(\w*Error|ERROR): ", line)]
    return f"the installation stopped with: {(errors or lines)[-1]} (all of it is in .venv/install.log)"
