"""Set up one small training run from what a reader chose: a text, an architecture, a learning rate."""
from __future__ import annotations

import collections
import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minillm import corpora
from minillm.checkpoints import load
from minillm.config import ModelConfig
from minillm.corpora import Corpus
from minillm.data import Batch, Endless, batches, compact
from minillm.model import Transformer, labels
from minillm.optim import adamw, warmup_cosine
from minillm.precision import has_bf16
from minillm.presets import PRESETS, scaled
from minillm.recipes import Recipe
from minillm.sampling import generate
from minillm.tokenizers import END_OF_TEXT, BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer
from minillm.training import Step, evaluate, train

BATCH, CONTEXT, WARMUP, FLOOR = 16, 64, 20, 0.1     # FLOOR: share of the learning rate at the end
SAMPLE = 80          # tokens that a model writes when it is asked how far it has come
AT_ONCE = 10         # of them in the time of one step
LARGE = 6e9          # operations of a step: more threads may gain, and bfloat16 does where there are units for it
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
TOKENIZERS = {  # name -> made from (all of the text, the part to learn from, special tokens)
    "characters": lambda corpus, part, special: CharTokenizer.train(corpus.documents, special=special),
    "bytes": lambda corpus, part, special: ByteTokenizer(special=special),
    **{f"BPE, {size:,} tokens": lambda corpus, part, special, size=size: BPETokenizer.train(
        part.documents, size, special=special) for size in (512, 1024, 2048)},
    "phrases, 6,144 tokens": lambda corpus, part, special: BPETokenizer.train(
        part.documents, 6144, special=special, words=3072)}
OPTIMIZERS = {
    "adamw": lambda model, lr: adamw(model, lr=lr),
    "muon": lambda model, lr: Recipe(lr=lr * Recipe.lr / Recipe.adam_lr, adam_lr=lr).optimizer(model)}
AMOUNTS = {"all": 1.0, "hundredth": 0.01, "one": 1.0}     # share of the text that is learned from


@dataclass(frozen=True)
class Change:
    """What a rival does otherwise: fields of its configuration, and how it is trained."""
    fields: tuple[tuple[str, Any], ...] = ()
    factor: float = 1.0       # of the learning rate
    seed: int = 0             # added to it
    optimizer: str = ""       # another one


CHANGES = {  # what a rival may do otherwise
    "another seed": Change(seed=1000),
    **{word: Change(((choice, value),)) for choice in ("norm", "position", "mlp")
       for value, word in labels(choice).items()},
    "one key head (MQA)": Change((("n_kv_heads", 1),)), "a gate on each head": Change((("attention_gate", True),)),
    "dropout of 0.1": Change((("dropout", 0.1),)),
    "learning rate × 10": Change(factor=10.0), "learning rate ÷ 10": Change(factor=0.1),
    "AdamW": Change(optimizer="adamw"), "Muon": Change(optimizer="muon"),
}


@dataclass(frozen=True)
class Material:
    """A text made ready: split first, then turned into ids."""
    corpus: Corpus
    tokenizer: Tokenizer
    ids: np.ndarray
    validation: Tensor
    kind: str = "characters"        # of tokenizer: a name in TOKENIZERS

    @property
    def first(self) -> int:
        """What stands before a text: its end-of-text sign, or a line break, or whatever it has."""
        tokenizer = self.tokenizer
        if tokenizer.end_of_text is not None:
            return tokenizer.end_of_text
        has_line = "\n" in getattr(tokenizer, "characters", "\n")
        return tokenizer.encode("\n")[0] if has_line else int(self.ids[0])

    @cached_property
    def bytes_per_token(self) -> float:
        """Of the held-out ids: so a loss in nats per token becomes bits per byte, which tokenizers share."""
        return len(self.tokenizer.decode(self.validation.tolist()).encode()) / len(self.validation)


def prepare(corpus: Corpus, kind: str = "characters") -> Material:
    """Split, then cut into tokens of this kind.  Refuses a text too short for a single window."""
    train_part, validation_part = corpus.hold_out()
    special = (END_OF_TEXT,) if len(corpus.documents) > 1 else ()
    tokenizer = TOKENIZERS[kind](corpus, train_part, special)
    return made_ready(corpus, tokenizer, kind)


