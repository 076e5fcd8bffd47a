"""Hold a text with what is known about it, mix several, and keep the end of each for validation."""
from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any

BETWEEN = "\n\n"  # what stands between two documents in `Corpus.text`


@dataclass(frozen=True)
class Card:
    """What is known about a text before it is read.  Languages are ISO 639 codes, scripts ISO 15924."""
    name: str
    title: str = ""
    original_title: str = ""
    author: str = ""
    year: str = ""
    language: str = ""
    script: str = ""
    licence: str = ""
    public_domain: str = ""
    quality: str = ""
    note: str = ""
    characters: int = 0      # 0: not known before it is read
    shipped: bool = False    # it comes with minillm and needs no network

    @classmethod
    def known(cls, row: dict[str, Any]) -> dict[str, Any]:
        """The entries of a row that belong on a card."""
        return {field.name: row[field.name] for field in fields(Card) if field.name in row}


@dataclass(frozen=True, repr=False)
class Corpus(Card):
    """A text: its documents (one book, or many stories) in order, and its card.

    `members` are the corpora that a mix was made of; each keeps its own end for validation.
    """
    documents: tuple[str, ...] = ()
    members: tuple[Corpus, ...] = ()

    def __post_init__(self):
        if not any(self.documents):
            raise ValueError(f"corpus {self.name!r} is empty; there is nothing to learn from")
        gaps = len(BETWEEN) * (len(self.documents) - 1)
        object.__setattr__(self, "characters", sum(map(len, self.documents)) + gaps)

    @property
    def text(self) -> str:
        """All documents, an empty line between two.  To keep them apart for a model, see `encode`."""
        return BETWEEN.join(self.documents)

    @property
    def right_to_left(self) -> bool:
        """Is most of it written from right to left, as Arabic and Hebrew are?  Asked of the text itself."""
        kinds = [unicodedata.bidirectional(c) for document in self.documents[:100] for c in document[:2000]]
        return sum(kind in ("R", "AL") for kind in kinds) > kinds.count("L")

    def encode(self, tokenizer) -> list[int]:
        """Ids of the whole text; of several documents, each is closed by the tokenizer's end-of-text id.

        End of text is an id and never characters, so a text that happens to hold "<|endoftext|>" cannot forge
        one.  A tokenizer without such an id sees the empty line that `text` has instead.
        """
        if len(self.documents) == 1 or tokenizer.end_of_text is None:
            return tokenizer.encode(self.text)
        return list(self.encode_stream(tokenizer))

    def encode_stream(self, tokenizer) -> Iterator[int]:
        """The ids of `encode` one by one: a long text's list of them takes many times its own memory."""
        if len(self.documents) == 1 or tokenizer.end_of_text is None:
            yield from tokenizer.encode_stream((self.text,))
        else:
            for document in self.documents:
                yield from tokenizer.encode(document)
                yield tokenizer.end_of_text

    def split(self, fraction: float = 0.1) -> tuple[str, str]:
        """The texts of `hold_out`: (training text, validation text)."""
        train, validation = self.hold_out(fraction)
        return train.text, validation.text

    def hold_out(self, fraction: float = 0.1) -> tuple[Corpus, Corpus]:
        """Set the last part aside for validation.  First of all: a tokenizer, too, sees only the rest.

        One document is cut at character int((1 - fraction) n), the customary place for tiny Shakespeare; of
        many documents the last ones are kept whole; a mix gives the end of each member, cut where a line ends.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction={fraction} must lie between 0 and 1; 0.1 keeps the last tenth")
        train, validation = self._halves(fraction, at_line=False)
        return train, validation

    def _halves(self, fraction: float, *, at_line: bool) -> list[Corpus]:
        if self.members:
            halves = zip(*(member._halves(fraction, at_line=True) for member in self.members), strict=True)
            return [mix(half, name=self.name) for half in halves]
        halves = _cut(self.documents, fraction, at_line=at_line)
        if not all(map(any, halves)):
            raise ValueError(f"{self.name!r} has {self.characters} characters, too few to hold out a "
                             f"fraction={fraction} of them; take a longer text")
        return [self._with(half) for half in halves]

    def _with(self, documents: Sequence[str]) -> Corpus:
        return Corpus(**{**vars(self), "documents": tuple(documents), "members": ()})

    def __repr__(self) -> str:
        parts = f" in {len(self.documents):,} documents" if len(self.documents) > 1 else ""
        return f"Corpus({self.name!r}, {self.characters:,} characters{parts})"


def mix(corpora: Sequence[Corpus], *, name: str | None = None) -> Corpus:
    """Several corpora as one, in order.  Their documents stay apart, and each member is split by itself."""
    corpora = list(corpora)
    if not corpora:
        raise ValueError("mix was given no corpus; name at least one")
    same = {key: values.pop() for key in ("author", "year", "language", "script", "licence")
            if len(values := {getattr(corpus, key) for corpus in corpora}) == 1}
    return Corpus(name=name or " + ".join(corpus.name for corpus in corpora),
                  title=" + ".join(corpus.title or corpus.name for corpus in corpora), **same,
                  shipped=all(corpus.shipped for corpus in corpora), members=tuple(corpora),
                  documents=tuple(document for corpus in corpora for document in corpus.documents))


def _cut(documents: Sequence[str], fraction: float, *, at_line: bool) -> tuple[Sequence[str], Sequence[str]]:
    """The first documents and the last ones; a single document is cut in two."""
    if len(documents) == 1:
        text, = documents
        place = int((1 - fraction) * len(text))
        if at_line:
            place = _line_end(text, place)
        return (text[:place],), (text[place:],)
    ends = list(accumulate(map(len, documents)))
    goal = (1 - fraction) * ends[-1]
    count = min(range(1, len(documents)), key=lambda i: abs(ends[i - 1] - goal))
    return documents[:count], documents[count:]


def _line_end(text: str, place: int) -> int:
    """The end of a line nearest to a place, where there is one that leaves text on both sides."""
    before, after = text.rfind("\n", 0, place) + 1, text.find("\n", place) + 1
    ends = [end for end in (before, after) if 0 < end < len(text)]
    return min(ends, key=lambda end: abs(end - place), default=place)
