"""Say the capital and the continent of every country in all the ways of patterns/gazetteer.txt."""
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .countries import COUNTRIES, Country
from .english import upper


@cache
def ways(kind: str) -> list[str]:
    """Return the patterns for `capital`, `continent` or `both`."""
    lines = (Path(__file__).parent / "patterns" / "gazetteer.txt").read_text("utf-8").splitlines()
    start = lines.index(f"# {kind}") + 1
    end = next((i for i in range(start, len(lines)) if lines[i].startswith("# ")), len(lines))
    return lines[start:end]


def say(pattern: str, country: Country) -> str:
    """Fill one pattern: a sentence that begins with a capital letter."""
    owner = country.name + ("'" if country.name.endswith("s") else "'s")
    return upper(pattern.replace("{country's}", owner).replace("{country}", country.name)
                 .replace("{capital}", country.capital).replace("{continent}", country.continent))


def documents(seed: int, rounds: int = 1) -> Iterator[str]:
    """Yield short texts about single countries; in each round every country is told in every way once."""
    dice = random.Random(f"gazetteer {seed}")
    texts = []
    for _ in range(rounds):
        for country in COUNTRIES.values():
            told = [[say(way, country) for way in ways(kind)] for kind in ("capital", "continent", "both")]
            for sentences in told:
                dice.shuffle(sentences)
            capital, continent, both = told
            while capital or continent or both:
                size = dice.randrange(2, 6)
                lines = [heap.pop() for heap in (capital, continent, both) for _ in range(size // 2) if heap]
                dice.shuffle(lines)
                texts.append(" ".join(lines))
    dice.shuffle(texts)
    yield from texts
