"""Tell how fast work goes by the clock on the wall, and how long it will still take: on a page and in a terminal."""
from __future__ import annotations

import collections
import time


class Meter:
    """Speed of the last while, with all that happens between two steps: evaluation, drawing, a rival's turn.

    `begin(done)` before the work, `note(done)` after each piece of it, `pause()` where it rests; a rest does not count.
    """

    def __init__(self, *, window: float = 20.0):
        self.window = window                          # seconds that are looked back on
        self._seen: collections.deque[tuple[float, float]] = collections.deque()      # (working time, done)
        self._began: float | None = None
        self._worked = 0.0

    def begin(self, done: float) -> None:
        """Start to measure; nothing where it is measuring already."""
        if self._began is None:
            self._began = time.perf_counter()
            if not self._seen:
                self._seen.append((self._worked, done))

    def note(self, done: float) -> None:
        """So much is done by now."""
        if self._began is not None:
            now = self._worked + time.perf_counter() - self._began
            self._seen.append((now, done))
            while len(self._seen) > 2 and self._seen[1][0] < now - self.window:
                self._seen.popleft()

    def pause(self) -> None:
        """What follows is rest, until the next `begin`."""
        if self._began is not None:
            self._worked += time.perf_counter() - self._began
            self._began = None

    @property
    def rests(self) -> bool:
        """Does nothing count now?"""
        return self._began is None

    @property
    def speed(self) -> float | None:
        """Done per second of work; None before anything was."""
        if len(self._seen) < 2:
            return None
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if end > start and after > before else None

    def left(self, total: float) -> float | None:
        """Seconds until `total` is done, at this speed."""
        return (total - self._seen[-1][1]) / self.speed if self.speed else None


def duration(seconds: float) -> str:
    """A time as one says it: '8 s', '2 min 10 s', '3 h 05 min'; no more digits than anyone would believe."""
    if seconds < 9.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 60:
        return f"{round(seconds / 5) * 5} s"
    whole = round(seconds / 10) * 10
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s" if whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
