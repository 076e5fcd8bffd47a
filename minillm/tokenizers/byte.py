"""Use the 256 bytes of UTF-8 as the vocabulary: no training, and no text that it cannot write."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from minillm import reading
from minillm.tokenizers.protocol import Tokenizer


class ByteTokenizer(Tokenizer):
    """The id of a byte is its value, 0 to 255; special tokens follow from 256.

    A character takes 1 byte (ASCII) to 4 (emoji): 2 for Greek, Cyrillic or Arabic, 3 for Indic scripts,
    Chinese, Japanese and Korean.  RFC 3629.
    """
    kind = "byte"

    def __init__(self, *, special: Iterable[str] = ()):
        special = tuple(special)
        if taken := [name for name in special if len(name.encode("utf-8")) == 1]:
            raise ValueError(f"special token {taken[0]!r} is also one of the 256 bytes; give it a name that no text "
                             f"holds, such as <|{taken[0]}|>")
        self.special = {name: 256 + i for i, name in enumerate(special)}
        self.vocab_size = 256 + len(self.special)
        self._bytes = [bytes([i]) for i in range(256)] + [name.encode("utf-8") for name in self.special]

    def _encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8"))

    def _cut(self, text: str) -> int:
        return len(text)

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < self.vocab_size:
            self._refuse(token)
        return self._bytes[token]

    def settings(self) -> dict:
        return {"special": list(self.special)}

    @classmethod
    def from_settings(cls, settings: dict, folder: Path) -> ByteTokenizer:
        reading.check(settings, {"special": [str]}, folder)
        return cls(special=settings["special"])
