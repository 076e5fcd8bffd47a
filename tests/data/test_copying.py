"""The parrot copies in context, by two kinds of heads that one can find and take away."""
from __future__ import annotations

import json

import pytest
import torch

from data.making.models import measure_parrot as measure
from minillm import copying
from minillm.checkpoints import load
from minillm.config import ModelConfig
from minillm.model import Transformer

FIGURES = json.loads(measure.FIGURES.read_text())["copying"]


@pytest.fixture(scope="module")
def parrot():
    return load("parrot")


@pytest.fixture(scope="module")
def tokens(parrot):
    return copying.twice(parrot[1].vocab_size)


def test_a_head_finds_what_came_next_and_one_below_looks_one_place_back(parrot, tokens):
    found = copying.scores(parrot[0], tokens)
    for name in ("induction", "previous"):
        best = getattr(found, name).max().item()
        assert best >= 0.4 and best == pytest.approx(FIGURES[f"best_{name}_score"], abs=0.01)
        assert found.heads(name) == [*map(tuple, FIGURES[f"{name}_heads"])]
    assert min(layer for layer, _ in found.heads("previous")) < min(layer for layer, _ in found.heads("induction"))


def test_the_second_reading_is_cheap(parrot, tokens):
    first, second = copying.gain(parrot[0], tokens)
    assert second == pytest.approx(FIGURES["second_reading_nats_per_token"], abs=0.05)
    assert first - second >= 3


def test_without_either_kind_of_head_it_does_not_copy(parrot, tokens):
    model = parrot[0]
    second = copying.gain(model, tokens)[1]
    for name in ("induction", "previous"):
        with copying.without(model, FIGURES[f"{name}_heads"]):
            assert copying.gain(model, tokens)[1] - second >= 2


def test_scores_of_known_patterns():
    """A head that looks where an induction head should scores 1; one that looks one place back likewise."""
    model = Transformer(ModelConfig(vocab_size=30, d_model=8, n_layers=1, n_heads=2, context_length=40))
    tokens = copying.twice(30, length=10, lists=2)
    later = torch.arange(10, 20)
    ideal = torch.zeros(2, 2, 20, 20)
    ideal[:, 0, later, later - 9] = 1
    ideal[:, 1, torch.arange(1, 20), torch.arange(19)] = 1
    with copying.intervene(model, {"blocks.0.attention.pattern": lambda pattern: ideal}):
        found = copying.scores(model, tokens)
    assert found.induction.tolist() == [[1, 0]] and found.previous.tolist() == [[0, 1]]
    assert found.heads("induction") == [(0, 0)] and found.heads("previous") == [(0, 1)]


def test_heads_that_are_taken_away_see_nothing(parrot, tokens):
    model = parrot[0]
    with copying.without(model, [(2, 1), (2, 3)]), copying.capture(model, "blocks.*.attention.pattern") as seen:
        model(tokens[:1])
    dark = {(layer, head) for layer, pattern in enumerate(seen.values()) for head in range(model.config.n_heads)
            if not pattern[0, head].any()}
    assert dark == {(2, 1), (2, 3)}
