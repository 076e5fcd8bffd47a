"""Whatever the explorer shows belongs to one configuration, and every control changes all of it."""
from __future__ import annotations

import inspect
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from minillm import costs
from minillm.config import canonical
from minillm.lessons.architectures import explorer as explorer_page
from minillm.lessons.architectures import fetching
from minillm.lessons.architectures.comparison import differences, ledger
from minillm.lessons.architectures.diagrams import block_diagram
from minillm.lessons.architectures.explorer import Explorer, ways_out
from minillm.lessons.architectures.fetching import hub
from minillm.lessons.architectures.insides import class_of, classes_in_use
from minillm.lessons.architectures.offers import GROUPS, ROLES
from minillm.model import Transformer
from minillm.notebook.explain import equations
from minillm.notebook.plots import Picture
from minillm.presets import PRESETS, scaled

REMARK, DIAGRAM, LEDGER, DIFFERENCES, EQUATIONS, CODE, TURN = range(7)


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    shown = Explorer()
    shown.redraw()
    return shown


@pytest.fixture(autouse=True)
def _as_published(explorer):
    explorer["preset"].value = "llama-3-8b"
    explorer["size"].value = "published"
    explorer["preset"].value = "gpt2"


def test_a_preset_shows_exactly_its_configuration(explorer):
    for name, config in PRESETS.items():
        explorer["preset"].value = name
        assert explorer.error is None
        assert canonical(explorer.config) == canonical(config), name
        assert "as published" in explorer.parts[REMARK].alt
        assert f"{sum(costs.parameters(config).values()):,}" in explorer.parts[LEDGER].html


@pytest.mark.parametrize(("control", "value", "says"), [
    ("norm", "rmsnorm", "RMSNorm"), ("norm_order", "sandwich", "before and after"), ("position", "rope", "RoPE"),
    ("n_kv_heads", 4, "GQA"), ("n_kv_heads", 1, "MQA"), ("qk_norm", "head", "normed per head"),
    ("window", 512, "window 512"), ("mlp", "swiglu", "SwiGLU"), ("mixture", (8, 2, 0), "2 of 8 experts"),
    ("mixture", (64, 6, 2), "every token visits"), ("position", "alibi", "ALiBi")])
def test_a_toggle_changes_config_picture_and_ledger_together(explorer, control, value, says):
    before = [part.alt for part in explorer.parts]
    explorer[control].value = value
    assert explorer.error is None
    assert says in explorer.parts[DIAGRAM].alt
    assert says not in before[DIAGRAM]
    changed = explorer.config
    assert canonical(changed) != canonical(PRESETS["gpt2"])
    assert f"{sum(costs.parameters(changed).values()):,}" in explorer.parts[LEDGER].html
    assert explorer.parts[EQUATIONS].alt.endswith(", ".join(classes_in_use(changed)))


def looks(explorer: Explorer) -> list:
    """All below the words: pictures by identity, the rest by content."""
    return [part if isinstance(part, Picture) else part.html for part in explorer.parts[DIAGRAM:]]


def test_what_does_not_go_together_is_explained_and_the_rest_stays(explorer):
    explorer["norm"].value = "rmsnorm"
    before, config = looks(explorer), explorer.config
    explorer["n_kv_heads"].value = 8
    explorer["mlp"].value = "swiglu"
    assert explorer.error is None
    said = explorer.parts[REMARK].alt
    assert "n_heads=12 cannot share n_kv_heads=8 evenly; choose a divisor of 12" in said
    assert "turn key heads from 8 to one per query head, 1, 2, 3 or 4. Until" in said
    assert "all below shows gpt2 with norm = rmsnorm, the last model that could be" in said
    assert looks(explorer) == before and explorer.config == config
    explorer["n_kv_heads"].value = 4
    assert "gpt2 with norm = rmsnorm, n_kv_heads = 4, mlp = swiglu" in explorer.parts[REMARK].alt


def test_the_last_possible_model_can_still_be_compared_and_read(explorer):
    explorer["n_kv_heads"].value = 8
    explorer["compare"].value = "bloom-560m"
    assert explorer.parts[DIFFERENCES].html == differences(PRESETS["gpt2"], PRESETS["bloom-560m"],
                                                           ("gpt2", "bloom-560m")).html
    explorer["role"].value = "norm"
    assert explorer.parts[CODE].alt.startswith("the source of LayerNorm")
    explorer["context"].value = 256
    assert "at position 256" in explorer.parts[LEDGER].html
    explorer["size"].value = "nano"
    assert "shows gpt2, as published, the" in explorer.parts[REMARK].alt
    assert explorer.parts[DIFFERENCES].alt.endswith("between gpt2 and bloom-560m")  # both of the same size still
    explorer["compare"].value = "llama-3-8b"
    explorer["context"].value = 1024
    explorer["role"].value = "block"


