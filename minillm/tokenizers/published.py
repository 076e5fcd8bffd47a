"""Write any tokenizer as Hugging Face's libraries read it, and read what they publish."""
from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

from minillm import disk
from minillm.tokenizers import huggingface
from minillm.tokenizers.byte import ByteTokenizer
from minillm.tokenizers.char import CharTokenizer
from minillm.tokenizers.protocol import SETTINGS_FILE, Tokenizer, UnreadTokenizer
from minillm.tokenizers.sentencepiece import FILE as MODEL_FILE
from minillm.tokenizers.sentencepiece import SPACE, SentencePieceTokenizer


def published_tokenizer(folder: str | os.PathLike) -> Tokenizer | None:
    """The tokenizer beside published weights, or None where there is none.

    A folder that was exported from here opens as the kind that it was; what cannot be read says why when it is used.
    """
    if not any((Path(folder) / name).is_file() for name in (SETTINGS_FILE, MODEL_FILE, huggingface.FILE)):
        return None
    from minillm.tokenizers import load_tokenizer
    try:
        return load_tokenizer(folder)
    except ValueError as error:  # the weights may be what is wanted
        return UnreadTokenizer(str(error))


def export_tokenizer(tokenizer: Tokenizer, folder: str | os.PathLike) -> None:
    """Write our own files, and those from which transformers' AutoTokenizer gives the same ids.

    Raises ValueError where it does not, for one of SAMPLES (where the tokenizers library is there to be asked).
    """
    folder = Path(folder)
    if isinstance(tokenizer, UnreadTokenizer):
        raise ValueError(tokenizer.reason)
    files = FILES[tokenizer.kind](tokenizer)
    _compare(tokenizer, files[huggingface.FILE])
    tokenizer.save(folder)
    for name, text in files.items():
        disk.write(folder / name, text)


SAMPLES = (
    "Hello, world!", " a  b   c ", "", " ", "\n", "one\ntwo\n\n three\t4\r\n", "  1234567890,  3.14\n  ",
    "It's naïve: “ﬁne” Ａ² ½ ㎏ e\u0301 \u00a0\u3000x", "def f(x):\n    return x ** 2  # 👩🏽", "Привет, 你好。 日本語",
    "العربية", "बिल्ली", "<unknown> 0x41", "a" * 40)


AROUND = ("§one", "one§two § three", " §§  one", "§")  # where special tokens may stand


def _compare(tokenizer: Tokenizer, content: str) -> None:
    """Does the tokenizers library, given this file, find our ids?"""
    try:
        from tokenizers import Tokenizer as Theirs
    except ImportError:
        return
    theirs = Theirs.from_str(content)
    names = {**tokenizer.special, **getattr(tokenizer, "added", {})}
    chosen = [*names][:3] + [*names][3:][-3:]
    special = [sample.replace("§", name) for name in chosen for sample in AROUND]
    for text in (*SAMPLES, *special):
        try:
            ours = tokenizer.encode(text, special=text in special)
        except ValueError:  # a character that this vocabulary has no way to write
            continue
        if (found := theirs.encode(text, add_special_tokens=False).ids) != ours:
            raise ValueError(f"{text!r} is {ours} here, but Hugging Face's tokenizers would make {found} of it, so the "
                             f"export would not be the same tokenizer; export the model alone (tokenizer=None)")


def _byte_files(tokenizer: ByteTokenizer) -> dict[str, str]:
    """Bytes are a byte-pair encoding that has not merged anything yet."""
    return huggingface.files(SimpleNamespace(
        tokens=[bytes([value]) for value in range(256)], ids=range(256), merges=[], pattern=r"[\s\S]",
        normalization=None, special=tokenizer.special, added={}, unmerged={}, ignore_merges=False,
        end_of_text=tokenizer.end_of_text, roles=tokenizer.roles))


def _char_files(tokenizer: CharTokenizer) -> dict[str, str]:
    """Every character is a word."""
    return _files(tokenizer, {
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated",
                          "invert": False},
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": {c: i for i, c in enumerate(tokenizer.characters)},
                  "unk_token": "<unknown>"}})


