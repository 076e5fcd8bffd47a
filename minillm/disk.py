"""Write a file or a folder whole or not at all, whatever happens to the computer meanwhile.

Every file that minillm writes goes through here: it is written beside its place, brought to the disk (synced), and
takes its place by one renaming.  Whoever reads meanwhile, or after the power failed, finds what was there before or
what is there now, and reading never writes.  Drafts have names of their own, so that two writers never share one;
those of processes that died are cleared by the next writer.
"""
from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows has other locks; there, an open file cannot be removed in the first place
    fcntl = None

WAIT = 30.0         # seconds that a writer waits for another that is in its way
YOUNG = 60.0        # seconds in which a draft may not have been claimed yet by the process that made it
OLD = 86400.0       # seconds after which a draft is a dead one's also where nothing can be claimed
NEXT = ".next"      # in a folder: all that is about to take its place
CONTENTS = ".contents"
MOST_NAMES = 1 << 24  # bytes of that list
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG, errno.EIO)
_mine = threading.local()  # the folders that this thread writes into, by device and number


def write(path: str | os.PathLike, data: str | bytes | bytearray) -> Path:
    """Write all of a file (text as UTF-8), or nothing; its folder is made if need be."""
    with file(path) as draft:
        draft.write(data.encode("utf-8") if isinstance(data, str) else data)
    return Path(path)


