"""What a step frees is there for the next one."""
from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from minillm.allocation import keep_freed_memory

STEPS = """
import sys, torch
from pathlib import Path
from minillm.model import Transformer
from minillm.config import ModelConfig
from minillm.training import train
import minillm.training
if sys.argv[1] == "plain":
    minillm.training.keep_freed_memory = lambda: None
torch.manual_seed(0)
model = Transformer(ModelConfig(vocab_size=20_000, d_model=8, n_layers=1, n_heads=1, context_length=64))
ids = torch.randint(20_000, (16, 64))
steps = train(model, iter(lambda: (ids, ids), None), optimizer=torch.optim.SGD(model.parameters(), 0.1),
              precision="fp32")
for _ in range(5):
    next(steps)
del steps
held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
print(held.split()[1])
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library is left as it is")


@glibc
def test_what_a_step_freed_stays_for_the_next_one():
    """The logits and their gradient have 80 MB each. Page faults are no measure: some systems have large pages."""
    kept, plain = (int(subprocess.run([sys.executable, "-c", STEPS, way], capture_output=True, text=True, check=True)
                       .stdout) for way in ("kept", "plain"))
    assert kept - plain > 50_000, f"{kept} kB with, {plain} kB without"


@glibc
def test_it_says_whether_it_does():
    assert keep_freed_memory() is True


def test_elsewhere_all_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory.cache_clear()
    assert keep_freed_memory() is False
    keep_freed_memory.cache_clear()
