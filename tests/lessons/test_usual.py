"""“Is my curve normal?” is answered from runs that ship, and a curve outside is told why."""
import math

import numpy as np
import pytest

from minillm.corpora import Corpus
from minillm.lessons.training import experiment, laboratory, plots, records, usual
from minillm.lessons.training.plots import Curve

NANO = ("stories", "characters", "nano", 500)


def curve(loss: float, n: int = 300, first: float = 4.1, norm: float = 1.0) -> Curve:
    """A line from `first` that soon stays at `loss`."""
    return Curve("this model", [first, *[loss] * (n - 1)], [1e-3] * n, [norm] * n)


def judged(made: Curve, **choices) -> str:
    return usual.judged(made, usual.usual(*NANO), vocab_size=62, choices=choices)


def test_every_group_that_ships_has_seeds_and_falls():
    assert len(usual.groups()) >= 2
    for group in usual.groups():
        losses = np.array([run["loss"] for run in group["runs"]])
        assert losses.shape == (len(group["runs"]), len(group["steps"])) and len(losses) >= 3
        assert (losses[:, -1] < 0.75 * losses[:, 0]).all() and group["steps"][-1] == group["n_steps"]
        assert (np.ptp(losses, axis=0) > 0).any()


def test_a_curve_in_the_band_is_normal_and_its_neighbours_are_not():
    band = usual.usual(*NANO)
    low, high = band.at(300)
    assert judged(curve((low + high) / 2)).startswith("Your curve is normal")
    assert judged(curve(high + 0.5)).startswith("Your curve is above the usual")
    assert judged(curve(low - 0.5)).startswith("Your curve is below the usual")
    assert "Too early" in judged(curve(3.0, n=usual.FIRST - 1))
    assert "ship for comparison" in usual.judged(curve(1.0), None, vocab_size=62, choices={})


@pytest.mark.parametrize("made, choices, why", [
    (curve(3.9), {"lr": 1e-4}, "30 times below"), (curve(3.9), {"lr": 1e-1}, "33 times the usual"),
    (curve(3.9), {"position": "none"}, "no positions"), (curve(3.9, first=9.0), {}, "initialisation"),
    (curve(3.9, norm=99.0), {}, "gradient norms up to 99.0"), (curve(3.9), {}, "not shifted by one"),
    (curve(3.9), {"dropout": 0.2}, "dropout of 0.2"),
    (curve(3.9), {"norm": "layernorm"}, "what you chose otherwise: norm"),
    (curve(0.2), {"amount": "one"}, "by heart"), (curve(0.2), {"optimizer": "muon"}, "Muon"), (curve(0.2), {}, "leak"),
    (curve(3.9), {"batch": 4}, "4 windows a step, where the shipped runs read 16"),
    (curve(0.2), {"batch": 32}, "32 windows a step"), (curve(0.2), {"floor": 0.0}, "a rate that falls to 0")])
def test_a_curve_outside_is_told_its_likeliest_reason(made, choices, why):
    assert why in judged(made, **choices)


def test_the_band_is_only_there_where_such_runs_ship():
    assert usual.usual("stories", "characters", "nano", 5000) is None
    assert usual.usual("cats", "characters", "nano", 500) is None


def test_the_board_draws_the_band_and_the_floor_and_takes_them_away_again():
    board, band = plots.Board(), usual.usual(*NANO)
    board.draw([curve(2.0)], vocab_size=62, floor=0.08, band=band, said="Your curve is normal.")
    assert board.grey in board.loss.collections and board.least.get_visible() and board.loss.get_ylim()[0] == 0
    assert "below 0.08" in board.least_word.get_text()
    words = board.draw([curve(2.0)], vocab_size=62).alt
    assert board.grey is None and not board.least.get_visible() and "normal" not in words


def test_the_floor_is_that_of_the_stories_per_token_of_each_tokenizer():
    stories = experiment.known("stories")
    assert usual.floor(stories) == pytest.approx(0.0799, abs=0.002)
    assert usual.floor(experiment.prepare(Corpus(name="cats", documents=("the cat sat.\n" * 60,)))) is None


def test_a_different_seed_changes_as_much_as_the_norm_does():
    """What the page says of the picture: the bands overlap."""
    ends = {}
    for fields in ({}, {"norm": "layernorm"}):
        band = usual.usual(*NANO, **fields)
        ends[str(fields)] = band.at(500)
    (low, high), (other_low, other_high) = ends.values()
    assert low < other_high and other_low < high
    said = usual.seeds_picture().alt
    assert "RMSNorm has" in said and "seeds of one and the same norm" in said


def test_the_laboratory_judges_its_own_curve():
    cats = Corpus(name="cats", title="Cats", documents=("the cat sat on the mat.\n" * 90,))
    lab = laboratory.training_lab(cats, against=laboratory.NOBODY, first=2)
    assert "ship for comparison" in lab.redraw()[2].html
    lab.close()


def test_the_table_has_this_page_s_run_and_then_all_that_were_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cats = Corpus(name="cats", title="Cats", documents=("the cat sat on the mat.\n" * 90,))
    lab = laboratory.training_lab(cats, against=laboratory.NOBODY, first=10)
    lab.advance(10)
    table = lab.runs()
    drawn, rows = table.redraw()
    assert rows.html.count("<tr ") == 2 and "10 of 500" in rows.html and "this page's" in drawn.alt
    lab.keep()
    table["show"].value = "all"
    assert table.parts[1].html.count("<tr ") == 3 and "cats-001" in table.parts[0].alt
    nats = lab.history[9][0].validation
    assert f"{nats / math.log(2) / lab.material.bytes_per_token:.2f}" in table.parts[1].html
    assert records.bits(math.log(2), 1.0) == 1.0
    lab.close()


@pytest.mark.parametrize(("start", "end", "vocab_size", "floor"),
                         [(8.7, 0.8, 6144, 0.76), (8.7, 4.5, 6144, 0.76), (4.1, 2.1, 62, 0.08)])
def test_what_the_lines_mean_is_said_where_no_line_and_no_word_lies(start, end, vocab_size, floor):
    n = 600
    falling = [end + (start - end) * math.exp(-5 * step / n) for step in range(n)]
    board = plots.Board()
    board.draw([Curve("this model", falling, [0.01] * n, [1.0] * n)], vocab_size=vocab_size, floor=floor)
    board.figure.canvas.draw()
    legend = board.loss.get_legend().get_window_extent()
    points = board.loss.transData.transform(np.column_stack([np.arange(1, n + 1), falling]))
    assert not legend.count_contains(points)
    assert not any(legend.overlaps(word.get_window_extent()) for word in (board.word, board.least_word))
