"""Notebook 04 says what is so: its sizes, its races, who moves, who is favoured; and its checks know answers."""
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from minillm import LayerNorm
from minillm.lessons.block import measures, plots, races, widgets
from minillm.model import BLOCKS

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_transformer_block.ipynb"


def prose() -> str:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


# -- norms -----------------------------------------------------------------------------------------------------------

def test_the_row_by_hand():
    x = torch.tensor(widgets.ROW)
    assert x.mean() == 4 and x.var(unbiased=False) == 5 and x.square().mean() == 21
    assert torch.std(x) / x.std(unbiased=False) == pytest.approx(1.155, abs=1e-3)      # "15 % off"


@pytest.mark.parametrize("scale, shift, layer, size", [(10, 0, True, True), (1, 4, True, False), (1, 0, True, True)])
def test_each_norm_forgets_what_the_notebook_says(scale, shift, layer, size):
    live = widgets.norm_dials()
    live["scale"].value, live["shift"].value = scale, shift
    words = live.redraw()[0].alt
    assert ("LayerNorm's output stands still" in words) == layer
    assert ("RMSNorm's output stands still" in words) == size


def test_epsilon_in_the_root_shrinks_a_small_row_by_a_fifth_and_behind_it_by_two_thousandths():
    row, small = torch.tensor(widgets.ROW), torch.tensor(widgets.ROW) * 1e-3
    full = widgets.rms_row(row, "none")
    assert float((widgets.rms_row(small, "inside") / full).mean()) == pytest.approx(0.82, abs=0.01)
    assert float((widgets.rms_row(small, "outside") / full).mean()) == pytest.approx(0.998, abs=5e-4)
    centred = LayerNorm(len(row))
    assert float((centred(small) / centred(row)).detach().mean()) == pytest.approx(0.58, abs=0.01)   # "by two fifths"
    live = widgets.norm_dials()
    live["scale"].value, live["eps"].value = 0, "none"
    assert "RMSNorm gives 0 / 0" in live.redraw()[0].alt


# -- MLPs ------------------------------------------------------------------------------------------------------------

def test_relu_and_its_square_are_flat_below_zero_and_the_others_are_not():
    assert plots.activations().alt.startswith("Below zero ReLU and ReLU² are 0 and flat")


def test_a_gate_costs_half_as_much_again_until_it_is_made_narrower():
    live = widgets.fair_widths()
    live["fair"].value = True
    for d_model in (64, 768, 4096):
        live["d_model"].value = d_model
        assert abs(float(live.redraw()[0].alt.split(":")[1].strip(" .%"))) < 2
        live["fair"].value = False
        assert "+50.0%" in live.redraw()[0].alt
        live["fair"].value = True


# -- races -----------------------------------------------------------------------------------------------------------

def ends(comparison: str) -> dict[str, tuple[float, float]]:
    return {name: (losses[:, -1].min(), losses[:, -1].max())
            for name, losses in races.shipped_curves()[comparison].items()}


