"""Turn the words of a command line into a text, a tokenizer and a configuration."""
from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path

from minillm import corpora, tokenizers
from minillm.cli.words import TOKENIZERS
from minillm.config import ModelConfig, RopeScaling
from minillm.presets import PRESETS, scaled
from minillm.reading import parse
from minillm.recipes import OWN

KINDS = {  # kind of a field -> what a person calls it, how it is read
    "int": ("a whole number", int),
    "float": ("a number", float),
    "bool": ("true or false", lambda text: {"true": True, "false": False}[text.lower()]),
    "RopeScaling": ('of the form {"kind": "linear", "factor": 4.0}',
                    lambda text: vars(RopeScaling(**parse(text, "it")))),
}


def read_texts(names: list[str], max_bytes: int):
    """Texts by name, or your own files; several are mixed."""
    known = corpora.names()
    for name in set(names).intersection(known):
        if Path(name).is_file():
            print(f"{name} is read from the catalogue; for your own file of that name, write {os.curdir}{os.sep}{name}",
                  file=sys.stderr)
    parts = [corpora.load(name) if name in known or not Path(name).exists() and not {".", "/", os.sep} & set(name)
             else corpora.read(name, max_bytes=max_bytes) for name in names]
    return parts[0] if len(parts) == 1 else corpora.mix(parts)


def make_tokenizer(which: str, documents: Sequence[str] | None, *, alphabet: Sequence[str] | None = None,
                   vocab_size: int, pattern: str = "gpt4", special: tuple[str, ...] = (tokenizers.END_OF_TEXT,)):
    """A word of TOKENIZERS, learnt from documents where it needs any, or the folder of a saved tokenizer.

    An alphabet is taken from all of the text (`alphabet`), or the part kept for validation could not be read.
    """
    if which not in TOKENIZERS:
        if not Path(which).is_dir():
            raise ValueError(f"--tokenizer {which} is neither a folder nor one of {', '.join(TOKENIZERS)}")
        return tokenizers.load_tokenizer(which)
    if Path(which).is_dir():
        print(f"{which} is the kind of tokenizer; for your own folder of that name, write {os.curdir}{os.sep}{which}",
              file=sys.stderr)
    if which == "byte":
        return tokenizers.ByteTokenizer(special=special)
    if which == "gpt2":
        return tokenizers.GPT2Tokenizer()
    if documents is None:
        raise ValueError(f"a {which} tokenizer is learnt from a text: add --train shakespeare, or a file of your own")
    if which == "char":
        return tokenizers.CharTokenizer.train(alphabet or documents, special=special)
    if which == "bpe":
        return tokenizers.BPETokenizer.train(documents, vocab_size, pattern=pattern)
    algorithm = "unigram" if which == "unigram" else "bpe"
    return tokenizers.SentencePieceTokenizer.train(documents, vocab_size, algorithm=algorithm)


def make_config(options: argparse.Namespace, vocab_size: int):
    """The architecture asked for: a preset or minillm's own, its size, and the fields that were set."""
    if options.preset is not None and options.preset not in PRESETS:
        raise ValueError(f"no preset is called {options.preset!r}; there are {', '.join(PRESETS)}")
    if options.size == "full":
        if options.preset is None:
            raise ValueError("--size full is a preset's published size; name one with --preset")
        config = replace(PRESETS[options.preset], vocab_size=vocab_size)
    else:
        config = scaled(PRESETS[options.preset] if options.preset else OWN, options.size, vocab_size=vocab_size)
    types = {field.name: field.type for field in fields(ModelConfig)}
    values = dict([("context_length", options.context)] if options.context else [])
    for item in options.fields or ():
        name, sign, value = item.partition("=")
        if not sign:
            raise ValueError(f"--set {item} has no value; write FIELD=VALUE, for instance --set n_layers=6")
        if name not in types:
            near = get_close_matches(name, types, 1)
            raise ValueError(f"--set {item}: ModelConfig has no field {name!r}; "
                             + (f"did you mean {near[0]}?" if near else f"there are {', '.join(types)}"))
        values[name] = _read_value(value, types[name], name)
    if "vocab_size" in values:
        raise ValueError("vocab_size is the tokenizer's; choose it with --tokenizer and --vocab-size")
    return ModelConfig.from_dict({**config.to_dict(), **values})


def _read_value(text: str, kind: str, name: str):
    kind, _, optional = kind.partition(" | ")
    if text.lower() == "none" and optional:
        return None
    if kind == "str":
        return text
    said, read = KINDS[kind]
    try:
        return read(text)
    except (KeyError, ValueError, TypeError):
        raise ValueError(f"{name}={text!r} is not {said}" + (", nor none" if optional else "")) from None
