"""A choice is told once: whatever stands in CHOICES is built, counted, said, drawn, offered, ejected and cached.

A new norm takes three places: its class, its row in NORMS, its name in CHOICES.  The last test adds one this way.
"""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from minillm import costs
from minillm.cache import KVCache
from minillm.config import CHOICES, ModelConfig, canonical
from minillm.ejection import eject
from minillm.layers import NORMS
from minillm.lessons.architectures.comparison import differences
from minillm.lessons.architectures.diagrams import block_diagram
from minillm.lessons.architectures.explorer import Explorer
from minillm.lessons.training import experiment
from minillm.lessons.training.experiment import configure
from minillm.model import Transformer, labels
from tests.test_costs import of_size, step_bytes
from tests.test_eject import difference, disturbed, opened
from tests.variants import LATENT, SMALL

CASES = [(choice, value) for choice, values in CHOICES.items() for value in values]
every_value = pytest.mark.parametrize(("choice", "value"), CASES, ids=str)
LABORATORY = ("norm", "position", "mlp", "attention")  # what it has a list for


def having(choice: str, value: str | None) -> ModelConfig:
    """A small model in which this value has something to do."""
    beside = LATENT if value == "latent" else {"n_experts": 4} if choice == "router" else {}
    return replace(SMALL, **beside, **{choice: value})


def is_built_and_cached(config: ModelConfig) -> None:
    tokens = torch.randint(config.vocab_size, (2, config.context_length))
    model, cache, cuts = disturbed(config), KVCache(config), [9, 5, *[1] * (config.context_length - 14)]
    with torch.no_grad():
        whole = model(tokens)
        parts = [model(piece, cache=cache) for piece in tokens.split(cuts, dim=1)]
        torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-4, rtol=1e-4)
    assert cache.bytes == costs.cache_bytes(config, seq=config.context_length, batch=2, bytes_per_number=4)


def is_counted(config: ModelConfig) -> None:
    assert sum(costs.parameters(config).values()) == of_size(config)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Transformer(config).fuse(False)(torch.randint(0, config.vocab_size, (1, 12)))
    assert counter.get_total_flops() == sum(costs.flops(config, seq=12).values())
    wide = replace(config, d_model=128, context_length=64, vocab_size=300)
    assert sum(costs.activation_bytes(wide, batch=4, seq=64).values()) == pytest.approx(step_bytes(wide), rel=0.02)


def words_drawn(config: ModelConfig) -> list[str]:
    figure = block_diagram(config, "a model")
    return [figure.alt, *(words.get_text() for words in figure.axes[0].texts)]


def is_said_and_drawn(choice: str, config: ModelConfig, others: list[ModelConfig]) -> None:
    word = labels(choice)[getattr(config, choice)]
    assert word and list(labels(choice).values()).count(word) == 1
    drawn = words_drawn(config)
    for other in others:
        assert drawn != words_drawn(other)
        if canonical(other) != canonical(config):
            assert f">{choice}<" in differences(config, other, ("a", "b")).html


def is_offered(choice: str, value: str | None, laboratory: dict[str, list]) -> None:
    explorer = Explorer("llama-7b")
    offered = {given: said for said, given in explorer[choice].options}
    wanted = "nothing chosen" if value is None else value
    explorer["mixture"].value = (8, 2, 0) if choice == "router" else (0, 0, 0)
    assert offered[wanted] == labels(choice)[value]
    explorer[choice].value = wanted
    assert explorer.error is None and not explorer.parts or "Impossible" not in explorer.parts[0].alt
    assert getattr(explorer.config, choice) == value
    if choice in LABORATORY and value != "heads":
        assert value in laboratory[choice]
        made = configure(experiment.OWN, "nano", 30, **{choice: value})
        assert getattr(made, choice) == value
        Transformer(made)


@pytest.fixture(scope="module")
def laboratory() -> dict[str, list]:
    return offers()


def offers() -> dict[str, list]:
    """What the laboratory's lists hold."""
    from minillm import corpora
    from minillm.lessons.training.laboratory import training_lab
    lab = training_lab(corpora.load("stories"))
    return {choice: [value for _, value in lab[choice].options] for choice in LABORATORY}


@every_value
def test_it_is_built_and_a_cache_changes_nothing(choice, value):
    is_built_and_cached(having(choice, value))


@every_value
def test_it_is_counted_exactly(choice, value):
    is_counted(having(choice, value))


@every_value
def test_it_is_said_and_drawn_as_no_other(choice, value):
    others = [having(choice, other) for other in CHOICES[choice] if other != value]
    is_said_and_drawn(choice, having(choice, value), others)


@every_value
def test_explorer_and_laboratory_offer_it(choice, value, laboratory):
    is_offered(choice, value, laboratory)


@every_value
def test_it_is_ejected(choice, value):
    assert difference(having(choice, value)) < 2e-5


TOGGLES = {  # fields that are no words: what each is beside its default, and what a picture says of it
    "nope_every": (2, "no positions in 1 of 2 layers"), "attention_gate": (True, "a gate on each output"),
    "attention_sinks": (True, "a score more"),
}
EXPERTS = {  # fields that need others: what each is, beside what, and what a picture says of it
    "global_first": (True, {"window": 5, "global_every": 2}, "not in the first of every 2"),
    "d_query": (12, LATENT | {"attention": "latent"}, "queries read from one of 12"),
    "router_bias": (True, {"n_experts": 4}, "the router has a bias"),
    "n_expert_groups": (4, {"n_experts": 8, "router": "sigmoid", "groups_per_token": 2}, "from 2 of 4 groups"),
}
LINEAR = {"full_every": (2, "in 1 of 2 layers"), "full_first": (True, "the first of every 2"),
          "conv_width": (4, "a convolution of 4"), "attention_gate": (True, "a gate on each output")
}


