"""Ask a model what it was told: fine-tune it with LoRA on questions, then ask about others.

The setting is that of notebook 08: rank 16 on all seven matrices, 240 steps of 16 questions, a quarter of them steps
on stories instead, so that it does not forget these.  An answer is right when every token of it and the end of the
text are the likeliest, given the right tokens before (by teacher forcing: one reading per question).
"""
from __future__ import annotations

import copy
import json
import re

from torch import nn

from data.making.stories import people
from data.making.stories.world import PEOPLE
from minillm import corpora
from minillm.answering import exact_match, likeliest, shares
from minillm.conversation import Mixed, PromptBatches
from minillm.data import Batches
from minillm.lora import MATRICES, add_lora
from minillm.optim import adamw, warmup_cosine
from minillm.training import train

STEPS, QUESTIONS, RATE, STORIES = 240, 16, 3e-3, 0.25


def questions(part: str) -> list[dict]:
    """The rows of questions/fine_tuning.jsonl or held_out.jsonl."""
    lines = (corpora.data_folder() / "questions" / f"{part}.jsonl").read_text("utf-8").splitlines()
    return [*map(json.loads, lines)]


def tune(model: nn.Module, tokenizer, *, steps: int = STEPS, seed: int = 0, precision: str = "auto") -> nn.Module:
    """A copy of the model that has learned how to answer: LoRA, as in notebook 08."""
    tuned = add_lora(copy.deepcopy(model).float(), rank=16, alpha=32.0, targets=MATRICES, seed=seed)
    pairs = [(row["prompt"], row["answer"]) for row in questions("fine_tuning")]
    batches = Mixed(
        PromptBatches(pairs, tokenizer, batch_size=QUESTIONS, context_length=model.config.context_length, seed=seed),
        Batches(corpora.load("stories").encode(tokenizer), batch_size=8, context_length=64, seed=seed), share=STORIES,
        seed=seed)
    for _ in train(tuned, batches, optimizer=adamw(tuned, lr=RATE, weight_decay=0.0), n_steps=steps, seed=seed,
                   schedule=warmup_cosine(steps, warmup=10), precision=precision, say=str):
        pass
    return tuned.eval()


def right(model: nn.Module, tokenizer, rows: list[dict]) -> list[bool]:
    """Which questions are answered rightly, to the last token and the end of the text."""
    return exact_match(model, tokenizer, [(row["prompt"], row["answer"]) for row in rows])


def completed(model: nn.Module, tokenizer) -> dict[str, float]:
    """Share of the people of whom it completes a statement rightly, by kind of fact, without any fine-tuning: the
    first pattern of each kind in patterns/people.txt that ends with the fact, read from nothing.  Whether the sentence
    stops there is left open."""
    found = {}
    for kind, patterns in people.ways().items():
        pattern = next(one for one in patterns if re.search(r"\{\w+\}\.$", one) and one.count("{") == 2)
        told = [people.say(pattern, one) for one in PEOPLE if kind in people.facts(one)]
        begun = [people.say(re.sub(r" \{\w+\}\.$", "", pattern), one) for one in PEOPLE if kind in people.facts(one)]
        pairs = [([tokenizer.end_of_text, *tokenizer.encode(start)], tokenizer.encode(whole[len(start):].rstrip(".")))
                 for start, whole in zip(begun, told, strict=True)]
        good = likeliest(model, pairs)
        found[kind] = round(sum(good) / len(good), 3)
    return found


def by_kind(rows: list[dict], found: list[bool]) -> dict[str, float]:
    """Share of right answers: of each kind of question, of all about people, of new wordings, of all."""
    whole = ["people" if row["kind"] not in ("capital", "continent") else "countries" for row in rows]
    new = [good for row, good in zip(rows, found, strict=True) if row["new_phrasing"]]
    found_by = {**shares([row["kind"] for row in rows], found), **shares(whole, found),
                **shares(["all"] * len(rows), found), **shares(["new wordings"] * len(new), new)}
    return {name: round(share, 3) for name, share in found_by.items()}
