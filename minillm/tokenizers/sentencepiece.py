"""Let Google's SentencePiece learn the pieces: by merging pairs (BPE), or by pruning a large set (Unigram)."""
from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import regex

from minillm import disk
from minillm.tokenizers.protocol import END_OF_TEXT, Tokenizer, check_text

FILE = "tokenizer.model"
NORMALIZATIONS = ("identity", "nfkc", "nmt_nfkc", "nfkc_cf")
SPACE = "▁"  # U+2581: how a piece shows a blank
_SURE_END = regex.compile(r"(?r)(?<=[^ ])(?= )|(?<=\n)|(?=\n)")
_WORDS = regex.compile(r"\n| *[^ \n]+| +")


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

    def __init__(self, model: bytes):
        import sentencepiece

        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
            self.vocab_size = self._processor.GetPieceSize()
        except RuntimeError:
            raise ValueError(f"these {len(model)} bytes are not a SentencePiece model") from None
        names = [self._processor.IdToPiece(i) for i in range(self.vocab_size)]
        self.special = {name: i for i, name in enumerate(names) if self._processor.IsControl(i)}
        self._unknown = self._processor.unk_id()
        self._bytes = [self._spelling(i, name) for i, name in enumerate(names)]
        self._byte_ids = {i: self._processor.PieceToId(f"<0x{i:02X}>") for i in SPACE.encode("utf-8")}
        self.starts_with_space = "".join(self._processor.EncodeAsPieces("a")).startswith(SPACE)
        self._by_word = self._keeps(" a  b ") and not any(
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
        lines = [part for line in lines for part in line.translate(rare).split("\n") if part]
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines), model_writer=model, model_type=algorithm,
                vocab_size=vocab_size, hard_vocab_limit=False, character_coverage=1.0, byte_fallback=True,
                normalization_rule_name=normalization, add_dummy_prefix=False, remove_extra_whitespaces=False,
                user_defined_symbols=["\n"], control_symbols=list(special), unk_id=0, bos_id=-1, eos_id=-1,
                pad_id=-1, **blank, max_sentence_length=1 << 24, num_threads=1, minloglevel=2)
        except RuntimeError as error:
            raise ValueError(f"SentencePiece could not learn vocab_size={vocab_size} by {algorithm} from this "
                             f"text: {error}") from None
        return cls(model.getvalue())

    @classmethod
    def from_model(cls, path: str | os.PathLike) -> SentencePieceTokenizer:
        """Read a SentencePiece `.model`, of ours or of a published model (Llama 2, Mistral, Gemma, T5 …)."""
        return cls(Path(path).read_bytes())

    @property
    def end_of_text(self) -> int | None:
        end = self._processor.eos_id()
        return self.special.get(END_OF_TEXT, end if end >= 0 else None)

    def piece_scores(self) -> dict[str, float]:
        """Unigram: each piece's log probability (nats), with blanks as they are; BPE: minus its rank."""
        return {self._bytes[i].decode("utf-8"): self._processor.GetScore(i) for i in range(self.vocab_size)
                if not (self._processor.IsByte(i) or self._processor.IsControl(i) or self._processor.IsUnknown(i))}

    def _encode(self, text: str) -> list[int]:
        ids = []
        for i, part in enumerate(text.split(SPACE)):
            if i:
                ids += map(self._byte_ids.__getitem__, SPACE.encode("utf-8"))
            words = _WORDS.findall(part) if self._by_word else [part]
            for word, word_ids in zip(words, self._processor.EncodeAsIds(words), strict=True):
                ids += self._with_blanks(word_ids) if " " in word else word_ids
        if self._unknown in ids:
            self._refuse_unknown(text)
        return ids

    def _with_blanks(self, ids: list[int]) -> list[int]:
        """A model without a piece for the blank spells U+2581 in bytes where one stands: spell the blank instead."""
        sign, blank = [*self._byte_ids.values()], self._processor.PieceToId("<0x20>")
        places = [i for i in range(len(ids) - 2) if ids[i:i + 3] == sign]
        for i in reversed(places if self._unknown not in (*sign, blank) else []):
            ids[i:i + 3] = [blank]
        return ids

    def _keeps(self, text: str) -> bool:
        """Does the library give all of a text back: no blank added, none removed?"""
        data = b"".join(self._bytes[i] for i in self._processor.EncodeAsIds(text))
        return data.decode("utf-8", errors="replace").replace(SPACE, " ") == text

    def _cut(self, text: str) -> int:
        match = _SURE_END.search(text) if self._by_word else None
        return match.start() if match else 0

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < self.vocab_size:
            self._refuse(token)
        return self._bytes[token]

    def save(self, folder: str | os.PathLike) -> None:
        """Also writes `tokenizer.model`, which the SentencePiece library reads."""
        disk.write(Path(folder) / FILE, self.model)
        super().save(folder)

    def settings(self) -> dict:
        return {"model": FILE}

    @classmethod
    def from_settings(cls, settings: dict, folder: Path) -> SentencePieceTokenizer:
        return cls.from_model(folder / settings["model"])

    def _spelling(self, token: int, name: str) -> bytes:
        if self._processor.IsByte(token):
            return bytes([int(name[3:5], base=16)])
        if self._processor.IsUnknown(token):
            return "\N{REPLACEMENT CHARACTER}".encode()
        return (name if self._processor.IsControl(token) else name.replace(SPACE, " ")).encode("utf-8")

    def _refuse_unknown(self, text: str) -> None:
        position, character = next((i, c) for i, c in enumerate(text)
                                   if self._unknown in self._processor.EncodeAsIds(c))
        raise ValueError(f"character {position}, {character!r} (U+{ord(character):04X}), is unknown to this model, "
                         "which was made without byte fallback; remove it, or train a SentencePieceTokenizer")


def _lines(texts: str | Iterable[str]) -> Iterator[str]:
    for text in [texts] if isinstance(texts, str) else texts:
        check_text(text)
        yield from filter(None, regex.split(rf"[\n{SPACE}\0]", text))
