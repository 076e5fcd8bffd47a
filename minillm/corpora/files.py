"""Read texts of your own: files by their paths, or an upload's bytes."""
from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from minillm.corpora.text import Corpus, mix
from minillm.reading import contents

MAX_BYTES = 64 * 2 ** 20

NOT_TEXT = {
    b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP archive (as Word and EPUB files are)", b"{\\rtf": "an RTF document",
    b"\x1f\x8b": "a gzip archive", b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture",
}
SAVE_AS = "save it as UTF-8 text and try again"

File = str | os.PathLike | tuple[str, bytes | bytearray | memoryview]


def read(files: File | Iterable[File], *, name: str | None = None, max_bytes: int = MAX_BYTES) -> Corpus:
    r"""One or several files of UTF-8 text as a corpus: paths, or (name, bytes) pairs as an upload gives them.

    Line ends become ``\n`` and a byte-order mark goes; nothing else is changed.  Several files become a mix: each
    gives its own end for validation.  Refuses, with the file's name and the way out, what is missing, empty, not
    UTF-8, or in all larger than `max_bytes` (64 MiB unless you say more).
    """
    files = [files] if isinstance(files, (str, os.PathLike)) or _is_upload(files) else list(files)
    if not files:
        raise ValueError("no file was given; name at least one")
    sizes = [len(file[1]) if _is_upload(file) else _size(Path(file)) for file in files]
    if not sum(sizes) <= max_bytes:  # NaN, too
        raise ValueError(f"{_label(files)}: {sum(sizes):,} bytes are more than max_bytes={max_bytes:,}; take a "
                         f"part of the text, or allow more with max_bytes={sum(sizes):_}")
    corpora = []
    for file in files:
        label, data = file if _is_upload(file) else (Path(file).name, contents(file, most=max_bytes))
        text = decode(bytes(data), label)
        if not text.strip():
            raise ValueError(f"{label} is empty; choose a file with text in it")
        corpora.append(Corpus(name=Path(label).stem or label, title=label, documents=(text,)))
    if len(corpora) > 1:
        return mix(corpora, name=name)
    return Corpus(**vars(corpora[0]) | {"name": name or corpora[0].name})


def stream(file: str | os.PathLike, *, block: int = 1 << 20) -> Iterator[str]:
    """The text of a file that may be larger than the memory, `block` bytes at a time, cleaned as `read` cleans it.

    A piece ends where the next line begins with a letter or digit, so that the pieces hold the same chunks as the whole
    text: ``tokenizer = BPETokenizer.train(stream(path), 1024)``, and then
    ``TokenFile.write(ids, tokenizer.encode_stream(stream(path)), vocab_size=tokenizer.vocab_size)``.  In a text that
    has no such place for 8 blocks, it ends between two characters.  Refuses what `read` refuses, once it comes there.
    """
    path, held, size, lines, empty = Path(file), b"", 0, 0, True
    _size(path)
    with path.open("rb") as source:
        while data := source.read(block):
            held += data
            place = _last_place(held, must=len(held) > 8 * block)
            text = decode(held[:place], path.name, size=size, lines=lines)
            size, lines, held = size + place, lines + held.count(b"\n", 0, place), held[place:]
            empty = empty and not text.strip()
            if text:
                yield text
    text = decode(held, path.name, size=size, lines=lines)
    if empty and not text.strip():
        raise ValueError(f"{path.name} is empty; choose a file with text in it")
    if text:
        yield text


_PLACES = re.compile(rb"(?s).*[!-~\x80-\xff]\n(?=[A-Za-z0-9])")


def _last_place(data: bytes, *, must: bool) -> int:
    """The last place where a text may be cut; 0 if there is none, but between characters if it `must`."""
    if found := _PLACES.match(data):
        return found.end()
    ends = range(len(data) - 1, max(0, len(data) - 100), -1) if must else ()  # not within a character, nor a line end
    return next((end for end in ends if data[end] & 0xC0 != 0x80 and data[end - 1] != 13), 0)


LINE_END = re.compile("\r*\n|\r")  # of Unix, Windows, old Macs, and of what was converted twice


def decode(data: bytes, label: str, *, size: int = 0, lines: int = 0) -> str:
    """UTF-8 bytes as text with plain line ends; else say which byte is wrong and what the file may be.

    Of a file `size` bytes and `lines` lines may have been before them.
    """
    for start, kind in NOT_TEXT.items():
        if data.startswith(start) and not size:
            raise ValueError(f"{label} is {kind}, not a text file; {SAVE_AS}")
    try:
        text = data.decode("utf-8-sig")
        wrong = data.find(b"\0")  # valid UTF-8, but what is it doing in a text?
    except UnicodeDecodeError as error:
        wrong = error.start + len(data) - len(error.object)  # the codec counts after the byte-order mark
    if wrong < 0:
        text = LINE_END.sub("\n", text) if "\r" in text else text
        return text.replace("\ufeff", "")  # a byte-order mark: two files were joined
    raise ValueError(f"{label} is not UTF-8 text: byte {size + wrong:,} (line "
                     f"{lines + data.count(10, 0, wrong) + 1:,}) is 0x{data[wrong]:02X}; {_likely(data, wrong)}")


def _likely(data: bytes, place: int) -> str:
    """What bytes that are not UTF-8 most likely are, and how to mend them."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or data[:4096].count(0) > len(data[:4096]) // 5:
        return f"it looks like UTF-16 (Windows' \"Unicode\"); {SAVE_AS}"
    if data[place] == 0:
        return f"a zero byte stands in no text: is it a program's own format? {SAVE_AS.capitalize()}"
    if place >= len(data) - 3 and data[place] >= 0xC2:
        return "the file breaks off inside a character; was it copied whole?"
    high = sum(byte > 0x7F for byte in data[:65536]) / len(data[:65536])
    kind = "Latin-1 or Windows-1252" if high < 0.4 else "an older encoding (KOI8-R, Windows-1256, Shift JIS …)"
    return f"it looks like {kind}; {SAVE_AS}, or convert it: iconv -f ENCODING -t UTF-8"


def _size(path: Path) -> int:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the files in it: read(Path({str(path)!r}).glob('*.txt'))")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; check the spelling (this runs in {Path.cwd()})")
    return path.stat().st_size


def _is_upload(file: object) -> bool:
    return isinstance(file, tuple) and len(file) == 2 and isinstance(file[1], (bytes, bytearray, memoryview))


def _label(files: Sequence[File]) -> str:
    first = files[0][0] if _is_upload(files[0]) else Path(files[0]).name
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more"
