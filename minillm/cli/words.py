"""Say once what `train` and `tokenize` both take; loads nothing, so that --help is quick."""
from __future__ import annotations

TOKENIZERS = ("char", "byte", "bpe", "unigram", "sentencepiece-bpe", "gpt2")  # or the folder of a saved one
LEARNED = ("bpe", "unigram", "sentencepiece-bpe")                             # whose size is to be chosen
MOST_MB = 1_000_000                                                           # a terabyte
MAX_MB = 64                                                                   # of your own files, if not told otherwise
