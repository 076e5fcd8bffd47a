"""That two processes with DDP or FSDP2 learn exactly what one process learns from the same batches."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path

import pytest
import torch

from minillm.checkpoints import load, load_state, save
from minillm.cli.processes import joined
from minillm.config import ModelConfig
from minillm.data import batches
from minillm.lessons.training import memory
from minillm.model import Transformer
from minillm.optim import adamw, muon
from minillm.training import snapshot, train

N_STEPS = 6
CONFIG = ModelConfig(vocab_size=17, d_model=16, n_layers=2, n_heads=2, context_length=8)
OPTIMIZERS = {"adamw": adamw, "muon": muon, "quick muon": partial(muon, quick=True)}


def run(model, optimizer):
    """Batches of 8 of which many targets are masked, so that processes hold unequal shares of them."""
    ids = torch.randint(17, (300,), generator=torch.Generator().manual_seed(0)).numpy()
    stream = batches(ids, batch_size=8, context_length=8, seed=0)

    def masked():
        for step, (x, y) in enumerate(stream):
            hidden = torch.rand(y.shape, generator=torch.Generator().manual_seed(step)) < 0.5
            yield x, y.masked_fill(hidden, -100)

    return [s.loss for s in train(model, masked(), optimizer=optimizer, n_steps=N_STEPS, micro_batch=2,
                                  precision="fp32", say=str)]


def bytes_here(values) -> int:
    """What this process itself holds of some tensors; counters are left out."""
    here = (x.to_local() if hasattr(x, "to_local") else x for x in values if isinstance(x, torch.Tensor) and x.ndim)
    return sum(x.numel() * x.element_size() for x in here)


def one_process(folder: Path) -> None:
    """What torchrun starts, twice."""
    with joined("cpu") as team:
        for strategy, (name, make) in product(("ddp", "fsdp"), OPTIMIZERS.items()):
            torch.manual_seed(0)
            model = team.share(Transformer(CONFIG), split=strategy == "fsdp")
            optimizer = make(model)
            losses = run(model, optimizer)
            held = {"weights": bytes_here(model.parameters()),
                    "gradients": bytes_here(p.grad for p in model.parameters()),
                    "optimizer": bytes_here(each for state in optimizer.state.values() for each in state.values())}
            (folder / f"held-{strategy}-{name}-{os.environ['RANK']}.json").write_text(json.dumps(held))
            save(model, None, folder / f"{strategy}-{name}", state=snapshot(optimizer, N_STEPS, losses=losses))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """All jobs, one start of two processes each."""
    folder = tmp_path_factory.mktemp("runs")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    done = subprocess.run([*command, str(folder)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_learns(folder, strategy, name):
    torch.manual_seed(0)
    alone = Transformer(CONFIG)
    expected = run(alone, OPTIMIZERS[name](alone))
    together, _ = load(folder / f"{strategy}-{name}")
    # Muon lifts directions that are nearly zero, so sums in another order show: weights that differ by one in ten
    # million have losses 6e-4 and weights 4e-3 apart after these steps; half of each batch would be 0.02 apart
    loss, weight = (2e-4, 5e-3) if name == "adamw" else (3e-3, 2e-2)
    assert load_state(folder / f"{strategy}-{name}")["losses"] == pytest.approx(expected, abs=loss)
    for (n, a), b in zip(alone.named_parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=weight, rtol=0, msg=lambda m, n=n: f"{n}: {m}")
    assert len(set(expected)) == N_STEPS  # each step changed the next


def test_what_split_processes_save_is_the_whole_optimizer(folder):
    torch.manual_seed(0)
    alone = Transformer(CONFIG)
    optimizer = adamw(alone)
    run(alone, optimizer)
    saved = load_state(folder / "fsdp-adamw")["optimizer"]["state"]
    expected = optimizer.state_dict()["state"]
    assert [s["exp_avg"].shape for s in saved.values()] == [s["exp_avg"].shape for s in expected.values()]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_each_process_holds_what_the_course_says(folder, strategy):
    expected = memory.held(CONFIG, 2, split=strategy == "fsdp")
    here = [json.loads((folder / f"held-{strategy}-adamw-{rank}.json").read_text()) for rank in (0, 1)]
    for part, name in (("weights", "weights"), ("gradients", "gradients"), ("optimizer", "AdamW")):
        for each in here:                       # a share is cut between rows, so it may be a few rows more or less
            assert each[part] == pytest.approx(expected[name], rel=0.05 if strategy == "fsdp" else 0)
    if strategy == "fsdp":
        whole = memory.held(CONFIG, split=False)
        assert sum(each["weights"] for each in here) == whole["weights"]


if __name__ == "__main__":
    one_process(Path(sys.argv[1]))
