"""Fine-tune the small model that ships as a reader asks for it, and measure what it learned and what it forgot."""
from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from minillm import corpora
from minillm.answering import exact_match, shares
from minillm.checkpoints import load
from minillm.conversation import Mixed, PromptBatches, Template
from minillm.data import Batches, Endless
from minillm.inspection import token_losses
from minillm.lora import MATRICES, add_lora
from minillm.model import Transformer
from minillm.optim import adamw, warmup_cosine
from minillm.sampling import generate
from minillm.training import Step, evaluate, train

QUESTION = "What is the capital of France?"
COUNTRIES = ("capital", "continent")
FRESH = 3073         # ids of stories that the model never read, on which forgetting is measured: 12 windows and one id
WRITTEN = 24         # tokens after which an answer that has not stopped is cut off
TARGETS = {"all seven": MATRICES, "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
           "q and v": ("q_proj", "v_proj"), "MLP": ("gate_proj", "up_proj", "down_proj")}


@dataclass(frozen=True)
class Material:
    """The model as it ships, its tokenizer, and the texts as ids."""
    model: Transformer
    tokenizer: Any
    stories: Tensor
    fresh: Tensor


@cache
def material() -> Material:
    """Loaded once; `fresh_model` gives a copy to change."""
    model, tokenizer = load("storyteller")
    fresh = [tokenizer.end_of_text, *corpora.load("stories-fresh").encode(tokenizer)[:FRESH - 1]]
    stories = torch.as_tensor(corpora.load("stories").encode(tokenizer))
    return Material(model, tokenizer, stories, torch.as_tensor(fresh))


@cache
def asked(part: str) -> tuple[dict, ...]:
    """The rows of questions/fine_tuning.jsonl or held_out.jsonl: prompt, answer, kind, subject, new_phrasing."""
    lines = (corpora.data_folder() / "questions" / f"{part}.jsonl").read_text("utf-8").splitlines()
    return tuple(map(json.loads, lines))


def listed(rows: Sequence[dict]) -> list[tuple[str, str]]:
    """(question, answer) of each row."""
    return [(row["prompt"], row["answer"]) for row in rows]


@dataclass(frozen=True)
class Setting:
    """One way to fine-tune.  rank 0 trains the whole model instead of a correction."""
    rank: int = 16
    alpha: float = 32.0
    rule: str = "alpha/r"
    targets: str = "all seven"
    lr: float = 3e-3
    stories: float = 0.25       # share of the steps that are stories
    n_steps: int = 240          # of the schedule; a run may stop before
    batch_size: int = 16
    mask: bool = True           # learn from the answer alone
    end: bool = True            # write the end of text behind each answer
    countries: bool = False     # questions about countries alone
    own: tuple[tuple[str, str], ...] = ()    # (question, answer) to learn in place of the shipped ones
    seed: int = 0


def stream(setting: Setting) -> Endless:
    """The batches of a setting: questions, and now and then stories."""
    questions = copy.copy(_questions(setting.own, setting.countries, setting.batch_size, setting.seed))
    if not setting.end:
        questions.ids = [ids[:-1] for ids in questions.ids]
    if not setting.mask:
        questions.n_asked = [1] * len(questions.ids)
    text = Batches(material().stories, batch_size=8, context_length=64, seed=setting.seed)
    return Mixed(questions, text, share=setting.stories, seed=setting.seed)


@lru_cache(maxsize=8)
def _questions(own: tuple[tuple[str, str], ...], countries: bool, batch_size: int, seed: int) -> PromptBatches:
    """The questions of fine-tuning as ids, made once: that takes longer than a step."""
    ours, rows = material(), asked("fine_tuning")
    chosen = [row for row in rows if row["kind"] in COUNTRIES] if countries else rows
    return PromptBatches(own or listed(chosen), ours.tokenizer, batch_size=batch_size,
                         context_length=ours.model.config.context_length, seed=seed)


def prepared(setting: Setting) -> Transformer:
    """A copy of the shipped model with fresh corrections, or with all weights free."""
    model = copy.deepcopy(material().model)
    if not setting.rank:
        return model
    return add_lora(model, rank=setting.rank, alpha=setting.alpha, rule=setting.rule,
                    targets=TARGETS[setting.targets], seed=setting.seed)


def tuning(model: nn.Module, setting: Setting) -> Iterator[Step]:
    """Train the model as the setting says, one step per item."""
    return train(model, stream(setting), optimizer=adamw(model, lr=setting.lr, weight_decay=0.0),
                 n_steps=setting.n_steps, schedule=warmup_cosine(setting.n_steps, warmup=10), precision="fp32",
                 seed=setting.seed)


def held_out(model: nn.Module, rows: Sequence[dict] | None = None) -> dict[str, float]:
    """Share of held-out questions that are answered rightly to the last token: all, countries, people, in wordings
    that fine-tuning never showed, and each kind of fact."""
    rows = asked("held_out") if rows is None else rows
    found = exact_match(model, material().tokenizer, listed(rows))
    groups = shares([row["kind"] for row in rows], found)
    whole = {"all": ["all"] * len(rows), "of": ["countries" if row["kind"] in COUNTRIES else "people" for row in rows],
             "wording": ["new wordings" if row["new_phrasing"] else "known wordings" for row in rows]}
    totals = {name: share for names in whole.values() for name, share in shares(names, found).items()}
    return {**totals, **dict(sorted(groups.items(), key=lambda each: -each[1]))}


def sample(n: int, *, countries: bool = True) -> tuple[dict, ...]:
    """Every so manyeth held-out question, so that a look costs little."""
    rows = [row for row in asked("held_out") if not countries or row["kind"] in COUNTRIES]
    return tuple(rows[:: max(1, len(rows) // n)][:n])


@lru_cache
def _before() -> float:
    return evaluate(material().model, material().fresh)


def forgotten(model: nn.Module) -> float:
    """How much dearer stories became that the model never read: nats per token, above those before fine-tuning."""
    return evaluate(model, material().fresh) - _before()


def rises(model: nn.Module, *, start: int = 0, count: int = 120) -> tuple[list[int], list[float]]:
    """Tokens of an unread story, and how many nats each became dearer."""
    ids = material().fresh[start:start + count + 1]
    with torch.no_grad():
        now, before = (token_losses(each, ids[None])[0] for each in (model, material().model))
    return ids[1:].tolist(), (now - before).tolist()


def answer(model: nn.Module, question: str, *, n_tokens: int = WRITTEN, template: Template | None = None
           ) -> tuple[str, bool]:
    """What the model answers, always taking the likeliest token, and whether it stopped by itself."""
    tokenizer = material().tokenizer
    ids = (template or Template()).ask(question, tokenizer)
    written = list(generate(model, ids, n_tokens=n_tokens, temperature=0, stop=tokenizer.end_of_text))
    return tokenizer.decode(written).strip(), len(written) < n_tokens