@pytest.mark.parametrize(("preset", "turns", "ways"), [
    ("gpt2", {"n_kv_heads": 8}, {"n_kv_heads": [None, 1, 2, 3, 4]}),
    ("gpt2", {"attention": "latent"}, {"position": ["rope"], "attention": ["heads"]}),
    ("pythia-70m", {"attention": "latent"}, {"attention": ["heads"]}),
    ("pythia-70m", {"n_kv_heads": 16, "attention": "latent"}, {"attention": ["heads"]}),  # the first of two steps
])
def test_the_ways_out_that_are_named_lead_out(explorer, preset, turns, ways):
    explorer["preset"].value = preset
    for control, value in turns.items():
        explorer[control].value = value
    assert explorer.parts[REMARK].alt.startswith("Impossible: ")
    named = {name: [None if value == "nothing chosen" else value for _, value in control.options]
             for name, control in explorer.controls.items()
             if hasattr(control, "options") and name not in ("preset", "size", "compare", "context", "role")}
    chosen = {name: None if explorer[name].value == "nothing chosen" else explorer[name].value for name in named}
    assert ways_out(preset, "published", chosen, named) == ways
    clash = explorer.parts[REMARK].alt
    for control, values in ways.items():
        for value in values:
            before = explorer[control].value
            explorer[control].value = "nothing chosen" if value is None else value
            assert explorer.parts[REMARK].alt.startswith("Impossible: ") == (len(turns) > 1)
            assert explorer.parts[REMARK].alt != clash
            explorer[control].value = before


def test_an_impossible_choice_draws_nothing(explorer, monkeypatch):
    def drawn(*_):
        raise AssertionError("a picture was drawn")
    monkeypatch.setattr(explorer_page, "block_diagram", drawn)
    explorer["n_kv_heads"].value = 8
    explorer["norm"].value = "rmsnorm"
    assert explorer.error is None
    assert explorer.parts[REMARK].alt.startswith("Impossible: ")


def test_latent_attention_asks_for_rotary_positions_and_sets_key_heads_aside(explorer):
    explorer["attention"].value = "latent"
    assert "choose position='rope'" in explorer.parts[REMARK].alt
    explorer["position"].value = "rope"
    assert "LatentAttention" in explorer.parts[EQUATIONS].alt
    assert "read from a latent of 256 (MLA)" in explorer.parts[DIAGRAM].alt
    explorer["preset"].value = "llama-3-8b"
    explorer["attention"].value = "latent"
    assert explorer["n_kv_heads"].disabled and explorer["qk_norm"].disabled
    assert explorer.config.n_kv_heads is None
    assert f"{costs.cache_bytes(explorer.config, seq=1024) / 1e6:.3g} MB" in explorer.parts[LEDGER].html
    explorer["role"].value = "attention"
    assert "class LatentAttention(Attention)" in explorer.parts[CODE].html


def test_what_has_no_effect_is_disabled_with_the_reason(explorer):
    assert explorer["global_every"].disabled
    explorer["window"].value = 512
    assert not explorer["global_every"].disabled


def test_layers_without_positions_are_offered_where_positions_turn(explorer):
    assert explorer["nope_every"].disabled
    explorer["preset"].value = "llama-3-8b"
    explorer["nope_every"].value = 4
    assert explorer.config.nope_every == 4
    assert "no positions in 8 of 32 layers (NoPE)" in explorer.parts[DIAGRAM].alt
    assert "nope_every" in explorer.parts[DIFFERENCES].html


def test_an_mlp_with_a_gate_is_compared_at_equal_parameters(explorer):
    before = sum(costs.parameters(explorer.config).values())
    explorer["mlp"].value = "swiglu"
    after = sum(costs.parameters(explorer.config).values())
    assert abs(after - before) < 0.001 * before
    assert "so that three matrices hold as many parameters" in explorer.parts[REMARK].alt


@pytest.mark.parametrize("name", PRESETS)
def test_the_classes_shown_are_those_of_the_model(name):
    config = scaled(PRESETS[name], "small", vocab_size=65)
    found = {type(module).__name__ for module in Transformer(config).modules() if equations(type(module))
             and type(module).__module__.startswith("minillm")}
    assert set(classes_in_use(PRESETS[name])) == found


def test_the_code_shown_is_the_source_of_the_class_in_use(explorer):
    for role in ROLES:
        explorer["role"].value = role
        part = class_of(explorer.config, role)
        first = inspect.getsource(part).splitlines()[0]
        assert first.split("(")[0] in explorer.parts[CODE].html
    explorer["position"].value = "none"
    explorer["role"].value = "position"
    assert "no class" in explorer.parts[CODE].alt


def test_differences_name_the_fields_that_differ_and_no_other():
    shown = differences(PRESETS["llama-7b"], replace(PRESETS["llama-7b"], norm_eps=1e-5), ("a", "b"))
    assert shown.alt.startswith("1 of")
    assert "norm_eps" in shown.html
    assert differences(PRESETS["gpt2"], PRESETS["gpt2"], ("a", "b")).alt.startswith("0 of")
    without_effect = replace(PRESETS["gpt2"], rope_theta=5.0)
    assert differences(PRESETS["gpt2"], without_effect, ("a", "b")).alt.startswith("0 of")


