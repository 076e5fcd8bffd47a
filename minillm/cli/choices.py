"""Turn the words of a command line into a text, a tokenizer and a configuration."""
from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path

from minillm import corpora, tokenizers
from minillm.config import ModelConfig
from minillm.presets import PRESETS, scaled

SETTINGS = dict(qk_norm="head", mlp="relu2")  # beside ModelConfig's own: what learned fastest on two cores


def read_texts(names: list[str], max_bytes: int):
    """Texts by name, or your own files; several are mixed."""
    known = corpora.names()
    parts = [corpora.load(name) if name in known or not Path(name).exists() and "." not in name
             else corpora.read(name, max_bytes=max_bytes) for name in names]
    return parts[0] if len(parts) == 1 else corpora.mix(parts)


def make_tokenizer(options: argparse.Namespace, corpus, train_part):
    """The tokenizer asked for, trained on the training part only (an alphabet is taken from all of the text)."""
    ends = (tokenizers.END_OF_TEXT,) if len(corpus.documents) > 1 else ()
    return {"char": lambda: tokenizers.CharTokenizer.train(corpus.documents, special=ends),
            "byte": lambda: tokenizers.ByteTokenizer(special=ends),
            "bpe": lambda: tokenizers.BPETokenizer.train(train_part.documents, options.vocab_size),
            "sentencepiece": lambda: tokenizers.SentencePieceTokenizer.train(train_part.documents, options.vocab_size),
            "gpt2": tokenizers.GPT2Tokenizer}[options.tokenizer]()


def make_config(options: argparse.Namespace, vocab_size: int):
    """The architecture asked for: a preset or minillm's own, its size, and the fields that were set."""
    if options.preset is not None and options.preset not in PRESETS:
        raise ValueError(f"no preset is called {options.preset!r}; there are {', '.join(PRESETS)}")
    if options.size == "full":
        if options.preset is None:
            raise ValueError("--size full is a preset's published size; name one with --preset")
        config = replace(PRESETS[options.preset], vocab_size=vocab_size)
    else:
        own = ModelConfig(**SETTINGS)
        config = scaled(PRESETS[options.preset] if options.preset else own, options.size, vocab_size=vocab_size)
    types = {field.name: field.type for field in fields(ModelConfig)}
    values = dict([("context_length", options.context)] if options.context else [])
    for item in options.fields:
        name, sign, value = item.partition("=")
        if not sign:
            raise ValueError(f"--set {item} has no value; write FIELD=VALUE, for instance --set n_layers=6")
        values[name] = _read_value(value, types.get(name, "str"), name)
    if "vocab_size" in values:
        raise ValueError("vocab_size is the tokenizer's; choose it with --tokenizer and --vocab-size")
    return ModelConfig.from_dict({**config.to_dict(), **values})


def _read_value(text: str, kind: str, name: str):
    if text.lower() == "none" and "None" in kind:
        return None
    if kind.startswith("str"):
        return text
    try:
        return {"true": True, "false": False}[text.lower()] if kind == "bool" else json.loads(text)
    except (KeyError, ValueError):
        raise ValueError(f"{name}={text!r} is not of the kind {kind}") from None
