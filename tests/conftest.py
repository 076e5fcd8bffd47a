"""Prepare every test: shapes checked at run time, one thread each, the real texts where they are."""
from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: several test processes share the cores
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

sys.path.insert(0, str(Path(__file__).parents[1]))  # minillm and tests, installed or not

from jaxtyping import install_import_hook  # noqa: E402

import tests.typechecking  # noqa: E402, F401

install_import_hook("minillm", "tests.typechecking.checked")  # before minillm: every annotated shape is checked

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("MINILLM_CORPORA"):
        return
    skip = pytest.mark.skip(reason="MINILLM_CORPORA does not name a folder with the catalogue's texts")
    for item in items:
        if item.get_closest_marker("needs_corpora"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _same_randomness_in_any_order():
    torch.manual_seed(0)


@pytest.fixture
def hearing() -> Iterator[None]:
    """Let programs that the test starts hear signals: below `nohup` or `&` they would inherit deaf ears."""
    hears = (signal.SIGINT, signal.SIGHUP) if os.name == "posix" else ()
    deaf = [each for each in hears if signal.getsignal(each) == signal.SIG_IGN]
    for each in deaf:
        signal.signal(each, signal.SIG_DFL)
    yield
    for each in deaf:
        signal.signal(each, signal.SIG_IGN)