def _sentencepiece_files(tokenizer: SentencePieceTokenizer) -> dict[str, str]:
    """The pieces, with what the model does to a text before; a character without one is spelled in bytes."""
    before, words = [{"type": "Replace", "pattern": {"String": " "}, "content": SPACE}], None
    if tokenizer.starts_with_space:  # of a text; what stands behind a special token is no beginning
        words = {"type": "Sequence", "pretokenizers": [_blank_first(" "), _blank_first(SPACE, "never")]}
    if tokenizer.trims:
        leading = " +" if not tokenizer.starts_with_space else r" +\z"
        before[:0] = [{"type": "Replace", "pattern": {"Regex": pattern}, "content": content}
                      for pattern, content in ((rf"\A{leading}| +\z", ""), (" {2,}", " "))]
        words = words and _blank_first(SPACE)
    in_every_text = tokenizer.own_symbols | tokenizer.added
    if tokenizer.own_symbols and not tokenizer.by_word:
        raise ValueError(f"{next(iter(tokenizer.own_symbols))!r} is a token in every text, and this model adds or "
                         f"removes blanks, which tokenizer.json cannot do at once; export the model alone "
                         f"(tokenizer=None)")
    if tokenizer.characters_map:
        table = b64encode(tokenizer.characters_map).decode()
        before.insert(0, {"type": "Precompiled", "precompiled_charsmap": table})
    if tokenizer.characters_map and "\n" not in tokenizer.own_symbols:  # which Precompiled takes for one character
        with suppress(ValueError):  # a vocabulary that cannot write it
            line_end = tokenizer.decode(tokenizer.encode("a\r\na"))[1:-1]
            before.insert(0, {"type": "Replace", "pattern": {"String": "\r\n"}, "content": line_end})
    if tokenizer.by_word:
        words = {"type": "Split", "pattern": {"Regex": rf"{SPACE}*[^{SPACE}]+|{SPACE}+"}, "behavior": "Isolated",
                 "invert": False}
    back = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}]
    if tokenizer.starts_with_space:
        back.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return _files(tokenizer, {"normalizer": {"type": "Sequence", "normalizers": before},
                              "pre_tokenizer": words, "model": _pieces(tokenizer),
                              "decoder": {"type": "Sequence", "decoders": back}}, added=in_every_text)


def _blank_first(blank: str, scheme: str = "first") -> dict[str, Any]:
    """Show blanks as this sign; at the beginning of a text there shall be one."""
    return {"type": "Metaspace", "replacement": blank, "prepend_scheme": scheme, "split": False}


def _pieces(tokenizer: SentencePieceTokenizer) -> dict[str, Any]:
    """Scores of the pieces; where these are ranks (BPE), the merges that they stand for."""
    library = tokenizer.library
    names = [library.IdToPiece(i) for i in range(library.GetPieceSize())]
    scores = dict(zip(names, map(library.GetScore, range(len(names))), strict=True))
    if tokenizer.algorithm not in ("unigram", "bpe"):
        raise ValueError(f"a SentencePiece model of kind {tokenizer.algorithm} has no form in tokenizer.json; export "
                         f"the model alone (tokenizer=None)")
    if tokenizer.algorithm == "unigram":
        never = min(scores.values()) - 100  # these are no text, whatever they look like
        vocabulary = [(name, never if _is_no_text(library, i) else scores[name]) for i, name in enumerate(names)]
        return {"type": "Unigram", "vocab": vocabulary, "unk_id": library.unk_id(), "byte_fallback": True}
    ranks = {piece: i for i, piece in enumerate(names)}
    text = {name for i, name in enumerate(names) if not _is_no_text(library, i)}
    pairs = [(piece[:cut], piece[cut:]) for piece in text for cut in range(1, len(piece))
             if piece[:cut] in text and piece[cut:] in text]
    merges = sorted(pairs, key=lambda pair: (-scores["".join(pair)], ranks[pair[0]], ranks[pair[1]]))
    return {"type": "BPE", "vocab": ranks, "merges": merges, "byte_fallback": True, "fuse_unk": False,
            "unk_token": names[library.unk_id()], "dropout": None, "ignore_merges": False,
            "continuing_subword_prefix": None, "end_of_word_suffix": None}


def _is_no_text(library, i: int) -> bool:
    return library.IsByte(i) or library.IsControl(i) or library.IsUnknown(i) or library.IsUnused(i)


def _files(tokenizer: Tokenizer, parts: dict[str, Any], *, added: Mapping[str, int] = MappingProxyType({})
           ) -> dict[str, str]:
    strips = getattr(tokenizer, "strips", {})
    names = [{"id": i, "content": name, **huggingface.FLAGS, **dict.fromkeys(strips.get(name, ()), True),
              "normalized": False, "special": name not in added}
             for name, i in sorted((tokenizer.special | dict(added)).items(), key=lambda token: token[1])]
    content = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": names,
               "normalizer": None, "post_processor": huggingface.before_every_text(tokenizer), **parts}
    return {huggingface.FILE: json.dumps(content, ensure_ascii=False) + "\n",
            "tokenizer_config.json": json.dumps(huggingface.settings(tokenizer), indent=1) + "\n"}


FILES = {"byte": _byte_files, "char": _char_files, "bpe": huggingface.files,
         "sentencepiece": _sentencepiece_files}
