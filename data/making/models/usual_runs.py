"""Train what notebook 06's laboratory trains, with several seeds: `python -m data.making.models.usual_runs`.

Writes usual_runs.json: the losses of each run, smoothed as the laboratory smooths them, so that a reader's curve can
be drawn over what is usual.  On the same machine the same numbers, to the digits that are kept (about ten minutes).
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from minillm.lessons.training.experiment import OWN, Run, configure, known
from minillm.lessons.training.plots import smooth

FILE = Path(__file__).parents[2] / "models" / "usual_runs.json"
RUNS = [  # size, what it does otherwise, steps, seeds
    ("nano", {}, 500, 5), ("nano", {"norm": "layernorm"}, 500, 5), ("nano", {}, 200, 3), ("small", {}, 500, 3)]
POINTS = 50         # of a curve that are kept


def one(size: str, fields: dict[str, str], n_steps: int, seed: int) -> dict:
    """One run: smoothed losses of the batches at POINTS steps, the held-out losses, the end."""
    material = known("stories")
    run = Run(material, configure(OWN, size, material.tokenizer.vocab_size, **fields), n_steps=n_steps, seed=seed,
              writes=False)
    moments = list(run.steps())
    losses = [moment.step.loss for moment in moments]
    steps = range(n_steps // POINTS, n_steps + 1, n_steps // POINTS)
    held_out = [(moment.step.step + 1, round(moment.validation, 3)) for moment in moments
                if moment.validation is not None]
    return {"loss": [round(float(smooth(losses[:step])[-1]), 3) for step in steps], "held_out": held_out,
            "gradient": [round(max(moment.step.grad_norm for moment in moments[20:]), 2)]}


def main() -> None:
    torch.set_num_threads(1)
    found = []
    for size, fields, n_steps, n_seeds in RUNS:
        runs = []
        for seed in range(n_seeds):
            runs.append(one(size, fields, n_steps, seed))
            print(size, fields, n_steps, seed, runs[-1]["loss"][-1], file=sys.stderr, flush=True)
        found.append({"text": "stories", "size": size, "tokenizer": "characters", "optimizer": "adamw", "lr": 3e-3,
                      "fields": fields, "n_steps": n_steps, "steps": [*range(n_steps // POINTS, n_steps + 1,
                                                                             n_steps // POINTS)], "runs": runs})
        FILE.write_text(json.dumps({"groups": found}) + "\n")


if __name__ == "__main__":
    main()
