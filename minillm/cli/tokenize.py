"""Show how a tokenizer cuts a text, and train tokenizers on texts of the catalogue or your own files."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from minillm.cli.numbers import COUNT, number
from minillm.cli.words import LEARNED, MAX_MB, MOST_MB, TOKENIZERS

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
                        help=f"one of {', '.join(TOKENIZERS)}, or a folder that holds a tokenizer")
    parser.add_argument("--train", nargs="+", metavar="TEXT",
                        help="learn it from these: names of the catalogue, or files")
    parser.add_argument("--vocab-size", type=COUNT, default=1024, metavar="N", help="tokens to learn, bytes included")
    parser.add_argument("--pattern", default="gpt4", metavar="NAME", help="where bpe cuts first: gpt2, gpt4, gpt4o, …")
    parser.add_argument("--save", metavar="FOLDER", help="keep the tokenizer here")
    parser.add_argument("--ids", action="store_true", help="print ids only, one per line, as they come")
    parser.add_argument("--special", action="store_true", help="read names such as <|endoftext|> as special tokens")
    parser.add_argument("--max-mb", type=number(float, above=0, most=MOST_MB), default=MAX_MB, metavar="MB",
                        help="refuse files larger than this")


def run(options: argparse.Namespace) -> int:
    from minillm.tokenizers.protocol import SETTINGS_FILE
    if options.save and (Path(options.save) / SETTINGS_FILE).exists():
        raise ValueError(f"{options.save} holds a tokenizer already, on which models may depend; choose another --save")
    tokenizer = tokenizer_for(options)
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


def tokenizer_for(options: argparse.Namespace):
    """A saved tokenizer, one that needs no training, or one that is trained now."""
    from minillm.cli.choices import make_tokenizer, read_texts
    which, learned = options.tokenizer, options.train and options.tokenizer in LEARNED
    for name, obeyed, what in (("vocab_size", learned, f"is learned by {', '.join(LEARNED)}, from --train"),
                               ("pattern", learned and which == "bpe", "is where bpe cuts what --train gives it"),
                               ("max_mb", options.train, "limits what --train reads")):
        if name in options.given and not obeyed:
            raise ValueError(f"--{name.replace('_', '-')} {what}; --tokenizer {which} "
                             f"{'' if options.train else 'without --train '}passes it over: leave it out")
    if options.text is None and (unused := options.given & {"ids", "special"}):
        raise ValueError(f"--{min(unused)} says how to cut a text; give one, or - to read it from standard input")
    if options.train and (which not in TOKENIZERS or which in ("byte", "gpt2")):
        raise ValueError(f"--tokenizer {which} has nothing left to learn; leave --train out, or choose another")
    documents = read_texts(options.train, int(options.max_mb * 2**20)).documents if options.train else None
    return make_tokenizer(which, documents, vocab_size=options.vocab_size, pattern=options.pattern)
