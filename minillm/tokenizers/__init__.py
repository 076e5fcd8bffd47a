"""Turn text into ids and back: characters, bytes, byte pairs, SentencePiece, GPT-2's own vocabulary."""
from __future__ import annotations

import os
from pathlib import Path

from minillm import reading
from minillm.tokenizers import huggingface
from minillm.tokenizers import sentencepiece as _sentencepiece
from minillm.tokenizers.bpe import BPETokenizer
from minillm.tokenizers.byte import ByteTokenizer
from minillm.tokenizers.char import CharTokenizer
from minillm.tokenizers.gpt2 import GPT2Tokenizer
from minillm.tokenizers.protocol import (
    END_OF_TEXT,
    SETTINGS_FILE,
    StreamDecoder,
    Tokenizer,
    read_settings,
    show_bytes,
)
from minillm.tokenizers.sentencepiece import SentencePieceTokenizer
from minillm.tokenizers.splitting import PATTERNS

WITH_MODEL = "tokenizer"  # the subfolder of a saved model that holds the tokenizer's own files
KINDS = {tokenizer.kind: tokenizer for tokenizer in
         (CharTokenizer, ByteTokenizer, BPETokenizer, SentencePieceTokenizer)}

__all__ = ["END_OF_TEXT", "KINDS", "PATTERNS", "BPETokenizer", "ByteTokenizer", "CharTokenizer", "GPT2Tokenizer",
           "SentencePieceTokenizer", "StreamDecoder", "Tokenizer", "load_tokenizer", "show_bytes"]


def load_tokenizer(folder: str | os.PathLike) -> Tokenizer:
    """The tokenizer in a folder: one that was saved here, or a published `tokenizer.model` or `tokenizer.json`.

    The one door to such a folder.  The folder of a model that was saved with its tokenizer does as well.
    """
    folder = Path(folder)
    if (folder / WITH_MODEL / SETTINGS_FILE).is_file():
        folder = reading.regular(folder / WITH_MODEL / SETTINGS_FILE, within=folder).parent
    if not (folder / SETTINGS_FILE).is_file():
        if (folder / _sentencepiece.FILE).is_file():  # a tokenizer.json beside it tells the same
            return SentencePieceTokenizer.from_folder(folder)
        if (folder / huggingface.FILE).is_file():
            return BPETokenizer.from_tokenizer_json(reading.regular(folder / huggingface.FILE, within=folder))
    kind = read_settings(folder)["kind"]
    if kind not in KINDS:
        raise ValueError(f"{folder} names a tokenizer of kind {kind!r}; known are {', '.join(KINDS)}")
    return KINDS[kind].load(folder)
