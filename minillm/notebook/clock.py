"""Let a reader start, pause, step and reset work that takes long, such as training, and watch it as it goes.

The clock is the page's own Play button: each tick works for about 150 ms in the callback and then draws once.  No
thread is left behind when the page, the cell or the kernel goes away.
"""
from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ipywidgets

from minillm.notebook.widgets import Live, Parts, button

SLICE = 0.15       # seconds of work between two pictures: 70 to 89 % of full speed, and the page stays alive
_NEVER = 10**9     # a Play needs an end


class Clock(Live):
    """A `Live` around work that comes in steps.

    start      start(**settings) -> iterator of results, one per step: a fresh run for the controls' values
    draw       draw(history, **values) -> parts; `history` is the list of all results of this run so far
    controls   settings: moving one starts a fresh run; those named in `views` only change what is drawn
    first      how many steps the cell itself makes, so that the stored picture is real
    run        how many steps the button "run N steps" makes
    limit      the run ends after so many steps

    `advance(n)` makes n steps without a page, for tests and for stored outputs.
    """

    def __init__(self, name: str, controls: Mapping[str, ipywidgets.Widget], start: Callable[..., Iterator],
                 draw: Callable[..., Parts], *, views: Iterable[str] = (), first: int = 20, run: int = 100,
                 limit: int = 10_000, rules: Callable[..., Mapping[str, str]] | None = None,
                 rows: Iterable[Iterable[str]] | None = None, repeatable: bool = False):
        self._start, self._views_only, self._first, self._run, self._limit = start, set(views), first, run, limit
        self._tick = threading.Lock()
        self._work: Iterator | None = None
        self.history: list[Any] = []
        self.finished = False
        self._play = ipywidgets.Play(value=0, min=0, max=_NEVER, step=1, interval=50)
        clockwork = {"play": self._play, "step": button("one step"), "run": button(f"run {run} steps"),
                     "reset": button("reset", "start again from step 0")}
        rows = [[each] for each in controls] if rows is None else [list(row) for row in rows]
        super().__init__(name, {**controls, **clockwork}, draw, rules=rules, repeatable=repeatable,
                         rows=[*rows, list(clockwork)])

    @property
    def values(self) -> dict[str, Any]:
        return {name: value for name, value in super().values.items() if name != "play"}

    def advance(self, n: int | None = None, *, seconds: float | None = None) -> int:
        """Make n steps, or as many as fit into the seconds (at least one); return how many were made."""
        if self._work is None:
            self._work = iter(self._start(**{k: v for k, v in self.values.items() if k not in self._views_only}))
        made, end = 0, None if seconds is None else time.perf_counter() + seconds
        with one_thread():
            while not self.finished and not self.closed and (n is None or made < n):
                if end is not None and made and time.perf_counter() > end:
                    break
                try:
                    self.history.append(next(self._work))
                    made += 1
                except StopIteration:
                    self.finished = True
                if len(self.history) >= self._limit:
                    self.finished = True
        return made

    def reset(self) -> None:
        """Forget this run; the next step begins a fresh one for the controls' values."""
        self.pause()
        close = getattr(self._work, "close", None)
        if close:
            close()
        self._work, self.history, self.finished = None, [], False

    def pause(self) -> None:
        """Stop the clock from here; what has been learned stays."""
        playing = "playing" if self._play.has_trait("playing") else "_playing"    # ipywidgets 8, and 7
        if getattr(self._play, playing):
            setattr(self._play, playing, False)

    def close(self) -> None:
        self.closed = True
        self.pause()
        super().close()

    def redraw(self):
        if not self.parts and not self.history:
            self.advance(self._first)
        return super().redraw()

    def _arguments(self) -> dict[str, Any]:
        return {"history": self.history, **self.values}

    def _changed(self, name: str = "") -> None:
        if name == "play":
            if self._play.value == 0:                   # its own stop button: a pause
                return
            if not self._tick.acquire(blocking=False):  # the last slice is still at work: drop this tick
                return
            try:
                self.advance(seconds=SLICE)
                super()._changed()
                if self.finished:
                    self.pause()
            finally:
                self._tick.release()
            return
        with self._tick:
            if name not in self._views_only:
                self.reset()
            super()._changed()

    def _pressed(self, name: str) -> None:
        with self._tick:
            if name == "reset":
                self.reset()
            elif name == "step":
                self.advance(1)
            elif name == "run":
                self._run_on(self._run)
            super()._changed()

    def _run_on(self, n: int) -> None:
        """Make n steps, drawing after each slice."""
        goal = len(self.history) + n
        while len(self.history) < goal and not self.finished and not self.closed:
            self.advance(min(25, goal - len(self.history)), seconds=SLICE)
            super()._changed()


@contextmanager
def one_thread():
    """One torch thread for a notebook-size model: two on two busy cores were up to 180 times slower."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
