"""Everything that a student might try fails safely, or is scored for what it is."""
from __future__ import annotations

import ast
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from minillm.assignments import sandbox
from minillm.assignments.pristine import for_exercise
from minillm.assignments.run import cell, execute
from minillm.assignments.values import emitting
from minillm.assignments.warm import Warm
from tests.assignments.conftest import PATIENT, isolated

RIGHT = """
def scaled_mean(numbers):
    return {factor} * sum(numbers) / len(numbers) if numbers else 0.0
"""
WRONG = "def scaled_mean(numbers):\n    return 1.0\n"
FORGERIES = {
    text.partition("\n")[0]: text.partition("\n")[2]
    for text in Path(__file__).with_name("forgeries.txt").read_text("utf-8").split("\n==== ")[1:]}


ENDLESS = {"writes to every file descriptor", "loops without end", "loops at once"}


@pytest.mark.parametrize("attack", FORGERIES)
def test_a_forgery_scores_nothing(grader, hurried, attack):
    judge = hurried if attack in ENDLESS else grader
    mark = judge.judge(judge.book("anyone"), "mean", FORGERIES[attack])
    assert mark.points == 0, mark
    assert mark.status in ("wrong", "crashed", "timed out", "forbidden"), mark


def factor_of(grader) -> int:
    return grader.book("anyone").metadata.minillm.variant.factor


@pytest.mark.parametrize(
    "noise",
    [
        "print('hello')",
        "import sys; print('hm', file=sys.stderr)",
        "import warnings; warnings.warn('careful')",
        "display({'text/plain': 'a picture'}, raw=True)"])
def test_noise_costs_nothing(grader, noise):
    source = (
        RIGHT.format(factor=factor_of(grader)).replace("    return", f"    {noise}\n    return")
        + noise
        + "\n")
    assert grader.judge(grader.book("anyone"), "mean", source).status == "passed"


def test_a_rounding_edge_costs_nothing(grader):
    source = (
        "def scaled_mean(numbers):\n    total = 0.0\n    for n in numbers:\n"
        f"        total += {factor_of(grader)} * n / len(numbers)\n    return total * (1 + 1e-7)\n")
    assert grader.judge(grader.book("anyone"), "mean", source).status == "passed"


def test_what_is_forbidden_is_told_not_only_scored(grader):
    mark = grader.judge(
        grader.book("anyone"), "mean", "import statistics\n" + RIGHT.format(factor=factor_of(grader)))
    assert (mark.status, mark.points) == ("forbidden", 0)
    assert "statistics" in mark.reason


def test_a_forbidden_name_put_together_while_running_is_caught(grader):
    source = (
        "def scaled_mean(numbers):\n    s = __import__('stat' + 'istics')\n"
        f"    return {factor_of(grader)} * s.mean(numbers) if numbers else 0.0\n")
    mark = grader.judge(grader.book("anyone"), "mean", source)
    assert (mark.status, mark.points) == ("forbidden", 0)


def test_a_gigabyte_of_print_ends_itself(hurried):
    source = WRONG + "for _ in range(1000):\n    print('x' * 1_000_000)\n"
    start = time.monotonic()
    assert hurried.judge(hurried.book("anyone"), "mean", source).points == 0
    assert time.monotonic() - start < 150


