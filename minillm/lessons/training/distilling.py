"""Let a small model learn from a large one's probabilities: at equal steps, at equal time, and the wrong way round."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minillm import corpora
from minillm.checkpoints import load
from minillm.config import ModelConfig
from minillm.data import batches
from minillm.lessons.training.points import short
from minillm.model import Transformer
from minillm.optim import muon, warmup_cosine
from minillm.presets import scaled
from minillm.training import evaluate, next_token_loss, train

PUPIL = ModelConfig(qk_norm="head", mlp="relu2")
SEEDS, N_STEPS, LONG, EVERY, ROWS, CONTEXT = (0, 1), 210, 630, 30, 8, 128
FRESH = 4097          # tokens of stories that neither model has read


@dataclass(frozen=True)
class Class:
    """A teacher at rest, its tokenizer, what its student reads, and what both are asked."""
    teacher: Transformer
    tokenizer: Any
    stories: Tensor
    fresh: Tensor
    characters: float     # of fresh text per token


@cache
def schoolroom() -> Class:
    """The storyteller and the stories, loaded once."""
    teacher, tokenizer = load("storyteller")
    stories = torch.as_tensor(corpora.load("stories").encode(tokenizer))
    fresh = torch.as_tensor([tokenizer.end_of_text, *corpora.load("stories-fresh").encode(tokenizer)[:FRESH - 1]])
    return Class(teacher.eval(), tokenizer, stories, fresh, len(tokenizer.decode(fresh[1:].tolist())) / (FRESH - 1))


def student(seed: int = 0) -> Transformer:
    """A nano model with the storyteller's vocabulary, normalised queries and keys, and ReLU²."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return Transformer(scaled(PUPIL, "nano", vocab_size=schoolroom().tokenizer.vocab_size))


def towards(logits: Tensor, wanted: Tensor) -> Tensor:
    """KL of the student from the teacher, a token's mean: dear wherever the teacher sees something it does not."""
    return F.kl_div(logits.log_softmax(-1).flatten(0, 1), wanted.log_softmax(-1).flatten(0, 1), reduction="batchmean",
                    log_target=True)


def backwards(logits: Tensor, wanted: Tensor) -> Tensor:
    """The same the wrong way round: the student may drop whatever it likes, and must only add nothing."""
    return towards(wanted, logits)


LESSONS: dict[str, Callable[[Tensor, Tensor], Tensor] | None] = {
    "next tokens alone": None, "the teacher's probabilities": towards, "KL the wrong way round": backwards}


@dataclass(frozen=True)
class Progress:
    """What the student is worth: nats per character on fresh stories, how unsure it is, CPU seconds spent learning."""
    step: int
    nats: float
    entropy: float
    seconds: float


def lesson(way: str, seed: int = 0, n_steps: int = N_STEPS, every: int = EVERY) -> Iterator[Progress | None]:
    """One student in training, a result per step; judged before the first and then every so many steps."""
    room, model, compare, given = schoolroom(), student(seed), LESSONS[way], {}

    def reading() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in batches(room.stories, batch_size=ROWS, context_length=CONTEXT, seed=seed):
            given["inputs"] = batch[0]
            yield batch

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        if compare is None:
            return next_token_loss(logits, targets)
        with torch.no_grad():
            wanted = room.teacher(given["inputs"])
        return compare(logits, wanted)

    optimizer = muon(model, lr=0.02, adam_lr=3e-3)
    steps = train(model, reading(), optimizer=optimizer, loss=loss, schedule=warmup_cosine(n_steps, warmup=10),
                  n_steps=n_steps, precision="fp32")
    yield judged(model, 0, 0.0)
    spent = 0.0
    for done in range(1, n_steps + 1):
        began = time.thread_time()
        next(steps)
        spent += time.thread_time() - began
        yield judged(model, done, spent) if done % every == 0 else None


@torch.no_grad()
def judged(model: nn.Module, step: int, seconds: float) -> Progress:
    """A look at the student on text that neither has read."""
    room = schoolroom()
    log_p = model(room.fresh[None, :1024].unflatten(1, (-1, CONTEXT))[0]).log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1).mean()
    nats = evaluate(model, room.fresh, context_length=CONTEXT) / room.characters
    return Progress(step, nats, float(entropy), seconds)


def measured() -> dict[str, dict]:
    """Way -> nats, entropy and CPU seconds, a row per seed, every 30 steps; and next tokens alone at equal time."""
    found: dict[str, dict] = {}
    plans = [(way, N_STEPS) for way in LESSONS] + [("next tokens alone", LONG)]
    for way, n_steps in plans:
        every = EVERY if n_steps == N_STEPS else 3 * EVERY
        runs = [[each for each in lesson(way, seed, n_steps, every) if each] for seed in SEEDS]
        name = way if n_steps == N_STEPS else f"{way}, {LONG} steps"
        found[name] = {"steps": [each.step for each in runs[0]],
                       **{key: [short(getattr(each, key) for each in run) for run in runs]
                          for key in ("nats", "entropy", "seconds")}}
        print(name, {key: [row[-1] for row in found[name][key]] for key in ("nats", "entropy", "seconds")}, flush=True)
    with torch.no_grad():
        found["teacher"] = {"nats": round(judged(schoolroom().teacher, 0, 0.0).nats, 3),
                            "entropy": round(judged(schoolroom().teacher, 0, 0.0).entropy, 3)}
    return found
