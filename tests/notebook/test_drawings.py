"""Drawings: what is placed comes back, what the font lacks is refused, and each lesson's drawing tells its values."""
import pytest
import torch

from minillm.config import ModelConfig
from minillm.lessons.architectures import drawings as architectures
from minillm.lessons.tokenization import drawings as tokenization
from minillm.lessons.training import drawings as training
from minillm.model import Transformer
from minillm.notebook.drawings import Box, Sheet
from minillm.notebook.plots import png
from minillm.presets import PRESETS


@pytest.fixture
def sheet():
    return Sheet(400, 200, "What is here?")


def inside(picture):
    """Does everything stay on the card?  Words too: each text's extent in pixels is looked at."""
    picture.canvas.draw()
    card = picture.bbox
    renderer = picture.canvas.get_renderer()
    for text in picture.axes[0].texts:
        box = text.get_window_extent(renderer)
        within = card.x0 <= box.x0 and box.x1 <= card.x1 and card.y0 <= box.y0 and box.y1 <= card.y1
        if text.get_text() and not within:
            return f"{text.get_text()!r} leaves the card"
    return "yes"


def test_what_is_placed_comes_back_so_that_arrows_find_it(sheet):
    box = sheet.box(10, 40, 100, 30, ["name", "fact"])
    assert box == Box(10, 40, 100, 30) and box.right == 110 and box.bottom == 70 and box.middle == (60, 55)
    cells = sheet.row(10, 90, ["a", "b"], width=30, gap=2)
    assert [cell.left for cell in cells] == [10, 42]
    assert sheet.matrix(10, 140, [[1, 2, 3], [4, 5, 6]], cell=10).right == 40
    assert inside(sheet.describe("Boxes.")) == "yes" and len(png(sheet.figure)) > 1000


@pytest.mark.parametrize("text, sign", [("मक", "म"), ("a مرحبا", "م")])
def test_text_that_the_font_lacks_or_cannot_join_is_refused(sheet, text, sign):
    with pytest.raises(ValueError, match=f"no glyph for '{sign}.*markup"):
        sheet.words(10, 10, text)


@pytest.mark.parametrize("character", ["a", "é", "漢", "👋"])
def test_bits_reach_the_bytes_that_python_writes(character):
    picture = tokenization.bits_to_bytes(character)
    assert all(f"{byte:08b}" in picture.alt for byte in character.encode()) and inside(picture) == "yes"


@pytest.mark.parametrize("ids, pair, out", [([5, 5, 5, 1, 5, 5], (5, 5), "9 5 1 9"), ([1, 2, 3], (7, 8), "1 2 3"),
                                            ([1, 2, 1, 2], (1, 2), "9 9")])
def test_a_merge_is_drawn_as_the_exercise_asks_for_it(ids, pair, out):
    picture = tokenization.merged(ids, pair, 9)
    assert f"becomes {out}:" in picture.alt and inside(picture) == "yes"


def test_the_ways_to_cut_a_word_name_the_best():
    scores = {"h": -4.0, "u": -3.5, "g": -4.0, "hu": -6.0, "ug": -5.0, "s": -3.0}
    picture = tokenization.cuts("hugs", scores, ["h", "ug", "s"])
    assert "6 pieces" in picture.alt and "h, ug, s, with a score of -12" in picture.alt and inside(picture) == "yes"


def test_windows_show_targets_one_step_on():
    picture = training.windows(list(range(10, 20)), [0, 5], 4)
    assert "inputs 15 16 17 18, targets 16 17 18 19" in picture.alt and inside(picture) == "yes"


def test_pieces_weigh_what_their_targets_say():
    picture = training.pieces([3, 1])
    assert "75%, 25%" in picture.alt and "50% each" in picture.alt and inside(picture) == "yes"


def test_a_turn_of_the_loop_clips():
    assert "clip them to 1.0" in training.turn((2, 3), 4.0, 7.0, 1.0, 0.01).alt
    assert "clip them to 0.5" in training.turn((2, 3), 4.0, 0.5, 1.0, 0.01).alt
    assert inside(training.turn((16, 64), 4.1, 17.0, 1.0, 3e-3)) == "yes"


def test_the_stream_is_the_sum_of_what_is_written():
    torch.manual_seed(0)
    model = Transformer(ModelConfig(vocab_size=11, d_model=8, n_layers=2, n_heads=2, context_length=8))
    tokens = torch.arange(6)[None]
    picture = architectures.stream(model, tokens)
    x = model.embed(tokens)
    for block in model.blocks:
        x = block(x)
    x = x.detach()
    assert f"to {float(x.pow(2).mean().sqrt()):.2g}." in picture.alt and "4 sums" in picture.alt
    assert inside(picture) == "yes"


def test_the_cache_is_drawn_to_scale():
    picture = architectures.kept({name: PRESETS[name] for name in ("llama-2-7b", "llama-3-8b", "deepseek-v2-lite")},
                                 seq=8192)
    assert "llama-3-8b keeps 1,024 numbers (8 × key)" in picture.alt and inside(picture) == "yes"
    assert "512 numbers (latent) and 64 numbers (turned key)" in picture.alt


def test_rows_of_a_fused_matrix_stand_part_by_part_or_head_by_head():
    picture = architectures.fused_rows(2)
    assert "GPT-2 q0 q1 k0 k1 v0 v1; BLOOM q0 k0 v0 q1 k1 v1" in picture.alt and inside(picture) == "yes"
