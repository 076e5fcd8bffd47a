"""Pictures and words: small, described, told apart by everybody, readable on light and dark pages."""
import io
import re
from itertools import combinations
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from minillm.notebook import markup, plots

# Machado, Oliveira & Fernandes 2009, severity 1: what a reader with each colour blindness sees, on linear RGB
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}

PAGES = {                                                           # ground and ink of a text, as each page has them
    "JupyterLab": ("rgb(255,255,255)", "rgba(0,0,0,.87)"), "JupyterLab, dark": ("rgb(17,17,17)", "rgb(255,255,255)"),
    "widgets, dark": ("rgb(17,17,17)", "rgba(255,255,255,.87)"), "GitHub, dark": ("rgb(13,17,23)", "rgb(240,246,252)"),
    "VS Code, dark": ("rgb(31,31,31)", "rgb(204,204,204)"),
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
    assert all(contrast(plots.INK, tint) > 10 and contrast(plots.MUTED, tint) > 3.5 for tint in plots.TINTS)


def negative(colour):
    """A colour of a picture on a dark page: the style's three filters, as CSS defines them, one after the other."""
    found = re.fullmatch(r"invert\((.+)\) hue-rotate\(180deg\) brightness\((.+)\)", plots.NEGATIVE)
    share, factor = map(float, found.groups())
    turned = np.array(to_rgb(colour)) * (1 - 2 * share) + share
    grey = turned @ [0.213, 0.715, 0.072]
    return to_hex(np.clip(factor * np.clip(2 * grey - turned, 0, 1), 0, 1))


def test_a_picture_s_negative_is_dark_and_reads_at_least_as_well():
    card = negative(plots.CARD)
    assert contrast(card, "#111111") < 1.3 and plots.picture().get_facecolor()[:3] == to_rgb(plots.CARD)
    assert contrast(negative(plots.INK), card) > 12 and contrast(negative(plots.MUTED), card) > 4.5
    for colour in plots.SERIES[:-1]:
        assert contrast(negative(colour), card) > max(3, contrast(colour, plots.CARD)), colour


@pytest.mark.parametrize("eye", BLINDNESS)
def test_lines_are_told_apart_by_every_eye_in_the_dark(eye):
    seen = {colour: lab(np.array(BLINDNESS[eye]) @ linear(negative(colour))) for colour in plots.SERIES}
    nearest = min(combinations(seen, 2), key=lambda pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]))
    assert np.linalg.norm(seen[nearest[0]] - seen[nearest[1]]) > 10, nearest


def over(colour, under):
    """What an eye sees of "rgba(…)" above an opaque colour, as three levels of 255."""
    *levels, alpha = [float(each) for each in re.findall(r"[\d.]+", f"{colour},1")][:4]
    return alpha * np.array(levels) + (1 - alpha) * np.array(under)


def read(ground, page, *, opacity=1.0):
    """Contrast of a page's ink, more or less faint, on grounds that are seen through, on its page."""
    paper, ink = PAGES[page]
    below = over(markup.GROUND, over(paper, (0, 0, 0)))
    below = over(ground, below) if ground else below
    words = opacity * over(ink, below) + (1 - opacity) * below
    return contrast(to_hex(words / 255), to_hex(below / 255))


@pytest.mark.parametrize("page", PAGES)
def test_words_are_readable_on_every_ground_of_every_page(page):
    faint = float(markup.FAINT.removeprefix("opacity:"))
    for ground in (None, *markup.TINTS, markup.PLAIN, markup.shade(1), markup.shade(1, plots.RED)):
        assert read(ground, page) >= 4.5, ground
        assert read(ground, page, opacity=faint) >= (3.5 if page.startswith("VS Code") else 4.5), ground


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("eye", BLINDNESS)
def test_neighbouring_tokens_are_told_apart_by_every_eye_on_every_page(eye, page):
    below = over(markup.GROUND, over(PAGES[page][0], (0, 0, 0)))
    seen = [lab(np.array(BLINDNESS[eye]) @ linear(to_hex(over(tint, below) / 255))) for tint in markup.TINTS]
    for one, other in zip(seen, [*seen[1:], seen[0]], strict=True):
        assert np.linalg.norm(one - other) > 3


def test_a_colour_that_is_seen_through_looks_on_white_as_it_was_meant():
    for colour, seen in zip(plots.TINTS, markup.TINTS, strict=True):
        assert np.abs(over(seen, (255, 255, 255)) / 255 - to_rgb(colour)).max() < 0.01
    with pytest.raises(ValueError, match="darker than 0.74 of white; raise alpha=0.26"):
        markup.see_through(plots.BLUE)


NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_stored_words_bring_an_ink_or_a_ground_of_their_own(path):
    """Ink is the page's; behind words there are only colours that are seen through."""
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            html = output.get("data", {}).get("text/html", "")
            for look, inside in re.findall(r'style="([^"]*)"[^>]*>([^<]*)', html):
                ink = re.search(r"(?<![-\w])color:([^;]+)", look)
                assert ink is None or ink[1] == "inherit", look
                ground = re.search(r"background(?:-color)?:([^;]+)", look)
                assert ground is None or ground[1] == "none" or ground[1].startswith("rgba(") or not inside, look


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
    full, few = drawn(256), drawn(64)
    assert len(few) < 0.85 * len(full)
    images = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB"), dtype=int) for each in (full, few)]
    assert np.abs(images[0] - images[1]).mean() < 2


def test_live_and_stored_pictures_show_the_same():
    figure = plots.picture(300, 200, title="Lines?")
    for place, colour in enumerate(plots.SERIES):
        plots.axes(figure).plot([1, 3 + place, 2], color=colour)
    live, stored = (np.asarray(Image.open(io.BytesIO(plots.png(figure, live=live))).convert("RGB"), dtype=int)
                    for live in (True, False))
    assert np.abs(live - stored).mean() < 0.5 and (np.abs(live - stored).max(axis=-1) > 24).mean() < 0.001


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
