"""Let people, parrots and echoes say things again: texts in which the second time follows from the first.

What is said is drawn afresh: words of the stories in an order that no story has, invented words, lists, small tales.
So nothing but the text itself tells what comes the second time, and a model has to copy; how far back the first
time lies, how long it is and how often it comes again all vary.  The program chooses through a `Chooser`, like the
stories, so that its floor is known: every word costs what its draw costs the first time, and nothing again.
"""
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from .chance import Chooser, Dice
from .english import patterns as stories_patterns
from .english import spread
from .lexicon import SPOTS, a, upper
from .world import CHILDREN, CLOTHES, COLOURS, FOUND, GOODS, TOYS

CHARACTERS = 300_000
SYLLABLES = [first + vowel for first in "b d f g k l m n p r s t v w z br dr fl gr pl st tr sh".split()
             for vowel in "a e i o u oo ee".split()]
THINGS = sorted({*TOYS, *CLOTHES, *GOODS, *FOUND})
WHO_DID = [f"{child.name} {did} " for child in CHILDREN for did in ("had", "saw", "found", "hid")]
LEAST = 3  # words or items that are said at least
GO_ON, STOP = (11, 1), (5, 1)  # so many times likelier to go on than to stop: words without sense, items of a list


@cache
def patterns() -> dict[str, list[str]]:
    """Return heading -> patterns, from patterns/echoes.txt."""
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "patterns" / "echoes.txt").read_text("utf-8").splitlines():
        if line.startswith("# "):
            current = found[line[2:]] = []
        else:
            current.append(line)
    return found


@cache
def lexicon() -> list[str]:
    """Return the words of the stories' patterns, in alphabetical order."""
    told = " ".join(re.sub(r"\{[^}]*\}", "_", way) for lines in stories_patterns().values()
                    for line in lines for way in spread(line))
    return sorted(set(re.findall(r"\b[a-z]{2,}\b", told)))


Say = Callable[..., str]


def senseless(say: Say, draw: Chooser) -> None:
    """Say words without sense: those of the stories in any order, or invented ones."""
    real, words = draw.pick((True, False), (3, 1)), 0
    while words < LEAST or say((" ", "."), GO_ON) == " ":
        if 0 < words < LEAST:
            say([" "])
        begin = str if words else upper
        if real:
            say([*map(begin, lexicon())])
        else:
            for syllable in range(draw.pick((1, 2, 3), (1, 3, 1))):
                say([*map(str if syllable else begin, SYLLABLES)])
        words += 1


def listed(say: Say, draw: Chooser) -> None:
    """Say a list of things, every other one with its colour."""
    items = 0
    while items < LEAST or say((", ", "."), STOP) == ", ":
        if 0 < items < LEAST:
            say([", "])
        begin = str if items else upper
        if say([*(begin(colour) + " " for colour in COLOURS), ""], [1] * len(COLOURS) + [len(COLOURS)]):
            begin = str
        say([*map(begin, THINGS)])
        items += 1


def tale(say: Say, draw: Chooser) -> None:
    """Say a tale of one sentence or more: who did what, and where."""
    on = True
    while on:
        say(WHO_DID)
        say([a(colour) + " " for colour in COLOURS])
        say([thing + " " for thing in THINGS])
        say([*SPOTS.values()])
        on = say((". ", "."), (1, 1)) == ". "


KINDS = {"words": senseless, "list": listed, "tale": tale}


def program(draw: Chooser) -> str:
    """Tell one text: something is said, and one to three times it is said again, at once or after a while."""
    told: list[str] = []

    def say(options: Sequence[str], weights: Sequence[float] | None = None) -> str:
        told.append(draw.say(options, weights))
        return told[-1]

    who, kind = draw.pick(CHILDREN).name, draw.pick([*KINDS], (2, 1, 1))
    lines = {heading: [line.replace("{who}", who) for line in found] for heading, found in patterns().items()}
    say(lines[f"{kind}.before"])
    start = len(told)
    KINDS[kind](say, draw)
    words = "".join(told[start:]) + '"'
    say(['"'])
    for _ in range(draw.pick((1, 2, 3), (3, 2, 1))):
        while draw.pick((True, False), (3, 2)):
            say([" " + line for line in lines["between"]])
        say([f" {line}{words}" for line in lines[f"{kind}.again"]])
    return "".join(told)


def documents(characters: int = CHARACTERS, first: int = 0) -> Iterator[str]:
    """Yield texts until there are so many characters, each by its own seed."""
    while characters > 0:
        text = program(Dice(f"echoes {first}"))
        yield text
        characters -= len(text) + 2
        first += 1
