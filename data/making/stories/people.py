"""Say what is true of everybody in the stories, in all the ways of patterns/people.txt: statements, no question.

The stories tell each fact in a few sentences of one shape, at their beginning; a model that reads only them can
go on with those sentences, and hardly with another.  Here every fact stands in many shapes and orders.
"""
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .lexicon import FOODS, HOBBIES, a, upper
from .world import PEOPLE, Person

OFTEN = {"colour": 2, "pet_name": 2, "hobby": 2}  # sentences per text about what is hardest to learn; else 1
TEXTS = 16  # about each person in one round


@cache
def ways() -> dict[str, list[str]]:
    """Return kind of fact -> its patterns."""
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "patterns" / "people.txt").read_text("utf-8").splitlines():
        if line.startswith("# "):
            current = found[line[2:]] = []
        else:
            current.append(line)
    return found


def facts(one: Person) -> list[str]:
    """Return the kinds of facts that are told: of a child all, of an adult home, pet and job."""
    return ["town", "pet", "pet_name", *(("food", "colour", "hobby", "dream") if one.is_child else ("job",))]


def say(pattern: str, one: Person) -> str:
    """Fill one pattern: a sentence that begins with a capital letter."""
    food = FOODS[one.food][1] if one.food in FOODS else one.food
    words = {"who's": one.name + ("'" if one.name.endswith("s") else "'s"), "who": one.name, "town": one.town,
             "pet": one.pet, "a_pet": a(one.pet), "pet_name": one.pet_name, "food": food, "colour": one.colour,
             "hobby": HOBBIES.get(one.hobby, one.hobby), "a_job": a(one.job)}
    for slot, word in words.items():
        pattern = pattern.replace("{" + slot + "}", word).replace("{" + upper(slot) + "}", upper(word))
    return pattern


def dealt(kind: str, dice: random.Random) -> Iterator[str]:
    """Yield patterns of one kind without end: all of them in a drawn order, then all in another."""
    while True:
        yield from dice.sample(ways()[kind], len(ways()[kind]))


def documents(seed: int, rounds: int = 1, texts: int = TEXTS) -> Iterator[str]:
    """Yield short texts, each about one person, with every fact once or (see OFTEN) twice, in any order."""
    dice = random.Random(f"people {seed}")
    told = []
    for _ in range(rounds):
        for one in PEOPLE:
            heaps = {kind: dealt(kind, dice) for kind in facts(one)}
            for _ in range(texts):
                lines = [say(next(heap), one) for kind, heap in heaps.items() for _ in range(OFTEN.get(kind, 1))]
                dice.shuffle(lines)
                told.append(" ".join(lines))
    dice.shuffle(told)
    yield from told
