"""What a page sends its reader to do with a widget shows what the page says; no such sentence goes untested."""
from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import nbformat
import pytest

from minillm.lessons import attention, block, inference, lora, positions, tokenization, training
from minillm.lessons.architectures import Explorer

NOTEBOOKS = {path.name[:2]: path for path in (Path(__file__).resolve().parents[2] / "notebooks").glob("0*.ipynb")}
WORDS = "fast faster fastest low lower lowest new newer newest rest".split()
GPT2 = partial(Explorer, "gpt2", compare="llama-3-8b")


def number(pattern: str, said: str) -> float:
    return float(re.search(pattern, said)[1].replace(",", ""))


def moves(said: str) -> float:
    return number(r"moves by ([\d.]+)", said)


def height(said: str) -> float:
    return number(r"ends at height ([\d.e+]+)", said)


def slope(said: str) -> float:
    return number(r"gets ([\d.]+) times", said)


TRIES = [  # the words that send the reader, the widget, what he sets, what must be seen
    ("01", "Move the slider and watch the words", partial(tokenization.merge_steps, WORDS), {"merges": 4},
     lambda said: number(r"(\d+) tokens", said) < 49 and "none yet" not in said),
    ("01", "set the map above to *bits per byte*", tokenization.scripts_map, {"measure": "bits per byte"},
     lambda said: "What does a byte of text cost" in said),
    ("02", "What does turning backwards do to the curve", positions.dial, {"backwards": True},
     lambda said: number(r"([\d.]+) at 3 ", said) < number(r"([\d.]+) at −3", said)),
    ("02", "What does turning backwards do to the curve", positions.dial, {},
     lambda said: number(r"([\d.]+) at 3 ", said) > number(r"([\d.]+) at −3", said)),
    ("02", "only a quarter of the head turns", positions.dial, {"fraction": 0.25}, lambda said: "2 of 8 pairs" in said),
    ("02", "Move the position", positions.waves, {"position": 63},
     lambda said: "Row 63 fits itself best, with 16" in said),
    ("02", "Which one cannot be noticed", positions.symptoms, {"mistake": "other layout, rows permuted"},
     lambda said: number(r"later (\d+\.\d+)", said) < 0.5),
    ("02", "Which one cannot be noticed", positions.symptoms, {"mistake": "read in the other layout"},
     lambda said: number(r"later (\d+\.\d+)", said) > 2),
    *(("03", "Turn the width", attention.width_dial, {"width": 1024, "divide": power}, seen) for power, seen in (
        (0.0, lambda said: moves(said) < 0.1 and "like 1." in said), (0.5, lambda said: moves(said) > 0.25),
        (1.0, lambda said: "like 16.0 of 16" in said))),
    ("03", "There are many ways to get that wrong", attention.mask_stages, {"mask": "0 before the softmax"},
     lambda said: "every row sums to one; 25% of all" in said.lower()),
    ("03", "There are many ways to get that wrong", attention.mask_stages, {"mask": "0 after the softmax"},
     lambda said: "3 of 4 rows do not sum to one; nothing" in said),
    ("03", "There are many ways to get that wrong", attention.mask_stages, {"mask": "+∞ before the softmax"},
     lambda said: "3 of 4 rows are NaN; of the rest, nothing goes" in said and "-" not in said),
    ("03", "choose *one view*", attention.reshape_flow, {"split": False},
     lambda said: "head 0 holds 6 of token 0 and 2 of token 1, and none of the others" in said),
    ("03", "Move the slider, then press *measure*", attention.sharing_dial, {"n_kv_heads": 1},
     lambda said: "0.5 MiB of cache" in said),
    *(("03", "Move the window to 1, then to *none*", attention.window_dial, {"window": window}, seen)
      for window, seen in ((1, lambda said: "sees 1 key" in said), (0, lambda said: "sees 12 keys" in said))),
    ("03", "Set the *reader* at the top to it", attention.head_atlas, {"place": "the token before"},
     lambda said: "most, 64%, in layer 3, head 6" in said),
    ("04", "Then check with the switch", block.fair_widths, {"fair": True}, lambda said: "+0.0%" in said),
    ("04", "Then check with the switch", block.fair_widths, {}, lambda said: "+50.0%" in said),
    ("04", "Try each order", block.size_by_depth, {"order": "output"}, lambda said: slope(said) > 20),
    ("04", "Try each order", block.size_by_depth, {"order": "post"}, lambda said: slope(said) < 5),
    ("05", "Try 8 key heads in GPT-2", GPT2, {"n_kv_heads": 8},
     lambda said: "Impossible" in said and "cannot share n_kv_heads=8 evenly" in said and "turn key heads" in said),
    ("05", "What does one key head for all change", GPT2, {"n_kv_heads": 1},
     lambda said: "111,446,784 parameters" in said),
    ("05", "when you choose SwiGLU", GPT2, {"mlp": "swiglu"}, lambda said: "d_ff is 2,048 instead of 3,072" in said),
    *(("06", "Try gradient descent at 0.078 and at 0.081, then AdamW at 0.081 and at 1", training.optimizer_valley,
       values, seen) for values, seen in (
           ({"lr": 0.078}, lambda said: height(said) < 1), ({"lr": 0.081}, lambda said: height(said) > 100),
           ({"rule": "AdamW", "lr": 0.081}, lambda said: 10 < height(said) < 30),
           ({"rule": "AdamW", "lr": 1.0}, lambda said: height(said) < 0.3))),
    *(("07", "at temperature 3 and top-p 0.9, which order leaves more", inference.sampling_dials,
       {"temperature": 3.0, "last": last}, seen) for last, seen in (
           (False, lambda said: number(r"(\d+) of", said) > 1000),
           (True, lambda said: number(r"(\d+) of", said) == 10))),
    *(("07", "see what a penalty of 1.2 does to *'s*", inference.sampling_dials,
       {"prompt": "Nora's hamster is called Dot. Nora", "penalty": penalty}, seen) for penalty, seen in (
           (1.0, lambda said: number(r"has (\d+)%", said) > 60), (1.2, lambda said: number(r"has (\d+)%", said) < 30))),
    *(("07", "Do four guesses double the speed", inference.acceptance_dial, {"cost": cost}, seen) for cost, seen in (
        (0.28, lambda said: number(r"([\d.]+) times the speed", said) == 1.43),
        (0.0, lambda said: number(r"([\d.]+) times the speed", said) > 3))),
    ("07", "before you choose *first token*", inference.atlas, {"summary": "first token"},
     lambda said: "most, 73%, in layer 4, head 3" in said),
    ("07", "Try *France is*, and the wrong norms; shade by “ P”", inference.lens,
     {"words": "The capital of France is", "followed": " Paris"}, lambda said: said.count("“·P”") == 3),
    *(("08", "mask the ends, or leave them out", lora.mask, {"ends": ends}, lambda said: "are 0 ends of text" in said)
      for ends in ("masked", "left out")),
    ("08", "Take the mask away", lora.mask, {"learn": False}, lambda said: number(r"(\d+) of 75 places", said) > 60),
    *(("08", "Does rank 4 need", lora.what_alpha, {"rank": 4, "alpha": alpha}, lambda said, seen=seen: seen in said)
      for alpha, seen in ((4.0, "× 1 (framed): 30% right"), (64.0, "× 16 (framed): 98% right"))),
]
ELSEWHERE = (  # to train, to compute or to write for himself: the notebook and the lessons' own tests hold those
    "Try lower rates in the laboratory", "Try both, with a matrix $W$", "Turn the query by an angle",
    "Move a whole sentence along the axis",
    "Press and others",
    "Press *run 100 steps* to add a run", "Press *run 50 steps*, then change the cure", "Turn one at a time in Llama 3",
    "Turn Llama's name of a tensor", "Press the button: GPT-2 is 550 MB", "Turn it into bits per byte",
    "Choose a text (ours, a famous one", "Press ▶ and watch", "Choose *batch* 0, train",
    "Press *judge* now", "Choose *the storyteller*, 3 million", "Press *run*, then try temperature 0 and 3",
    "Choose a way and press *measure*", "Press *run 100 steps*, stop", "Choose the other rows above")
