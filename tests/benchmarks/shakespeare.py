"""Learn tiny Shakespeare against the clock, by the recipe that a user gets."""
from __future__ import annotations

import time

import torch

from minillm import corpora
from minillm.model import Transformer
from minillm.recipes import learn, small
from minillm.tokenizers import CharTokenizer
from minillm.training import evaluate
from tests.benchmarks.timing import Row


def shakespeare(seconds: float, seed: int, *, tuning: bool = False) -> list[Row]:
    """Nats per character on the whole last tenth, after so many seconds, building the model included.

    `tuning` holds the last tenth of the training part out instead: settings are chosen there, never on the
    validation part.
    """
    train_text, held_out = corpora.load("shakespeare").split()
    tokenizer = CharTokenizer.train(train_text)
    if tuning:
        cut = len(train_text) * 9 // 10
        train_text, held_out = train_text[:cut], train_text[cut:]
    ids, held_out = tokenizer.encode(train_text), tokenizer.encode(held_out)
    began = time.perf_counter()
    torch.manual_seed(seed)
    model = Transformer(small(tokenizer.vocab_size))
    tokens = sum(step.tokens for step in learn(model, ids, seed=seed, say=str,
                                               seconds=seconds - (time.perf_counter() - began)))
    took = time.perf_counter() - began
    n_parameters = sum(p.numel() for p in model.parameters())
    return [(f"tiny Shakespeare, {seconds:.0f} s, {n_parameters / 1e6:.2f} M parameters",
             f"minillm, seed {seed}", evaluate(model, held_out), "nats/char",
             f"{tokens / 1e6:.2f} M characters in {took:.0f} s")]
