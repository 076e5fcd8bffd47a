"""Offer what a run can be made of: texts, models, optimizers, rivals, and runs to go on with."""
from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from minillm import corpora
from minillm.corpora import Corpus
from minillm.lessons.training import experiment
from minillm.lessons.training.experiment import CHANGES, OWN, offered
from minillm.notebook.widgets import button, choice, slider, text

MINE = "a file of my own"
NOBODY = "nobody"
AS_IS = {"as the preset has it": ""}
# What a model needs that shall write sentences as soon as it can: tokens that are phrases, so that little text holds
# much, a rule that learns fast from it, and dropout, since it reads the text eight times over (without, in fp32: 93 %
# of its sentences are right at min-p 0.1, not 98).  Beside each control its value; the text says how long it takes.
SENTENCES = {"text": "stories", "amount": "all", "tokenizer": "phrases, 6,144 tokens", "preset": OWN, "size": "small",
             "dropout": 0.1, "norm": "", "position": "", "mlp": "relu2", "attention": "", "optimizer": "muon",
             "lr": 6e-3, "floor": 0.0, "batch": 16, "n_steps": 1300, "against": NOBODY}
TABS = {"the text": [["text", "amount"], ["upload", "path"]],
        "the model": [["preset", "size", "tokenizer", "dropout"], ["norm", "position", "mlp", "attention"]],
        "training and rival": [["optimizer", "floor", "against"], ["lr", "n_steps", "batch", "seed"]],
        "kept runs": [["kept", "go_on"]]}


def controls(corpus: Corpus, against: str) -> dict[str, ipywidgets.Widget]:
    """All of the laboratory's, in the order of TABS."""
    upload = ipywidgets.FileUpload(description="choose a file (UTF-8 text)", multiple=True,
                                   layout=ipywidgets.Layout(width="auto"))
    path = text("or its path")
    path.continuous_update, path.layout.width = False, "420px"
    found = {
        "text": choice("text", {_titled(name): name for name in _texts(corpus)} | {MINE: MINE}),
        "amount": choice("learns from", {"all of it (but the last tenth)": "all", "a hundredth of it": "hundredth",
                                         "one batch, again and again": "one"}),
        "upload": upload, "path": path,
        "preset": choice("preset", list(experiment.ARCHITECTURES), OWN),
        "size": choice("size", {"nano: 2 layers of width 64": "nano", "small: 4 layers of width 128": "small"}),
        "tokenizer": choice("tokens", list(experiment.TOKENIZERS)),
        "dropout": choice("dropout", {"none": 0.0, "0.1": 0.1, "0.2": 0.2, "0.3": 0.3}),
        "norm": choice("norm", AS_IS | offered("norm")),
        "position": choice("position", AS_IS | offered("position")),
        "mlp": choice("MLP", AS_IS | offered("mlp")),
        "attention": choice("attention", AS_IS | {
            words: kind for kind, (words, _) in experiment.ATTENTION.items()}),
        "optimizer": choice("optimizer", {"AdamW": "adamw", "Muon": "muon"}),
        "lr": slider("learning rate", [1e-4, 3e-4, 1e-3, 3e-3, 6e-3, 1e-2, 3e-2, 1e-1], 3e-3, show="{:g}".format),
        "floor": choice("the rate ends at", {"a tenth of it": experiment.FLOOR, "nothing": 0.0}),
        "n_steps": slider("steps", [100, 200, 500, 1000, 1300, 2000, 3000, 5000], 500),
        "batch": slider("windows a step", [4, 8, experiment.BATCH, 32], experiment.BATCH),
        "seed": slider("seed", [0, 1, 2, 3, 4], 0),
        "against": choice("race against", {NOBODY: NOBODY} | {f"the same with {name}": name for name in CHANGES},
                          against),
        "sentences": button("write sentences", "set everything so that it soon writes sentences, and start"),
        "kept": choice("kept run", {"none yet": ""}), "go_on": button("continue it", "from where it stopped")}
    for name in ("lr", "n_steps", "batch", "seed"):
        found[name].layout.width = "262px"               # four side by side
    return found


def folded(rows: Sequence[ipywidgets.Widget]) -> list[ipywidgets.Widget]:
    """Put the settings' rows into tabs, so that what changes together is seen together, and what stands between them
    and the clock's row into that row, as its last."""
    tab, place, pages = ipywidgets.Tab(), 0, []
    for group in TABS.values():
        pages.append(ipywidgets.VBox(rows[place:place + len(group)]))
        place += len(group)
    tab.children = pages
    for number, title in enumerate(TABS):
        tab.set_title(number, title)
    last, clock, *rest = rows[place:]
    clock.children = (*clock.children, last)
    return [tab, clock, *rest]


def _texts(first: Corpus) -> list[str]:
    """The text at hand, then all that can be had by name; a parallel text is too short to learn much from."""
    return [first.name, *(name for name in corpora.names() if name != first.name and "parallel" not in name)]


def _titled(name: str) -> str:
    try:
        card = corpora.card(name)
    except ValueError:
        return name
    return f"{card.title} ({card.language}{'' if card.shipped else ', fetched when chosen'})"
