"""Say on stderr how training goes: a bar on a terminal, plain lines in a log."""
from __future__ import annotations

import sys
from contextlib import suppress

from tqdm import tqdm

from minillm.meter import Meter, duration

FORMAT = "{percentage:3.0f}% {bar:20} {desc}"


class Progress:
    """The running loss, the last validation loss, tokens per second and time left, both by the clock on the wall."""

    def __init__(self, *, shown: bool, done: float = 0.0):
        self.shown, self.terminal = shown, sys.stderr.isatty()
        self.loss, self.validation, self.step, self.tokens = None, None, 0, 0
        self.fraction, self.speed, self.course = done, Meter(), Meter(window=60.0)
        self.speed.begin(0)
        self.course.begin(done)
        self.bar = tqdm(total=1.0, initial=done, bar_format=FORMAT, file=sys.stderr, leave=False,
                        disable=not (shown and self.terminal))

    def show(self, step, fraction: float) -> None:
        """After a step; `fraction` of the run is done."""
        mix = 0.9 if self.loss is not None else 0.0
        self.loss = mix * (self.loss or 0.0) + (1 - mix) * step.loss
        self.tokens += step.tokens
        self.step = step.step + 1
        self.speed.note(self.tokens)
        self.course.note(min(fraction, 1.0))
        with suppress(OSError):  # a terminal that was closed reads no more; the run is to be saved all the same
            self.bar.set_description_str(self.words(fraction), refresh=False)
            self.bar.update(min(fraction, 1.0) - self.fraction)
        self.fraction = min(fraction, 1.0)

    def note(self, validation: float) -> float:
        """After a look at the validation part: a line that stays."""
        self.validation = validation
        if self.shown:
            with suppress(OSError), tqdm.external_write_mode(file=sys.stderr):
                print(f"{100 * self.fraction:3.0f}%  {self.words(self.fraction)}", file=sys.stderr, flush=True)
        return validation

    def words(self, fraction: float) -> str:
        said = [f"step {self.step:,}", f"loss {self.loss:.3f}"]
        said += [] if self.validation is None else [f"validation {self.validation:.3f}"]
        said += [f"{self.speed.speed:,.0f} tokens/s"] if self.speed.speed else []
        left = self.course.left(1.0) if fraction < 1 else None
        return " · ".join(said + ([] if left is None else [f"{duration(left)} left"]))

    def close(self) -> None:
        with suppress(OSError):
            self.bar.close()
