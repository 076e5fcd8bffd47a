"""Train the small model that ships: `python -m data.making.models.train_storyteller` from the root of the project.

Two stages.  *Stories*: it reads as many English stories as it can in the time, those that ship and more from the same
generator, and the gazetteer.  *More* (`--further FOLDER` goes on from what the first stage left there) adds what the
stories do not teach: the people's facts in many wordings, echoes, and lists of any ids of the vocabulary, said again
and again, from which copying in context is born.  Never a question, and never a story of `stories-fresh`.  So it
tells stories, completes facts and copies, but does not answer: that is left for fine-tuning.  Ctrl-C keeps what was
learned so far.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from data.making.models.rows import FEWEST, Lists, Mixture
from data.making.stories import echoes, gazetteer, people
from data.making.stories.__main__ import stories
from minillm import corpora
from minillm.checkpoints import load, save
from minillm.config import ModelConfig
from minillm.corpora import Corpus
from minillm.data import compact
from minillm.model import Transformer
from minillm.optim import muon, warmup_stable_decay
from minillm.recipes import learn
from minillm.tokenizers import BPETokenizer
from minillm.training import IGNORED, Step, train

FOLDER = Path(__file__).parents[2] / "models" / "storyteller"
TEXTS = ("stories", "gazetteer", "people", "echoes")
VOCABULARY = 2048
# the second stage: rows of a batch that come from each source, and their length
ROWS = {"lists": 8, "stories": 15, "people": 4, "echoes": 3, "gazetteer": 2}
LENGTH = 128
FURTHER = 100_000  # the first story (seed) of the second stage: the first stage does not come so far


def told(name: str, documents: Iterator[str]) -> Corpus:
    """A corpus of generated documents."""
    return Corpus(name=name, title=name.title(), documents=tuple(documents))


def facts(rounds: int) -> Corpus:
    """The gazetteer in `rounds` different orders."""
    return told("gazetteer", (document for seed in range(rounds) for document in gazetteer.documents(seed)))


def first(model: Transformer, tokenizer: BPETokenizer, *, minutes: float, characters: int, rounds: int, seed: int,
          precision: str, lr: float) -> Iterator[Step]:
    """Read stories and the gazetteer, by the library's recipe."""
    texts = corpora.mix([told("stories", stories(characters)), facts(rounds)])
    ids = compact(texts.encode(tokenizer))
    print(f"{len(ids):,} tokens", flush=True)
    yield from learn(model, ids, seconds=60 * minutes, batch_size=16, lr=lr, momentum=0.95, weight_decay=0.0,
                     precision=precision, seed=seed)


