"""The table of ingredients can be made: each change trains, and changes what its name says."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from minillm.lessons.training import ingredients
from minillm.lessons.training.ingredients import (
    ADDED,
    INGREDIENTS,
    TAKEN_OUT,
    Change,
    costs,
    half_the_layers,
    learned,
    value_embeddings,
)
from minillm.lessons.training.points import shipped
from minillm.model import Transformer
from minillm.recipes import Recipe, small

IDS = torch.randint(20, (3000,), generator=torch.Generator().manual_seed(0)).tolist()


@pytest.mark.parametrize("name", ["with value embeddings", "with mean of the last third's weights",
                                  "with embeddings three times as fast", "with each head by itself alone",
                                  "with half the batch for a third of the time",
                                  "with half the layers for a third of the time"])
def test_a_change_trains(name):
    loss, tokens = learned(INGREDIENTS[name], IDS, IDS[:200], 20, n_steps=6, seed=0)
    assert 0 < loss < 10 and tokens > 0


def test_every_change_is_one():
    usual = Change()
    assert len(INGREDIENTS) == 1 + len(TAKEN_OUT) + len(ADDED)
    assert all(change != usual for name, change in INGREDIENTS.items() if name != "the recipe")
    for change in INGREDIENTS.values():
        Recipe(**change.recipe)
        assert 0 <= change.factor(Recipe(), 0.5) <= 1 and change.factor(Recipe(), 1.0) == pytest.approx(0, abs=1e-9)


def test_value_embeddings_add_a_vector_of_each_token_in_two_layers():
    model = Transformer(small(20))
    tokens = torch.tensor([[1, 2, 3]])
    before = model(tokens)
    value_embeddings(model)
    assert torch.equal(model(tokens), before)  # they begin as nothing
    with torch.no_grad():
        model.blocks[0].attention.v_proj.table.weight[2] = 1.0
    after = model(tokens)
    assert torch.equal(after[:, 0], before[:, 0]) and not torch.allclose(after[:, 1:], before[:, 1:])


def test_half_the_layers_wake_later():
    model, tokens = Transformer(small(20)), torch.tensor([[1, 2, 3]])
    whole = model(tokens)
    half_the_layers(model)
    assert not torch.allclose(model(tokens), whole)
    model.progress = 0.5
    assert torch.equal(model(tokens), whole)


def test_costs_are_in_steps_of_the_first():
    found = costs({name: INGREDIENTS[name] for name in ("the recipe", "with half the batch")}, IDS, 20, rounds=4)
    assert found["the recipe"] == 1.0 and 0.2 < found["with half the batch"] < 1.0


def test_what_ships_is_of_all_ingredients():
    assert list(shipped()["ingredients"]) == list(INGREDIENTS)
    assert all(len(trial["losses"]) == 2 for trial in shipped()["ingredients"].values())


def test_luck_is_the_deviation_of_one_run(monkeypatch):
    dice = np.random.default_rng(0)
    runs = {str(i): {"losses": list(1.6 + 0.01 * dice.normal(size=2))} for i in range(2000)}
    monkeypatch.setattr(ingredients, "shipped", lambda: {"ingredients": runs})
    assert ingredients.luck() == pytest.approx(0.01, rel=0.05)


def test_what_the_notebook_says_of_the_ingredients():
    by = {name: ingredients.above(name).mean() for name in INGREDIENTS if name != "the recipe"}
    sure = {name: delta for name, delta in by.items() if abs(delta) > 2 * ingredients.luck()}
    assert (len(by), len(sure)) == (21, 8) and 0.0095 < 2 * ingredients.luck() < 0.0105
    worse, better = ([name for name in sorted(sure, key=sure.get, reverse=True) if sure[name] * sign > 0]
                     for sign in (1, -1))
    assert worse[:6] == ["without Muon (AdamW instead, 3e-3)", "with half the batch",
                         "without low momentum (0.95 instead)", "without the growing context",
                         "without the gate on each head", "without the fall in a line (a cosine instead)"]
    assert by[worse[0]] > sum(abs(by[f"without {name}"]) for name in list(TAKEN_OUT)[1:])
    assert better == ["with Muon as published"]
    alt = ingredients.worth().alt
    assert all(f"{name} {round(delta, 3) + 0.0:+.3f}" in alt for name, delta in by.items())
