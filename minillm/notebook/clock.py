"""Let a reader start, pause, step and reset work that takes long, such as training, and watch it as it goes.

The clock is the page's own Play button: each tick works for about 100 ms in the callback (300 in a run of over a
minute), and then draws where a picture is due, so that pictures take no more than a quarter of the time and a touch
waits for one short tick.  "run N steps" sets a goal that the ticks work off, so that no press holds the page.  No
thread is left behind when the page, the cell or the kernel goes away.
"""
from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ipywidgets

from minillm.meter import Meter, duration
from minillm.notebook.threads import some_threads
from minillm.notebook.widgets import Live, Parts, button

SLICE = 0.1        # seconds of work in a tick: whatever is touched meanwhile waits for its end
REST = 3.0         # times as long as the last picture took, nothing is drawn: so work gets three quarters of the time
LONGEST = 1.0      # seconds between two pictures at most, however long one takes
LONG_RUN = 60.0    # seconds from which on a run works and rests for LONGER: nine tenths of them for the work
LONGER = 3         # times as long: each tick costs the page's share of the processor
TOLD = 0.5         # seconds between two tellings of how far it has come
SPOKEN = 4.0       # seconds between two sentences for a screen reader while the clock runs
_NEVER = 10**9     # a Play needs an end


class Clock(Live):
    """A `Live` around work that comes in steps.

    start      start(**settings) -> iterator of results, one per step: a fresh run for the controls' values
    draw       draw(history, **values) -> parts; `history` is the list of all results of this run so far
    controls   settings: moving one starts a fresh run; those named in `views` only change what is drawn
    first      how many steps the cell itself makes, so that the stored picture is real
    run        how many steps the button "run N steps" makes
    limit      the run ends after so many steps
    buttons    which there are besides ▶, and their words: {"step": …, "run": …, "reset": …}; all three when left out
    unit       what a step is called on the page
    auto       a changed setting starts the new run at once, after a pause of `auto` seconds; 0: it waits for a press

    `advance(n)` makes n steps without a page, for tests and for stored outputs; `meter` tells speed and time.
    """

    fleeting, kept = ("play",), ("_work", "history", "finished", "meter")
    threads = 1        # of torch: for a notebook-size model two on two busy cores were up to 180 times slower than one

    def __init__(self, name: str, controls: Mapping[str, ipywidgets.Widget], start: Callable[..., Iterator],
                 draw: Callable[..., Parts], *, views: Iterable[str] = (), first: int = 20, run: int = 100,
                 limit: int = 10_000, rules: Callable[..., Mapping[str, str]] | None = None,
                 rows: Iterable[Iterable[str]] | None = None, repeatable: bool = False,
                 buttons: Mapping[str, str] | None = None, auto: float = 0.0, unit: str = "step"):
        self._unit = unit
        self._start, self._views_only, self._first, self._run, self._limit = start, set(views), first, run, limit
        self._tick, self._cancelled, self._goal, self._auto = threading.Lock(), threading.Event(), None, auto
        self._spoken, self._touched, self._tell_next, self._reached = 0.0, 0.0, 0.0, False
        self._next_picture, self._behind = 0.0, False      # when one is due; were steps made since the last one?
        self._work: Iterator | None = None
        self.history: list[Any] = []
        self.finished, self.meter = False, Meter()
        self._play = ipywidgets.Play(value=0, min=0, max=_NEVER, step=1, interval=20)
        self._run_words = (buttons or {}).get("run", f"run {run} {unit}s")
        self._told = ipywidgets.HTML()
        if buttons is None:
            buttons = {"step": "one step", "run": self._run_words, "reset": "reset"}
        hints = {"reset": "start again from step 0"}
        clockwork = {"play": self._play, **{each: button(said, hints.get(each, "")) for each, said in buttons.items()}}
        rows = [[each] for each in controls] if rows is None else [list(row) for row in rows]
        super().__init__(name, {**controls, **clockwork}, draw, rules=rules, repeatable=repeatable,
                         rows=[*rows, list(clockwork)])
        buttons, place = [*self._box.children], len(rows)
        self._box.children = [*buttons[:place + 1], self._told, *buttons[place + 1:]]
        self._play.observe(lambda change: change["new"] or self._behind and self._safely(self._paint),
                           playing(self._play))

    @property
    def values(self) -> dict[str, Any]:
        return {name: value for name, value in super().values.items() if name != "play"}

    @property
    def playing(self) -> bool:
        """Does the page's clock tick?"""
        return bool(getattr(self._play, playing(self._play)))

    def advance(self, n: int | None = None, *, seconds: float | None = None) -> int:
        """Make n steps, or as many as fit into the seconds (at least one); return how many were made.

        A press cancels it between two steps.  An interrupt waits for the end of the step, so that what runs side by
        side stands at the same step.
        """
        if self._work is None:
            self._work = iter(self._start(**{k: v for k, v in self.values.items() if k not in self._views_only}))
        made, end = 0, None if seconds is None else time.perf_counter() + seconds
        with some_threads(self.threads):
            while not self.finished and not self.closed and (n is None or made < n):
                if self._cancelled.is_set() or end is not None and made and time.perf_counter() > end:
                    break
                with whole_steps():
                    try:
                        self.history.append(next(self._work))
                        made += 1
                    except StopIteration:
                        self.finished = True
                    if len(self.history) >= (self.total() or self._limit):
                        self.finished = True
        self.meter.note(len(self.history))
        if seconds is None:
            self._tell()
        return made

    def total(self) -> int | None:
        """How many steps the run has, where that is known."""
        return self._limit if self._limit < 10_000 else None

    def speed(self) -> str:
        """How fast it goes, by the clock on the wall."""
        return f"{self.meter.speed:.3g} {self._unit}s/s" if self.meter.speed else ""

    def _tell(self) -> None:
        """Beside the buttons, where it is not stored."""
        self._told.value = f'<span style="opacity:.8">{" · ".join(filter(None, self._saying()))}</span>'

    def _saying(self) -> list[str]:
        """How far it has come, how fast it goes, how long it takes."""
        done, total = len(self.history), self.total()
        said = [f"{self._unit} {done:,} of {total:,}" if total else f"{self._unit} {done:,}", self.speed()]
        if self.finished:
            again = self["reset"].description
            said.append(f"the run is over; a new one begins with “{again}”, or when a setting changes")
        elif total and (left := self.meter.left(total)) is not None:
            said.append(f"about {duration(left)} to its end on this machine" if not self.playing
                        else f"about {duration(left)} left")
        return said

    def reset(self) -> None:
        """Forget this run; the next step begins a fresh one for the controls' values."""
        self._behind = False
        self.pause()
        close = getattr(self._work, "close", None)
        if close:
            close()
        self._work, self.history, self.finished, self.meter = None, [], False, Meter()
        self._tell()

    def pause(self) -> None:
        """Stop the clock from here; what has been learned stays."""
        self._goal = None
        self.meter.pause()
        if "run" in self.controls:
            self["run"].description = self._run_words
        if self.playing:
            setattr(self._play, playing(self._play), False)

    def close(self) -> None:
        self.closed = True
        self._cancelled.set()
        self.pause()
        super().close()

    def redraw(self):
        if not self.parts and not self.history:
            self.meter.begin(0)
            self.advance(self._first)
            drawn = super().redraw()                    # so that the time told beforehand holds drawing, too
            self.meter.note(len(self.history))
            self.meter.pause()
            self._tell()
            return drawn
        return super().redraw()

    def _speak(self, words: str) -> None:
        """A screen reader must be able to finish a sentence."""
        now = time.monotonic()
        if not self.playing or now - self._spoken > SPOKEN:
            self._spoken = now
            super()._speak(words)

    def _arguments(self) -> dict[str, Any]:
        return {"history": self.history, **self.values}

    def _changed(self, name: str = "") -> None:
        if name == "play":
            self._ticked()
            return
        with self._alone():
            if name not in self._views_only:
                self.reset()
            super()._changed()
        if self._auto and name not in self._views_only:
            self._touched = time.monotonic()
            self._run_to(self._limit)

    def _ticked(self) -> None:
        if self._play.value == 0:                       # its own stop button: a pause
            self.pause()
            return
        if self._reached and not self.playing:          # a tick that was on its way when the goal was reached
            return
        self._reached = False
        if time.monotonic() - self._touched < self._auto or not self._tick.acquire(blocking=False):
            return                                      # still typing; or the last slice is at work: drop this tick
        try:
            starts = self.meter.rests                   # its first slice is short, since somebody waits for an answer
            self.meter.begin(len(self.history))
            left = None if self._goal is None else self._goal - len(self.history)
            self.advance(left, seconds=SLICE * (1 if starts else self._patience))
            ended = self.finished or self._goal is not None and len(self.history) >= self._goal
            self._behind = not ended
            if ended:
                self.pause()
                self._reached = True
            if ended or self._due:
                self._paint()
            self.meter.note(len(self.history))
            if ended or starts or time.perf_counter() >= self._tell_next:
                self._tell()
                self._tell_next = time.perf_counter() + TOLD
        finally:
            self._tick.release()

    @property
    def _due(self) -> bool:
        """Is it time for a picture?"""
        return time.perf_counter() >= self._next_picture

    def _paint(self) -> None:
        """Draw, and then rest from drawing in proportion to what it took."""
        began, self._behind = time.perf_counter(), False
        super()._changed()
        now = time.perf_counter()
        self._next_picture = now + self._patience * min(LONGEST, REST * (now - began))

    @property
    def _patience(self) -> int:
        speed = self.meter.speed
        return LONGER if speed and (self.total() or 0) / speed > LONG_RUN else 1

    def _pressed(self, name: str) -> None:
        stops = name == "run" and self._goal is not None
        with self._alone():
            self._behind = False
            if name == "reset":
                self.reset()
            elif name == "step":
                self.pause()
                self.advance(1)
            elif stops:
                self.pause()
            if name != "run" or stops:
                super()._changed()
        if name == "run" and not stops or name == "reset" and self._auto:
            self._run_to(self._limit if name == "reset" else len(self.history) + self._run)

    def _run_to(self, goal: int) -> None:
        """Let the page's clock work until so many steps are made; without a page, make them here."""
        if not self._handles:
            self.advance(goal - len(self.history))
            super()._changed()
            return
        self._goal = goal
        if "run" in self.controls:
            self["run"].description = "stop"
        setattr(self._play, playing(self._play), True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Cancel the slice that is at work, then have the run to oneself."""
        self._cancelled.set()
        with self._tick:
            self._cancelled.clear()
            yield


def playing(play: ipywidgets.Play) -> str:
    return "playing" if play.has_trait("playing") else "_playing"    # ipywidgets 8, and 7


@contextmanager
def whole_steps() -> Iterator[None]:
    """Let an interrupt wait until what is inside is done.  Python delivers it to the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        raise KeyboardInterrupt
