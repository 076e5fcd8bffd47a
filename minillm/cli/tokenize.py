"""Show how a tokenizer cuts a text, and train tokenizers on texts of the catalogue or your own files."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from minillm.cli.numbers import COUNT

KINDS = ("char", "byte", "bpe", "unigram", "sentencepiece-bpe", "gpt2")
EXAMPLES = """\
examples:
  minillm tokenize "Hello, 世界" --tokenizer byte
  minillm tokenize "To be, or not" --tokenizer bpe --train shakespeare --vocab-size 1024 --save runs/bpe
  minillm tokenize "To be, or not" --tokenizer runs/bpe        a saved one, or that of a trained model
  minillm tokenize - --tokenizer runs/bpe --ids < book.txt > book.ids
"""


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", help="the text to cut; - reads it from standard input")
    parser.add_argument("--tokenizer", default="byte", metavar="WHICH",
                        help=f"one of {', '.join(KINDS)}, or a folder that holds a tokenizer")
    parser.add_argument("--train", nargs="+", metavar="TEXT",
                        help="learn it from these: names of the catalogue, or files")
    parser.add_argument("--vocab-size", type=COUNT, default=1024, metavar="N", help="tokens to learn, bytes included")
    parser.add_argument("--pattern", default="gpt4", metavar="NAME", help="where bpe cuts first: gpt2, gpt4, gpt4o, …")
    parser.add_argument("--save", metavar="FOLDER", help="keep the tokenizer here")
    parser.add_argument("--ids", action="store_true", help="print ids only, one per line, as they come")
    parser.add_argument("--special", action="store_true", help="read names such as <|endoftext|> as special tokens")
    parser.add_argument("--max-mb", type=COUNT, default=64, metavar="MB", help="refuse files larger than this")


def run(options: argparse.Namespace) -> int:
    tokenizer = make_tokenizer(options)
    if options.save:
        tokenizer.save(options.save)
        print(f"{options.save}: {tokenizer.kind}, {tokenizer.vocab_size:,} tokens", file=sys.stderr)
    if options.text is None:
        if not options.save:
            raise ValueError("give a text to cut, or - to read it from standard input")
        return 0
    texts = iter(lambda: sys.stdin.read(1 << 16), "") if options.text == "-" else [options.text]
    if options.ids:
        for token in tokenizer.encode_stream(texts, special=options.special):
            print(token)
        return 0
    text = "".join(texts)
    ids = tokenizer.encode(text, special=options.special)
    print("│".join(tokenizer.pieces(ids)))
    size = len(text.encode("utf-8"))
    print(f"{len(ids):,} tokens for {len(text):,} characters in {size:,} bytes: "
          f"{size / max(1, len(ids)):.2f} bytes per token, of a vocabulary of {tokenizer.vocab_size:,}")
    return 0


def make_tokenizer(options: argparse.Namespace):
    """A saved tokenizer, one that needs no training, or one that is trained now."""
    from minillm import tokenizers
    from minillm.cli.choices import read_texts
    name, size = options.tokenizer, options.vocab_size
    if options.train and (name not in KINDS or name in ("byte", "gpt2")):
        raise ValueError(f"--tokenizer {name} has nothing left to learn; leave --train out, or choose another")
    if name not in KINDS:
        if not Path(name).is_dir():
            raise ValueError(f"--tokenizer {name} is neither a folder nor one of {', '.join(KINDS)}")
        return tokenizers.load_tokenizer(name)
    if name == "byte":
        return tokenizers.ByteTokenizer(special=(tokenizers.END_OF_TEXT,))
    if name == "gpt2":
        return tokenizers.GPT2Tokenizer()
    if not options.train:
        raise ValueError(f"a {name} tokenizer is learnt from a text: add --train shakespeare, or a file of your own")
    documents = read_texts(options.train, options.max_mb * 2**20).documents
    if name == "char":
        return tokenizers.CharTokenizer.train(documents, special=(tokenizers.END_OF_TEXT,))
    if name == "bpe":
        return tokenizers.BPETokenizer.train(documents, size, pattern=options.pattern)
    algorithm = "unigram" if name == "unigram" else "bpe"
    return tokenizers.SentencePieceTokenizer.train(documents, size, algorithm=algorithm)
