"""Train and use tokenizers beside the compiled ones, and start up beside PyTorch."""
from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from tests.benchmarks.timing import Row, in_a_fresh_process, race

VOCAB = 1024


def sample() -> str:
    """1.1 MB of real text, the same for all."""
    from minillm import corpora
    return corpora.load("shakespeare").text


def tokenizing() -> list[Row]:
    """Seconds to train a vocabulary of 1,024; megabytes of text encoded per second."""
    import sentencepiece
    import tiktoken
    import tokenizers

    from minillm.tokenizers import BPETokenizer
    text = sample()
    megabytes = len(text.encode()) / 1e6
    folder = Path(tempfile.mkdtemp())
    (folder / "text.txt").write_text(text, encoding="utf-8")

    def theirs():
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=VOCAB, show_progress=False, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator([text], trainer)
        return tokenizer

    def pieces():
        sentencepiece.SentencePieceTrainer.train(
            input=str(folder / "text.txt"), model_prefix=str(folder / "sp"), vocab_size=VOCAB, model_type="bpe",
            minloglevel=2)

    rows = race("BPE training, 1.1 MB to 1,024", {
        "tokenizers (Rust)": theirs, "sentencepiece (C++)": pieces,
        "minillm (Python)": lambda: BPETokenizer.train([text], VOCAB)}, work=1.0, unit="runs/s", repeats=3, warm=0)
    ours, rust = BPETokenizer.train([text], VOCAB), theirs()
    piece = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sp.model"))
    same = tiktoken.Encoding("same", pat_str=ours.pattern, special_tokens={},
                             mergeable_ranks={token: rank for rank, token in enumerate(ours.tokens)})
    assert same.encode_ordinary(text[:100_000]) == ours.encode(text[:100_000])
    rivals = {"tiktoken (Rust), our merges": lambda: same.encode_ordinary(text),
              "tokenizers (Rust)": lambda: rust.encode(text).ids,
              "sentencepiece (C++)": lambda: piece.encode(text), "minillm BPE": lambda: ours.encode(text)}
    return rows + race("encoding", rivals, work=megabytes, unit="MB/s", repeats=5, warm=1)


def seconds_to_import(module: str) -> float:
    began = time.perf_counter()
    __import__(module)
    return time.perf_counter() - began


def start_up() -> list[Row]:
    times = {"torch": [], "minillm": [], "minillm.model": []}
    for _ in range(5):
        for module, seen in times.items():
            seen.append(in_a_fresh_process("texts.seconds_to_import", module))
    first = statistics.median(times["torch"])
    return [("start-up", f"import {m}", statistics.median(t), "s", f"{statistics.median(t) / first:.2f} ×")
            for m, t in times.items()]
