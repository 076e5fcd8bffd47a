"""Stopping a batch costs nothing that was done: what runs ends at once, and the same command goes on."""
from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest

from minillm.assignments import sandbox, watching
from minillm.assignments.collect import submissions
from minillm.assignments.grade import grade
from minillm.environment import ROOT
from tests.assignments.conftest import answered

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not list its processes")


def test_ctrl_c_ends_what_runs_keeps_what_is_done_and_the_same_command_goes_on(course, handed_out, tmp_path):
    work, out = tmp_path / "work", tmp_path / "grades"
    work.mkdir()
    idle = {"softmax": "# exercise: softmax\nimport time\ntime.sleep(600)\ndef softmax(scores):\n    return scores\n"}
    nbformat.write(handed_out, work / "ada.ipynb")
    for name in ("bob", "cleo", "dan"):
        nbformat.write(answered(handed_out, {"softmax": idle["softmax"] + f"# {name}\n"}), work / f"{name}.ipynb")
    command = [sys.executable, "-m", "minillm", "assign", "grade", work, "--with", course / "grading", "--out", out,
               *([] if sandbox.bubblewrap() else ["--unsafe"])]
    with tempfile.TemporaryDirectory(prefix="g") as short:  # a socket's path has a limit
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": short}
        process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True, start_new_session=True,
                                   preexec_fn=heed_ctrl_c)
        try:
            log = out / "small_course.done.jsonl"
            wait_for(lambda: log.exists() and log.read_text().count("\n") == 1)
            wait_for(lambda: sum(kernel_s(words) for words in command_lines(process.pid)) >= 2)
            started = watching.descendants(process.pid)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=45)[1]
        finally:
            watching.kill_tree(process)
        assert process.returncode == 130
        assert "stopped after 1 of 4; run the same command to go on" in said and "Traceback" not in said
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))
        assert list(Path(short).iterdir()) == []
    assert [json.loads(line)["result"]["student"] for line in log.read_text().splitlines()] == ["ada"]
    for name in ("bob", "cleo", "dan"):
        nbformat.write(handed_out, work / f"{name}.ipynb")
    again = subprocess.run(command, env=variables | {"TMPDIR": tempfile.gettempdir()}, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert log.read_text().count('"student": "ada"') == 1
    assert len(list(csv.DictReader(open(out / "grades.csv", newline="")))) == 4


def test_a_grader_that_was_stopped_grades_again(grader, handed_out, tmp_path, monkeypatch):
    patient = dataclasses.replace(grader.limits, wall_seconds=300.0, cell_seconds=200.0)
    nbformat.write(handed_out, tmp_path / "ada.ipynb")
    slow = "# exercise: softmax\nimport time\ntime.sleep(600)\n"
    nbformat.write(answered(handed_out, {"softmax": slow}), tmp_path / "bob.ipynb")
    work = submissions(tmp_path)
    with monkeypatch.context() as waiting:
        waiting.setattr(grader, "limits", patient)
        going = grade(work, grader)
        assert next(going).student == "ada"
        wait_for(lambda: any(kernel_s(words) for words in command_lines(os.getpid())))
        kernels = [pid for pid in watching.descendants(os.getpid()) if kernel_s(command_line(pid))]
        begun = time.monotonic()
        going.close()
        assert time.monotonic() - begun < patient.cell_seconds / 2
    wait_for(lambda: not any(kernel_s(command_line(pid)) for pid in kernels))  # whosever children they are by now
    assert not any(kernel_s(words) for words in command_lines(os.getpid()))
    assert grader.grade(work[0]).points == 0


def test_a_kernel_ends_with_who_started_it():
    """Without a sandbox, too, and where nobody was left to end it."""
    launch = Path(sandbox.__file__).with_name("launch.py")
    asked = json.dumps({"environment": {"PATH": os.environ["PATH"]}})
    starter = ("import subprocess, sys; started = subprocess.Popen([sys.executable, *sys.argv[1:], 'sleep', '600']); "
               "print(started.pid, flush=True); started.wait()")
    parent = subprocess.Popen([sys.executable, "-c", starter, launch, asked], stdout=subprocess.PIPE, text=True)
    started = int(parent.stdout.readline())
    wait_for(lambda: command_line(started).startswith("sleep"))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not command_line(started))


def kernel_s(words: str) -> bool:
    """Whether a process stands for a kernel: it is one, or asks for one that was kept warm."""
    return "ipykernel_launcher" in words or "\0ask\0" in words


def heed_ctrl_c() -> None:
    """A shell's "&" would have it ignored, by all that is started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command_lines(pid: int) -> list[str]:
    """How the processes below one were started."""
    return [command_line(each) for each in watching.descendants(pid)]


def command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def wait_for(holds: Callable[[], bool], seconds: float = 120) -> None:
    """Until it holds; a machine may be busy."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