ASKS = re.compile(r"\b(?:Try|Turn|Move|Set|Press|Choose)\b [^.?!\n]*")


@pytest.mark.parametrize("place", range(len(TRIES)), ids=[f"{each[0]}-{each[1][:30]}-{each[3]}" for each in TRIES])
def test_what_the_page_says_to_try_shows_what_it_says(place):
    number, words, make, values, seen = TRIES[place]
    assert words in prose(number), "the page no longer says so"
    live = make()
    live.redraw()                                   # as the page shows it at first
    for name, value in values.items():
        live[name].value = value
    said = " ".join(part.alt for part in live.redraw())
    assert seen(said), said


def prose(number: str) -> str:
    cells = nbformat.read(NOTEBOOKS[number], as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("number", sorted({number for number, *_ in TRIES}))
def test_no_sentence_that_sends_a_reader_to_a_widget_goes_untested(number):
    lines = [line for line in re.sub(r"(?s)<details>.*?</details>", "", prose(number)).split("\n") if line[:1] != "#"]
    known = [words for place, words, *_ in TRIES if place == number]
    for asked in ASKS.findall("\n".join(lines)):
        tested = asked.startswith(ELSEWHERE) or any(words in asked or asked in words for words in known)
        assert tested, f"add a row to TRIES for “{asked}”"
