"""Say what every tokenizer promises: text to ids, ids to exactly the same text, at once or as it streams."""
from __future__ import annotations

import codecs
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import regex

from minillm import disk, reading

END_OF_TEXT = "<|endoftext|>"
SETTINGS_FILE = "minillm_tokenizer.json"
IN_UTF8 = {bytes([value]) for value in range(256) if value not in (0xC0, 0xC1, *range(0xF5, 0x100))}  # RFC 3629
MOST = 1 << 24  # ids; a larger one would only fill the memory
ID = range(MOST)
ROLES = {"begin": (ID, None), "ends": [ID], "padding": (ID, None), "always?": bool}
BLOCK = 1 << 16  # characters that a stream holds at a time


@dataclass(frozen=True)
class Roles:
    """What a published model uses its special tokens for: one that begins a text, those (any of them) that close one,
    one that fills batches up.  `always`: its own tokenizer puts `begin` before every text."""
    begin: int | None = None
    ends: tuple[int, ...] = ()
    padding: int | None = None
    always: bool = False


class Tokenizer(ABC):
    """Text <-> ids, without loss: ``decode(encode(text)) == text`` for every text that `encode` accepts.

    A tokenizer fills in three things: `_encode` (plain text to ids), `_cut` (where a stream may be cut) and
    `token_bytes`, the UTF-8 bytes that an id stands for.  Everything else follows from them.
    """
    kind: str
    vocab_size: int
    special: dict[str, int]
    roles = Roles()
    chat = ""  # how a published model writes a conversation down, in Jinja: not read here, handed on by `export_hf`
    starts_with_space = False  # SentencePiece models may put a blank before every text; decoding takes it off

    @property
    def end_of_text(self) -> int | None:
        """The id that closes a document; None where the vocabulary has no such token."""
        return self.roles.ends[0] if self.roles.ends else self._usual_end()

    @property
    def ends(self) -> tuple[int, ...]:
        """All ids after which nothing more is to come: give them to `generate` as `stop`."""
        end = self.end_of_text
        return self.roles.ends or (() if end is None else (end,))

    def _usual_end(self) -> int | None:
        """What closes a document where nobody has said so."""
        return self.special.get(END_OF_TEXT)

    @abstractmethod
    def _encode(self, text: str) -> list[int]:
        """Ids of plain, checked text."""

    @abstractmethod
    def _cut(self, text: str) -> int:
        """The last c where ids(text + more) = ids(text[:c]) + ids(text[c:] + more), whatever `more` is."""

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """The bytes that one id stands for: some characters, or (⟨E2 82⟩) a part of one."""

    def encode(self, text: str, *, special: bool = False, continues: bool = False) -> list[int]:
        """Ids of a text.  A special token's name inside it is plain text, unless ``special=True``.

        With ``continues=True`` the ids are to follow others of the same text, as an answer follows its question: what
        a published model puts before the beginning of a text does not stand in its middle.  Refuses half of a
        surrogate pair, which is no character and has no UTF-8 form, with its position.
        """
        check_text(text)
        ids, start = [], 0
        for match in self._special_pattern().finditer(text) if special and self.special else ():
            ids += [*self._part(text[start:match.start()], continues or start > 0), self.special[match["name"]]]
            start = match.end()
        return ids + self._part(text[start:], continues or start > 0)

    def prompt(self, text: str) -> list[int]:
        """Ids of a text for a model to go on from, begun as the model was shown every text: Llama and Gemma are lost
        without their first token, which stands for no text."""
        begin = [self.roles.begin] if self.roles.always and self.roles.begin is not None else []
        return begin + self.encode(text)

    def _part(self, text: str, continues: bool) -> list[int]:
        return self._continue(text) if continues else self._encode(text)

    def _continue(self, text: str) -> list[int]:
        """Ids of plain, checked text that does not stand at the beginning."""
        return self._encode(text)

    def encode_stream(self, texts: Iterable[str], *, special: bool = False) -> Iterator[int]:
        """The ids of ``"".join(texts)``, one by one, holding only a block of the text at a time."""
        names = self._special_pattern() if special and self.special else None
        longest = max(map(len, self.special)) if names else 1
        held, wanted, begun = "", 0, False
        for text in _blocks(texts):
            held += text
            if len(held) < wanted:
                continue
            sure = max(0, len(held) - longest + 1)  # a special token's name may go on in the next block
            start = 0
            for match in names.finditer(held) if names else ():
                if match.start() >= sure:
                    break
                yield from self._part(held[start:match.start()], begun)
                yield self.special[match["name"]]
                start, begun = match.end(), True
            cut = start + self._cut(held[start:max(start, sure)])
            yield from self._part(held[start:cut], begun)
            held, begun = held[cut:], begun or cut > 0
            wanted = 2 * len(held)  # where nothing can be cut, do not look again at every block
        yield from self.encode(held, special=special, continues=begun)

    def decode(self, ids: Iterable[int], *, continues: bool = False) -> str:
        """The text of some ids.  Bytes that form no character (a model may write them) become U+FFFD.

        ``continues=True`` where they follow others, as what a model writes follows its prompt.
        """
        data = b"".join(map(self.token_bytes, ids))
        begins = self.starts_with_space and not continues
        return (data.removeprefix(b" ") if begins else data).decode("utf-8", errors="replace")

    def decoder(self, *, continues: bool = False) -> StreamDecoder:
        """Decode as ids arrive: ``push(id)`` gives the text that is certain by now, ``finish()`` the rest."""
        return StreamDecoder(self, continues=continues)

    def nameless(self, n: int) -> tuple[int, ...]:
        """Those of the first n ids that no token of this tokenizer has: a model may have rows to spare."""
        missing = []
        for i in range(n):
            try:
                self.token_bytes(i)
            except ValueError:
                missing.append(i)
        return tuple(missing)

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Each token for display; bytes that are only a part of a character are written out: ⟨E2 82⟩."""
        return [show_bytes(self.token_bytes(token)) for token in ids]

    @abstractmethod
    def settings(self) -> dict:
        """What `load` needs beside the tokenizer's own files."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: dict, folder: Path) -> Tokenizer:
        """The reverse of `settings`."""

    def save(self, folder: str | os.PathLike) -> None:
        """Write the tokenizer into a folder, made if need be; `load_tokenizer` reads it back."""
        roles = {} if self.roles == Roles() else {"roles": asdict(self.roles)}
        disk.write(Path(folder) / SETTINGS_FILE,
                   json.dumps({"kind": self.kind, **self.settings(), **roles}, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Tokenizer:
        """Read what `save` wrote."""
        settings = read_settings(folder)
        if settings["kind"] != cls.kind:
            raise ValueError(f"{folder} holds a tokenizer of kind {settings['kind']!r}, not {cls.kind!r}; "
                             "load_tokenizer(folder) picks the right class")
        tokenizer = cls.from_settings(settings, Path(folder))
        if settings.get("roles") is not None:
            roles = settings["roles"]
            tokenizer.roles = Roles(roles["begin"], tuple(roles["ends"]), roles["padding"], roles.get("always", False))
            for token in (*roles["ends"], roles["begin"], roles["padding"]):
                if token is not None:
                    tokenizer.token_bytes(token)  # refuses an id that is none
        return tokenizer

    def _special_pattern(self) -> regex.Pattern:
        return longest_first(self.special)

    def _refuse(self, token: int) -> None:
        raise ValueError(f"id {token} is outside the vocabulary of {self.vocab_size} tokens (0 to "
                         f"{self.vocab_size - 1}); were these ids made by another tokenizer?")


class UnreadTokenizer(Tokenizer):
    """Stand for a published tokenizer that cannot be read here, and say why when it is asked for anything."""
    kind, vocab_size, special = "unread", 0, {}

    def __init__(self, reason: str):
        self.reason = reason

    def _encode(self, text: str) -> list[int]:
        raise ValueError(self.reason)

    def _cut(self, text: str) -> int:
        raise ValueError(self.reason)

    def token_bytes(self, token: int) -> bytes:
        raise ValueError(self.reason)

    def nameless(self, n: int) -> tuple[int, ...]:
        return ()

    def settings(self) -> dict:
        raise ValueError(self.reason)

    @classmethod
    def from_settings(cls, settings: dict, folder: Path) -> UnreadTokenizer:
        raise ValueError(f"{folder} holds no tokenizer that was saved; save one with its model")


class StreamDecoder:
    """Turn ids into text one at a time and never show half a character."""

    def __init__(self, tokenizer: Tokenizer, *, continues: bool = False):
        self._token_bytes = tokenizer.token_bytes
        self._prefix = b" " if tokenizer.starts_with_space and not continues else b""
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The characters that this id completes; an empty string while one is still open."""
        data, self._prefix = self._token_bytes(token).removeprefix(self._prefix), b""
        return self._utf8.decode(data)

    def finish(self) -> str:
        """What is left at the end: nothing, or U+FFFD for a character that never came to its end."""
        return self._utf8.decode(b"", final=True)


def longest_first(names: Iterable[str], strips: Mapping[str, Iterable[str]] = MappingProxyType({})) -> regex.Pattern:
    """Any of these names; where one begins another, the longest.  Blanks that one `strips` belong to its match."""
    def spelled(name: str) -> str:
        left, right = (r"\s*" if side in strips.get(name, ()) else "" for side in ("lstrip", "rstrip"))
        return f"{left}(?P<name>{regex.escape(name)}){right}"
    return regex.compile("|".join(map(spelled, sorted(names, key=len, reverse=True))))


def check_text(text: object, position: int = 0) -> None:
    """Refuse what has no UTF-8 form; `position` is that of the text's first character."""
    if not isinstance(text, str):
        raise TypeError(f"a tokenizer reads str, not {type(text).__name__}; decode bytes first: "
                        "data.decode('utf-8')")
    for start in range(0, len(text), BLOCK):  # by parts, or a second text would stand in the memory
        try:
            text[start:start + BLOCK].encode("utf-8")
        except UnicodeEncodeError as error:
            place = start + error.start
            raise ValueError(f"character {position + place} is U+{ord(text[place]):04X}, half of a surrogate pair and "
                             f"no character; read the source as UTF-8, or remove it") from None


def show_bytes(data: bytes) -> str:
    """UTF-8 as text, where bytes that form no character stand between ⟨ and ⟩ in hexadecimal."""
    shown, loose = [], b""
    while data:
        try:
            good, bad, rest = data.decode("utf-8"), b"", b""
        except UnicodeDecodeError as error:
            good = data[:error.start].decode("utf-8")
            bad, rest = data[error.start:error.end], data[error.end:]
        if good and loose:
            shown.append(f"⟨{loose.hex(' ').upper()}⟩")
            loose = b""
        shown.append(good)
        loose, data = loose + bad, rest
    return "".join(shown) + (f"⟨{loose.hex(' ').upper()}⟩" if loose else "")


def read_settings(folder: str | os.PathLike) -> dict:
    if not (Path(folder) / SETTINGS_FILE).is_file():
        raise FileNotFoundError(f"{folder} holds no {SETTINGS_FILE}; tokenizer.save(folder) writes one")
    return reading.read_json(Path(folder) / SETTINGS_FILE, {"kind": str, "roles?": ROLES}, within=folder)


def _blocks(texts: Iterable[str]) -> Iterator[str]:
    """The same characters in pieces of about BLOCK, checked."""
    parts, size, position = [], 0, 0
    for text in [texts] if isinstance(texts, str) else texts:
        check_text(text, position)
        position += len(text)
        for start in range(0, len(text), BLOCK):
            parts.append(text[start:start + BLOCK])
            size += len(parts[-1])
            if size >= BLOCK:
                yield "".join(parts)
                parts, size = [], 0
    yield "".join(parts)
