"""Print one table: ``python -m tests.benchmarks [part ...]``; without a part, all but the last (about half an hour).

Run it on an otherwise idle machine.  Ingredients take two minutes each.  Shakespeare and the tokenizers need
MINILLM_CORPORA, or a network.
"""
from __future__ import annotations

import argparse

import torch

from minillm.precision import has_bf16, processor_name
from tests.benchmarks.ingredients import ingredients
from tests.benchmarks.models import generation, memory, training
from tests.benchmarks.shakespeare import shakespeare
from tests.benchmarks.texts import start_up, tokenizing
from tests.benchmarks.timing import Row, race, show
from tests.benchmarks.twins import twins


def matrices() -> list[Row]:
    """The ceiling: what this machine's matrix products reach, in billions of operations per second.

    Without units for bf16 a product in it takes minutes, and nobody trains so there."""
    products = {}
    kinds = {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if has_bf16(torch.device("cpu")) else {})
    for name, dtype in kinds.items():
        x = torch.randn(1024, 1024).to(dtype)
        products[name] = lambda x=x: [x @ x for _ in range(10)]
    return race("matrix products, 1024²", products, work=10 * 2 * 1.024 ** 3, unit="GFLOP/s", repeats=9)


PARTS = {
    "matrices": [matrices],
    "training": [lambda: training("S"), lambda: training("M")],
    "twins": [twins],
    "memory": [memory],
    "generation": [lambda: generation(1), lambda: generation(16)],
    "tokenizing": [tokenizing],
    "start-up": [start_up],
    "shakespeare": [lambda seconds=seconds, seed=seed: shakespeare(seconds, seed)
                    for seconds in (60, 180) for seed in (0, 1)],
}

LONG = {"ingredients": [ingredients]}  # three quarters of an hour: only by name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part",
                        help=f"of {', '.join(PARTS)} (all if left out), or {', '.join(LONG)}")
    chosen = parser.parse_args().parts or list(PARTS)
    for part in chosen:
        if part not in (*PARTS, *LONG):
            parser.error(f"no part is called {part!r}; there are {', '.join((*PARTS, *LONG))}")
    print(f"{processor_name()}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}; medians of interleaved "
          f"repeats; × is against the first row of each group\n")
    for part in chosen:
        for measure in (PARTS | LONG)[part]:
            show(measure())
