"""Write the sentence patterns out, for those who have no generator: `python -m data.making.stories.allowed`.

allowed.json holds what `grammar.expressions` makes regular expressions of: patterns as text and slots in turn, the
slots' expressions once each, and where a text is cut into sentences.
"""
import json
import re
from itertools import product
from pathlib import Path

from .english import patterns, spread
from .grammar import PERSON_SLOTS, filled, sentences

FILE = Path(__file__).parents[2] / "stories" / "allowed.json"
CUT = r'\n|//|(?<=[.!?]) (?=[A-Z"{])|(?<=[.]") (?=[A-Z"{])|(?<=[!?]") (?=[A-Z"{])(?!\{\w+\.he\})'


def forms(sentence: str, heading: str) -> list[list[str | tuple]]:
    """A sentence of a pattern for every gender of its people: text, slot, text, slot, … text."""
    parts = re.split(r"\{([^}]*)\}", sentence)
    slots = [part.replace("'s", ".'s").partition(".") for part in parts[1::2]]
    own = {slot.lower() for slot, _, _ in slots} & PERSON_SLOTS
    own -= {"first", "second"} if heading == "Part" else set()
    found = []
    for genders in product("fm", repeat=len(own)):
        chosen = dict(zip(sorted(own), genders, strict=True))
        row = list(parts)
        for i in range(1, len(parts), 2):
            slot, _, form = slots[i // 2]
            row[i] = filled(slot, form, chosen, i == 1 and parts[0] in ("", '"'))
        found.append(row)
    return found


def told() -> dict[str, object]:
    """All of it."""
    slots: dict[str, int] = {}
    rows: dict[str, list] = {}
    for heading, lines in patterns().items():
        for pattern in (variant for line in lines for variant in spread(line)):
            for sentence in dict.fromkeys(sentences(pattern) + sentences(pattern, tags=False)):
                for row in forms(sentence, heading):
                    row = [slots.setdefault(part, len(slots)) if i % 2 else part for i, part in enumerate(row)]
                    rows[json.dumps(row)] = row
    return {"cut": CUT, "slots": list(slots), "patterns": list(rows.values())}


if __name__ == "__main__":
    FILE.write_text(json.dumps(told(), separators=(",", ":")) + "\n", encoding="utf-8")
