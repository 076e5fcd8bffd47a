"""Set up one small training run from what a reader chose: a text, an architecture, a learning rate."""
from __future__ import annotations

import collections
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minillm import corpora
from minillm.config import ModelConfig
from minillm.corpora import Corpus
from minillm.data import batches, compact
from minillm.model import Transformer, labels
from minillm.optim import adamw, warmup_cosine
from minillm.presets import PRESETS, scaled
from minillm.sampling import generate
from minillm.tokenizers import END_OF_TEXT, CharTokenizer
from minillm.training import Step, evaluate, train

BATCH, CONTEXT, WARMUP = 16, 64, 20
SAMPLE = 80          # characters that a model writes when it is asked how far it has come
HELD_OUT = 2048      # ids of the validation part that are looked at while it trains
OWN = "minillm's own"

PUBLISHED = ("gpt2", "llama-7b", "llama-3-8b", "mistral-7b", "qwen3-0.6b", "gemma-2-2b", "olmo-2-1b", "pythia-70m",
             "bloom-560m")

ARCHITECTURES = {OWN: ModelConfig(qk_norm="head"), **{name: PRESETS[name] for name in PUBLISHED}}
ATTENTION = {  # what four query heads read: its words, and the fields that say so
    "mha": ("MHA: 4 key heads", {"n_kv_heads": None}), "gqa": ("GQA: 2 key heads", {"n_kv_heads": 2}),
    "mqa": ("MQA: 1 key head", {"n_kv_heads": 1}),
    **{kind: (words, {"attention": kind, "n_kv_heads": None, "qk_norm": None, "rope_fraction": 1.0})
       for kind, words in labels("attention").items() if kind != "heads"}}
CHANGES = {  # what a rival may do otherwise
    **{word: {choice: value} for choice in ("norm", "position", "mlp") for value, word in labels(choice).items()},
    "one key head (MQA)": {"n_kv_heads": 1},
    "learning rate × 10": {"factor": 10.0}, "learning rate ÷ 10": {"factor": 0.1},
}


@dataclass(frozen=True)
class Material:
    """A text made ready: split first, then turned into ids."""
    corpus: Corpus
    tokenizer: CharTokenizer
    ids: np.ndarray
    validation: Tensor


def prepare(corpus: Corpus) -> Material:
    """Split, then give each character a number.  Refuses a text too short for a single window."""
    train_part, validation_part = corpus.hold_out()
    special = (END_OF_TEXT,) if len(corpus.documents) > 1 else ()
    tokenizer = CharTokenizer.train(corpus.documents, special=special)
    ids, validation = (compact(part.encode(tokenizer)) for part in (train_part, validation_part))
    if len(ids) <= CONTEXT or len(validation) < 2:
        raise ValueError(f"{corpus.name!r} has {corpus.characters} characters; this page learns from windows of "
                         f"{CONTEXT}, so it needs at least {2 * CONTEXT}: choose a longer text")
    return Material(corpus, tokenizer, ids, torch.as_tensor(validation[:HELD_OUT].astype("int64")))


@lru_cache(maxsize=4)
def known(name: str) -> Material:
    """A text by name, made ready once."""
    return prepare(corpora.load(name))


@dataclass(frozen=True)
class Moment:
    """One step of a run, and, now and then, what the model is worth and what it writes after it."""
    step: Step
    validation: float | None = None
    sample: str | None = None


class Run:
    """A model while it learns: `steps()` moves it on; everything else may be looked at in between."""

    def __init__(self, material: Material, config: ModelConfig, *, lr: float = 3e-3, n_steps: int = 500, seed: int = 0,
                 writes: bool = True):
        self.material, self.lr, self.n_steps, self.seed, self.writes = material, lr, n_steps, seed, writes
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.model = Transformer(config)
        self.optimizer = adamw(self.model, lr=lr)
        self.schedule = warmup_cosine(n_steps, warmup=WARMUP, floor=0.1)
        self.stream = batches(material.ids, batch_size=BATCH, context_length=CONTEXT, seed=seed)
        self.done = 0

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def steps(self) -> Iterator[Moment]:
        for step in train(self.model, self.stream, optimizer=self.optimizer, schedule=self.schedule,
                          n_steps=self.n_steps, precision="fp32", seed=self.seed):
            self.done = step.step + 1
            if self.done in (10, 20) or self.done % 50 == 0:
                held_out = evaluate(self.model, self.material.validation, context_length=CONTEXT)
                yield Moment(step, held_out, self.write() if self.writes else None)
            else:
                yield Moment(step)

    def write(self, prompt: str = "", *, n_tokens: int = SAMPLE, temperature: float = 0.8, top_k: int | None = None,
              seed: int = 0) -> str:
        """What the model goes on with after a prompt (an empty one: after a line break, if the text has any)."""
        options = {"n_tokens": n_tokens, "temperature": temperature, "top_k": top_k, "seed": seed}
        return collections.deque(self.writing(prompt, **options), maxlen=1).pop()

    def writing(self, prompt: str = "", **options: Any) -> Iterator[str]:
        """The same while it is being written: "" first, then the text so far after each token."""
        tokenizer, written = self.material.tokenizer, []
        ids = tokenizer.encode(prompt or ("\n" if "\n" in tokenizer.characters else tokenizer.characters[0]))
        yield ""
        was_training = self.model.training
        tokens = generate(self.model.eval(), ids, stop=tokenizer.end_of_text, **options)
        try:
            for token in tokens:
                written.append(token)
                self.model.train(was_training)        # between two tokens the model may be trained on
                yield tokenizer.decode(written)
                self.model.eval()
        finally:
            self.model.train(was_training)

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """The batch that the next step will learn from."""
        return self.stream[self.done]

    def after_one_step(self) -> Transformer:
        """A copy of the model that has made the next step; this run stays where it is."""
        model, optimizer = copy.deepcopy((self.model, self.optimizer))
        next(train(model, [self.next_batch()], optimizer=optimizer, schedule=self.schedule, start=self.done,
                   precision="fp32", seed=self.seed))
        return model


def offered(choice: str) -> dict[str, str]:
    """The values of a choice by what they are called, for a list on a page."""
    return {word: value for value, word in labels(choice).items()}


def configure(architecture: str, size: str, vocab_size: int, **chosen: str) -> ModelConfig:
    """An architecture at a laptop's size with some fields chosen anew; "" leaves a field as it is."""
    config = scaled(ARCHITECTURES[architecture], size, vocab_size=vocab_size)
    changes: dict[str, Any] = {name: value for name, value in chosen.items() if value and name != "attention"}
    if chosen.get("attention"):
        changes |= ATTENTION[chosen["attention"]][1]
    return replace(config, **changes)


def rival_of(config: ModelConfig, lr: float, change: str) -> tuple[ModelConfig, float]:
    """The same run but for one change.  Raises ValueError where it already is so."""
    fields = dict(CHANGES[change])
    factor = fields.pop("factor", 1.0)
    rival = replace(config, **fields)
    if rival == config and factor == 1.0:
        raise ValueError(f"this model has {change} already, so there is nothing to race against; choose another rival")
    return rival, lr * factor


def uploaded(value: Any) -> list[tuple[str, bytes]]:
    """The (name, bytes) pairs of a FileUpload's value: a tuple of dicts in ipywidgets 8, a dict of dicts in 7."""
    if isinstance(value, Mapping):
        return [(name, bytes(file["content"])) for name, file in value.items()]
    return [(file["name"], bytes(file["content"])) for file in value]
