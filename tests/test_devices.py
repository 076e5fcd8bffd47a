"""What asks a model goes to where the model is, and says the same there."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minillm.answering import likeliest, log_likelihoods
from minillm.copying import scores, twice, without
from minillm.lora import LoRALinear, add_lora, merge_lora
from minillm.model import Transformer
from minillm.preferences import _answered
from minillm.quantized import QLoRALinear
from minillm.speculation import speculate
from tests.elsewhere import ELSEWHERE, Elsewhere
from tests.variants import SMALL

ROWS = [([1, 2, 3], [4, 5, 30]), ([6], [7]), ([8, 9, 10, 11], [12, 13])]


def guesses(text: list[int], n: int) -> list[int]:
    return [(text[-1] + 1) % 31] * n


def ablated(model) -> list:
    with without(model, [(0, 1), (1, 3)]):
        return _answered(model, ROWS).tolist()


ASKED = {
    "preferences": lambda model: _answered(model, ROWS).tolist(),
    "likelihoods": lambda model: log_likelihoods(model, ROWS),
    "the likeliest": lambda model: likeliest(model, ROWS),
    "guesses read at once": lambda model: [*speculate(model, [1, 2, 3], guesses, n_tokens=8, temperature=2.0, seed=1)],
    "heads taken away": ablated,
    "heads that copy": lambda model: scores(
        model, twice(31, length=8).to(next(model.parameters()).device)).induction.cpu().tolist(),
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Transformer(replace(SMALL, position="learned")).eval().requires_grad_(False)


@pytest.mark.parametrize("what", ASKED)
def test_batches_follow_the_model(model, what):
    here = ASKED[what](model)
    with torch.no_grad(), Elsewhere():
        assert next(model.to(ELSEWHERE).parameters()).device == ELSEWHERE
        assert ASKED[what](model) == here


@pytest.mark.parametrize("layer", [LoRALinear, QLoRALinear])
def test_a_merged_correction_lies_where_the_model_does(model, layer):
    add_lora(model, layer=layer)
    with torch.no_grad(), Elsewhere():
        merge_lora(model.to(ELSEWHERE))
        assert {each.device for each in model.parameters()} == {ELSEWHERE}
        model(torch.tensor([[1, 2]]).to(ELSEWHERE))


def test_what_is_left_behind_is_noticed(model):
    with torch.no_grad(), Elsewhere(), pytest.raises(RuntimeError, match="same device"):
        model.to(ELSEWHERE)(torch.tensor([[1, 2]]))
