"""Write and read `tokenizer.json`, the file in which published models carry their byte-pair vocabulary."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from minillm import reading
from minillm.tokenizers.merges import reached
from minillm.tokenizers.protocol import ID, IN_UTF8
from minillm.tokenizers.splitting import PATTERNS

FILE = "tokenizer.json"

# GPT-2 wrote bytes as visible characters: what Latin-1 shows stands for itself, the rest follow from U+0100.
_SHOWN = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_HIDDEN = [value for value in range(256) if value not in _SHOWN]
_CHARACTERS = {**{value: chr(value) for value in _SHOWN}, **{value: chr(256 + i) for i, value in enumerate(_HIDDEN)}}
_VALUES = {character: value for value, character in _CHARACTERS.items()}


# What each part may hold, and what the values may be of those whose effect is not built here.
ANY = object()
NOTHING = (None, False, "", [], {})
KNOWN = {
    "file": {"version": ANY, "truncation": NOTHING, "padding": NOTHING, "added_tokens": ANY, "normalizer": ANY,
             "pre_tokenizer": ANY, "post_processor": ANY, "decoder": ANY, "model": ANY},
    "model": {"type": ANY, "vocab": ANY, "merges": ANY, "ignore_merges": (True, *NOTHING), "unk_token": ANY,
              "fuse_unk": ANY, "dropout": (0.0, *NOTHING), "continuing_subword_prefix": NOTHING,
              "end_of_word_suffix": NOTHING, "byte_fallback": NOTHING},
    "added token": {"id": ANY, "content": ANY, "special": ANY, "normalized": ANY, "single_word": NOTHING,
                    "lstrip": NOTHING, "rstrip": NOTHING},
    "ByteLevel": {"type": ANY, "trim_offsets": ANY, "use_regex": ANY, "add_prefix_space": NOTHING},
    "Digits": {"type": ANY, "individual_digits": (True,)},
    "Split": {"type": ANY, "pattern": ANY, "behavior": ANY, "invert": ANY},
}
MOST_WORK = 100_000_000  # squares of the lengths of all tokens; the largest that are published come to a tenth of it
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False}
NAMED = {"type?": str}
STEP = {"type?": str, "pattern?": {str: str}, "pretokenizers?": [NAMED], "normalizers?": [NAMED]}
MODEL = {"vocab": {str: ID}, "merges": [(str, [str])], "ignore_merges?": bool}
FORM = {
    "model": {"type?": str},
    "added_tokens?": [{"id": ID, "content": str, "special?": bool, "normalized?": bool}],
    "pre_tokenizer?": {**STEP, "pretokenizers?": [STEP]}, "normalizer?": STEP,
    "post_processor?": {"type?": str, "processors?": [NAMED]}}


def files(tokenizer) -> dict[str, str]:
    """The two files, name -> text, from which transformers' AutoTokenizer builds the same tokenizer."""
    vocabulary = {_spell(token): i for token, i in zip(tokenizer.tokens, tokenizer.ids, strict=True)}
    vocabulary |= {_spell(token): i for token, i in tokenizer.unmerged.items()}
    split = {"type": "Split", "pattern": {"Regex": tokenizer.pattern}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    added = [{"id": i, "content": name, **FLAGS, "normalized": name in tokenizer.added,
              "special": name not in tokenizer.added} for name, i in (tokenizer.special | tokenizer.added).items()]
    content = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "normalizer": {"type": tokenizer.normalization} if tokenizer.normalization else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": before_every_text(tokenizer),
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": tokenizer.ignore_merges,
                  "vocab": dict(sorted(vocabulary.items(), key=lambda item: item[1])),
                  "merges": [" ".join(map(_spell, pair)) for pair in tokenizer.merges]},
    }
    return {FILE: json.dumps(content, ensure_ascii=False, indent=1) + "\n",
            "tokenizer_config.json": json.dumps(settings(tokenizer), indent=1) + "\n"}


