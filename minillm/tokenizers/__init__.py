"""Turn text into ids and back: characters, bytes, byte pairs, SentencePiece, GPT-2's own vocabulary."""
from __future__ import annotations

import os
from pathlib import Path

from minillm.tokenizers.byte import ByteTokenizer
from minillm.tokenizers.char import CharTokenizer
from minillm.tokenizers.protocol import END_OF_TEXT, StreamDecoder, Tokenizer, read_settings, show_bytes

KINDS = {"char": CharTokenizer, "byte": ByteTokenizer}

__all__ = ["END_OF_TEXT", "KINDS", "ByteTokenizer", "CharTokenizer", "StreamDecoder", "Tokenizer",
           "load_tokenizer", "show_bytes"]


def load_tokenizer(folder: str | os.PathLike) -> Tokenizer:
    """The tokenizer that was saved in a folder, of whichever kind."""
    kind = read_settings(folder)["kind"]
    if kind not in KINDS:
        raise ValueError(f"{Path(folder)} names a tokenizer of kind {kind!r}; known are {', '.join(KINDS)}")
    return KINDS[kind].load(folder)
