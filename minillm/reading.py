"""Read what others wrote, and believe nothing of it before it has been looked at.

A file that means harm is small and says that it is large, names files that are none of its business, or is a pipe that
never ends.  So every door does the same: `inside` turns a name that stands in a file into a path in its folder,
`contents` reads a regular file of bounded size, `read_json` bounds what becomes of it, and `check` holds it to a form
that stands as a table beside its reader.  What does not fit is refused in one sentence, a ValueError.
"""
from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from reprlib import Repr
from typing import Any

from minillm import disk

BLOCK = 1 << 20
MOST_JSON = 64 << 20       # bytes; the largest tokenizer.json that is published takes 35 MB
MOST_PARTS = 2_000_000     # lists and objects in one file; each takes many times its bytes
DEEPEST = 200              # of them inside each other
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false",
         dict: "an object", list: "a list"}
_short = Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60
shown = _short.repr        # of any value, as much as a sentence holds


def inside(folder: str | os.PathLike, name: Any) -> Path:
    """The file in this folder that a name leads to which was read from a file.  Refuses one that leads out of it."""
    if not isinstance(name, str) or not disk.leads_inside(name):
        raise ValueError(f"{folder} names {shown(name)}, which is no file in that folder; was it put together by hand?")
    return regular(disk.find(folder, name), within=folder)


def regular(path: str | os.PathLike, *, within: str | os.PathLike | None = None, most: int | None = None) -> Path:
    """The path, if a file is there: no folder, pipe or device, no link out of `within`, and of at most `most` bytes.

    The one link out that is followed is the Hugging Face hub's own, from a snapshot to the blobs beside it.
    """
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path.parent} holds no {path.name}; was all of it copied?") from None
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is {'a folder' if path.is_dir() else 'a pipe or a device'}, not a file; put the file "
                         f"itself there")
    if most is not None and status.st_size > most:
        raise ValueError(f"{path} has {status.st_size:,} bytes, more than the {most:,} that are read of such a file; "
                         f"is it the right one?")
    if within is not None:
        real, home = Path(os.path.realpath(path)), Path(os.path.realpath(within))
        homes = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
        if not any(real.is_relative_to(each) for each in homes):
            raise ValueError(f"{path} is a link that leads out of its folder, to {real}; copy the file itself there")
    return path


def contents(path: str | os.PathLike, *, within: str | os.PathLike | None = None, most: int = MOST_JSON) -> bytes:
    """The bytes of a regular file, of which no more than `most` are read, whatever its size is said to be."""
    data = bytearray()
    with regular(path, within=within, most=most).open("rb") as file:
        while len(data) <= most and (block := file.read(BLOCK)):  # Python makes room for all that is asked for
            data += block
    if len(data) > most:
        raise ValueError(f"{path} has more than the {most:,} bytes that are read of such a file; is it the right one?")
    return bytes(data)


def read_json(path: str | os.PathLike, form: Any = dict, *, within: str | os.PathLike | None = None,
              most: int = MOST_JSON, halves: bool = False) -> Any:
    """What a JSON file holds, if it has this form (`check`)."""
    value = parse(contents(path, within=within, most=most), path, halves=halves)
    check(value, form, path)
    return value


def parse(data: str | bytes, source: Any, *, halves: bool = False) -> Any:
    """JSON of bounded depth and number of parts, as Python's values; without halves of characters, unless `halves` are
    allowed, as Python writes them for a file's name that is no UTF-8."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        if (parts := text.count("{") + text.count("[")) > MOST_PARTS + len(text) // 64:
            raise ValueError(f"{parts:,} lists and objects, more than {MOST_PARTS:,} and one for 64 characters")
        value = json.loads(text)
        if not halves and "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} is not JSON that can be read ({_reason(error)}); download or copy it again"
                         ) from None
    if _depth(value) > DEEPEST:
        raise ValueError(f"{source} nests lists and objects more than {DEEPEST} deep; download or copy it again")
    return value


def check(value: Any, form: Any, source: Any, place: str = "") -> None:
    """Refuse a value that has not this form, naming the place in its file.

    A form is a type; None; a range of whole numbers; a tuple of forms, of which one must fit; ``[form]``, a list of
    such; ``{str: form}``, an object with any names; or ``{"name": form, "other?": form}``, an object with these names,
    where one that ends in "?" may be absent or null, and names that are not listed may hold anything.
    """
    if isinstance(form, tuple):
        form = next((each for each in form if type(each) in (list, dict) and type(each) is type(value)), form)
    if isinstance(form, dict) and isinstance(value, dict):
        _check_object(value, form, source, place)
    elif isinstance(form, list) and isinstance(value, list):
        for i, item in enumerate(value if any(not _is(item, form[0]) for item in value) else ()):
            check(item, form[0], source, f"{place}[{i}]")
    elif not _is(value, form):
        what = f"{shown(value)} as {place}" if place else _words(type(value))
        raise ValueError(f"{source} holds {what}, where {_words(form)} belongs; download or copy it again")


def _check_object(value: dict, form: dict, source: Any, place: str) -> None:
    if str in form:
        for name in value if any(not _is(item, form[str]) for item in value.values()) else ():
            check(value[name], form[str], source, f"{place}[{shown(name)}]")
        return
    for name, wanted in form.items():
        plain = name.removesuffix("?")
        if value.get(plain) is None and plain != name:
            continue
        if plain not in value:
            raise ValueError(f"{source} has no {f'{place}.{plain}' if place else plain}; download or copy it again")
        check(value[plain], wanted, source, f"{place}.{plain}" if place else plain)


def _is(value: Any, form: Any) -> bool:
    """Does a value fit, as far as a look at it alone can tell?"""
    if isinstance(form, tuple):
        return any(_is(value, each) for each in form)
    if form is None:
        return value is None
    if isinstance(form, range):
        return type(value) is int and value in form
    if isinstance(form, (list, dict)):
        return False  # it has parts: these are looked at one by one
    return type(value) is form or form is float and type(value) is int


def _words(form: Any) -> str:
    if isinstance(form, tuple):
        return " or ".join(map(_words, form))
    if isinstance(form, range):
        return f"a whole number from {form.start} to {form.stop - 1:,}"
    return WORDS.get(type(form) if isinstance(form, (list, dict)) else form, "null")


def _depth(value: Any) -> int:
    """How many lists and objects stand inside each other; no further than DEEPEST + 1."""
    depth, level = 0, [value]
    while depth <= DEEPEST and (level := [x for x in level if isinstance(x, (dict, list))]):
        depth, level = depth + 1, [x for part in level for x in (part.values() if isinstance(part, dict) else part)]
    return depth


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "too deep"
    if isinstance(error, UnicodeEncodeError):
        return "half of a character"
    return "no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
