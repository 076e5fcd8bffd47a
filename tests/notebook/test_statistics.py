"""Statistics are drawn from all of the numbers, and say nothing that is not in them."""
import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import to_hex

from minillm.notebook import plots, statistics


@pytest.fixture
def ax():
    return plots.axes(plots.picture(title="What is spread?"), xlabel="x", ylabel="y")


def test_a_band_reaches_from_the_lowest_seed_to_the_highest(ax):
    losses = np.array([[3.0, 2.0, 1.0], [4.0, 2.5, 1.5], [3.5, 2.1, 1.7]])
    statistics.bands(ax, {"one": losses, "two": losses + 1}, [0, 10, 20])
    lines = [line for line in ax.lines if len(line.get_xdata())]
    assert np.allclose(lines[0].get_ydata(), losses.mean(0)) and list(lines[0].get_xdata()) == [0, 10, 20]
    corners = next(each for each in ax.collections if isinstance(each, PolyCollection)).get_paths()[0].vertices
    at_end = corners[corners[:, 0] == 20][:, 1]
    assert (at_end.min(), at_end.max()) == (1.0, 1.7)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


def test_curves_of_another_length_are_refused(ax):
    with pytest.raises(ValueError, match=r"'one' has shape \(2, 3\), and x=4"):
        statistics.bands(ax, {"one": np.zeros((2, 3))}, range(4))


def test_every_layer_has_a_box_at_its_median(ax):
    random = np.random.default_rng(0)
    layers = [random.normal(middle, 1, (5, 40)) for middle in (0, 3, -2)]
    statistics.spread_by_depth(ax, layers, first=1)
    medians = [float(np.median(line.get_ydata())) for line in ax.lines if len(line.get_ydata()) == 2]
    assert np.allclose(sorted(medians), sorted(float(np.median(each)) for each in layers))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "3"]
    assert any(isinstance(each, PathCollection) for each in ax.collections)      # the tails


def test_a_heat_map_writes_each_number_in_its_cell(ax):
    statistics.heat(ax, [[0.0, 1.0], [0.5, 0.25]], rows=["a", "b"], columns=["c", "d"], form=".1f")
    assert [text.get_text() for text in ax.texts] == ["0.0", "1.0", "0.5", "0.2"]
    with pytest.raises(ValueError, match="2 rows and 1 columns"):
        statistics.heat(ax, np.zeros((2, 2)), rows=["a", "b"], columns=["c"])


def test_each_picture_stays_on_the_card(ax):
    statistics.heat(ax, np.eye(3), rows="abc", columns="abc")
    assert plots.png(ax.figure)[:4] == b"\x89PNG" and to_hex(ax.figure.get_facecolor()) == plots.CARD
