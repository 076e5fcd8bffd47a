"""Put rows of several texts into one batch, and lists of ids that are said again and again."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from minillm.data import IGNORED, Batches, Endless, draw

SHORTEST, FEWEST = 4, 32  # ids of a list; different ids at first


class Lists(Endless):
    """Rows of ids drawn at random, each row a list that is said again and again; only the repetitions are learned.

    Nothing but the row itself tells what comes next.  At first the lists are short and draw on few ids (`words`); when
    they are known well (`hear`), both grow, until any id of the vocabulary may stand in a list of up to half a row.
    With all 2,048 ids at once copying was not born in 1.2 million tokens; with 32 it was born after 0.3 million.
    """

    def __init__(self, vocab_size: int, *, rows: int, length: int, seed: int, words: int = FEWEST, start: int = 0):
        self.order = np.random.default_rng(0).permutation(vocab_size)  # which ids come into play first
        self.rows, self.length, self.seed, self.step = rows, length, seed, start
        self.growing, self.loss = float(words), 9.0

    @property
    def words(self) -> int:
        """How many different ids are in play."""
        return int(self.growing)

    @property
    def longest(self) -> int:
        """How long a list can be: 12 ids, or half a row when the whole vocabulary is in play."""
        full = (self.growing - FEWEST) / (len(self.order) - FEWEST)
        return round(12 + (self.length // 2 - 12) * full)

    def hear(self, loss: float) -> None:
        """Learn how well the last lists were continued, in nats per token; below 1 on average, make it harder."""
        self.loss += 0.2 * (loss - self.loss)
        if self.loss < 1:
            self.growing = min(len(self.order), 1.05 * self.growing)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Rows of a step: inputs, and targets in which the first time is ignored."""
        dice = np.random.default_rng(int(draw(self.seed + 1, step, 1)[0]))
        ids = np.empty((self.rows, self.length + 1), np.int64)
        targets = np.empty((self.rows, self.length), np.int64)
        for row in range(self.rows):
            period = dice.integers(SHORTEST, self.longest + 1)
            ids[row] = np.resize(self.order[dice.integers(0, self.words, period)], self.length + 1)
            targets[row] = ids[row, 1:]
            targets[row, :period - 1] = IGNORED
        return torch.from_numpy(ids[:, :-1].copy()), torch.from_numpy(targets)


class Mixture(Endless):
    """Batches whose first rows are lists, and the others windows of several texts, so many of each."""

    def __init__(self, lists: Lists, texts: dict[str, np.ndarray], rows: dict[str, int], *, length: int, seed: int,
                 start: int = 0):
        self.lists, self.step = lists, start
        self.rows = lists.rows + sum(rows.values())
        self.windows = [Batches(ids, batch_size=rows[name], context_length=length, seed=seed + i)
                        for i, (name, ids) in enumerate(texts.items())]

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of any step, for as many words as the lists have by then."""
        parts = [self.lists[step], *(windows[step] for windows in self.windows)]
        return torch.cat([inputs for inputs, _ in parts]), torch.cat([targets for _, targets in parts])
