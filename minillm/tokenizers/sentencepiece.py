"""Let Google's SentencePiece learn the pieces: by merging pairs (BPE), or by pruning a large set (Unigram)."""
from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path

import regex

from minillm import disk, reading
from minillm.tokenizers.added import added_beside
from minillm.tokenizers.protobuf import read_field
from minillm.tokenizers.protocol import END_OF_TEXT, ID, Tokenizer, check_text, longest_first
from minillm.waiting import beside

FILE = "tokenizer.model"
NORMALIZATIONS = ("identity", "nfkc", "nmt_nfkc", "nfkc_cf")
SPACE = "▁"  # U+2581: how a piece shows a blank
LONGEST, LONGEST_WORD = 2000, 256  # characters that are learned from at once: the library's time is their square
USER_DEFINED = 4  # of the kinds of piece
PREFIX, NO_PREFIX = (b"\x1a\x02\x18" + value for value in (b"\x01", b"\x00"))
# appended to a model, these set its add_dummy_prefix: in protobuf the last word holds
_SURE_END = regex.compile(r"(?r)(?<=[^ ])(?= )|(?<=\n)|(?=\n)")
_WORDS = regex.compile(r"\n| *[^ \n]+| +")
_LONG_WORD = regex.compile(rf"[^ ]{{{LONGEST_WORD}}}(?=[^ ])")
_PARTS = regex.compile(rf".{{1,{LONGEST}}}(?= |$)")  # of a line without longer words, cut where a word begins


