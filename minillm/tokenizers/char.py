"""Give every character of a text a number."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from minillm import reading
from minillm.tokenizers.protocol import Tokenizer, check_text


class CharTokenizer(Tokenizer):
    """One id per distinct character (Unicode code point) of the training text, in code point order.

    Small vocabulary, long sequences, and blind to any character that the training text did not hold: `encode`
    refuses such a one and names it.  Special tokens come after the characters.
    """
    kind = "char"

    def __init__(self, characters: str, *, special: Iterable[str] = ()):
        if len(set(characters)) != len(characters):
            raise ValueError(f"characters repeats {len(characters) - len(set(characters))}; give each once")
        special = tuple(special)
        if taken := set(characters).intersection(special):
            raise ValueError(f"special token {min(taken)!r} is also a character of the vocabulary; give it a name "
                             f"that no text holds, such as <|{min(taken)}|>")
        self.characters = characters
        self.special = {name: len(characters) + i for i, name in enumerate(special)}
        self.vocab_size = len(characters) + len(self.special)
        self._ids = {character: i for i, character in enumerate(characters)}
        self._bytes = [token.encode("utf-8") for token in [*characters, *self.special]]

    @classmethod
    def train(cls, texts: str | Iterable[str], *, special: Iterable[str] = ()) -> CharTokenizer:
        """The tokenizer of exactly the characters in a text (or in several)."""
        found: set[str] = set()
        for text in [texts] if isinstance(texts, str) else texts:
            check_text(text)
            found.update(text)
        if not found:
            raise ValueError("the training text is empty; a character tokenizer knows only what it has seen")
        return cls("".join(sorted(found)), special=special)

    def _encode(self, text: str) -> list[int]:
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            character = error.args[0]
            raise ValueError(
                f"character {text.index(character)}, {character!r} (U+{ord(character):04X}), is not among "
                f"the {len(self.characters)} that this tokenizer was trained on; remove it, train on a text "
                "that has it, or take the byte tokenizer, which knows every text") from None

    def _cut(self, text: str) -> int:
        return len(text)

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < self.vocab_size:
            self._refuse(token)
        return self._bytes[token]

    def settings(self) -> dict:
        return {"characters": self.characters, "special": list(self.special)}

    @classmethod
    def from_settings(cls, settings: dict, folder: Path) -> CharTokenizer:
        reading.check(settings, {"characters": str, "special": [str]}, folder)
        return cls(settings["characters"], special=settings["special"])
