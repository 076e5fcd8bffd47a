"""Train the small model that ships: `python -m data.making.models.train_storyteller` from the root of the project.

It reads as many English stories as it can in the time, the ones that ship and more from the same generator, and the
gazetteer; never a question, and never a story of `stories-fresh`.  So it tells stories and completes facts, but does
not answer: that is left for fine-tuning.  Half an hour on two cores; Ctrl-C keeps what was learned so far.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import torch

from data.making.stories import gazetteer
from data.making.stories.__main__ import stories
from minillm import corpora
from minillm.checkpoints import save
from minillm.config import ModelConfig
from minillm.corpora import Corpus
from minillm.data import compact
from minillm.model import Transformer
from minillm.recipes import learn
from minillm.tokenizers import BPETokenizer

FOLDER = Path(__file__).parents[2] / "models" / "storyteller"
TEXTS = ("stories", "gazetteer")
VOCABULARY = 2048


def reading(characters: int, rounds: int) -> Corpus:
    """So many characters of stories, beginning with those that ship, and the facts in `rounds` different orders."""
    told = Corpus(name="stories", title="Stories", documents=tuple(stories(characters)))
    facts = [document for seed in range(rounds) for document in gazetteer.documents(seed)]
    return corpora.mix([told, Corpus(name="gazetteer", title="Gazetteer", documents=tuple(facts))])


def main(minutes: float, characters: int, rounds: int, seed: int, batch: int, folder: Path, precision: str) -> None:
    """Train for so long, then save the weights rounded to 16 bits, with a log that says how."""
    tokenizer = BPETokenizer.train(corpora.mix([corpora.load(name) for name in TEXTS]).text, VOCABULARY)
    ids = compact(reading(characters, rounds).encode(tokenizer))
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, d_model=192, n_layers=6, n_heads=6, context_length=256
    )
    torch.manual_seed(seed)
    model = Transformer(config)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(ids):,} tokens", flush=True)
    log, done, began = [], 0, time.monotonic()
    try:
        for step in learn(model, ids, seconds=60 * minutes, batch_size=batch, momentum=0.95, weight_decay=0.0,
                          precision=precision, seed=seed):
            done += step.tokens
            if step.step % 100 == 0:
                log.append({"step": step.step, "tokens": done, "loss": round(step.loss, 4)})
                spent = (time.monotonic() - began) / 60
                print(f"{spent:5.1f} min  {step.loss:.3f} nats per token", flush=True)
    except KeyboardInterrupt:
        print("stopped; what was learned so far is saved", flush=True)
    card = {
        "texts": {name: hashlib.sha256(corpora.load(name).text.encode()).hexdigest() for name in TEXTS},
        "story_characters": characters,
        "gazetteer_rounds": rounds,
        "seed": seed,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "threads": torch.get_num_threads(),
        "tokens": len(ids),
        "tokens_read": done,
    }
    save(model.half(), tokenizer, folder, log=[*log, card])
    print(json.dumps(card, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--characters", type=int, default=30_000_000, help="of stories, drawn before the clock starts")
    parser.add_argument("--rounds", type=int, default=8, help="of the gazetteer, each in another order")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16, help="windows of the whole context per step")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--precision", default="auto")
    main(**vars(parser.parse_args()))