def made_ready(corpus: Corpus, tokenizer: Tokenizer, kind: str) -> Material:
    """A text as ids of a tokenizer at hand."""
    ids, validation = (compact(part.encode(tokenizer)) for part in corpus.hold_out())
    if len(ids) <= CONTEXT or len(validation) < 2:
        raise ValueError(f"{corpus.name!r} has {corpus.characters} characters; this page learns from windows of "
                         f"{CONTEXT}, so it needs at least {2 * CONTEXT}: choose a longer text")
    return Material(corpus, tokenizer, ids, torch.as_tensor(validation[:HELD_OUT].astype("int64")), kind)


@lru_cache(maxsize=4)
def known(name: str, kind: str = "characters") -> Material:
    """A text by name, made ready once."""
    return prepare(corpora.load(name), kind)


@dataclass(frozen=True)
class Moment:
    """One step of a run, and, now and then, what the model is worth after it, and what it wrote a few steps ago."""
    step: Step
    validation: float | None = None
    sample: str | None = None
    written_at: int = 0              # steps that the model of `sample` had made


class OneBatch(Endless):
    """The first batch, again and again: what any model must be able to learn by heart."""

    def __init__(self, first: Batch, start: int = 0):
        self.first, self.step = first, start

    def __getitem__(self, step: int) -> Batch:
        return self.first


