"""Hold the echoes to their promise: what comes the second time stands in the text, and nowhere else."""
from __future__ import annotations

import json
import math
import re
from itertools import islice

import pytest

from data.making.models.rows import Lists, Mixture
from data.making.stories import echoes
from data.making.stories.chance import Dice
from data.making.stories.entropy import derivations, surprise
from minillm import corpora
from minillm.data import IGNORED

TOLD = [text.strip() for text in corpora.load("echoes").documents]


class Noting(Dice):
    """Dice that keep what each choice of words cost."""

    def __init__(self, seed):
        super().__init__(seed)
        self.said = []

    def say(self, options, weights=None):
        before = self.nats
        self.said.append((super().say(options, weights), None))
        self.said[-1] = self.said[-1][0], self.nats - before
        return self.said[-1][0]


def quoted(text):
    """What is said in each pair of quotation marks."""
    return re.findall(r'"([^"]*)"', text)


def test_the_same_is_said_two_to_four_times():
    for text in TOLD:
        assert len(set(quoted(text))) == 1 and 2 <= len(quoted(text)) <= 4


def test_the_way_back_varies():
    ways = {len(text.split(first)[1]) + len(first) for text in TOLD for first in quoted(text)[:1]}
    assert len(ways) > 200 and min(ways) < 60 and max(ways) > 300


def test_most_of_it_is_said_once_in_all():
    assert len({quoted(text)[0] for text in TOLD}) > 0.99 * len(TOLD)


def test_only_the_first_time_costs():
    for seed in range(50):
        dice = Noting(f"echoes {seed}")
        text = echoes.program(dice)
        words = quoted(text)[0]
        dear = sum(nats for _, nats in dice.said)
        lines = sum(nats for said, nats in dice.said if words in said)
        assert lines < 3 * math.log(8) + 1e-9 < dear  # of a repetition only its opening line is drawn


@pytest.mark.parametrize("seed", range(4))
def test_choices_add_up_to_the_surprise(seed):
    dice = Dice(f"echoes {seed}")
    text = echoes.program(dice)
    assert text == TOLD[seed] and math.isclose(surprise(echoes.program, text), dice.nats)
    assert derivations(echoes.program, text.replace("\"", "'", 1)) == []


def test_the_written_floor_is_of_this_text():
    written = json.loads((corpora.data_folder() / "stories/floor.json").read_text("utf-8"))["echoes"]
    assert written["stories"] == len(TOLD) and written["characters"] == sum(map(len, TOLD)) + 2 * len(TOLD)
    dice = [Dice(f"echoes {seed}") for seed in range(len(TOLD))]
    for one in islice(dice, 200):
        echoes.program(one)
    rate = sum(one.nats for one in dice[:200]) / (sum(map(len, TOLD[:200])) + 400)
    assert rate == pytest.approx(written["nats_per_character"], rel=0.1)


def test_of_a_list_only_what_was_said_before_is_learned():
    lists = Lists(500, rows=20, length=64, seed=0)
    inputs, targets = lists[3]
    for row, learned in zip(inputs.tolist(), targets.tolist(), strict=True):
        for place, target in enumerate(learned):
            assert target == IGNORED or target in row[:place + 1]
        assert IGNORED in learned and learned[-1] != IGNORED


def test_lists_grow_when_they_are_known():
    lists = Lists(500, rows=20, length=64, seed=0)
    few, short = lists.words, lists.longest
    for _ in range(100):
        lists.hear(2.0)
    assert (lists.words, lists.longest) == (few, short)
    for _ in range(200):
        lists.hear(0.1)
    assert (lists.words, lists.longest) == (500, 32)
    assert len(lists[0][0].unique()) > few


def test_a_batch_holds_so_many_rows_of_each():
    ids = {"a": [1] * 100, "b": [2] * 100}
    batch = Mixture(Lists(500, rows=2, length=16, seed=0), ids, {"a": 3, "b": 4}, length=16, seed=0)
    inputs, targets = batch[0]
    assert inputs.shape == targets.shape == (9, 16) == (batch.rows, 16)
    assert (inputs[2:5] == 1).all() and (inputs[5:] == 2).all()