def settings(tokenizer) -> dict[str, str | bool]:
    """What tokenizer_config.json says of it."""
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    names = {i: name for name, i in tokenizer.special.items()}
    if tokenizer.end_of_text is not None:
        told["eos_token"] = names[tokenizer.end_of_text]
    if before_every_text(tokenizer):
        told["bos_token"] = names[tokenizer.roles.begin]
    return told


def before_every_text(tokenizer) -> dict[str, Any] | None:
    """The step that puts a token before every text, if the tokenizer has one."""
    name = next((name for name, i in tokenizer.special.items() if i == tokenizer.roles.begin), None)
    if not tokenizer.roles.always or name is None:
        return None
    token, text, other = ({kind: {"id": id, "type_id": n}} for kind, id, n in (
        ("SpecialToken", name, 0), ("Sequence", "A", 0), ("Sequence", "B", 1)))
    return {"type": "TemplateProcessing", "single": [token, text], "pair": [token, text, other],
            "special_tokens": {name: {"id": name, "ids": [tokenizer.roles.begin], "tokens": [name]}}}


def first_of_every_text(content: dict[str, Any], path: Path) -> int | None:
    """The id that such a step of a tokenizer.json puts there."""
    try:
        after = content.get("post_processor") or {}
        for step in after.get("processors", [after]):
            if step.get("type") == "TemplateProcessing" and "SpecialToken" in step["single"][0]:
                begin = step["special_tokens"][step["single"][0]["SpecialToken"]["id"]]["ids"][0]
                reading.check(begin, ID, path, "post_processor")
                return begin
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} puts something before every text ({error!r}) that is no token of it; download it "
                         f"again") from None
    return None


def _spell(token: bytes) -> str:
    return "".join(_CHARACTERS[value] for value in token)


def _value(name: str) -> bytes:
    return bytes(_VALUES[character] for character in name)


def spelled_as(name: str) -> bytes | None:
    """The bytes that a name of the vocabulary stands for in this file; None where it is no such name."""
    return _value(name) if all(character in _VALUES for character in name) else None


def read(path: str | os.PathLike) -> dict:
    """The arguments of `BPETokenizer` from a tokenizer.json; refuses what our byte-level BPE cannot repeat."""
    content = reading.read_json(path, FORM)
    return _arguments(content, Path(path))


def _arguments(content: dict, path: Path) -> dict:
    model = content["model"]
    kind = model.get("type", "BPE" if "merges" in model else None)
    if kind != "BPE" or model.get("byte_fallback"):
        raise ValueError(f"{path} holds {kind}{' over characters' if kind == 'BPE' else ''}, not byte-level BPE; "
                         "a tokenizer.model beside it is for SentencePieceTokenizer.from_model")
    reading.check(model, MODEL, path, "model")
    _check("file", content, path)
    _check("model", model, path)
    special, added = _added_tokens(content, path)
    vocabulary = model["vocab"]
    for name, i in (special | added).items():
        if vocabulary.get(name, i) != i:
            raise ValueError(f"{path} gives {name!r} two ids, {vocabulary[name]} and {i}; which is meant?")
    single = sorted((name for name in vocabulary if len(name) == 1 and name in _VALUES), key=vocabulary.get)
    if len(missing := {character for character in _VALUES if _value(character) in IN_UTF8}.difference(single)):
        raise ValueError(f"{path} is not byte-level: its tokens hold {256 - len(missing)} of 256 bytes")
    pairs = [_pair(pair, vocabulary, path) for pair in model["merges"]]
    if (work := sum(len(left + right) ** 2 for left, right in pairs)) > MOST_WORK:
        raise ValueError(f"{path} joins tokens so long that finding their order takes {work:,} steps, more than "
                         f"{MOST_WORK:,}; was it put together by hand?")
    tokens = [*map(_value, single), *reached(pairs)]
    ids = [vocabulary[_spell(token)] for token in tokens]
    if len(set(ids)) != len(ids):
        raise ValueError(f"{path} gives {len(ids) - len(set(ids))} ids to two tokens each; download it again")
    unmerged = {spelled_as(name): i for name, i in vocabulary.items() if name not in special and name not in added}
    if None in unmerged:
        raise ValueError(f"{path} holds a token whose name spells no bytes, id {unmerged[None]}; download it again")
    return {"tokens": tokens, "ids": ids, "special": special, "added": added,
            "unmerged": {token: i for token, i in unmerged.items() if token not in set(tokens)},
            "ignore_merges": bool(model.get("ignore_merges")),
            "pattern": _pattern(content.get("pre_tokenizer"), path),
            "normalization": _normalization(content.get("normalizer"), path)}


