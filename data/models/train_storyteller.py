"""Train the small model that ships: `python -m data.models.train_storyteller` from the root of the project.

It reads the English stories and the gazetteer (never the questions), so it tells stories and completes facts, but
does not answer: that is left for fine-tuning.  About half an hour on two cores; Ctrl-C keeps what was learned so far.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from minillm import corpora
from minillm.checkpoints import load, load_log, save
from minillm.config import ModelConfig
from minillm.data import Tokens, batches, compact
from minillm.model import Transformer
from minillm.optim import muon, warmup_linear
from minillm.recipes import learn
from minillm.tokenizers import BPETokenizer
from minillm.training import Step, evaluate, train

FOLDER = Path(__file__).parent / "storyteller"
TEXTS = ("stories", "gazetteer")
VOCABULARY = 2048


def polish(
    model: Transformer, ids: Tokens, *, seconds: float, batch_size: int, precision: str, seed: int
) -> Iterator[Step]:
    """Go on with a trained model: whole windows only, half the learning rate, falling to zero."""
    began = time.monotonic()
    stream = batches(ids, batch_size=batch_size, context_length=model.config.context_length, seed=seed + 1)
    shape, optimizer = warmup_linear(1000, warmup=20), muon(model, lr=0.01, adam_lr=1.5e-3)

    def passed() -> int:
        return min(1000, int(1000 * (time.monotonic() - began) / seconds))

    for step in train(
        model, stream, optimizer=optimizer, precision=precision, seed=seed, schedule=lambda step: shape(passed())
    ):
        yield step
        if passed() >= 1000:
            return


def main(minutes: float, seed: int, batch: int, folder: Path, precision: str, go_on: Path | None) -> None:
    """Train for so long, then save the weights rounded to 16 bits, with a card of what was measured."""
    torch.manual_seed(seed)
    corpus = corpora.mix([corpora.load(name) for name in TEXTS])
    train_part, validation_part = corpus.hold_out(0.02)
    tokenizer = BPETokenizer.train(train_part.text, VOCABULARY)
    ids, validation = (
        compact(train_part.encode(tokenizer)),
        compact(validation_part.encode(tokenizer)).astype("int64"),
    )
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, d_model=192, n_layers=6, n_heads=6, context_length=256
    )
    model = load(go_on, dtype=torch.float32)[0] if go_on else Transformer(config)
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(ids):,} tokens, "
        f"{len(train_part.text) / len(ids):.2f} characters per token",
        flush=True,
    )
    log, done, began = [], 0, time.monotonic()
    try:
        options = {"seconds": 60 * minutes, "batch_size": batch, "precision": precision, "seed": seed}
        for step in polish(model, ids, **options) if go_on else learn(model, ids, **options):
            done += step.tokens
            if step.step % 50 == 0:
                log.append({"step": step.step, "tokens": done, "loss": round(step.loss, 4)})
                spent = (time.monotonic() - began) / 60
                print(f"{spent:5.1f} min  {step.loss:.3f} nats per token", flush=True)
    except KeyboardInterrupt:
        print("stopped; what was learned so far is saved", flush=True)
    model = model.half().float()  # what ships is rounded; measure that
    loss = evaluate(model, validation)
    characters = len(validation_part.text) / (len(validation) - 1)
    card = {
        "texts": {name: hashlib.sha256(corpora.load(name).text.encode()).hexdigest() for name in TEXTS},
        "seed": seed,
        "minutes": minutes,
        "threads": torch.get_num_threads(),
        "tokens": done,
        "nats_per_token": round(loss, 4),
        "nats_per_character": round(loss / characters, 4),
        "bits_per_character": round(loss / characters / math.log(2), 4),
        "went_on_from": load_log(go_on)[-1] if go_on else None,
    }
    save(model.half(), tokenizer, folder, log=[*log, card])
    print(json.dumps(card, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16, help="windows of the whole context per step")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--go-on", type=Path, help="a folder written before: train its model further")
    main(**vars(parser.parse_args()))
