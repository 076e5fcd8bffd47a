"""Measure the small model that ships: `python -m data.making.models.measure_storyteller` from the root of the project.

Its loss on fresh stories beside what is possible at all, the share of its own sentences and of its own whole stories
that the stories' generator could have produced, and the share of countries whose capital it completes.  Writes what it
found into storyteller.json.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch

from data.making.stories.countries import COUNTRIES
from data.making.stories.entropy import surprise
from data.making.stories.floor import program
from data.making.stories.grammar import is_grammatical, sentences
from data.making.stories.lexicon import possible
from minillm import corpora
from minillm.checkpoints import load
from minillm.sampling import generate
from minillm.training import evaluate

FIGURES = Path(__file__).parents[2] / "models" / "storyteller.json"
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


def knows(model, tokenizer, name: str) -> bool:
    """Does it complete "The capital of NAME is" with the capital, when it takes the likeliest token each time?"""
    written = complete(model, tokenizer, OPENING.format(name=name), 12, temperature=0.0)
    return written.strip().startswith(COUNTRIES[name].capital)


def story(model, tokenizer, seed: int, *, temperature: float = 0.8) -> str:
    """A story of its own, begun from nothing."""
    start = tokenizer.end_of_text  # what stands before every story
    return tokenizer.decode(list(generate(
        model, [start], n_tokens=240, stop=start, seed=seed, temperature=temperature)))


def own_stories(model, tokenizer, count: int) -> list[str]:
    """The first `count` stories that it tells; what is one line, as in the gazetteer, is passed over."""
    found, seed = [], 0
    while len(found) < count:
        text = story(model, tokenizer, seed)
        found += [text] if "\n" in text else []
        seed += 1
    return found


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


def main() -> None:
    model, tokenizer = load("storyteller")
    floor = json.loads((corpora.data_folder() / "stories/floor.json").read_text())["fresh"]["nats_per_character"]
    card = json.loads((corpora.data_folder() / "models/storyteller/log.jsonl").read_text().splitlines()[-1])
    stories = own_stories(model, tokenizer, 100)
    figures = {
        **card,
        "parameters": sum(p.numel() for p in model.parameters()),
        "fresh_nats_per_character": round(fresh_loss(model, tokenizer), 4),
        "floor_nats_per_character": floor,
        "grammatical_sentences": round(grammatical(stories[:20]), 3),
        "possible_stories": round(possible_stories(stories), 2),
        "capitals_completed": round(sum(knows(model, tokenizer, name) for name in COUNTRIES) / len(COUNTRIES), 3),
    }
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    print("\n\n".join(stories[:3]))


if __name__ == "__main__":
    main()
