"""Let a run that is large enough compute on all cores, as long as they gain."""
from __future__ import annotations

import math
import os
from collections.abc import Sequence

from minillm.lessons.training.experiment import CONTEXT, Moment, Run
from minillm.notebook.clock import some_threads
from minillm.training import measure_threads

LARGE = 6e9          # operations of a step, from which on more threads than one may gain


class Cores:
    """How many threads a run computes with: what was fastest when it began, one once the others hinder it."""

    def __init__(self, run: Run | None = None):
        self.threads, self._quickest = 1, math.inf
        if run and 6 * run.n_parameters * run.batch_size * CONTEXT > LARGE:
            with some_threads(os.cpu_count() or 1):
                self.threads = measure_threads("auto", run.model, run.next_batch(), say=str)

    def note(self, history: Sequence[tuple[Moment, ...]]) -> int:
        """After some steps: how many threads the next ones take."""
        if self.threads > 1 and history:
            took = [moments[0].step.seconds for moments in history[-3:]]
            self._quickest = min(self._quickest, *took)
            if min(took) > 2 * self._quickest:           # the other cores have got something else to do
                self.threads = 1
        return self.threads
