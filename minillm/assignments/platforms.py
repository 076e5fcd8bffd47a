"""Read who handed a file in, and when, from what a platform wrote into its name or beside it."""
from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from minillm.reading import contents

FORMS = (  # of a file's name without its ending, or of its folder's
    re.compile(r"(?P<student>[^_]+)_(?P<late>LATE_)?\d{2,}_(?P<number>\d{2,})_.+"),  # Canvas
    re.compile(r"(?P<student>.+?)_\d+_assignsubmission_.+"),  # Moodle
    re.compile(r".+_(?P<student>[^_]+)_attempt_\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d(_.*)?"))  # Blackboard
TIME = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)[-_T ](\d\d)[-.:_](\d\d)[-.:_](\d\d)(?!\d)")


@dataclass(frozen=True)
class Told:
    """What a platform says of a file.  `number`: Canvas counts what is handed in; `late`: by its own deadline."""

    student: str | None = None
    when: datetime | None = None
    number: int | None = None
    late: bool = False


def told_by(path: Path) -> Told:
    """What the name of a file, its folder's, or nbgrader's ``timestamp.txt`` beside it says.

    A time without an offset is taken for UTC.
    """
    canvas = FORMS[0].fullmatch(path.stem)
    return Told(_named(path.stem) or _named(path.parent.name),
                _timestamp(path) or _time_in(path.stem) or _time_in(path.parent.name),
                int(canvas["number"]) if canvas else None, bool(canvas and canvas["late"]))


def student_in(name: str) -> str:
    """Whom a file's or folder's name names: as a platform writes it, else up to ``__`` or ``--``."""
    return _named(name) or re.split("__|--", name)[0]


def time_of(text: str) -> datetime | None:
    """A time as nbgrader, a spreadsheet or ISO 8601 writes it; None where it is none."""
    try:
        when = datetime.fromisoformat(text.strip().replace(" UTC", "+00:00").replace(" +", "+").replace("Z", "+00:00"))
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def _named(name: str) -> str | None:
    return next((found["student"] for form in FORMS if (found := form.fullmatch(name))), None)


def _timestamp(path: Path) -> datetime | None:
    try:
        return time_of(contents(path.parent / "timestamp.txt", within=path.parent, most=1000).decode("utf-8")[:60])
    except (OSError, ValueError):
        return None


def _time_in(name: str) -> datetime | None:
    found = TIME.search(name)
    try:
        return datetime(*map(int, found.groups()), tzinfo=timezone.utc) if found else None
    except ValueError:
        return None
