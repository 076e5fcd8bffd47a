"""Every family computes what transformers computes, and a port with a mistake in it does not."""
from __future__ import annotations

from functools import cache

import pytest

from minillm.pretrained.families import FAMILIES
from tests.parity.comparison import CAUGHT, FP32, FP64, Result, compare
from tests.parity.mistakes import MISTAKES
from tests.parity.references import CONFIGS

once = cache(compare)


@pytest.fixture(params=CONFIGS)
def result(request: pytest.FixtureRequest) -> Result:
    return once(request.param)


def test_logits_equal_those_of_transformers(result):
    assert result.fp32 <= FP32


def test_logits_equal_those_of_transformers_in_double_precision(result):
    assert result.fp64 <= FP64


def test_greedy_tokens_equal_those_of_transformers(result):
    assert result.greedy


def test_greedy_tokens_with_a_cache_equal_those_of_transformers(result):
    assert result.greedy_cached


def test_every_mistake_is_noticed(result):
    assert len(result.caught) >= 3
    assert {label: d for label, d in result.caught.items() if d <= CAUGHT} == {}


def test_every_family_has_a_reference_and_mistakes():
    assert MISTAKES.keys() == CONFIGS.keys()
    assert {name.removesuffix("_text") for name in FAMILIES} <= CONFIGS.keys()
