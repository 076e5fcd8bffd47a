"""Spell every text with the byte sequences that were most frequent in the training text."""
from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path

import regex

from minillm import disk, reading
from minillm.tokenizers import huggingface
from minillm.tokenizers.merges import join_lowest, learn_merges
from minillm.tokenizers.protocol import END_OF_TEXT, IN_UTF8, Tokenizer, longest_first
from minillm.tokenizers.splitting import PATTERNS, SENTENCES, compiled, count_chunks, cut

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
                 normalization: str | None = None, added: Mapping[str, int] | None = None,
                 unmerged: Mapping[bytes, int] | None = None, ignore_merges: bool = False):
        """What a published vocabulary may hold besides: `ids` of tokens that are not numbered by rank; `added`
        names, which are one token in every text; `unmerged` tokens that no merge leads to, which are given where
        they are a whole chunk and `ignore_merges` is set, and otherwise never."""
        n_bytes = sum(len(token) == 1 for token in tokens)
        if not IN_UTF8 <= set(tokens[:n_bytes]):
            raise ValueError("the first 256 tokens must be the single bytes, or some text could not be written "
                             "(13 that are no part of UTF-8 may be absent)")
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
        self.added, self.unmerged, self.ignore_merges = dict(added or {}), dict(unmerged or {}), ignore_merges
        of = {i: token for token, i in self.unmerged.items()} | dict(zip(self.ids, tokens, strict=True))
        of |= {i: name.encode("utf-8") for name, i in (self.special | self.added).items()}
        self.vocab_size = 1 + max(of)
        self._bytes = [of.get(i) for i in range(self.vocab_size)]
        self._ranks = {token: rank for rank, token in enumerate(tokens)}
        for name, i in (self.special | self.added).items():
            rank = self._ranks.get(huggingface.spelled_as(name))
            if rank is not None and self.ids[rank] != i:
                raise ValueError(f"special token {name!r} is also how token {self.ids[rank]}, {tokens[rank]!r}, is "
                                 f"written; give it a name that no text holds, such as <|{name}|>")
        self._split = compiled(self.pattern)

    @classmethod
    def train(cls, texts: str | Iterable[str], vocab_size: int, *, pattern: str = "gpt4",
              special: Iterable[str] = (END_OF_TEXT,), words: int | None = None) -> BPETokenizer:
        """Learn vocab_size - 256 - len(special) merges, fewer where no pair is left that occurs twice.

        `pattern` is a name in `PATTERNS` or a regular expression; `learn_merges` says how ties are settled.  With
        `words`, so many tokens (the 256 bytes among them) keep to the pattern, and all later ones may span whatever
        stands in one sentence (`SENTENCES`, the pattern that the tokenizer then has): phrases, where a text repeats
        them.  Liu et al. 2025, "SuperBPE", arXiv:2503.13423.
        """
        special = tuple(special)
        n_merges = vocab_size - 256 - len(special)
        if n_merges < 0:
            raise ValueError(f"vocab_size={vocab_size} has no room for the 256 bytes and {len(special)} special "
                             f"tokens; ask for at least {256 + len(special)}")
        if words is not None and not 256 <= words <= 256 + n_merges:
            raise ValueError(f"words={words} must be at least 256, the bytes, and at most the {256 + n_merges} tokens "
                             f"that vocab_size={vocab_size} leaves")
        if words is not None and not isinstance(texts, str):
            texts = list(texts)                                                # they are read twice
        tokens = [bytes([value]) for value in range(256)]

        def learn(chunks: Mapping[Sequence[int], int], up_to: int) -> None:
            for left, right in islice(learn_merges(chunks, first=len(tokens)), up_to - len(tokens)):
                tokens.append(tokens[left] + tokens[right])

        learn(count_chunks(texts, PATTERNS.get(pattern, pattern)), words or 256 + n_merges)
        if words is not None:
            pattern, known = SENTENCES, _encoding(r"(?s).+", {token: rank for rank, token in enumerate(tokens)})
            learn({tuple(known.encode_ordinary(chunk.decode("utf-8"))): count
                   for chunk, count in count_chunks(texts, pattern).items()}, 256 + n_merges)
        return cls(tokens, pattern=pattern, special=special)

    def split(self, text: str) -> list[str]:
        """The chunks of a text; no token spans two of them."""
        return cut(text, self._split)

    def merge(self, chunk: bytes) -> list[bytes]:
        """The tokens of one chunk, merge by merge, the lowest rank first."""
        never = len(self.tokens)
        parts = [bytes([value]) for value in chunk]
        while len(parts) > 1:
            rank, i = min((self._ranks.get(a + b, never), i) for i, (a, b) in enumerate(pairwise(parts)))
            if rank == never:
                break
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return parts

    def encode_readable(self, text: str) -> list[int]:
        """What `encode` does, in the open: chunk by chunk, merge by merge.  A hundred times slower."""
        return self._between_added(text, lambda part: [
            i for chunk in self.split(part) for i in self._whole(chunk)
            or self._to_ids([self._ranks[token] for token in self.merge(chunk.encode("utf-8"))])])

    def _encode(self, text: str) -> list[int]:
        return self._between_added(text, self._encode_plain)

    def _between_added(self, text: str, encode: Callable[[str], list[int]]) -> list[int]:
        """Ids of a text in which every added name is one token, wherever it stands."""
        text, ids, start = self._normalize(text), [], 0
        for match in self._added_pattern.finditer(text) if self.added else ():
            ids += [*encode(text[start:match.start()]), self.added[match[0]]]
            start = match.end()
        return ids + encode(text[start:])

    def _encode_plain(self, text: str) -> list[int]:
        chunk_by_chunk = self.pattern not in PATTERNS.values() or self.ignore_merges and self.unmerged
        if not chunk_by_chunk and not self._fools_tiktoken(text):
            return self._to_ids(self._tiktoken.encode_ordinary(text))
        return [i for chunk in self.split(text)
                for i in self._whole(chunk) or self._to_ids(self._tiktoken_chunk.encode_ordinary(chunk))]

    def _whole(self, chunk: str) -> list[int]:
        """The id of a chunk that is a token although no merge leads to it."""
        if not (self.ignore_merges and self.unmerged):
            return []
        return [self.unmerged[spelled]] if (spelled := chunk.encode("utf-8")) in self.unmerged else []

    def _cut(self, text: str) -> int:
        if self.pattern not in PATTERNS.values():
            return 0  # nothing is known about another pattern, so a stream is held to its end
        ends = (match.start() for match in _SURE_END.finditer(text))  # from the last to the first
        return next((end for end in ends if not self._divides_added(text, end)), 0)

    def _divides_added(self, text: str, cut: int) -> bool:
        """May an added name begin before this place and end after it?"""
        return any(text.endswith(name[:k], 0, cut) and (name[k:].startswith(text[cut:cut + len(name) - k]))
                   for name in self.added for k in range(1, len(name)))

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < self.vocab_size or self._bytes[token] is None:
            self._refuse(token)
        return self._bytes[token]

    @property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The pairs that were joined, in order; found again from the tokens."""
        pairs = []
        for token in self.tokens:
            splits = [(token[:i], token[i:]) for i in range(1, len(token))]
            known = [pair for pair in splits if pair[0] in self._ranks and pair[1] in self._ranks]
            pair = known[0] if len(known) == 1 else tuple(join_lowest(token, self._ranks, but=token))
            if len(token) > 1 and len(pair) != 2:
                raise ValueError(f"token {token!r} is not the join of two tokens of the vocabulary")
            pairs += [pair] if len(token) > 1 else []
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
        return cls.from_tokenizer_json(reading.inside(folder, settings.get("vocabulary")))

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
    def _added_pattern(self) -> regex.Pattern:
        return longest_first(self.added)

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
