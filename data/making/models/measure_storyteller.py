"""Measure the small model that ships: `python -m data.making.models.measure_storyteller` from the root of the project.

Its loss on fresh stories and on echoes beside what is possible at all, the share of its own sentences and of its own
whole stories that the stories' generator could have produced, the share of countries whose capital and of people whose
facts it completes, whether and with which heads it copies, and how many held-out questions it answers after
fine-tuning.  Writes what it found into storyteller.json.
"""
from __future__ import annotations

import json
import math
from pathlib import Path

import torch

from data.making.models import answering
from data.making.stories import echoes
from data.making.stories.chance import Dice
from data.making.stories.countries import COUNTRIES
from data.making.stories.entropy import surprise
from data.making.stories.floor import program
from data.making.stories.grammar import is_grammatical, sentences
from data.making.stories.lexicon import possible
from minillm import copying, corpora
from minillm.checkpoints import load
from minillm.sampling import generate, generate_batch
from minillm.training import evaluate

FIGURES = Path(__file__).parents[2] / "models" / "storyteller.json"
UNSEEN = 1_000_000  # the first echo that no model was trained on
OPENING = "The capital of {name} is"


def complete(model, tokenizer, prompt: str, n_tokens: int, **options) -> str:
    """What the model writes after a prompt, up to the end of the document."""
    return tokenizer.decode(list(generate(
        model, tokenizer.encode(prompt), n_tokens=n_tokens, stop=tokenizer.end_of_text, **options)))


def fresh_loss(model, tokenizer) -> float:
    """Nats per character on stories that the model has not seen, end of each story included."""
    fresh = corpora.load("stories-fresh")
    ids = torch.tensor([tokenizer.end_of_text, *fresh.encode(tokenizer)])
    return evaluate(model, ids) * (len(ids) - 1) / (sum(map(len, fresh.documents)) + 2 * len(fresh.documents))


def echo_loss(model, tokenizer, count: int = 100) -> tuple[float, float]:
    """Nats per character on echoes that it has not seen, and the least that is possible on them."""
    dice = [Dice(f"echoes {seed}") for seed in range(UNSEEN, UNSEEN + count)]
    told = [echoes.program(one) for one in dice]
    ids = [tokenizer.end_of_text, *(i for text in told for i in (*tokenizer.encode(text), tokenizer.end_of_text))]
    characters = sum(map(len, told)) + 2 * count
    return evaluate(model, torch.tensor(ids)) * (len(ids) - 1) / characters, sum(d.nats for d in dice) / characters


def copies(model, tokenizer) -> dict:
    """How well it copies lists of random ids, with which heads (layer, head, counted from 0), and what becomes of
    that and of the stories without them."""
    tokens = copying.twice(tokenizer.vocab_size)
    found = copying.scores(model, tokens)
    induction, previous = found.heads("induction"), found.heads("previous")

    def figures() -> dict:
        first, second = copying.gain(model, tokens)
        return {"first_reading_nats_per_token": round(first, 2), "second_reading_nats_per_token": round(second, 2),
                "fresh_nats_per_character": round(fresh_loss(model, tokenizer), 4)}

    told = {"best_induction_score": round(found.induction.max().item(), 3), "induction_heads": induction,
            "best_previous_score": round(found.previous.max().item(), 3), "previous_heads": previous, **figures()}
    for name, heads in (("without_induction_heads", induction), ("without_previous_heads", previous)):
        if heads:
            with copying.without(model, heads):
                told[name] = figures()
    return told


def knows(model, tokenizer, name: str) -> bool:
    """Does it complete "The capital of NAME is" with the capital, when it takes the likeliest token each time?"""
    written = complete(model, tokenizer, OPENING.format(name=name), 12, temperature=0.0)
    return written.strip().startswith(COUNTRIES[name].capital)


def texts(model, tokenizer, seed: int, *, count: int = 32, temperature: float = 0.8) -> list[str]:
    """Texts of its own, begun from nothing, all at once."""
    start = tokenizer.end_of_text  # what stands before every story
    steps = generate_batch(model, torch.full((count, 1), start), n_tokens=240, stop=start, seed=seed,
                           temperature=temperature)
    return [tokenizer.decode([one for one in written if one is not None]) for written in zip(*steps, strict=True)]


def own_stories(model, tokenizer, count: int) -> list[str]:
    """The first `count` stories that it tells; what is one line, as in the gazetteer, is passed over."""
    found, seed = [], 0
    while len(found) < count:
        found += [text for text in texts(model, tokenizer, seed) if "\n" in text]
        seed += 1
    return found[:count]


def grammatical(stories: list[str]) -> float:
    """The share of sentences that the grammar could have produced.

    The last sentence of a story that was cut off by its length is left out.
    """
    found = [s for text in stories for s in sentences(text) if s[-1] in '.!?"']
    return sum(map(is_grammatical, found)) / len(found)


def possible_stories(stories: list[str]) -> float:
    """The share of stories that the generator could have told, from the first word to the last.

    Stricter than grammar: whoever is named must have come in, whatever is given away must be had, an answer must
    fit its question, and the end must be reached.
    """
    return sum(surprise(program, text, possible(text)) < math.inf for text in stories) / len(stories)


def after_tuning(model, tokenizer, *, steps: int = answering.STEPS, seed: int = 0) -> dict[str, float]:
    """Shares of held-out questions that it answers after LoRA, and what the stories then cost, per character."""
    tuned, asked = answering.tune(model, tokenizer, steps=steps, seed=seed), answering.questions("held_out")
    shares = answering.by_kind(asked, answering.right(tuned, tokenizer, asked))
    return {"steps": steps, "seed": seed, **shares, "fresh_nats_per_character": round(fresh_loss(tuned, tokenizer), 4)}


def main() -> None:
    model, tokenizer = load("storyteller")
    floor = json.loads((corpora.data_folder() / "stories/floor.json").read_text())["fresh"]["nats_per_character"]
    card = json.loads((corpora.data_folder() / "models/storyteller/log.jsonl").read_text().splitlines()[-1])
    stories = own_stories(model, tokenizer, 40)
    echo, least = echo_loss(model, tokenizer)
    figures = {
        **card,
        "parameters": sum(p.numel() for p in model.parameters()),
        "fresh_nats_per_character": round(fresh_loss(model, tokenizer), 4),
        "floor_nats_per_character": floor,
        "grammatical_sentences": round(grammatical(stories[:20]), 3),
        "possible_stories": round(possible_stories(stories), 2),
        "capitals_completed": round(sum(knows(model, tokenizer, name) for name in COUNTRIES) / len(COUNTRIES), 3),
        "echoes_nats_per_character": round(echo, 4),
        "echoes_floor_nats_per_character": round(least, 4),
        "copying": copies(model, tokenizer),
        "facts_of_people_completed": answering.completed(model, tokenizer),
        "held_out_questions_after_lora": after_tuning(model, tokenizer)}
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    print("\n\n".join(stories[:3]))


if __name__ == "__main__":
    main()