class SentencePieceTokenizer(Tokenizer):
    """Pieces of text without a fixed idea of words: blanks belong to the pieces (shown as ▁).

    ``algorithm="unigram"`` gives every piece a probability and takes the most probable segmentation (Kudo 2018,
    arXiv:1804.10959); ``"bpe"`` merges the most frequent pairs.  Characters without a piece are spelled in bytes.
    Kudo & Richardson 2018, arXiv:1808.06226.

    Nothing is lost.  A text is given to the library word by word: since no piece spans a blank or a new line, the
    segmentation is the library's, but words do not depend on what stands before them (the library adds up log
    probabilities in 32 bits, and equally good segmentations of a word would be chosen by the rounding).  A published
    model that adds or removes blanks itself is given the whole text, and does to it what it does in its own library.
    U+2581 itself, which means a blank inside the library, is spelled in bytes here; the library would lose it.
    """
    kind = "sentencepiece"

    def __init__(self, model: bytes, *, special: Mapping[str, int] | None = None,
                 added: Mapping[str, int] | None = None, strips: Mapping[str, list[str]] | None = None):
        """`special` and `added` stand beside the model: names that are one token where asked for, and in every text;
        `strips` says which special ones take the blanks on their left (lstrip) or right (rstrip) along."""
        self.model = model
        self.library = _library(model)
        self.vocab_size = self.library.GetPieceSize()
        trainer, normalizer = (b"".join(read_field(model, number)) for number in (2, 3))
        self.algorithm = ["unigram", "unigram", "bpe", "word", "char"][(read_field(trainer, 3) or [1])[-1]]
        self.characters_map = (read_field(normalizer, 2) or [b""])[-1]  # what becomes of which, before all else
        names = [self.library.IdToPiece(i) for i in range(self.vocab_size)]
        self.beside, self.added, self.strips = dict(special or {}), dict(added or {}), dict(strips or {})
        self.special = {name: i for i, name in enumerate(names) if self.library.IsControl(i)} | self.beside
        self._unknown = self.library.unk_id()
        self._bytes = [self._spelling(i, name) for i, name in enumerate(names)]
        self._added_bytes = {i: name.encode("utf-8") for name, i in (self.beside | self.added).items()}
        self.vocab_size = max([self.vocab_size, *(i + 1 for i in self._added_bytes)])
        self._byte_ids = {i: self.library.PieceToId(f"<0x{i:02X}>") for i in SPACE.encode("utf-8")}
        self.starts_with_space = "".join(self.library.EncodeAsPieces("a")).startswith(SPACE)
        if self._spelled("a").endswith(" "):
            raise ValueError("this model puts a blank after every text, not before it (treat_whitespace_as_suffix), "
                             "which is not built here; choose another tokenizer")
        self.trims = not self._spelled("a  b").endswith("a  b")
        self.by_word = self._keeps(" a  b ") and not any(
            regex.search(r"[^ ] |.\n|\n.", token.decode("utf-8", errors="replace"), flags=regex.DOTALL)
            for token in self._bytes)

    @classmethod
    def train(cls, texts: str | Iterable[str], vocab_size: int, *, algorithm: str = "unigram",
              special: Iterable[str] = (END_OF_TEXT,), normalization: str = "identity") -> SentencePieceTokenizer:
        """Learn pieces until, with 256 bytes, new line, unknown and `special`, there are vocab_size.

        Fewer, where the text has no more that occur twice.  At most half of the pieces are single characters,
        the most frequent.  `normalization` other than "identity" changes a text before it is encoded, and what
        it changes is lost: "nfkc" (Unicode TR15: ﬁ becomes fi, ² becomes 2), "nmt_nfkc", "nfkc_cf" (lower case).
        """
        import sentencepiece

        if algorithm not in ("unigram", "bpe"):
            raise ValueError(f"algorithm={algorithm!r} is neither 'unigram' nor 'bpe'")
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization={normalization!r} is not one of: {', '.join(NORMALIZATIONS)}")
        special = tuple(special)
        lines = list(_lines(texts))
        characters = Counter()
        for line in lines:
            characters.update(line)
        if not characters:
            raise ValueError("the training text is empty; SentencePiece learns its pieces from text")
        room = (vocab_size - 258 - len(special)) // 2
        if room < 1:
            raise ValueError(f"vocab_size={vocab_size} has no room for 256 bytes, new line, unknown and "
                             f"{len(special)} special tokens; ask for at least {260 + len(special)}")
        frequent = [c for c, _ in characters.most_common()]
        rare = dict.fromkeys(map(ord, frequent[room:]), "\n")
        blank = {} if " " in frequent[:room] else {"required_chars": SPACE}  # a piece even where no text shows one
        parts = (part for line in lines for part in _short(line.translate(rare)))
        model = io.BytesIO()
        learn = partial(
            sentencepiece.SentencePieceTrainer.train, sentence_iterator=parts, model_writer=model, model_type=algorithm,
            vocab_size=vocab_size, hard_vocab_limit=False, character_coverage=1.0, byte_fallback=True,
            normalization_rule_name=normalization, add_dummy_prefix=False, remove_extra_whitespaces=False,
            user_defined_symbols=["\n"], control_symbols=list(special), unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1,
            **blank, max_sentence_length=1 << 24, num_threads=1, minloglevel=2)
        try:
            beside(learn)
        except RuntimeError as error:
            raise ValueError(f"SentencePiece could not learn vocab_size={vocab_size} by {algorithm} from this "
                             f"text: {error}") from None
        return cls(model.getvalue())

    @classmethod
    def from_model(cls, path: str | os.PathLike) -> SentencePieceTokenizer:
        """Read a SentencePiece `.model`, of ours or of a published model (Llama 2, Mistral, Gemma, T5 …)."""
        return cls(reading.contents(path))

    @classmethod
    def from_folder(cls, folder: str | os.PathLike) -> SentencePieceTokenizer:
        """Read a published folder: its `tokenizer.model`, and the tokens that other files add to it."""
        model = reading.contents(Path(folder) / FILE, within=folder)
        library = _library(model)
        pieces = {library.IdToPiece(i): i for i in range(library.GetPieceSize())}
        return cls(model, **added_beside(Path(folder), pieces))

    def _usual_end(self) -> int | None:
        end = self.library.eos_id()
        return self.special.get(END_OF_TEXT, end if end >= 0 else None)

    def piece_scores(self) -> dict[str, float]:
        """Unigram: each piece's log probability (nats), with blanks as they are; BPE: minus its rank."""
        return {self._bytes[i].decode("utf-8"): self.library.GetScore(i) for i in range(len(self._bytes))
                if not (self.library.IsByte(i) or self.library.IsControl(i) or self.library.IsUnknown(i))}

    def _encode(self, text: str) -> list[int]:
        return self._ids(text, self.library)

    def encode_stream(self, texts: Iterable[str], *, special: bool = False) -> Iterator[int]:
        """As every tokenizer's; at once where a special token takes along blanks of which more may come."""
        if special and self.strips:
            return iter(self.encode("".join(texts), special=True))
        return super().encode_stream(texts, special=special)

    def _special_pattern(self) -> regex.Pattern:
        return longest_first(self.special, self.strips)

    def _part(self, text: str, continues: bool) -> list[int]:
        ids, start = [], 0
        for match in longest_first(self.added).finditer(text) if self.added else ():
            ids += [*super()._part(text[start:match.start()], continues or start > 0), self.added[match[0]]]
            start = match.end()
        return ids + super()._part(text[start:], continues or start > 0)

    def _continue(self, text: str) -> list[int]:
        """As the whole text reads from here: no blank is put before it, and of those that it begins with, a model that
        trims keeps one, as it does inside a text."""
        if self.by_word:
            return self._encode(text)
        begins = self.trims and text[:1].isspace() and self._spelled(f"a{text[0]}a").endswith("a a")
        return self._ids(text, self._before_a_word if begins else self._inside)

    def _ids(self, text: str, processor) -> list[int]:
        """The sign that stands for a blank is spelled in bytes; what is between such signs is encoded at once."""
        parts = [_WORDS.findall(part) if self.by_word else [part] for part in text.split(SPACE)]
        inside = self.library if self.by_word else self._inside
        encoded = chain(processor.EncodeAsIds(parts[0]), inside.EncodeAsIds(list(chain(*parts[1:]))))
        ids = []
        for i, words in enumerate(parts):
            if i:
                ids += map(self._byte_ids.__getitem__, SPACE.encode("utf-8"))
            for word, word_ids in zip(words, islice(encoded, len(words)), strict=True):
                ids += self._with_blanks(word_ids) if " " in word else word_ids
        if self._unknown in ids:
            self._refuse_unknown(text)
        return ids

    @cached_property
    def own_symbols(self) -> dict[str, int]:
        """Pieces that whoever trained the model asked for: each is one token in every text."""
        kinds = [(read_field(piece, 3) or [1])[-1] for piece in read_field(self.model, 1)]
        return {self.library.IdToPiece(i): i for i, kind in enumerate(kinds) if kind == USER_DEFINED}

    @cached_property
    def _inside(self):
        return _library(self.model + NO_PREFIX)

    @cached_property
    def _before_a_word(self):
        return _library(self.model + PREFIX)

    def _with_blanks(self, ids: list[int]) -> list[int]:
        """A model without a piece for the blank spells U+2581 in bytes where one stands: spell the blank instead."""
        sign, blank = [*self._byte_ids.values()], self.library.PieceToId("<0x20>")
        places = [i for i in range(len(ids) - 2) if ids[i:i + 3] == sign]
        for i in reversed(places if self._unknown not in (*sign, blank) else []):
            ids[i:i + 3] = [blank]
        return ids

    def _keeps(self, text: str) -> bool:
        """Does the library give all of a text back: no blank added, none removed?"""
        return self._spelled(text) == text

    def _spelled(self, text: str) -> str:
        """What the library makes of a text."""
        data = b"".join(self._bytes[i] for i in self.library.EncodeAsIds(text))
        return data.decode("utf-8", errors="replace").replace(SPACE, " ")

    def _cut(self, text: str) -> int:
        match = _SURE_END.search(text) if self.by_word and not self.added else None
        return match.start() if match else 0

    def token_bytes(self, token: int) -> bytes:
        if token in self._added_bytes:
            return self._added_bytes[token]
        if not 0 <= token < len(self._bytes):
            self._refuse(token)
        return self._bytes[token]

    def save(self, folder: str | os.PathLike) -> None:
        """Also writes `tokenizer.model`, which the SentencePiece library reads."""
        disk.write(Path(folder) / FILE, self.model)
        super().save(folder)

    def settings(self) -> dict:
        beside = {"special": self.beside, "added": self.added, "strips": self.strips}
        return {"model": FILE} | {name: tokens for name, tokens in beside.items() if tokens}

    @classmethod
    def from_settings(cls, settings: dict, folder: Path) -> SentencePieceTokenizer:
        reading.check(settings, {"special?": {str: ID}, "added?": {str: ID}, "strips?": {str: [str]}}, folder)
        return cls(reading.contents(reading.inside(folder, settings.get("model"))),
                   **{name: settings.get(name) for name in ("special", "added", "strips")})

    def _spelling(self, token: int, name: str) -> bytes:
        if self.library.IsByte(token):
            return bytes([int(name[3:5], base=16)])
        if self.library.IsUnknown(token):
            return "\N{REPLACEMENT CHARACTER}".encode()
        return (name if self.library.IsControl(token) else name.replace(SPACE, " ")).encode("utf-8")

    def _refuse_unknown(self, text: str) -> None:
        position, character = next((i, c) for i, c in enumerate(text)
                                   if self._unknown in self.library.EncodeAsIds(c))
        raise ValueError(f"character {position}, {character!r} (U+{ord(character):04X}), is unknown to this model, "
                         "which was made without byte fallback; remove it, or train a SentencePieceTokenizer")


def _library(model: bytes):
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
        for i in range(processor.GetPieceSize()):
            processor.IdToPiece(i)
    except (RuntimeError, UnicodeError):  # the library's own, or names that are no text
        raise ValueError(f"these {len(model)} bytes are not a SentencePiece model") from None
    return processor


def _lines(texts: str | Iterable[str]) -> Iterator[str]:
    for text in [texts] if isinstance(texts, str) else texts:
        check_text(text)
        yield from filter(None, regex.split(rf"[\n{SPACE}\0]", text))


def _short(text: str) -> Iterator[str]:
    """Its lines in parts that are not too long, cut between words, or inside one that is too long itself."""
    for line in text.split("\n"):
        words = line if len(line) <= LONGEST_WORD else _LONG_WORD.sub(r"\g<0>\n", line)
        for part in words.split("\n"):
            yield from _PARTS.findall(part) if len(part) > LONGEST else [part] if part else []