@contextmanager
def file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """What is written within stands at `path` when the block ends; where it ends in an error, nothing has changed.

    A new file has the usual rights (those that the umask leaves), an old one keeps its own; a link stays a link.  What
    is no file (a pipe, a terminal) is written directly.  A full disk is an OSError that names `path`.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        with place.open("wb") as out:  # a folder says what it is by itself
            yield out
        return
    mark, draft = f".{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:12]}-", None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _clear(place.parent.glob(f"{mark}*.part"))
        draft = place.with_name(f"{mark}{secrets.token_hex(4)}.part")  # short, however long the name is
        with draft.open("xb") as out:
            _claim(out.fileno())
            yield out
            _to_disk(out)
        with suppress(OSError):
            draft.chmod(place.stat().st_mode & 0o777)
        os.replace(draft, place)
        _sync(place.parent)
    except OSError as error:
        if error.filename == str(draft) or error.filename is None and error.errno in FULL:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


@contextmanager
def folder(path: str | os.PathLike, *, seal: str, ours: Callable[[Path], Iterable[str]]) -> Iterator[Path]:
    """An empty folder to write into; when the block ends, all that it holds stands in `path` at once.

    What is in `path` and not ours stays (a reader's notes).  `ours(path)` names the files there, by their relative
    paths with "/", that an earlier writing left; those that the new one lacks are removed.  `seal` is the file that
    makes the rest valid: it goes first and comes last, so whoever does not know `find` sees a folder that is not
    finished, never two halves.  `path` may be a link, this folder (`.`), or the root of a disk: it is never renamed.

    Raises OSError where another process or thread writes into `path` for longer than WAIT seconds.
    """
    place = Path(os.path.realpath(path))
    made = not place.exists()
    place.mkdir(parents=True, exist_ok=True)
    with alone(place, wait=WAIT) as sure:
        _finish(place, seal, ours)
        _clear(place.glob(".draft-*"), sure=sure)
        draft = place / f".draft-{secrets.token_hex(4)}"
        try:
            draft.mkdir()
            yield draft
            _settle(draft)
            draft.rename(place / NEXT)  # from here on it is what `find` finds
            _finish(place, seal, ours)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            if made:
                with suppress(OSError):
                    place.rmdir()  # nothing came of it


def find(folder: str | os.PathLike, name: str) -> Path:
    """Where a file or a folder of that name is to be read: also where a power failure left a replacement half done."""
    ready = Path(folder) / NEXT / name
    return ready if ready.exists() else Path(folder) / name


def is_empty(folder: str | os.PathLike, *, but: Iterable[str] = ()) -> bool:
    """Is this a folder with nothing in it, but these names and what a writing left that was cut off?"""
    left = {NEXT, *but}
    return Path(folder).is_dir() and all(
        path.name in left or path.name.startswith(".draft-") for path in Path(folder).iterdir())


@contextmanager
def alone(folder: str | os.PathLike, *, wait: float = 0.0) -> Iterator[bool]:
    """Be the only one that writes into a folder, among processes and threads, or raise OSError after `wait` seconds.

    Whoever is alone already may say so again.  The lock goes with the process, however it ends.  Gives False where a
    disk knows no locks (some network disks, Windows): what is written is whole there too, but two may take turns.
    """
    if fcntl is None:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        status = os.fstat(handle)
        key, held = (status.st_dev, status.st_ino), vars(_mine).setdefault("folders", set())
        if key in held:
            yield True
            return
        end = time.monotonic() + wait
        while (sure := _claim(handle)) is False:
            if time.monotonic() >= end:
                raise OSError(f"another process is writing into {folder}; wait until it has ended, or choose another "
                              f"folder")
            time.sleep(0.05)
        held.add(key)
        try:
            yield bool(sure)
        finally:
            held.discard(key)
    finally:
        os.close(handle)


def _finish(place: Path, seal: str, ours: Callable[[Path], Iterable[str]]) -> None:
    """Put what is ready where it belongs.  Every step may be the last before the power fails, and be made again."""
    ready = place / NEXT
    if ready.is_symlink():
        raise OSError(f"{ready} is a link, where a replacement that was cut off would lie; remove it, and try again")
    if not ready.is_dir():
        return
    if (ready / CONTENTS).is_file() and not (ready / CONTENTS).is_symlink():
        names = set(filter(leads_inside, _ready(ready / CONTENTS)))
        for name in set(filter(leads_inside, ours(place))) - names:
            (place / name).unlink(missing_ok=True)
            with suppress(OSError):
                (place / name).parent.rmdir()
        if (ready / seal).exists():
            (place / seal).unlink(missing_ok=True)
        for part in sorted({name.partition("/")[0] for name in names}, key=lambda part: part == seal):
            if (ready / part).is_dir() and (place / part).is_dir():
                _merge(place / part, ready / part)
                (place / part).rename(ready / f".old-{part}")
            if (ready / part).exists():
                os.replace(ready / part, place / part)
    shutil.rmtree(ready)
    _sync(place)


def _ready(list_of_names: Path) -> list[str]:
    """The names that `_settle` listed.  Refuses what another program may have put in its place."""
    with list_of_names.open("rb") as file:
        data = file.read(MOST_NAMES + 1)
    try:
        names = json.loads(data) if len(data) <= MOST_NAMES else None
    except (ValueError, RecursionError):
        names = None
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError(f"{list_of_names} is no list of names as minillm writes it; remove {list_of_names.parent}, in "
                         f"which what was to replace the folder's files lies, and try again")
    return names


def leads_inside(name: str) -> bool:
    """Does this name, which stands in a file, lead to a place in the folder itself?"""
    return (not {"", ".", ".."} & set(name.split("/")) and not {"\\", ":", NEXT} & {*name, name.partition("/")[0]}
            and "\0" not in name)


def _merge(old: Path, new: Path) -> None:
    """Take along what is in the old folder and was not written by us."""
    for path in sorted(old.rglob("*")):
        twin = new / path.relative_to(old)
        if path.is_file() and not twin.exists():
            twin.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, twin)


def _settle(draft: Path) -> None:
    """List what was written, give it the usual rights (some libraries write for the owner alone), sync all of it."""
    paths = [path for path in sorted(draft.rglob("*")) if path.is_file()]
    names = [path.relative_to(draft).as_posix() for path in paths]
    (draft / CONTENTS).write_text(json.dumps(names), encoding="utf-8")
    rights = (draft / CONTENTS).stat().st_mode & 0o777
    for path in [*paths, draft / CONTENTS]:
        path.chmod(rights)
        with path.open("rb+") as file:
            _to_disk(file)
    for path in {path.parent for path in paths}:
        _sync(path)


def _clear(drafts: Iterable[Path], *, sure: bool = False) -> None:
    """Remove the drafts of dead processes: those that nobody claims, unless they were made just now."""
    for draft in drafts:
        with suppress(OSError):
            if not sure:
                age, handle = time.time() - draft.stat().st_mtime, os.open(draft, os.O_RDONLY)
                try:
                    free = _claim(handle)
                finally:
                    os.close(handle)
                if free is False or age < (YOUNG if free else OLD):
                    continue
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def _claim(handle: int) -> bool | None:
    """Is this open file or folder ours alone now?  None where the disk does not know."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk, too."""
    with suppress(OSError):  # Windows cannot open a folder; some network disks cannot sync one
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
