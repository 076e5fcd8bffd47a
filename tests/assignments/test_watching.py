"""Limits hold for all that a run started together, and for its folder."""
from __future__ import annotations

import math
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from minillm.assignments import sandbox, watching
from minillm.assignments.sandbox import Limits
from minillm.assignments.watching import Used, too_much

HOLDS = "held = bytearray(b'x' * 60_000_000); print('held', flush=True); input()"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not list its processes")
def test_what_several_processes_use_is_summed():
    before = watching.used(os.getpid())
    with ExitStack() as ends:
        for _ in range(3):
            one = ends.enter_context(subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE,
                                                      stdout=subprocess.PIPE))
            ends.callback(one.kill)
            assert one.stdout.readline() == b"held\n"
        now = watching.used(os.getpid())
        assert now.processes - before.processes == 3
        assert now.data_bytes - before.data_bytes > 3 * 60_000_000
        assert now.cpu_seconds >= before.cpu_seconds


def test_what_is_too_much_is_named():
    limits = Limits(cpu_seconds=5, data_bytes=2_000_000_000, disk_bytes=3_000_000, processes=4)
    assert too_much(Used(4, 5.0, 2_000_000_000), 3_000_000, limits) is None
    assert too_much(Used(5), 0, limits) == "started more than 4 processes"
    assert too_much(Used(1, 5.1), 0, limits) == "timed out after 5 s of computing"
    assert too_much(Used(1, 0.0, 2_000_000_001), 0, limits) == "took more than 2 GB of memory"
    assert too_much(Used(), 3_000_001, limits) == "wrote more than 3 MB"
    assert too_much(Used(), math.inf, limits) == "wrote more files than can be looked at"


def test_many_files_count_as_few_large_ones(tmp_path):
    assert watching.held(tmp_path) == 0
    for number in range(50):
        (tmp_path / f"{number}").touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "large").write_bytes(b"x" * 1_000_000)
    assert 1_000_000 <= watching.held(tmp_path) - 52 * 1024 < 1_100_000


def test_nothing_hides_behind_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "FILES", 30)
    (tmp_path / "many" / "below").mkdir(parents=True)
    (tmp_path / "many" / "below" / "large").write_bytes(b"x" * 1_000_000)
    assert 1_000_000 <= watching.held(tmp_path) < 1_100_000
    for number in range(30):
        (tmp_path / "many" / f"{number}").touch()
    assert watching.held(tmp_path) == math.inf


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a path may be as long as it likes, or not be at all")
def test_nothing_hides_deeper_than_a_path_is_long(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    Path("large").write_bytes(b"x" * 1_000_000)
    os.chdir(tmp_path)
    assert watching.held(tmp_path) == math.inf
    sandbox.remove(tmp_path / ("d" * 250))


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may look everywhere")
def test_nothing_hides_in_a_folder_without_rights(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    assert watching.held(tmp_path) == math.inf
