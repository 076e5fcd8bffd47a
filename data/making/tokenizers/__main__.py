"""Train the tokenizers that ship: `python -m data.making.tokenizers` from the root of the project."""
from pathlib import Path

from minillm.lessons.tokenization.measures import halves
from minillm.tokenizers import SentencePieceTokenizer

HERE = Path(__file__).parents[2] / "tokenizers"

if __name__ == "__main__":
    known, _ = halves()
    tokenizer = SentencePieceTokenizer.train(known.values(), 4096, special=())
    tokenizer.save(HERE / "unigram-19")
    print(f"unigram-19: {tokenizer.vocab_size:,} pieces, {len(tokenizer.model):,} bytes")
