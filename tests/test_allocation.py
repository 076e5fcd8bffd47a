"""What a step frees is there for the next one."""
from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from minillm.allocation import keep_freed_memory

STEPS = """
import resource, sys, torch
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
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    next(steps)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library is left as it is")


@glibc
def test_a_step_takes_up_again_what_the_last_one_freed():
    """Logits of 80 MB are 20,000 pages a step where each is asked for anew."""
    kept, plain = (int(subprocess.run([sys.executable, "-c", STEPS, way], capture_output=True, text=True, check=True)
                       .stdout) for way in ("kept", "plain"))
    assert kept < 20_000 < 100_000 < plain


@glibc
def test_it_says_whether_it_does():
    assert keep_freed_memory() is True


def test_elsewhere_all_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory.cache_clear()
    assert keep_freed_memory() is False
    keep_freed_memory.cache_clear()
