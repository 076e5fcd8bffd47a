"""Write and read `tokenizer.json`, the file in which published models carry their byte-pair vocabulary."""
from __future__ import annotations

import json
import os
from pathlib import Path

from minillm.tokenizers.splitting import PATTERNS

FILE = "tokenizer.json"

# GPT-2 wrote bytes as visible characters: what Latin-1 shows stands for itself, the rest follow from U+0100.
_SHOWN = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_HIDDEN = [value for value in range(256) if value not in _SHOWN]
_CHARACTERS = {**{value: chr(value) for value in _SHOWN}, **{value: chr(256 + i) for i, value in enumerate(_HIDDEN)}}
_VALUES = {character: value for value, character in _CHARACTERS.items()}


def files(tokenizer) -> dict[str, str]:
    """The two files, name -> text, from which transformers' AutoTokenizer builds the same tokenizer."""
    vocabulary = {_spell(token): i for token, i in zip(tokenizer.tokens, tokenizer.ids, strict=True)}
    split = {"type": "Split", "pattern": {"Regex": tokenizer.pattern}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    content = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": name, **flags}
                         for name, i in sorted(tokenizer.special.items(), key=lambda item: item[1])],
        "normalizer": {"type": tokenizer.normalization} if tokenizer.normalization else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": dict(sorted(vocabulary.items(), key=lambda item: item[1])),
                  "merges": [" ".join(map(_spell, pair)) for pair in tokenizer.merges]},
    }
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if tokenizer.end_of_text is not None:
        config["eos_token"] = next(name for name, i in tokenizer.special.items() if i == tokenizer.end_of_text)
    return {FILE: json.dumps(content, ensure_ascii=False, indent=1) + "\n",
            "tokenizer_config.json": json.dumps(config, indent=1) + "\n"}


def _spell(token: bytes) -> str:
    return "".join(_CHARACTERS[value] for value in token)


def read(path: str | os.PathLike) -> dict:
    """The arguments of `BPETokenizer` from a tokenizer.json; refuses what our byte-level BPE cannot repeat."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        model = content["model"]
        kind = model.get("type", "BPE" if "merges" in model else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a tokenizer.json of Hugging Face tokenizers ({error!r})") from None
    if kind != "BPE" or model.get("byte_fallback"):
        raise ValueError(f"{path} holds {kind}{' over characters' if kind == 'BPE' else ''}, not byte-level BPE; "
                         "a tokenizer.model beside it is for SentencePieceTokenizer.from_model")
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(setting):
            raise ValueError(f"{path} sets {setting}={model[setting]!r}, which minillm's BPE does not know")

    special = {token["content"]: token["id"] for token in content.get("added_tokens") or []}
    ids = {token: i for token, i in model["vocab"].items() if token not in special}
    names = sorted((name for name in ids if len(name) == 1), key=ids.get)
    if set(names) != set(_VALUES):
        raise ValueError(f"{path} is not byte-level: its tokens hold {len(set(names) & set(_VALUES))} of 256 bytes")
    seen = set(names)
    for pair in model["merges"]:
        name = "".join(pair.split(" ") if isinstance(pair, str) else pair)
        if name not in ids:
            raise ValueError(f"{path} joins {pair!r}, but {name!r} is not in its vocabulary")
        if name not in seen:
            seen.add(name)
            names.append(name)
    return {"tokens": [bytes(_VALUES[character] for character in name) for name in names],
            "ids": [ids[name] for name in names], "special": special,
            "pattern": _pattern(content.get("pre_tokenizer"), path),
            "normalization": _normalization(content.get("normalizer"), path)}


def _normalization(normalizer: dict | None, path: Path) -> str | None:
    if normalizer is None or normalizer == {"type": "Sequence", "normalizers": []}:
        return None
    if normalizer.get("type") in ("NFC", "NFD", "NFKC", "NFKD"):
        return normalizer["type"]
    raise ValueError(f"{path} normalises text by {normalizer.get('type')}, which minillm's BPE does not know")


def _pattern(pre_tokenizer: dict | None, path: Path) -> str:
    """The one regular expression that cuts as a pre-tokenizer of Hugging Face does."""
    steps = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer or {}])
    kinds = [step.get("type") for step in steps]
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
