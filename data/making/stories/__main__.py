"""Write stories and questions anew, byte for byte: `python -m data.making.stories` from the root of the project.

Seeds 0, 1, 2 … are the stories that ship; the fresh ones, which no model has seen, begin at FRESH.
"""
from collections.abc import Iterator
from pathlib import Path

from . import echoes, gazetteer, languages, people, questions
from .chance import Dice
from .english import tell
from .plots import happen

DATA = Path(__file__).parents[2]
BETWEEN = "\n\n"  # between two stories; within one, each paragraph is a line
CHARACTERS = 1_650_000
FRESH = 1_000_000


def story(seed: int) -> str:
    """Return story `seed` in English: what happens and how it is told are drawn apart."""
    return tell(Dice(f"english {seed}"), happen(Dice(f"world {seed}"), facts=True))


def stories(characters: int = CHARACTERS, first: int = 0) -> Iterator[str]:
    """Yield stories until there are so many characters."""
    seed = first
    while characters > 0:
        text = story(seed)
        yield text
        characters -= len(text) + len(BETWEEN)
        seed += 1


def files() -> dict[str, str]:
    """Return path below data/ -> text, for everything that this command writes."""
    texts = {"en.txt": stories(), "fresh.txt": stories(150_000, FRESH), "gazetteer.txt": gazetteer.documents(0),
             "people.txt": people.documents(0), "echoes.txt": echoes.documents()}
    texts |= {f"{code}.txt": languages.stories(code) for code in languages.TONGUES}
    told = {f"stories/{name}": BETWEEN.join(documents) + "\n" for name, documents in texts.items()}
    return told | {f"questions/{name}": text for name, text in questions.files().items()}


if __name__ == "__main__":
    for name, text in files().items():
        (DATA / name).parent.mkdir(exist_ok=True)
        (DATA / name).write_text(text, "utf-8", newline="\n")
        between = BETWEEN if name.startswith("stories") else "\n"
        print(f"data/{name}: {len(text):,} characters, {text.strip().count(between) + 1:,} items")
