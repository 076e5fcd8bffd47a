"""The line of architectures says what the presets are, and what their choices cost: nothing of it is told by hand."""
from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from minillm import presets
from minillm.config import ModelConfig
from minillm.costs import cache_bytes, parameters
from minillm.lessons.architectures import lineage
from minillm.lessons.architectures.diagrams import block_diagram, strips
from minillm.lessons.architectures.insides import order
from minillm.lessons.architectures.lineage import (
    COLUMNS,
    FIRST,
    LINE,
    SIZES,
    ancestry,
    changed,
    choices,
    config_of,
)
from minillm.model import Transformer
from minillm.presets import PRESETS, scaled

FOLLOWERS = [name for name in LINE if name != FIRST]


def test_the_line_runs_from_2017_to_2026_and_every_model_follows_one_before_it():
    seen, years = set(), [year for year, _ in LINE.values()]
    assert years == sorted(years) and {years[0], years[-1]} == {2017, 2026}
    for name, (year, before) in LINE.items():
        assert name == FIRST or name in PRESETS
        assert before is None and name == FIRST or before in seen and LINE[before][0] <= year
        seen.add(name)


def test_every_year_stands_beside_its_preset_s_source():
    source = Path(presets.__file__).read_text(encoding="utf-8")
    for name in FOLLOWERS:
        above = source[:source.index(f'    "{name}": ')]
        comment = re.findall(r"(?:    # .*\n)+", above)[-1]
        assert str(LINE[name][0]) in comment, (name, comment)


def test_every_field_is_a_size_or_stands_in_one_column():
    placed = [name for names in COLUMNS.values() for name in names]
    assert sorted([*placed, *SIZES]) == sorted(f.name for f in fields(ModelConfig))


@pytest.mark.parametrize("name", FOLLOWERS)
def test_what_changed_leads_from_one_to_the_other(name):
    before, after = choices(config_of(LINE[name][1])), choices(config_of(name))
    usual = {f.name: f.default for f in fields(ModelConfig)}
    reached = before | {key: new for key, (_, new) in changed(name).items()}
    for key, value in after.items():
        assert reached[key] == value or {reached[key], value} == {None, usual[key]}
    said = ancestry(name).alt
    for key, (old, new) in changed(name).items():
        assert f"{lineage.SAID.get(key, key)}: {lineage._word(old)} → {lineage._word(new)}" in said


@pytest.mark.parametrize("name", LINE)
def test_costs_are_those_of_its_choices_at_one_size(name):
    c = lineage.at_one_size(config_of(name))
    assert all(getattr(c, size) == value for size, value in lineage.SAME.items())
    costs = lineage.costs(name)
    assert costs["parameters"] == sum(parameters(c).values()) / 1e9 and costs["cache"] == cache_bytes(c, seq=8192) / 1e9
    ours, theirs = choices(config_of(name)), choices(c)
    differ = {key for key in ours if ours[key] != theirs[key]} - {"n_kv_heads", "attention_scale"}
    assert not differ  # 71 or 14 heads are not shared as 32 are


def test_what_the_notebook_says_of_costs_is_so():
    costs = {name: lineage.costs(name) for name in LINE}
    assert costs["deepseek-v2"]["cache"] < 0.1 * costs["deepseek-moe-16b"]["cache"]       # a latent
    assert costs["llama-2-70b"]["cache"] < 0.2 * costs["llama-7b"]["cache"]               # shared key heads
    assert costs["olmo-3-7b"]["cache"] < 0.7 * costs["olmo-2-7b"]["cache"]                # windows
    for name, before in (("mixtral-8x7b", "mistral-7b"), ("qwen3-30b-a3b", "qwen3-8b")):  # held, not read
        assert costs[name]["parameters"] > 5 * costs[before]["parameters"]
        assert costs[name]["read by a token"] < 0.3 * costs[name]["parameters"]
    for name in ("gpt2", "olmo-2-7b", "bloom"):                                           # norms and their places
        assert costs[name]["parameters"] == pytest.approx(costs[LINE[name][1]]["parameters"], rel=0.006)


def test_the_table_marks_exactly_the_columns_that_differ():
    rows = lineage.timeline().html.split("<tr")[2:]
    for name, row in zip(LINE, rows, strict=True):
        differs = set(changed(name)) if LINE[name][1] else set()
        assert row.count("<mark") == sum(bool(differs & set(names)) for names in COLUMNS.values()), name


def test_an_unknown_model_is_refused_with_those_of_the_line():
    with pytest.raises(ValueError, match="'gpt5' is not on the line; choose one of: transformer, gpt"):
        ancestry("gpt5")


# the order in which the parts of an attention ran, and in what layers differ

@pytest.mark.parametrize(("name", "steps"), [
    ("gpt2", "W_q softmax W_o"), ("qwen3-8b", "W_q norm RoPE softmax W_o"), ("bloom", "W_q ALiBi softmax W_o"),
    ("gemma-2-2b", "W_q RoPE cap softmax W_o"), ("deepseek-v3", "latent W_q RoPE softmax W_o")])
def test_the_order_is_the_one_that_ran(name, steps):
    assert order(PRESETS[name]) == tuple(steps.split())
    assert f"runs: {' → '.join(steps.split())}" in " ".join(
        words.get_text() for words in block_diagram(PRESETS[name], name).axes[0].texts)


def test_the_order_follows_the_code(monkeypatch):
    from minillm.layers.attention import Attention
    from minillm.lessons.architectures import insides
    config = scaled(PRESETS["qwen3-8b"], "nano", vocab_size=65)

    def turned_first(self, x, cache=None):
        position = torch.arange(x.shape[1])
        q, k = (self.split(p(x)) for p in (self.q_proj, self.k_proj))
        q, k = self.q_norm(self.rotate(q, position)), self.k_norm(self.rotate(k, position))
        v = self.split(self.v_proj(x))
        return self.o_proj(self.join(self.attend(q, self.share(k), self.share(v), position, position)))
    monkeypatch.setattr(Attention, "forward", turned_first)
    assert insides._ran(Transformer(config).blocks[0].attention) == ("W_q", "RoPE", "norm", "softmax", "W_o")


@pytest.mark.parametrize(("name", "held"), [
    ("gemma-3-1b", {"window": 22, "its own θ": 22}), ("smollm3-3b", {"no positions": 9}), ("llama-3-8b", {}),
    ("deepseek-v3", {"dense": 3}), ("command-r7b", {"window": 24, "no positions": 8}), ("mistral-7b", {})])
def test_the_strip_shows_in_what_layers_differ(name, held):
    config = PRESETS[name].resolve()
    found = strips(config)
    assert {what: sum(holds) for what, holds in found.items()} == held
    assert all(len(holds) == config.n_layers for holds in found.values())
    alt = block_diagram(config, name).alt
    assert (f"layers differ in {', '.join(held)}" in alt) if held else "layers differ" not in alt
