"""Say on stderr how training goes: a bar on a terminal, plain lines in a log."""
from __future__ import annotations

import sys
import time

from tqdm import tqdm

FORMAT = "{percentage:3.0f}% {bar:20} {remaining} left  {desc}"


class Progress:
    """The running loss, the last validation loss, tokens per second and the time that is left."""

    def __init__(self, *, shown: bool, done: float = 0.0):
        self.shown, self.terminal = shown, sys.stderr.isatty()
        self.loss, self.validation, self.speed = None, None, 0.0
        self.began, self.first, self.fraction, self.step = time.monotonic(), done, done, 0
        self.bar = tqdm(total=1.0, initial=done, bar_format=FORMAT, file=sys.stderr, leave=False,
                        disable=not (shown and self.terminal))

    def show(self, step, fraction: float) -> None:
        """After a step; `fraction` of the run is done."""
        mix = 0.9 if self.loss is not None else 0.0
        self.loss = mix * (self.loss or 0.0) + (1 - mix) * step.loss
        self.speed = mix * self.speed + (1 - mix) * step.tokens / step.seconds
        self.step = step.step + 1
        self.bar.set_description_str(self.words(), refresh=False)
        self.bar.update(min(fraction, 1.0) - self.fraction)
        self.fraction = min(fraction, 1.0)

    def note(self, validation: float) -> float:
        """After a look at the validation part: a line that stays."""
        self.validation = validation
        if self.shown:
            with tqdm.external_write_mode(file=sys.stderr):
                print(f"{100 * self.fraction:3.0f}%  {self.words()}{self.time_left()}", file=sys.stderr, flush=True)
        return validation

    def words(self) -> str:
        seen = "" if self.validation is None else f" · validation {self.validation:.3f}"
        return f"step {self.step:,} · loss {self.loss:.3f}{seen} · {self.speed:,.0f} tokens/s"

    def time_left(self) -> str:
        taken, part = time.monotonic() - self.began, self.fraction - self.first
        if part <= 0 or self.fraction >= 1:
            return ""
        return f" · {tqdm.format_interval(taken / part * (1 - self.fraction))} left"

    def close(self) -> None:
        self.bar.close()