@isolated
def test_nothing_outside_can_be_read_or_reached(grader, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("42")
    server = socket.create_server(("127.0.0.1", 0))  # somebody who would answer
    source = f"""
import os, socket
def scaled_mean(numbers):
    tried = []
    for path in ({str(secret)!r}, {str(Path(__file__).resolve())!r}, "/etc/passwd"):
        try: tried.append(open(path).read())
        except OSError: pass
    try:
        socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 1)
        tried.append("connected")
    except OSError: pass
    try: open("/usr/written", "w"); tried.append("wrote")
    except OSError: pass
    return tried
"""
    with server:
        socket.create_connection(server.getsockname(), 1).close()  # from here it can be reached
        found = _values(grader, source)
    assert found and set(found) == {"[]"}


def _values(grader, source: str, warm=None) -> list[str]:
    cells = for_exercise(grader.book("anyone").cells, "mean", source, [])
    run = execute(cells, limits=PATIENT, package=grader.warm.package, record=True,
                  warm=warm)
    return [v for r in run.cells.values() for v in r.values]


LEAVES = """
import builtins, ctypes, os, subprocess, sys
PLACES = ("/tmp", "/dev/shm", "/dev", "/run", "/proc", ".")
RINGS, (ADD, SEARCH) = (-3, -4, -5), {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
KEY, CALL = (b"user", b"left"), ctypes.CDLL(None).syscall  # Linux keeps keys for a session, and for a user
FOUND = [place for place in PLACES if os.path.exists(place + "/left")]
FOUND += [ring for ring in RINGS if CALL(SEARCH, 10, ring, *KEY, 0) > 0]
FOUND += ["in memory"] * hasattr(builtins, "left")
builtins.left = sys.modules["math"].left = "for the next answer"
for place in PLACES:
    try: open(place + "/left", "w").write("for the next answer")
    except OSError: pass
for ring in RINGS:
    CALL(ADD, *KEY, b"for the next answer", ctypes.c_size_t(19), ring)
SETTINGS = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/swappiness")
FOUND += [path for path in SETTINGS if os.access(path, os.W_OK)]  # of the system, for whoever is root outside
def scaled_mean(numbers):
    return FOUND + [line for line in (
        "mount -t tmpfs none /tmp", "mount -o remount,rw /usr", "umount /tmp", "umount /usr", "touch /usr/written",
        "mount -o remount,rw /proc", "mount -o remount,rw /dev",
        "unshare --user --map-root-user true", f"touch {sys.prefix}/written", "touch /written")
        if os.getuid() == 0 or subprocess.run(line, shell=True, capture_output=True).returncode == 0]
"""


@isolated
@pytest.mark.parametrize("kept_warm", [True, False])
def test_nothing_can_be_mounted_written_or_left_for_the_next_answer(grader, kept_warm):
    for _ in range(2):
        assert set(_values(grader, LEAVES, grader.warm if kept_warm else None)) == {"[]"}


@isolated
@pytest.mark.parametrize("kept_warm", [True, False])
def test_the_processor_can_be_looked_up(grader, kept_warm):
    """As torch does it for some products, and refuses them otherwise."""
    source = "def scaled_mean(numbers):\n    return [p for p in ('cpu', 'mem') if not open(f'/proc/{p}info').read()]\n"
    assert set(_values(grader, source, grader.warm if kept_warm else None)) == {"[]"}


SEES = """
import ctypes, os
CALL = ctypes.CDLL(None).syscall
SEEN = [ring for ring in (-3, -4, -5) if CALL({"x86_64": 250, "aarch64": 219}[os.uname().machine], 10, ring, b"user",
                                              b"mine", 0) > 0]
def scaled_mean(numbers):
    return SEEN
"""


@isolated
@pytest.mark.parametrize("kept_warm", [True, False])
def test_a_key_of_whoever_grades_is_out_of_reach(course, tmp_path, kept_warm):
    grades = f"""
import ctypes, sys
from pathlib import Path
from minillm.assignments.forking import keys
from minillm.assignments.grade import Grader
from tests.assignments.test_attacks import _values
first, last = keys()[1:]
call = ctypes.CDLL(None).syscall
assert call(last, 1, None) > 0 and call(first, b"user", b"mine", b"a ticket", ctypes.c_size_t(8), -3) > 0
grader = Grader({str(course / "grading")!r})
print(_values(grader, {SEES!r}, grader.warm if {kept_warm} else None))
"""
    run = subprocess.run([sys.executable, "-c", grades], capture_output=True, text=True, timeout=600)
    if "AssertionError" in run.stderr:
        pytest.skip("this system lets nobody keep keys")
    assert set(ast.literal_eval(run.stdout)) == {"[]"}, run.stderr


@isolated
def test_what_the_notebook_imports_is_there_before_its_first_line_runs(tmp_path):
    """Whoever waits for torch waits once, and not for every answer."""
    looks = cell("import sys\nprint(*(name in sys.modules for name in ('colorsys', 'chunk')))", "given")
    book = [looks, cell("from colorsys import hsv_to_rgb\nimport nowhere", "given")]
    with closing(Warm(sandbox.student_package(tmp_path), book)) as warm:
        run = execute([cell(emitting(looks.source), "given")], limits=PATIENT, package=warm.package, record=True,
                      warm=warm)
    assert run.cells[0].values == ["True False"]


def test_an_environment_below_the_temporary_folder_is_seen():
    command = sandbox.walls("bwrap", [Path("/tmp/package")], [Path("/tmp/run")], sandbox.Limits(), {})
    at = command.index("/tmp")
    assert command[at - 1] == "--tmpfs"
    assert all(at < command.index(place) for place in ("/tmp/package", "/tmp/run", *sandbox.environments()))


def test_the_sandbox_says_what_is_wrong_with_it(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'no permission to make a namespace' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert "no permission to make a namespace" in sandbox.trouble.__wrapped__()


@isolated
def test_the_sandbox_hides_the_expected_values(grader):
    source = """
import os, sys
def scaled_mean(numbers):
    seen = []
    for folder, below, files in os.walk("/tmp"):
        below[:] = [name for name in below if os.path.join(folder, name) not in (sys.prefix, sys.base_prefix)]
        for name in files:
            try: text = open(os.path.join(folder, name), errors="ignore").read()
            except OSError: continue
            if "minillm-value" in text and "values.py" not in name: seen.append(name)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if b"pytest" in open(f"/proc/{pid}/cmdline", "rb").read(): seen.append(pid)
    return seen
"""
    assert set(_values(grader, source)) == {"[]"}


@isolated
def test_a_fork_bomb_is_stopped_and_nothing_is_left(grader):
    source = WRONG + "import os, time\nfor _ in range(7):\n    os.fork()\ntime.sleep(30)\n"
    mark = grader.judge(grader.book("anyone"), "mean", source)
    assert mark.points == 0
    assert mark.status in ("forbidden", "timed out", "crashed")


@isolated
def test_orphans_die_with_their_kernel(grader, tmp_path):
    source = (
        "import subprocess, sys\n"
        "sleeper = 'import time; orphan_of_minillm = time.sleep(120)'\n"
        "subprocess.Popen([sys.executable, '-c', sleeper], start_new_session=True)\n"
        + RIGHT.format(factor=factor_of(grader)))
    grader.judge(grader.book("anyone"), "mean", source)
    time.sleep(1)
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"orphan_of_minillm" in _read(p)]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_grader_says_what_it_cannot_stop(monkeypatch):
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: None)
    assert "NOT isolated" in sandbox.isolation()
    assert "--unshare-all" not in sandbox.kernel_command(Path("/p"), Path("/r"), sandbox.Limits())
