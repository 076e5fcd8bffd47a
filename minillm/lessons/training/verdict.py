"""Say which sentences of a model's own stories their grammar allows: beside the loss, what it has learned."""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from html import escape
from typing import Any

from minillm import corpora
from minillm.lessons.training.experiment import Run, writing
from minillm.notebook import markup
from minillm.notebook.clock import Clock
from minillm.notebook.plots import GREEN, RED
from minillm.notebook.widgets import slider

RIGHT, WRONG = markup.shade(0.5, GREEN), markup.shade(0.7, RED)
LONGEST = {"characters": 900}         # tokens of a story; others: LONG
LONG, AT_A_TIME = 300, 8              # tokens; written between two judgements


class Grammar:
    """The sentence patterns of the stories, as `data/making/stories/allowed.py` wrote them out.

    A pattern is text and slots in turn; a sentence is allowed if one of them fits it whole.  Only those whose longest
    piece of text stands in the sentence are tried, and each becomes a regular expression when it is first needed.
    """

    def __init__(self, told: dict[str, Any]):
        self.slots, self.patterns, self.cut = told["slots"], told["patterns"], re.compile(told["cut"])
        self.marks = [max(pattern[::2], key=len) for pattern in self.patterns]

    def sentences(self, text: str) -> list[str]:
        """A text cut where its sentences end."""
        return [piece.strip() for piece in self.cut.split(text) if piece.strip()]

    @cache                            # noqa: B019 - there is one grammar, and it stays
    def expression(self, number: int) -> re.Pattern:
        return re.compile("".join(self.slots[part] if place % 2 else re.escape(part)
                                  for place, part in enumerate(self.patterns[number])))

    @cache                            # noqa: B019
    def allows(self, sentence: str) -> bool:
        """Could a story hold this sentence?  (Whether it is true in its story is another question.)"""
        return any(mark in sentence and self.expression(number).fullmatch(sentence) is not None
                   for number, mark in enumerate(self.marks))


@lru_cache(maxsize=1)
def grammar() -> Grammar:
    """That of the English stories."""
    path = corpora.data_folder() / "stories" / "allowed.json"
    return Grammar(json.loads(path.read_text(encoding="utf-8")))


def finished(text: str, *, ended: bool) -> list[str]:
    """The sentences of a text; the last one of a text that was cut off by its length is left out."""
    found = grammar().sentences(text)
    return found if ended or not found or found[-1][-1] in '.!?"' else found[:-1]


def judged(sentences: Iterable[str]) -> list[tuple[str, bool]]:
    """Each sentence, and whether the grammar allows it."""
    return [(sentence, grammar().allows(sentence)) for sentence in sentences]


def coloured(found: Iterable[tuple[str, bool]]) -> str:
    """Sentences on green where they are allowed, on orange where not."""
    return " ".join(f'<span style="background:{RIGHT if allowed else WRONG};border-radius:3px;padding:0 3px">'
                    f"{escape(sentence)}</span>" for sentence, allowed in found)


def stories(run: Run, count: int, temperature: float = 0.8, min_p: float = 0.0) -> Iterator[list[str]]:
    """Stories of the model as it is now, while they are written: all so far, the last one still growing."""
    model, told = run.near(), []
    for seed in range(count):
        told.append("")
        for n, text in enumerate(writing(model, run.material, seed=seed, temperature=temperature, min_p=min_p or None,
                                         n_tokens=LONGEST.get(run.material.kind, LONG))):
            told[-1] = text
            if n % AT_A_TIME == 0:
                yield [*told]
    yield [*told]


def verdict(current: Callable[[], Run]) -> Clock:
    """Let the model in training tell stories, and judge their sentences one by one."""
    past: list[tuple[tuple, float, int]] = []     # (steps made, temperature, min-p), share allowed, of so many
    at: dict[str, Any] = {}

    def start(count: int, temperature: float, min_p: float) -> Iterator[list[str]]:
        run = current()
        if run.material.corpus.name != "stories":
            raise ValueError(f"the grammar is that of the stories, and the model learns from "
                             f"{run.material.corpus.name!r}; choose “Stories of ten small towns” in the laboratory")
        at.update(done=run.done, at=(run.done, temperature, min_p))
        return stories(run, count, temperature, min_p)

    def draw(history: list[list[str]], count: int, temperature: float, min_p: float) -> markup.Markup:
        told = history[-1] if history else []
        found = judged(sentence for place, text in enumerate(told)
                       for sentence in finished(text, ended=place < len(told) - 1))
        right = sum(allowed for _, allowed in found)
        if found and history and len(told) == count and (not past or past[-1][0] != at["at"]):
            past.append((at["at"], right / len(found), len(found)))
        elif found and past and past[-1][0] == at["at"]:
            past[-1] = (at["at"], right / len(found), len(found))
        said = (f"After {at['done']} steps the grammar of the stories allows {right} of {len(found)} sentences"
                f" ({right / len(found):.0%})." if found else "No sentence is finished yet.")
        before = "; ".join(f"after {done} steps, temperature {warm:g}, min-p {least:g}: {share:.0%} of {n}"
                           for (done, warm, least), share, n in past[-6:])
        rest = f'<div style="{markup.FAINT}">So far: {before}</div>' if before else ""
        shown = f'<div style="line-height:1.8;min-height:9em">{coloured(found[-24:])}</div>'
        return markup.card(f"<b>{said}</b>{rest}{shown}", said)

    controls = {"count": slider("stories", [2, 4, 8, 16], 4),
                "temperature": slider("temperature", [0.3, 0.5, 0.8, 1.0], 0.8),
                "min_p": slider("min-p", [0.0, 0.05, 0.1, 0.2])}
    return Clock("verdict", controls, start, draw, first=1, run=200, rows=[["count", "temperature", "min_p"]],
                 buttons={"run": "judge", "reset": "judge it as it is now"})
