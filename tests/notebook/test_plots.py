"""Pictures: small, described, told apart by everybody, readable on light and dark pages."""
import io
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from minillm.notebook import markup, plots

# Machado, Oliveira & Fernandes 2009, severity 1: what a reader with each colour blindness sees, on linear RGB
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* of linear sRGB, D65: distances in it are what an eye sees; about 2.3 is just noticeable."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 1e-6))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other):
    """WCAG 2.1 contrast ratio."""
    light, dark = sorted((linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("eye", BLINDNESS)
def test_lines_are_told_apart_by_every_eye(eye):
    seen = {colour: lab(np.array(BLINDNESS[eye]) @ linear(colour)) for colour in plots.SERIES}
    nearest = min(combinations(seen, 2), key=lambda pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]))
    assert np.linalg.norm(seen[nearest[0]] - seen[nearest[1]]) > 10, nearest


def test_text_is_readable_on_the_card_and_on_every_token():
    assert contrast(plots.INK, plots.CARD) > 12 and contrast(plots.MUTED, plots.CARD) > 4.5
    assert all(contrast(plots.INK, tint) > 10 and contrast(plots.MUTED, tint) > 3.5 for tint in markup.TINTS)


def test_the_card_stands_out_on_both_pages_and_brings_its_own_ink():
    assert contrast(plots.CARD, "#111111") > 12 and plots.picture().get_facecolor()[:3] == to_rgb(plots.CARD)


def test_amounts_only_grow_darker():
    levels = [lab(linear(plots.AMOUNT(x)[:3]))[0] for x in np.linspace(0, 1, 20)]
    assert all(a > b for a, b in zip(levels, levels[1:], strict=False))


def noisy(width=720, height=420):
    figure = plots.picture(width, height, title="Noise?")
    plots.axes(figure).imshow(np.random.default_rng(0).random((200, 200)), aspect="auto", cmap=plots.SIGNED)
    return figure.describe("Noise.")


def test_a_stored_picture_stays_below_100_kb_however_noisy():
    assert len(plots.png(noisy())) <= 100_000


def test_a_picture_of_few_colours_is_small_and_shows_the_same():
    def drawn(colours):
        figure = plots.picture(400, 300, title="How small?", colours=colours)
        ax = plots.axes(figure, xlabel="step", ylabel="loss")
        ax.plot(np.sin(np.arange(200) / 9), color=plots.BLUE)
        return plots.png(figure)
    full, few = drawn(None), drawn(64)
    assert len(few) < 0.6 * len(full)
    images = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB"), dtype=int) for each in (full, few)]
    assert np.abs(images[0] - images[1]).mean() < 2


def test_live_and_stored_pictures_show_the_same():
    figure = plots.picture(300, 200, title="A line?")
    plots.axes(figure).plot([1, 3, 2])
    live, stored = (Image.open(io.BytesIO(plots.png(figure, live=live))).convert("RGB") for live in (True, False))
    assert live.tobytes() == stored.tobytes()


def test_a_picture_says_what_it_shows_and_how_wide_it_is():
    data, metadata = noisy()._repr_mimebundle_()
    assert data["text/plain"] == "[picture: Noise.]" and metadata["image/png"] == {"width": 720, "alt": "Noise."}


def test_a_picture_without_words_is_refused():
    with pytest.raises(ValueError, match="this picture has no words"):
        plots.picture()._repr_mimebundle_()


def test_pyplot_is_never_needed():
    import subprocess
    import sys
    code = "import sys, minillm.notebook.plots, minillm.notebook.clock; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_markup_escapes_what_a_reader_typed():
    for html in (markup.chip("<b>"), markup.table(["<b>"], [["<b>", 1234]]), markup.chip("a", hint='"<b>')):
        assert "<b>" not in html
    assert "1,234" in markup.table(["n"], [[1234]])


def test_tokens_keep_their_spaces_and_their_direction():
    assert "white-space:pre" in markup.chip(" a") and "<bdi> a</bdi>" in markup.chip(" a")
    assert 'dir="rtl"' in markup.flow([markup.chip("سلام")], rtl=True)
