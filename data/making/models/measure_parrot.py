"""Measure the model that copies: `python -m data.making.models.measure_parrot` from the root of the project.

Whether it copies, with which heads, and what is left of that and of its stories without them.  Writes what it found
into parrot.json.  Half a minute.
"""
from __future__ import annotations

import json

from data.making.models.measure_storyteller import copies, echo_loss, fresh_loss
from minillm import corpora
from minillm.checkpoints import load, load_log

FIGURES = corpora.data_folder() / "models" / "parrot.json"


def main() -> None:
    model, tokenizer = load("parrot")
    echo, least = echo_loss(model, tokenizer)
    figures = {
        **load_log(corpora.data_folder() / "models" / "parrot")[-1],
        "parameters": sum(p.numel() for p in model.parameters()),
        "fresh_nats_per_character": round(fresh_loss(model, tokenizer), 4),
        "echoes_nats_per_character": round(echo, 4),
        "echoes_floor_nats_per_character": round(least, 4),
        "copying": copies(model, tokenizer)}
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
