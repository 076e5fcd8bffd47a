"""Measure what looking costs: the same reading with nobody watching, with every head watched, and with a change."""
from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median

import torch
from torch import nn

from minillm.inspection import capture, intervene
from minillm.lessons.inference import measures
from minillm.notebook import markup
from minillm.notebook.threads import one_thread
from minillm.notebook.widgets import Live, button, slider

WATCHED = "every head's attention captured"


def matrices() -> list[str]:
    """The names of the storyteller's matrices, but for the embedding's."""
    return [name for name, part in measures.shipped("storyteller")[0].named_modules() if isinstance(part, nn.Linear)]


def ways() -> dict[str, Callable[[], AbstractContextManager]]:
    """How a model can be read: what is open meanwhile.  Who looks in gets the readable attention, not the fused one."""
    model = measures.shipped("storyteller")[0]
    return {"nobody looks": nullcontext,
            "one stream captured": lambda: capture(model, "blocks.2"),
            WATCHED: lambda: capture(model, "blocks.*.attention.pattern"),
            "what each matrix gives captured": lambda: capture(model, *matrices()),
            "every layer's stream changed": lambda: intervene(model, {"blocks.*": lambda x: 1.0 * x})}


def milliseconds(n_tokens: int, *, times: int = 5) -> dict[str, float]:
    """Processor time of one reading in each way: medians of turns that take each other off."""
    model, tokenizer = measures.shipped("storyteller")
    tokens = torch.tensor([(tokenizer.encode(measures.OPENING) * 30)[:n_tokens]])
    spent: dict[str, list[float]] = {name: [] for name in ways()}
    with one_thread(), torch.inference_mode():
        for _ in range(times + 1):
            for name, opened in ways().items():
                began = time.thread_time()
                with opened():
                    model(tokens)
                spent[name].append(1000 * (time.thread_time() - began))
    return {name: median(each[1:]) for name, each in spent.items()}       # a first turn sets up more than it computes


def overhead_table() -> Live:
    """What looking costs on this machine, as it is measured."""
    found: dict[int, dict[str, float]] = {}

    def measure() -> None:
        found[live["n_tokens"].value] = milliseconds(live["n_tokens"].value)

    def draw(n_tokens: int) -> markup.Markup:
        spent = found.get(n_tokens)
        rows = [[name, f"{spent[name]:.1f}", f"{spent[name] / spent['nobody looks']:.2f}"] if spent
                else [name, "not measured yet", ""] for name in ways()]
        table = markup.table(["while a text is read", "ms", "× nobody looks"], rows)
        return markup.card(table, f"{n_tokens} tokens. " + "; ".join(f"{row[0]}: {row[1]}" for row in rows))

    live = Live("what looking costs", {"n_tokens": slider("tokens that are read", [8, 64, 256], 64),
                                       "measure": button("measure", "read the text five times in each way")},
                draw, on_press={"measure": measure}, rows=[["n_tokens", "measure"]])
    return live
