"""Write any tokenizer as Hugging Face's libraries read it, and read what they publish."""
from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from minillm import disk
from minillm.tokenizers import huggingface
from minillm.tokenizers.byte import ByteTokenizer
from minillm.tokenizers.char import CharTokenizer
from minillm.tokenizers.protocol import SETTINGS_FILE, Tokenizer
from minillm.tokenizers.sentencepiece import FILE as MODEL_FILE
from minillm.tokenizers.sentencepiece import SPACE, SentencePieceTokenizer


def published_tokenizer(folder: str | os.PathLike) -> Tokenizer | None:
    """The tokenizer beside published weights, or None where there is none.

    A folder that was exported from here opens as the kind that it was.
    """
    if not any((Path(folder) / name).is_file() for name in (SETTINGS_FILE, MODEL_FILE, huggingface.FILE)):
        return None
    from minillm.tokenizers import load_tokenizer
    return load_tokenizer(folder)


def export_tokenizer(tokenizer: Tokenizer, folder: str | os.PathLike) -> None:
    """Write our own files, and those from which transformers' AutoTokenizer gives the same ids."""
    folder = Path(folder)
    tokenizer.save(folder)
    for name, text in FILES[tokenizer.kind](tokenizer).items():
        disk.write(folder / name, text)


def _byte_files(tokenizer: ByteTokenizer) -> dict[str, str]:
    """Bytes are a byte-pair encoding that has not merged anything yet."""
    return huggingface.files(SimpleNamespace(
        tokens=[bytes([value]) for value in range(256)], ids=range(256), merges=[], pattern=r"[\s\S]",
        normalization=None, special=tokenizer.special, end_of_text=tokenizer.end_of_text))


def _char_files(tokenizer: CharTokenizer) -> dict[str, str]:
    """Every character is a word."""
    return _files(tokenizer, {
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated",
                          "invert": False},
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": {c: i for i, c in enumerate(tokenizer.characters)},
                  "unk_token": "<unknown>"}})


def _sentencepiece_files(tokenizer: SentencePieceTokenizer) -> dict[str, str]:
    """The pieces, cut word by word as here; a character without one is spelled in bytes."""
    blank = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    words = {"type": "Split", "pattern": {"Regex": rf"\n|{SPACE}*[^{SPACE}\n]+|{SPACE}+"},
             "behavior": "Isolated", "invert": False}
    back = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}]
    return _files(tokenizer, {"normalizer": blank, "pre_tokenizer": words, "model": _pieces(tokenizer),
                              "decoder": {"type": "Sequence", "decoders": back}})


def _pieces(tokenizer: SentencePieceTokenizer) -> dict[str, Any]:
    """Scores of the pieces; where these are ranks (BPE), the merges that they stand for."""
    import sentencepiece

    library = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    scores = {library.IdToPiece(i): library.GetScore(i) for i in range(tokenizer.vocab_size)}
    if not all(score == round(score) for score in scores.values()):
        return {"type": "Unigram", "vocab": [*scores.items()], "unk_id": library.unk_id(),
                "byte_fallback": True}
    ranks = {piece: i for i, piece in enumerate(scores)}
    pairs = [(piece[:cut], piece[cut:]) for piece in ranks for cut in range(1, len(piece))
             if piece[:cut] in ranks and piece[cut:] in ranks]
    merges = sorted(pairs, key=lambda pair: (-scores["".join(pair)], ranks[pair[0]], ranks[pair[1]]))
    return {"type": "BPE", "vocab": ranks, "merges": merges, "byte_fallback": True, "fuse_unk": False,
            "unk_token": library.IdToPiece(library.unk_id()), "dropout": None, "ignore_merges": False,
            "continuing_subword_prefix": None, "end_of_word_suffix": None}


def _files(tokenizer: Tokenizer, parts: dict[str, Any]) -> dict[str, str]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": i, "content": name, **flags} for name, i in tokenizer.special.items()]
    content = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
               "normalizer": None, "post_processor": None, **parts}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if tokenizer.end_of_text is not None:
        config["eos_token"] = next(n for n, i in tokenizer.special.items() if i == tokenizer.end_of_text)
    return {huggingface.FILE: json.dumps(content, ensure_ascii=False) + "\n",
            "tokenizer_config.json": json.dumps(config, indent=1) + "\n"}


FILES = {"byte": _byte_files, "char": _char_files, "bpe": huggingface.files,
         "sentencepiece": _sentencepiece_files}
