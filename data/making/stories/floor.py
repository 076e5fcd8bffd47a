"""Measure how well a model can do on the stories at best, and write floor.json: `python -m data.making.stories.floor`.

In nats per character (the empty line after a story counts as its last two characters): `fresh` is the exact surprise
of fresh.txt, all derivations of each story summed, and so the floor for a loss on that very text; `source` estimates
the entropy rate of the source from many more stories; `echoes` is the exact surprise of echoes.txt, for one who
copies without a mistake.  For tokens, multiply by the characters per token of the tokenizer.  A few minutes.
"""
import json
from collections.abc import Iterator
from pathlib import Path

from . import echoes
from .chance import Chooser, Dice
from .english import tell
from .entropy import Floor, floor, surprise
from .lexicon import possible
from .plots import happen

HERE = Path(__file__).parents[2] / "stories"
BETWEEN = "\n\n"
SOURCE_STORIES, SOURCE_FIRST = 20_000, 2_000_000


def program(draw: Chooser) -> str:
    """Write one story with the facts: the source whose entropy is measured."""
    return tell(draw, happen(draw, facts=True))


def exact(text: str) -> Iterator[tuple[float, int]]:
    """Yield (surprise in nats, characters) of every story of a text."""
    for story in text.rstrip("\n").split(BETWEEN):
        yield surprise(program, story, possible(story)), len(story) + len(BETWEEN)


def echoed(text: str) -> Iterator[tuple[float, int]]:
    """Yield (surprise in nats, characters) of every text of echoes.txt."""
    for told in text.rstrip("\n").split(BETWEEN):
        yield surprise(echoes.program, told), len(told) + len(BETWEEN)


def drawn(first: int, count: int) -> Iterator[tuple[float, int]]:
    """Yield (-ln p of the choices made, characters) of fresh stories: `exact`, or a little above it."""
    for seed in range(first, first + count):
        world, words = Dice(f"world {seed}"), Dice(f"english {seed}")
        story = tell(words, happen(world, facts=True))
        yield world.nats + words.nats, len(story) + len(BETWEEN)


def row(rate: Floor) -> dict[str, float | int]:
    """Return what floor.json says of one figure."""
    return {"nats_per_character": round(rate.nats, 5), "standard_error": round(rate.error, 5),
            "stories": rate.stories, "characters": rate.characters}


if __name__ == "__main__":
    fresh = floor(exact((HERE / "fresh.txt").read_text("utf-8")))
    source = floor(drawn(SOURCE_FIRST, SOURCE_STORIES))
    again = floor(echoed((HERE / "echoes.txt").read_text("utf-8")))
    exactly = {"standard_error": 0.0}
    found = {"fresh": row(fresh) | exactly, "source": row(source), "echoes": row(again) | exactly}
    (HERE / "floor.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))
