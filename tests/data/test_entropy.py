"""Hold the floor to the truth: grammars so small that their entropy can be counted, with the same code."""
import json
import math
from pathlib import Path

import pytest

from data.making.stories.chance import Dice
from data.making.stories.english import tell
from data.making.stories.entropy import derivations, floor, surprise
from data.making.stories.floor import drawn, exact, program
from data.making.stories.lexicon import possible
from data.making.stories.plots import happen

DATA = Path(__file__).parents[2] / "data" / "stories"


def clear(draw):
    """Tell which of two heroes does what, once or twice: every text has one derivation."""
    who = draw.pick(("Ada", "Ben"), (3, 1))
    draw.say([f"{who} sang", f"{who} slept", f"{who} ran home"], (2, 1, 1))
    if draw.pick((True, False)):
        draw.say([" and laughed"])
    draw.say(["."])


def muddled(draw):
    """Choose what is never told, and tell one thing in two ways: derivations outnumber texts."""
    draw.pick(("red", "blue", "green"))
    short = draw.pick((True, False))
    if short:
        draw.say(["a", "ab"])
    else:
        draw.say(["a"])
        draw.say(["", "b"])
    draw.say(["."])


class Listing:
    """Walk through every run of a program: the choices so far, and what may come next."""

    def __init__(self, path):
        self.path, self.p, self.words, self.open = list(path), 1.0, "", None

    def pick(self, options, weights=None):
        weights = weights or [1.0] * len(options)
        if not self.path:
            self.open = len(options)
            raise StopIteration
        i = self.path.pop(0)
        self.p *= weights[i] / sum(weights)
        return options[i]

    def say(self, options, weights=None):
        words = self.pick(options, weights)
        self.words += words
        return words


def enumerate_texts(program):
    """Every text with its probability, by brute force (another way than entropy.py goes)."""
    texts, paths = {}, [()]
    while paths:
        path = paths.pop()
        run = Listing(path)
        try:
            program(run)
        except StopIteration:
            paths += [(*path, i) for i in range(run.open)]
        else:
            texts[run.words] = texts.get(run.words, 0.0) + run.p
    return texts


class Told(Dice):
    """Dice that keep what was said."""

    words = ""

    def say(self, options, weights=None):
        told = super().say(options, weights)
        self.words += told
        return told


@pytest.mark.parametrize("source", [clear, muddled])
def test_surprise_is_that_of_the_text_and_not_of_its_derivations(source):
    texts = enumerate_texts(source)
    assert math.isclose(sum(texts.values()), 1)
    for text, p in texts.items():
        assert math.isclose(surprise(source, text), -math.log(p))
    assert surprise(source, "something else") == math.inf


def test_counting_derivations_would_overstate_the_entropy():
    texts = enumerate_texts(muddled)
    entropy = -sum(p * math.log(p) for p in texts.values())
    dice = [Told(f"{seed}") for seed in range(2000)]
    for one in dice:
        muddled(one)
    naive = sum(one.nats for one in dice) / len(dice)
    honest = sum(surprise(muddled, one.words) for one in dice) / len(dice)
    assert naive > entropy + 1 and abs(honest - entropy) < 0.03
    assert len(derivations(muddled, "ab.")) == 6


def test_floor_meets_the_counted_rate_within_its_error_bar():
    texts = enumerate_texts(clear)
    rate = -sum(p * math.log(p) for p in texts.values()) / sum(p * len(text) for text, p in texts.items())
    off = []
    for trial in range(40):
        samples = []
        for seed in range(200):
            dice = Told(f"{trial} {seed}")
            clear(dice)
            samples.append((surprise(clear, dice.words), len(dice.words)))
        found = floor(samples)
        off.append((found.nats - rate) / found.error)
    assert abs(sum(off) / len(off)) < 0.5  # 3 standard errors of the mean of 40
    assert 0.6 < sum(z * z for z in off) / len(off) < 1.6  # the error bar has the right size
    assert sum(abs(z) < 2 for z in off) >= 34


def test_floor_needs_two_stories():
    with pytest.raises(ValueError, match="at least 2"):
        floor([(1.0, 10)])


def test_fresh_stories_parse_back_to_the_choices_that_made_them():
    stories = (DATA / "fresh.txt").read_text("utf-8").rstrip("\n").split("\n\n")[:12]
    for (nats, length), story in zip(drawn(1_000_000, 12), stories, strict=True):
        assert length == len(story) + 2
        found = derivations(program, story, possible(story))
        assert len(found) == 1 and math.isclose(found[0], nats)


def test_what_cannot_happen_is_infinitely_surprising():
    story = (DATA / "fresh.txt").read_text("utf-8").split("\n\n")[0]
    for wrong in (story.replace("was", "wos", 1), story + " The end.", story[:-1]):
        assert next(exact(wrong))[0] == math.inf


class Noting(Dice):
    """Dice that keep what was picked."""

    def __init__(self, seed):
        super().__init__(seed)
        self.picked = []

    def pick(self, options, weights=None):
        self.picked.append(super().pick(options, weights))
        return self.picked[-1]


def test_hints_never_rule_out_what_was_picked():
    for seed in range(3000):
        world = Noting(f"world {seed}")
        may = possible(tell(Dice(f"english {seed}"), happen(world, facts=True)))
        assert all(map(may, world.picked))


def test_written_floor_is_of_these_stories():
    written = json.loads((DATA / "floor.json").read_text("utf-8"))
    text = (DATA / "fresh.txt").read_text("utf-8").rstrip("\n")
    assert written["fresh"]["characters"] == len(text) + 2 and written["fresh"]["stories"] == text.count("\n\n") + 1
    few = floor(drawn(4_000_000, 1000))
    source = written["source"]
    assert abs(few.nats - source["nats_per_character"]) < 4 * (few.error + source["standard_error"])
    assert abs(written["fresh"]["nats_per_character"] - source["nats_per_character"]) < 0.005
