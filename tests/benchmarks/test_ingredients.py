"""The table of ingredients can be made: each change trains, and changes what its name says."""
from __future__ import annotations

import pytest
import torch

from minillm.model import Transformer
from minillm.recipes import Recipe, small
from tests.benchmarks.ingredients import ADDED, INGREDIENTS, TAKEN_OUT, Change, learned, value_embeddings

IDS = torch.randint(20, (3000,), generator=torch.Generator().manual_seed(0)).tolist()


@pytest.mark.parametrize("name", ["with value embeddings", "with mean of the last third's weights",
                                  "with embeddings three times as fast", "with each head by itself alone"])
def test_a_change_trains(name):
    loss, tokens = learned(INGREDIENTS[name], IDS, IDS[:200], 20, seconds=0.2, seed=0)
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