def test_a_field_without_effect_in_one_model_is_a_dash_there_and_in_both_is_left_out():
    dense = differences(PRESETS["gpt2"], PRESETS["llama-3-8b"], ("a", "b"))
    assert "d_ff" in dense.html
    assert "d_expert" not in dense.html
    assert "<td>–</td><td>500,000</td>" in re.sub(r"<td[^>]*>", "<td>", dense.html)
    mixed = differences(PRESETS["gpt2"], PRESETS["deepseek-moe-16b"], ("a", "b"))
    assert "d_expert" in mixed.html


def test_no_cost_is_claimed_beyond_a_models_own_context():
    gpt2, llama = PRESETS["gpt2"], PRESETS["llama-3-8b"]
    rows = re.findall(r"<tr.*?</tr>", ledger(gpt2, llama, ("a", "b"), 8192).html, re.DOTALL)
    of_8192 = [row for row in rows if "8,192" in row]
    assert len(of_8192) == 4
    for row in of_8192:
        assert row.count("beyond its 1,024") == 1
        assert "beyond its 8,192" not in row
    assert any(f"{costs.cache_bytes(llama, seq=8192) / 1e9:.3g} GB" in row for row in of_8192)
    assert not any("65,536" in row for row in rows)
    assert "beyond" not in ledger(gpt2, gpt2, ("a", "b"), 1024).html


def test_the_ledger_says_what_costs_says():
    a, b = PRESETS["mixtral-8x7b"], PRESETS["mistral-7b"]
    html = ledger(a, b, ("a", "b"), 1024).html
    for number in (46_702_792_704, 12_879_925_248, 7_241_732_096):
        assert f"{number:,}" in html
    assert f"{costs.cache_bytes(a, seq=1024) / 1e6:.3g} MB" in html


def test_a_diagram_stays_inside_its_card_for_every_preset():
    for name, config in PRESETS.items():
        figure = block_diagram(config, name)
        assert isinstance(figure, Picture)
        figure.canvas.draw()
        box = figure.bbox
        for words in figure.axes[0].texts:
            extent = words.get_window_extent()
            assert box.x0 <= extent.x0 and extent.x1 <= box.x1, (name, words.get_text())
            assert box.y0 <= extent.y0 and extent.y1 <= box.y1, (name, words.get_text())


def test_nothing_is_fetched_before_the_button_is_pressed(monkeypatch):
    asked = []

    def load_pretrained(name: str):
        asked.append(name)
        raise ConnectionError("there is no network")

    monkeypatch.setattr(fetching, "load_pretrained", load_pretrained)
    live = hub()
    live.redraw()
    live["prompt"].value = "Once"
    assert asked == []
    live["fetch"].click()
    assert asked == ["openai-community/gpt2"]
    assert "no network" in str(live.error)


def test_a_fetched_model_continues_the_prompt(monkeypatch):
    from minillm.tokenizers import ByteTokenizer

    torch.manual_seed(0)
    model = Transformer(scaled(PRESETS["gpt2"], "nano", vocab_size=256)).eval()
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    monkeypatch.setattr(fetching, "load_pretrained", lambda name: (model, ByteTokenizer()))
    live = hub()
    live["fetch"].click()
    assert live.error is None
    assert "continues: The capital of France is" in live.parts[0].alt


def test_what_a_turn_changed_stands_together_and_its_rows_are_marked(explorer):
    explorer["norm"].value = "rmsnorm"
    turn, costs_shown = explorer.parts[TURN], explorer.parts[LEDGER].html
    before, after = (f"{sum(costs.parameters(each).values()):,}" for each in (PRESETS["gpt2"], explorer.config))
    assert before in turn.html and after in turn.html
    assert "LayerNorm went, RMSNorm came" in turn.alt
    marked = re.findall(r"<mark[^>]*>(.*?)</mark>", costs_shown)
    assert "parameters" in marked and "… norms" in marked and "… mlp" not in marked
    assert "share of all its own" in costs_shown and "against the largest here" in costs_shown
    explorer["role"].value = "norm"
    assert explorer.parts[TURN].html == turn.html, "looking elsewhere is no turn"
    explorer["role"].value = "block"


def test_only_what_comes_after_the_costs_is_folded_on_a_page_without_a_kernel(explorer):
    folded = ["<details>" in explorer._stored(part)[0].get("text/html", "") for part in explorer.parts]
    assert folded == [False, False, False, True, True, True, True]


def test_every_control_stands_in_a_group_or_above_them(explorer):
    placed = ["preset", "size", "compare", "context", "role", *sum(GROUPS.values(), [])]
    assert sorted(placed) == sorted(explorer.controls), "a choice that nobody placed would never be seen"