@pytest.mark.parametrize("attention", CHOICES["attention"])
@pytest.mark.parametrize("field", TOGGLES)
def test_a_toggle_is_built_cached_counted_drawn_offered_and_ejected(field, attention):
    value, words = TOGGLES[field]
    config = replace(SMALL, attention=attention, **{field: value})
    is_built_and_cached(config)
    is_counted(config)
    assert words in words_drawn(config)[0] and words not in words_drawn(replace(SMALL, attention=attention))[0]
    assert difference(config) < 2e-5
    explorer = Explorer("llama-7b")
    explorer[field].value = value
    assert getattr(explorer.config, field) == value


@pytest.mark.parametrize("field", EXPERTS)
def test_a_field_that_needs_others_is_built_cached_counted_drawn_and_ejected(field):
    value, beside, words = EXPERTS[field]
    config = replace(SMALL, **beside, **{field: value})
    is_built_and_cached(config)
    is_counted(config)
    assert words in block_diagram(config, "a model").alt
    assert difference(config) < 2e-5


def test_the_explorer_offers_compressed_queries_groups_and_a_router_s_bias():
    explorer = Explorer("deepseek-v2-lite")
    for control, value, field, wanted in (("d_query", 1536, "d_query", 1536), ("groups", (8, 4), "groups_per_token", 4),
                                          ("router_bias", True, "router_bias", True)):
        assert getattr(explorer.config, field) != wanted
        explorer[control].value = value
        assert getattr(explorer.config, field) == wanted
    explorer["preset"].value = "gpt2"
    assert explorer["groups"].disabled and explorer["d_query"].disabled and explorer["global_first"].disabled


def test_the_explorer_offers_windows_in_all_layers_but_the_first_of_each_few():
    explorer = Explorer("gemma-3-1b")
    assert explorer.config.is_windowed(0) and not explorer.config.is_windowed(5)
    explorer["global_first"].value = True
    assert not explorer.config.is_windowed(0) and explorer.config.is_windowed(5)


@pytest.mark.parametrize("router", CHOICES["router"])
def test_the_nudged_bias_is_built_cached_counted_drawn_offered_and_ejected(router):
    config = replace(SMALL, n_experts=4, router=router, balance_bias=True)
    is_built_and_cached(config)
    is_counted(config)
    assert "a bias that is nudged" in words_drawn(config)[0]
    model = disturbed(config)
    for block in model.blocks:
        block.mlp.balance += torch.tensor([3.0, 0.0, 0.0, -3.0])  # it is no parameter, and travels all the same
    copy = opened(eject(config))["Transformer"]().eval()
    copy.load_state_dict(model.state_dict())
    tokens = torch.randint(config.vocab_size, (2, 20))
    torch.testing.assert_close(copy(tokens), model(tokens), atol=1e-4, rtol=1e-4)
    explorer = Explorer("mixtral-8x7b")
    explorer["balance_bias"].value = True
    assert explorer.config.balance_bias


@pytest.mark.parametrize("kind", ["sum", "delta"])
@pytest.mark.parametrize("field", LINEAR)
def test_a_toggle_of_linear_layers_is_built_cached_counted_drawn_offered_and_ejected(field, kind):
    value, words = LINEAR[field]
    beside = {"linear_attention": kind, "n_kv_heads": 2, **({"full_every": 2} if field == "full_first" else {})}
    config = replace(SMALL, **beside, **{field: value})
    is_built_and_cached(config)
    is_counted(config)
    assert words in words_drawn(config)[0] and words not in words_drawn(replace(SMALL, **beside))[0]
    assert difference(config) < 2e-5
    explorer = Explorer("llama-7b")
    for name, chosen in {**beside, field: value}.items():
        if name != "n_kv_heads":
            explorer[name].value = chosen
    assert getattr(explorer.config, field) == value and explorer.config.linear_attention == kind


class ScaleNorm(nn.Module):
    r"""Give every vector one length, learned as a single number.  Nguyen and Salazar 2019, arXiv:1910.05895.

    $$ y_d = g \, \frac{x_d}{\sqrt{\sum_{i=1}^{D} x_i^2 + \varepsilon}} $$
    """

    def __init__(self, d_model: int, *, eps: float = 1e-5, weight: bool = True):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.tensor(d_model ** 0.5)) if weight else d_model ** 0.5

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().sum(-1, keepdim=True) + self.eps)


def test_a_new_norm_is_its_class_a_row_and_a_name(monkeypatch):
    monkeypatch.setitem(NORMS, "scalenorm", ScaleNorm)
    monkeypatch.setitem(CHOICES, "norm", (*CHOICES["norm"], "scalenorm"))
    for config in (replace(SMALL, norm="scalenorm"), replace(SMALL, norm="scalenorm", norm_order="parallel"),
                   replace(SMALL, norm="scalenorm", qk_norm="full", embed_norm=True, tie_embeddings=False)):
        is_built_and_cached(config)
        is_counted(config)
        is_said_and_drawn("norm", config, [replace(config, norm=norm) for norm in ("rmsnorm", "layernorm")])
        assert difference(config) < 2e-5
    assert "ScaleNorm" in words_drawn(config)[0]
    is_offered("norm", "scalenorm", offers())