def _pair(pair: str | list[str], vocabulary: dict[str, int], path: Path) -> tuple[bytes, bytes]:
    """The two tokens that one of the merges joins, written "a b" or ["a", "b"]."""
    parts = pair.split(" ") if isinstance(pair, str) else pair
    values = [spelled_as(part) for part in parts]
    if len(parts) != 2 or None in values or b"" in values:
        raise ValueError(f"{path} joins {reading.shown(pair)}, which are no two tokens; download it again")
    if "".join(parts) not in vocabulary:
        raise ValueError(f"{path} joins {reading.shown(pair)}, but {reading.shown(''.join(parts))} is not in its "
                         f"vocabulary")
    return values[0], values[1]


def _check(what: str, part: dict, path: Path) -> None:
    """Refuse a setting that is not known, or has another value than those that are obeyed."""
    for key, value in part.items():
        allowed = KNOWN[what].get(key, NOTHING)
        if allowed is not ANY and not any(value == each and type(value) is type(each) for each in allowed):
            raise ValueError(f"{path} sets {key}={value!r} for its {what}, which minillm's BPE does not know")


def _added_tokens(content: dict, path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Names that are one token where they are asked for, and those that are one token in every text."""
    special, added = {}, {}
    for token in content.get("added_tokens") or []:
        _check("added token", token, path)
        if not token["content"]:
            raise ValueError(f"{path} adds a token without a name, id {token['id']}; download it again")
        is_special = bool(token.get("special"))
        if content.get("normalizer") and bool(token.get("normalized")) == is_special:
            raise ValueError(f"{path} sets normalized={token.get('normalized')!r} for its "
                             f"{'' if is_special else 'not '}special token {token['content']!r}, which minillm's BPE "
                             "does not know")
        (special if is_special else added)[token["content"]] = token["id"]
    return special, added


def _normalization(normalizer: dict | None, path: Path) -> str | None:
    if normalizer and normalizer.get("type") == "Sequence" and len(normalizer["normalizers"]) < 2:
        normalizer = (normalizer["normalizers"] or [None])[0]
    if normalizer is None:
        return None
    if normalizer.get("type") in ("NFC", "NFD", "NFKC", "NFKD") and len(normalizer) == 1:
        return normalizer["type"]
    raise ValueError(f"{path} normalises text by {normalizer.get('type')}, which minillm's BPE does not know")


def _pattern(pre_tokenizer: dict | None, path: Path) -> str:
    """The one regular expression that cuts as a pre-tokenizer of Hugging Face does."""
    steps = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer or {}])
    kinds = [step.get("type") for step in steps]
    for step, kind in zip(steps, kinds, strict=True):
        if kind in KNOWN and kind != "ByteLevel":
            _check(kind, step, path)
    if kinds[-1] == "ByteLevel" and not steps[-1].get("add_prefix_space"):
        own_pattern = steps[-1].get("use_regex", True)
        if kinds == ["ByteLevel"] and own_pattern:
            return PATTERNS["gpt2"]
        if kinds == ["Digits", "ByteLevel"] and own_pattern and steps[0].get("individual_digits"):
            return PATTERNS["starcoder"]
        if kinds == ["Split", "ByteLevel"] and not own_pattern and "Regex" in steps[0]["pattern"]:
            if (steps[0]["behavior"], bool(steps[0]["invert"])) in (("Isolated", False), ("Removed", True)):
                return steps[0]["pattern"]["Regex"]
    raise ValueError(f"{path} cuts text by {' and '.join(map(str, kinds))} with settings that no single pattern of "
                     "minillm's repeats")