def further(model: Transformer, tokenizer: BPETokenizer, *, minutes: float, characters: int, rounds: int, seed: int,
            precision: str, lr: float, n_lists: int, words: int) -> Iterator[Step]:
    """Go on with a mixture of rows: stories, people, echoes, facts, lists."""
    texts = {"stories": told("stories", stories(characters, FURTHER + 50_000 * seed)),
             "people": told("people", people.documents(seed, 8)),
             "echoes": told("echoes", echoes.documents(characters // 4, 1000 * seed)), "gazetteer": facts(rounds)}
    ids = {name: compact(text.encode(tokenizer)) for name, text in texts.items()}
    print({name: len(tokens) for name, tokens in ids.items()}, flush=True)
    rows = ROWS | {"lists": n_lists, "stories": ROWS["stories"] + ROWS["lists"] - n_lists}
    lists = Lists(VOCABULARY, rows=n_lists, length=LENGTH, seed=seed, words=words)
    batches = Mixture(lists, ids, {name: rows[name] for name in ids}, length=LENGTH, seed=seed)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        each = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED,
                               reduction="none").unflatten(0, targets.shape)
        if len(targets) == batches.rows:
            copied = targets[:lists.rows] != IGNORED
            lists.hear(each[:lists.rows].sum().item() / copied.sum().item())
        return each.sum() / (targets != IGNORED).sum()

    shape, began = warmup_stable_decay(1000, warmup=10, decay=0.6), time.perf_counter()

    def progress() -> float:
        return min(1.0, (time.perf_counter() - began) / 60 / minutes)

    optimizer = muon(model, lr=lr, adam_lr=0.1 * lr, momentum=0.95)
    for step in train(model, batches, optimizer=optimizer, loss=loss, precision=precision, seed=seed,
                      schedule=lambda step: min(1.0, (step + 1) / 20) * shape(10 + round(990 * progress()))):
        if step.step % 20 == 0:
            print(f"lists of {lists.words} ids: {lists.loss:.3f}", flush=True)
        yield step
        if progress() >= 1:
            return


def main(minutes: float, characters: int, rounds: int, seed: int, folder: Path, precision: str, start: Path | None,
         lr: float, compiled: bool, n_lists: int, words: int, blend: tuple[Path, str] | None) -> None:
    """Train for so long, then save the weights rounded to 16 bits, with a log that says how."""
    torch.manual_seed(seed)
    if start:
        model, tokenizer = load(start)
        model.float().requires_grad_(True)
        if blend:
            other, share = load(blend[0])[0].float().state_dict(), float(blend[1])
            model.load_state_dict({name: own.lerp(other[name], share) for name, own in model.state_dict().items()})
    else:
        learned = corpora.mix([corpora.load(name) for name in ("stories", "gazetteer")])
        tokenizer = BPETokenizer.train(learned.text, VOCABULARY)
        model = Transformer(ModelConfig(
            vocab_size=tokenizer.vocab_size, d_model=192, n_layers=6, n_heads=6, context_length=256))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    before = [*map(json.loads, (start / "log.jsonl").read_text().splitlines())] if start else []
    log, done, began = [], 0, time.monotonic()
    run = partial(further, n_lists=n_lists, words=words) if start else first
    fast = torch.compile(model) if compiled else model
    try:
        for step in run(fast, tokenizer, minutes=minutes, characters=characters, rounds=rounds, seed=seed,
                        precision=precision, lr=lr):
            began = began if done else time.monotonic() - step.seconds  # the texts are drawn before
            done += step.tokens
            if step.step % 100 == 0:
                log.append({"step": step.step, "tokens": done, "loss": round(step.loss, 4)})
                spent = (time.monotonic() - began) / 60
                print(f"{spent:5.1f} min  step {step.step}  {step.loss:.3f} nats per token", flush=True)
                torch.save(model.state_dict(), folder.with_suffix(".part"))
    except KeyboardInterrupt:
        print("stopped; what was learned so far is saved", flush=True)
    card = {
        "texts": {name: hashlib.sha256(corpora.load(name).text.encode()).hexdigest() for name in TEXTS},
        "story_characters": characters,
        "gazetteer_rounds": rounds,
        "seed": seed,
        "lr": lr,
        **({"list_rows": n_lists, "words": words, "blended": float(blend[1]) if blend else 0.0} if start else {}),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "threads": torch.get_num_threads(),
        "tokens_read": done}
    save(model.half(), tokenizer, folder, log=[*before, *log, card])
    print(json.dumps(card, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--characters", type=int, default=30_000_000, help="of stories, drawn before the clock starts")
    parser.add_argument("--rounds", type=int, default=8, help="of the gazetteer, each in another order")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--further", dest="start", type=Path, help="the second stage, from the model in this folder")
    parser.add_argument("--lr", type=float, default=0.02, help="Muon's; in the second stage Adam's is a tenth of it")
    parser.add_argument("--lists", dest="n_lists", type=int, default=ROWS["lists"],
                        help="rows of each batch in the second stage; the others are stories")
    parser.add_argument("--words", type=int, default=FEWEST, help="different ids that the lists begin with")
    parser.add_argument("--blend", nargs=2, metavar=("FOLDER", "SHARE"),
                        help="begin the second stage between its model and another, so much nearer to the other")
    parser.add_argument("--compiled", action="store_true", help="twice as fast, where there is a C++ compiler")
    main(**vars(parser.parse_args()))
