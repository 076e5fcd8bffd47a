"""Spell every text with the byte sequences that were most frequent in the training text."""
from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path

import regex

from minillm import disk
from minillm.tokenizers import huggingface
from minillm.tokenizers.merges import learn_merges
from minillm.tokenizers.protocol import END_OF_TEXT, Tokenizer
from minillm.tokenizers.splitting import PATTERNS, count_chunks, cut

# Where a chunk ends in each of PATTERNS, whatever stands around: between anything and a blank, between a letter
# or digit and a new line, between one new line and a letter or digit, between a letter and a sign.
_SURE_END = regex.compile(r"(?r)(?<=\S)(?=[^\S\r\n])|(?<=[\p{L}\p{N}])(?=\s)|(?<=\S\n)(?=[\p{L}\p{N}])"
                          r"|(?<=\p{L})(?=[^\s\p{L}\p{N}\p{M}'])")
_LONG_BLANK = 10_000  # tiktoken's regex engine overflows its stack on a few hundred thousand blanks in a row


class BPETokenizer(Tokenizer):
    """Byte-pair encoding: cut a text into chunks, and in each join the best pair of neighbours, again and again.

    `tokens` holds byte sequences in order of rank: the 256 bytes, then one per merge.  To encode a chunk, join
    the two neighbours whose joined bytes have the lowest rank, the leftmost first, until none is a token.
    Sennrich et al. 2016, arXiv:1508.07909; on bytes: Radford et al. 2019.

    Two different pairs never join into the same bytes: what lies between two borders has been joined in one way
    only.  So ranking by joined bytes, as tiktoken does, is ranking by pairs.
    """
    kind = "bpe"

    def __init__(self, tokens: Sequence[bytes], *, pattern: str = "gpt4",
                 special: Iterable[str] | Mapping[str, int] = (END_OF_TEXT,), ids: Sequence[int] | None = None,
                 normalization: str | None = None):
        """`ids` gives each token's id where a published vocabulary does not number them by rank."""
        if sorted(tokens[:256]) != [bytes([value]) for value in range(256)]:
            raise ValueError("the first 256 tokens must be the single bytes, or some text could not be written")
        if len(set(tokens)) != len(tokens):
            raise ValueError(f"{len(tokens) - len(set(tokens))} of {len(tokens)} tokens are repeated")
        self.tokens = list(tokens)
        self.pattern = PATTERNS.get(pattern, pattern)
        self.normalization = normalization
        self.ids = list(range(len(tokens)) if ids is None else ids)
        self._in_order = self.ids == list(range(len(tokens)))
        first = 1 + max(self.ids)
        self.special = (dict(special) if isinstance(special, Mapping) else
                        {name: first + i for i, name in enumerate(special)})
        self.vocab_size = max(first, 1 + max(self.special.values(), default=0))
        self._bytes: list[bytes | None] = [None] * self.vocab_size
        for i, token in zip(self.ids, tokens, strict=True):
            self._bytes[i] = token
        for name, i in self.special.items():
            self._bytes[i] = name.encode("utf-8")
        self._ranks = {token: rank for rank, token in enumerate(tokens)}
        self._split = regex.compile(self.pattern)

    @classmethod
    def train(cls, texts: str | Iterable[str], vocab_size: int, *, pattern: str = "gpt4",
              special: Iterable[str] = (END_OF_TEXT,)) -> BPETokenizer:
        """Learn vocab_size - 256 - len(special) merges, fewer where no pair is left that occurs twice.

        `pattern` is a name in `PATTERNS` or a regular expression; `learn_merges` says how ties are settled.
        """
        special = tuple(special)
        n_merges = vocab_size - 256 - len(special)
        if n_merges < 0:
            raise ValueError(f"vocab_size={vocab_size} has no room for the 256 bytes and {len(special)} special "
                             f"tokens; ask for at least {256 + len(special)}")
        tokens = [bytes([value]) for value in range(256)]
        for left, right in islice(learn_merges(count_chunks(texts, PATTERNS.get(pattern, pattern))), n_merges):
            tokens.append(tokens[left] + tokens[right])
        return cls(tokens, pattern=pattern, special=special)

    def split(self, text: str) -> list[str]:
        """The chunks of a text; no token spans two of them."""
        return cut(text, self._split)

    def merge(self, chunk: bytes, below: int | None = None) -> list[bytes]:
        """The tokens of one chunk, merge by merge, the lowest rank first; with `below`, only by ranks below it."""
        never = len(self.tokens) if below is None else below
        parts = [bytes([value]) for value in chunk]
        while len(parts) > 1:
            rank, i = min((self._ranks.get(a + b, never), i) for i, (a, b) in enumerate(pairwise(parts)))
            if rank >= never:
                break
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return parts

    def encode_readable(self, text: str) -> list[int]:
        """What `encode` does, in the open: chunk by chunk, merge by merge.  A hundred times slower."""
        chunks = self.split(self._normalize(text))
        return self._to_ids([self._ranks[token] for chunk in chunks for token in self.merge(chunk.encode("utf-8"))])

    def _encode(self, text: str) -> list[int]:
        text = self._normalize(text)
        if self.pattern in PATTERNS.values() and not self._fools_tiktoken(text):
            return self._to_ids(self._tiktoken.encode_ordinary(text))
        chunks = self.split(text)
        return self._to_ids([rank for chunk in chunks for rank in self._tiktoken_chunk.encode_ordinary(chunk)])

    def _cut(self, text: str) -> int:
        if self.pattern not in PATTERNS.values():
            return 0  # nothing is known about another pattern, so a stream is held to its end
        match = _SURE_END.search(text)
        return match.start() if match else 0

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < self.vocab_size or self._bytes[token] is None:
            self._refuse(token)
        return self._bytes[token]

    @property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The pairs that were joined, in order; found again from the tokens."""
        pairs = []
        for rank, token in enumerate(self.tokens[256:], start=256):
            splits = [(token[:i], token[i:]) for i in range(1, len(token))]
            known = [pair for pair in splits if max(self._ranks.get(part, rank) for part in pair) < rank]
            pair = known[0] if len(known) == 1 else tuple(self.merge(token, below=rank))
            if len(pair) != 2:
                raise ValueError(f"token {token!r} is not the join of two tokens of lower rank")
            pairs.append(pair)
        return pairs

    def save(self, folder: str | os.PathLike) -> None:
        """Also writes `tokenizer.json` and `tokenizer_config.json`, which Hugging Face's libraries read."""
        for name, text in huggingface.files(self).items():
            disk.write(Path(folder) / name, text)
        super().save(folder)

    def settings(self) -> dict:
        return {"vocabulary": huggingface.FILE}

    @classmethod
    def from_settings(cls, settings: dict, folder: Path) -> BPETokenizer:
        return cls.from_tokenizer_json(folder / settings["vocabulary"])

    @classmethod
    def from_tokenizer_json(cls, path: str | os.PathLike) -> BPETokenizer:
        """Read a byte-level BPE in Hugging Face's format (GPT-2, Llama 3, Qwen, OLMo 2, SmolLM …).

        Its added tokens become `special`; what its post-processor would put around a text is not added.
        Refuses other algorithms, and settings under which our ids would differ.
        """
        return cls(**huggingface.read(path))

    def _normalize(self, text: str) -> str:
        return unicodedata.normalize(self.normalization, text) if self.normalization else text

    def _to_ids(self, ranks: list[int]) -> list[int]:
        return ranks if self._in_order else [self.ids[rank] for rank in ranks]

    @cached_property
    def _tiktoken(self):
        return _encoding(self.pattern, self._ranks)

    @cached_property
    def _tiktoken_chunk(self):
        return _encoding(r"(?s).+", self._ranks)

    @cached_property
    def _classes(self) -> list:
        """Each character class of the pattern, twice: as tiktoken reads it and as `regex` does."""
        ranks = {bytes([value]): value for value in range(256)}
        return [(_encoding(name, ranks), regex.compile(name))
                for name in sorted(set(regex.findall(r"\\p\{\w+\}|\\s", self.pattern)))]

    @cached_property
    def _agreed(self) -> set[str]:
        return {chr(i) for i in range(128)}

    def _fools_tiktoken(self, text: str) -> bool:
        """Would tiktoken's regex engine cut this text elsewhere than `regex` does, or fall over?"""
        if any(text[i:i + _LONG_BLANK].isspace() for i in range(0, len(text) - _LONG_BLANK, _LONG_BLANK)):
            return True
        return not text.isascii() and bool(self._disputed(set(text) - self._agreed))

    def _disputed(self, characters: set[str]) -> set[str]:
        """Those that the two engines put into different classes: their Unicode tables are of different years."""
        if not characters:
            return characters
        together, disputed = "".join(characters), set()
        for theirs, ours in self._classes:
            disputed |= set(bytes(theirs.encode_ordinary(together)).decode("utf-8")) ^ set(ours.findall(together))
        self._agreed |= characters - disputed
        return disputed


def _encoding(pattern: str, ranks: dict[bytes, int]):
    import tiktoken

    return tiktoken.Encoding("minillm", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
