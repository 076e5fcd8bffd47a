"""Let a run that is large enough compute on all cores, as long as they gain."""
from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from statistics import median

from minillm.lessons.training.experiment import Moment, Run

TRIES, EVERY = 3, 100    # steps by each number of threads, in turns; after so many steps they are tried again
GAIN = 1.1               # times as fast, or one thread stays: others have work, too


class Cores:
    """How many threads the next steps take: one or all, whichever was faster when steps of the run were last tried.

    Small models are not tried: one is best for them.
    """

    def __init__(self, run: Run | None = None):
        self.threads, self._all, self._made = 1, run and run.large and os.cpu_count() or 1, 0
        self._took = {n: deque(maxlen=TRIES) for n in (1, self._all)}

    def note(self, history: Sequence[tuple[Moment, ...]]) -> int:
        """After each step: how many threads the next one takes."""
        if self._all > 1 and history:
            self._took[self.threads].append(history[-1][0].step.seconds)
            if self._made % EVERY < 2 * TRIES:
                self.threads = (1, self._all)[self._made % 2]
            elif all(self._took.values()):
                gains = median(self._took[1]) > GAIN * median(self._took[self._all])
                self.threads = self._all if gains else 1
            self._made += 1
        return self.threads