def overlap(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def test_the_shipped_curves_are_of_all_who_race():
    for comparison, asked in races.COMPARISONS.items():
        curves = races.shipped_curves()[comparison]
        assert list(curves) == list(asked.runners)
        assert all(losses.shape == (len(races.SEEDS), asked.n_steps // races.EVERY + 1) for losses in curves.values())


# Without a residual and a warm-up, weights that differ by one in ten million have losses 0.16 apart after 20 steps.
@pytest.mark.parametrize("comparison, name, apart", [
    ("norm", "LayerNorm", 5e-3), ("MLP, equal parameters", "SwiGLU", 5e-3), (races.BREAKS, "no residual", 0.3)])
def test_a_race_run_here_begins_as_the_shipped_one(comparison, name, apart):
    shipped = races.shipped_curves()[comparison][name][0]
    run = races.race_of(comparison, name, 0)
    found = [loss for _, loss in (next(run) for _ in range(races.EVERY + 1)) if not math.isnan(loss)]
    assert found == pytest.approx(list(shipped[:2]), abs=apart)      # processors differ by less in 20 steps
    assert found[0] == pytest.approx(shipped[0], abs=5e-3)


def test_what_the_notebook_says_of_the_winners():
    fair, unfair, norm = ends("MLP, equal parameters"), ends("MLP, equal width (unfair)"), ends("norm")
    assert all(fair["ReLU"][1] < other[0] for name, other in fair.items() if name != "ReLU")
    assert overlap(fair["ReLU²"], fair["GELU"]) and max(fair, key=lambda name: fair[name][1]) == "SwiGLU"
    assert overlap(fair["SwiGLU"], fair["GELU"]) and unfair["SwiGLU, half as many again"][0] < unfair["GELU"][0]
    assert overlap(*unfair.values()) and overlap(*norm.values())


def test_what_breaks_learns_no_more_than_letter_frequencies():
    end, floor = ends(races.BREAKS), races.letter_entropy()
    for name in ("post-norm", "no residual"):
        assert end[name] == pytest.approx((floor, floor), abs=0.02)
    assert end["pre-norm"][1] < end["no norm"][0] and end["no norm"][1] < floor - 0.05
    assert end["no small start"][1] < end["pre-norm"][0]


def test_a_race_runs_live_beside_the_bands():
    live = widgets.race()
    live.advance(21)
    assert "lowest and highest of 5 seeds" in live.redraw()[0].alt and len(live.history) == 21
    live["runner"].value = (races.BREAKS, "no norm")
    assert "no norm" in live.redraw()[0].alt and not live.history
    live.advance(1)
    assert live.history[0][0] == 1 and live.total() == 160     # each run is as long as those it is compared with
    live.close()


# -- the stream ------------------------------------------------------------------------------------------------------

def test_who_moves_through_which_part():
    parts = measures.parts()
    for name in ("the norm", "the MLP"):
        assert [i for i, far in enumerate(measures.moved_by(parts[name], 5)) if far] == [5]
    for name in ("attention", "a whole block"):
        assert [i for i, far in enumerate(measures.moved_by(parts[name], 5)) if far] == list(range(5, 12))
    assert all(measures.moved_by(parts["a norm along the wrong axis"], 5))
    live = widgets.who_moves()
    live["part"].value = "a norm along the wrong axis"
    assert "the future reaches the past" in live.redraw()[0].alt


@pytest.mark.parametrize("order", measures.ORDERS.values())
def test_the_picture_has_the_norms_of_the_block(order):
    words = plots.order_picture().alt
    name = next(name for name, each in measures.ORDERS.items() if each == order)
    told = words.split(f"{name}: ")[1].split(";")[0].split(".")[0]
    assert told.count("before") + told.count("behind") == len(BLOCKS[order].norms)


def growth(order: str, start: str) -> list[float]:
    return [sizes.stream[-1] / sizes.stream[0] for sizes in measures.sizes_at_start(order, start)]


def test_a_small_start_keeps_the_stream_in_hand_and_a_norm_behind_undoes_it():
    assert min(growth("pre", "none")) > 3 and max(growth("pre", "scaled")) < 1.3
    assert growth("output", "none") == pytest.approx(growth("output", "scaled"), rel=0.02)
    assert max(growth("pre", "zero")) == pytest.approx(1) and max(growth("output", "zero")) == pytest.approx(1)
    assert math.sqrt(1 + 24 * 0.7**2) == pytest.approx(np.mean(growth("pre", "none")), rel=0.1)      # "about 0.7"
    assert math.sqrt(25) == pytest.approx(np.mean(growth("output", "none")), rel=0.1)    # each writes size 1 there


def test_output_order_is_the_steepest():
    steep = {order: np.mean([s.gradient[0] / s.gradient[-1] for s in measures.sizes_at_start(order, "none")])
             for order in ("pre", "post", "output", "sandwich")}
    assert steep["output"] > 4 * max(value for order, value in steep.items() if order != "output")


def test_the_depth_chart_trains_and_remembers_its_start():
    live = widgets.size_by_depth()
    live["depth"].value = 4
    live.redraw()
    live.reset()
    said = live.redraw()[0].alt
    assert "4 layers, after 0 steps" in said and "like the others" in said and "as it stands" in said
    live.advance(1)
    assert "4 layers, after 1 step:" in live.redraw()[0].alt
    live.advance(2)
    assert live.history[-1].loss < live.history[0].loss
    live.close()


# -- experts ---------------------------------------------------------------------------------------------------------

def test_the_four_mistakes_differ_from_the_balance_loss_as_told():
    even, uneven = (measures.balance_four_ways(measures.favourites(strength), 2) for strength in (0, 4))
    assert even["right"] == pytest.approx(1, abs=0.02)
    assert even["mean probability over the choosers"] > 2
    assert even["shares that sum to k"] == pytest.approx(2 * even["right"])
    assert uneven["softmax twice"] < 1.6 < 2.5 < uneven["right"]
    apart = measures.balance_four_ways(measures.favourites(1.0), 2)
    assert apart["all layers as one"] < 1.05 < 1.3 < apart["right"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_expert_takes_nearly_all_within_a_dozen_steps_or_two(seed):
    run = measures.mixture("nothing", seed=seed)
    busiest = [max(next(run).shares) for _ in range(40)]
    assert busiest[0] < 0.5 and max(busiest) > 0.8


def test_both_cures_level_the_bars():
    def late(cure: str) -> float:
        return float(np.mean([max(each.shares) for each in list(measures.mixture(cure, seed=1))[100:]]))
    assert max(late("balance loss"), late("nudged bias")) < 0.6 * late("nothing")


def test_the_first_stream_again_changes_nothing_at_the_start_and_wins_nothing_here():
    assert np.allclose(*([sizes.stream for sizes in [measures.layer_sizes(
        measures.deep("pre", "none", 4, residual=residual), *measures.window())]] for residual in ("plain", "x0")))
    assert overlap(*ends("residual stream, 6 layers").values())


def test_the_spread_is_the_stream_s():
    values = measures.streams("pre", "none")
    sizes = measures.layer_sizes(measures.deep("pre", "none", 8), *measures.window())
    assert [float(np.sqrt((each ** 2).mean())) for each in values] == pytest.approx(sizes.stream, rel=1e-4)
    assert "after layer 8" in plots.spreads().alt


@pytest.mark.parametrize("order", ["pre", "output"])
def test_all_numbers_of_the_stream_grow_not_a_few(order):
    first, *_, last = measures.streams(order, "none")
    wide = [np.subtract(*np.quantile(each, (0.75, 0.25))) / each.std() for each in (first, last)]
    assert wide[1] == pytest.approx(wide[0], rel=0.15)      # "the boxes keep their proportions"


# -- what the pages say of a run ---------------------------------------------------------------------------------------

def test_no_name_in_a_race_hides_a_line_and_they_stand_as_the_lines_end():
    curves, floor = races.shipped_curves()[races.BREAKS], races.letter_entropy()
    figure = plots.race_picture(curves, every=races.EVERY, floor=floor)
    figure.canvas.draw()
    ax, = figure.axes
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1
    assert [text.get_text() for text in ax.get_legend().get_texts()][-3:] == ["no norm", "pre-norm", "no small start"]


@pytest.mark.parametrize("comparison", races.COMPARISONS)
def test_no_name_in_a_race_is_cut_off(comparison):
    curves = races.shipped_curves()[comparison]
    figure = plots.race_picture(curves, every=races.EVERY, floor=3.0, live=(next(iter(curves)), [(20, 3.0), (40, 2.9)]))
    figure.canvas.draw()
    assert figure.axes[0].get_legend().get_window_extent().x1 <= figure.bbox.x1


def test_a_run_of_experts_begins_before_its_first_step():
    live = widgets.experts()
    live.redraw()
    live.reset()
    assert "before the first step" in live.redraw()[0].alt
    live.advance(1)
    assert "in step 1." in live.redraw()[0].alt
    live.close()


def test_words_say_plus_and_minus_as_one_writes_them():
    dials, widths = widgets.norm_dials(), widgets.fair_widths()
    dials["shift"].value = -4
    assert "The row × 1 − 4:" in dials.redraw()[0].alt
    widths["fair"].value, widths["d_model"].value = True, 4096
    assert widths.redraw()[0].alt.endswith("+0.0%.")
