"""List the texts that minillm knows by name, and bring one of them.

`data/catalogue.json` has a row for each famous text: its address, checksum and cleaning.  `data/shipped.json` has
one for each text of our own: {"name": {"title": …, "language": …, "script": …, "licence": …, "file": path below
data/}}, and "between": the exact string between two documents, where the file holds several.
"""
from __future__ import annotations

import os
import re
import sys
import unicodedata
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from minillm import disk
from minillm.corpora.download import MOST, fetch
from minillm.corpora.files import decode
from minillm.corpora.text import Card, Corpus
from minillm.reading import check, parse, read_json, shown

CARD = {f"{field.name}?": str for field in fields(Card) if field.type == "str"}  # what is told of a text
TOLD = CARD | {"title": str, "parts?": [dict]}
SHIPPED = {"file": str, "between?": str}
FETCHED = {"file": str, "url": str, "bytes": range(1, MOST + 1), "sha256": str, "json?": str, "start?": str,
           "end?": str, "subs?": [[str]], "clean_characters?": range(1 << 30)}


def names(*, language: str | None = None, shipped: bool | None = None) -> list[str]:
    """The texts that `load` brings, those that ship first; if asked, only of one language or (not) shipped."""
    cards = map(card, _rows())
    return [c.name for c in cards if language in (None, c.language) and shipped in (None, c.shipped)]


def card(name: str) -> Card:
    """What is known about a text, without reading or fetching it."""
    row = _row(name)
    size = sum(part.get("clean_characters", 0) for part in _parts(row))
    return Card(**Card.known(row) | {"name": name, "characters": size, "shipped": "url" not in _parts(row)[0]})


def load(name: str) -> Corpus:
    """A text by name: from `data/`, from the folder MINILLM_CORPORA, from the cache, or fetched into it.

    A fetched text is checked against its checksum and cleaned (`clean`).  Raises ValueError for an unknown name
    and `DownloadError` where it cannot be fetched.
    """
    row, known = _row(name), vars(card(name))
    if known["shipped"]:
        text = decode((data_folder() / row["file"]).read_bytes(), row["file"])
        documents = text.split(row["between"]) if "between" in row else [text]
        return Corpus(**known | {"documents": tuple(document for document in documents if document.strip())})
    texts = [clean(_bytes(name, part), part) for part in _parts(row)]
    members = [Corpus(**known | Card.known(part) | {"documents": (text,)})
               for part, text in zip(_parts(row), texts, strict=True)]
    return Corpus(**known | {"documents": tuple(texts), "members": tuple(members) if len(members) > 1 else ()})


def clean(data: bytes, row: dict[str, Any]) -> str:
    """The text in a downloaded file, by the steps that its row in the catalogue asks for, in this order.

    UTF-8 without BOM; CRLF to LF; JSON to lines; cut through `start`, cut from `end`; `subs`; NFC; one final
    newline.
    """
    name = row.get("file", "the file")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text ({error}); fetch it again") from None
    if "json" in row:
        names = FLATTEN[row["json"]]
        check(parts := parse(text, name), [{**dict.fromkeys(names, str), "paragraphs": [str]}], name)
        text = "\n\n".join("\n".join([*(part[above] for above in names), *part["paragraphs"]]) for part in parts)
    if "start" in row:
        text = text[_place(row, "start", text).end():]
    if "end" in row:
        text = text[:_place(row, "end", text).start()]
    for pattern, replacement in row.get("subs", ()):
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return unicodedata.normalize("NFC", text).strip() + "\n"


FLATTEN = {"poems": ("title", "author"), "chapters": ("chapter",)}  # what stands above the paragraphs


def _place(row: dict[str, Any], name: str, text: str) -> re.Match:
    if (found := re.search(row[name], text, re.MULTILINE)) is None:
        raise ValueError(f"{row.get('file', 'the file')} does not hold its {name}, {row[name]!r}; is it another text?")
    return found


def data_folder() -> Path:
    """Where the shipped data are: `data/` in a clone, `minillm/_data` where a wheel was installed."""
    package = Path(__file__).resolve().parents[1]
    folders = (package / "_data", package.parent / "data")
    for folder in folders:
        if (folder / "catalogue.json").is_file():
            return folder
    raise FileNotFoundError(f"minillm's own data are neither in {folders[0]} nor in {folders[1]}; install it again, "
                            f"or run it from a whole clone")


def cache_folder() -> Path:
    """Where fetched texts are kept: MINILLM_CACHE, or the platform's folder for what can be fetched again."""
    if chosen := os.environ.get("MINILLM_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "minillm"


@cache
def _rows() -> dict[str, dict[str, Any]]:
    files = {data_folder() / "shipped.json": SHIPPED, data_folder() / "catalogue.json": FETCHED}
    return {name: row for file, form in files.items() for name, row in _read(file, form).items()}


def _read(file: Path, form: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of one of our own files, as far as a file that was edited can be told from it."""
    rows = read_json(file, {str: dict})
    for name, row in rows.items():
        check(row, TOLD, file, name)
        for part in _parts(row):
            check(part, CARD | form, file, name)
            if not disk.leads_inside(part["file"]) or part.get("json", "poems") not in FLATTEN:
                raise ValueError(f"{file} tells of {name!r} by {shown(part['file'])}, which is no file of a text that "
                                 f"minillm reads; install minillm again")
            patterns = [part.get("start"), part.get("end"), *(pair[0] for pair in part.get("subs", ()) if pair)]
            if not all(map(_is_pattern, patterns)) or any(len(pair) != 2 for pair in part.get("subs", ())):
                raise ValueError(f"{file} cleans {name!r} by what is no pattern and what stands for it; install "
                                 f"minillm again")
        if not _parts(row) or row.get("between") == "":
            raise ValueError(f"{file} tells of {name!r} no texts, or nothing between them; install minillm again")
    return rows


def _is_pattern(pattern: str | None) -> bool:
    try:
        re.compile(pattern or "")
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _row(name: str) -> dict[str, Any]:
    rows = _rows()
    if name not in rows:
        asked = name.lower()
        near = get_close_matches(asked, rows, 1) or [
            key for key, row in rows.items() if asked in f"{row['title']} {row.get('author', '')}".lower()]
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(rows)}"
        raise ValueError(f"no text is called {name!r}; {hint} (a file of your own: corpora.read(path))")
    return rows[name]


def _parts(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The files of a text: several where one name stands for a group."""
    return row.get("parts", [row])


def _bytes(name: str, part: dict[str, Any]) -> bytes:
    """The file of a text, from the first place that has it."""
    if (own := os.environ.get("MINILLM_CORPORA")) and (path := Path(own) / part["file"]).is_file():
        if (data := _known(path, part)) is None:
            raise ValueError(f"{path} is not the {name!r} of the catalogue (its sha256 differs); remove it, or read "
                             f"it as a file of your own with corpora.read({str(path)!r})")
        return data
    path = cache_folder() / part["file"]
    if (data := _known(path, part)) is not None:
        return data
    return fetch(part["url"], path, size=part["bytes"], sha256=part["sha256"]).read_bytes()


def _known(path: Path, part: dict[str, Any]) -> bytes | None:
    """What a file holds, if that is the catalogue's: of another size it is not even read."""
    if not path.is_file() or path.stat().st_size != part["bytes"]:
        return None
    data = path.read_bytes()
    return data if sha256(data).hexdigest() == part["sha256"] else None