class Run:
    """A model while it learns: `steps()` moves it on; everything else may be looked at in between.

    lr         AdamW's; Muon's hidden matrices go by as much more as in the library's recipe
    amount     of the text that is learned from: a name in AMOUNTS
    floor      the share of the learning rate that the schedule ends at
    writes     a sample now and then
    model      one that has learned already (None: a fresh one of this configuration)
    """

    def __init__(self, material: Material, config: ModelConfig, *, lr: float = 3e-3, n_steps: int = 500, seed: int = 0,
                 optimizer: str = "adamw", amount: str = "all", writes: bool = True, batch_size: int = BATCH,
                 floor: float = FLOOR, model: Transformer | None = None):
        self.material, self.lr, self.n_steps, self.seed, self.writes = material, lr, n_steps, seed, writes
        self.rule, self.amount, self.batch_size, self.floor = optimizer, amount, batch_size, floor
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.model = model or Transformer(config)
        self.optimizer = OPTIMIZERS[optimizer](self.model, lr)
        self.schedule = warmup_cosine(n_steps, warmup=WARMUP, floor=floor)
        share = round(len(material.ids) * AMOUNTS[amount])
        self.stream: Endless = batches(material.ids[:max(share, CONTEXT + 1)], batch_size=batch_size,
                                       context_length=CONTEXT, seed=seed)
        if amount == "one":
            self.stream = OneBatch(self.stream[0])
        self.large = 6 * self.n_parameters * batch_size * CONTEXT > LARGE
        self.precision = "bf16" if self.large and has_bf16(torch.device("cpu")) else "fp32"
        self.done, self.every = 0, max(50, n_steps // 20)         # looks at held-out text; 0: never
        self._pen: tuple[int, Iterator[str], str] | None = None    # what is being written, a few tokens a step

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def steps(self) -> Iterator[Moment]:
        """Go on from where the run stands, to its end."""
        self.stream.step = self.done
        for step in train(self.model, self.stream, optimizer=self.optimizer, schedule=self.schedule, start=self.done,
                          n_steps=self.n_steps, precision=self.precision, seed=self.seed):
            self.done = step.step + 1
            looks = self.every and (self.done in (10, 20, self.n_steps) or self.done % self.every == 0)
            held_out = evaluate(self.model, self.material.validation, context_length=CONTEXT) if looks else None
            yield Moment(step, held_out, *self._written(bool(looks) and self.done + SAMPLE // AT_ONCE <= self.n_steps
                                                        or self.done + SAMPLE // AT_ONCE == self.n_steps))

    def _written(self, begin: bool) -> tuple[str | None, int]:
        """The sample that was begun some steps ago, when it is complete: so no step takes much longer than others."""
        if begin and self.writes and self._pen is None:
            self._pen = self.done, self.writing(n_tokens=SAMPLE, temperature=0.8), ""
        if self._pen is None:
            return None, 0
        began, pen, text = self._pen
        for _ in range(AT_ONCE):
            more = next(pen, None)
            if more is None:
                self._pen = None
                return text, began
            text = more
        self._pen = began, pen, text
        return None, 0

    def write(self, prompt: str = "", *, n_tokens: int = SAMPLE, temperature: float = 0.8, top_k: int | None = None,
              seed: int = 0) -> str:
        """What the model goes on with after a prompt (an empty one: as a text begins)."""
        options = {"n_tokens": n_tokens, "temperature": temperature, "top_k": top_k, "seed": seed}
        return collections.deque(self.writing(prompt, **options), maxlen=1).pop()

    def writing(self, prompt: str = "", **options: Any) -> Iterator[str]:
        """The same while it is being written, by the model as it is now: "" first, then the text so far after each
        token."""
        return writing(self.near(), self.material, prompt, **options)

    def near(self) -> Transformer:
        """A copy of the model that looks no further back than the windows it learned from on this page: what lies
        beyond them it never met, and longer texts would fall apart."""
        config = self.model.config
        if (self.material.kind not in TOKENIZERS or config.window or config.position != "rope"
                or config.attention != "heads" or config.linear_attention):
            return copy.deepcopy(self.model)
        with torch.random.fork_rng([]):
            model = Transformer(replace(config, window=CONTEXT))
        model.load_state_dict(self.model.state_dict())
        return model

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """The batch that the next step will learn from."""
        return self.stream[self.done]

    def after_one_step(self, number: int | None = None) -> Transformer:
        """A copy of the model that has made one step: the next one, or one on the batch of that number.  This run
        stays where it is."""
        model, optimizer = copy.deepcopy((self.model, self.optimizer))
        batch = self.next_batch() if number is None else self.stream[number]
        next(train(model, [batch], optimizer=optimizer, schedule=self.schedule, start=min(self.done, self.n_steps - 1),
                   precision=self.precision, seed=self.seed))
        return model


@lru_cache(maxsize=1)
def shipped() -> Run:
    """The storyteller, as if its training went on: batches of four windows, which a page can wait for."""
    model, tokenizer = load("storyteller")
    material = made_ready(corpora.load("stories"), tokenizer, "the storyteller's")
    run = Run(material, model.config, model=model.train(), lr=3e-4, n_steps=10_000, batch_size=4, writes=False)
    run.done = 1000
    return run


def writing(model: Transformer, material: Material, prompt: str = "", **options: Any) -> Iterator[str]:
    """A text while it is being written: "" first, then the text so far after each token."""
    tokenizer, written = material.tokenizer, []
    ids = tokenizer.encode(prompt) if prompt else [material.first]
    yield ""
    for token in generate(model, ids, stop=tokenizer.end_of_text, **options):
        written.append(token)
        yield tokenizer.decode(written)


def offered(choice: str) -> dict[str, str]:
    """The values of a choice by what they are called, for a list on a page."""
    return {word: value for value, word in labels(choice).items()}


def configure(architecture: str, size: str, vocab_size: int, **chosen: str | float) -> ModelConfig:
    """An architecture at a laptop's size with some fields chosen anew; "" or 0 leaves a field as it is."""
    config = scaled(ARCHITECTURES[architecture], size, vocab_size=vocab_size)
    changes: dict[str, Any] = {name: value for name, value in chosen.items() if value and name != "attention"}
    if chosen.get("attention"):
        changes |= ATTENTION[chosen["attention"]][1]
    return replace(config, **changes)


def rival_of(config: ModelConfig, name: str, optimizer: str = "adamw") -> tuple[ModelConfig, Change]:
    """The same run but for one change (a name in CHANGES).  Raises ValueError where it already is so."""
    change = CHANGES[name]
    rival = replace(config, **dict(change.fields))
    if rival == config and replace(change, fields=(), optimizer=change.optimizer.replace(optimizer, "")) == Change():
        raise ValueError(f"this model has {name} already, so there is nothing to race against; choose another rival")
    return rival, change
