"""Ask for capitals, in a sentence that the model completes and in a question that it does not answer."""
from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from minillm import corpora
from minillm.inspection import capture, intervene, logit_lens
from minillm.lessons.inference.measures import shipped
from minillm.notebook.threads import one_thread

STATEMENT, QUESTION = "The capital of {} is", "What is the capital of {}?"


@cache
def capitals() -> dict[str, str]:
    """Country -> capital, as the shipped gazetteer tells them."""
    found = re.findall(r"The capital of ([A-Z][\w ]+?) is ([A-Z][\w' ]+?)[.,]", corpora.load("gazetteer").text)
    return dict(sorted(found))


@cache
def first_token_of_capitals(prompt: str, *, patched: int | None = None) -> Tensor:
    """How likely the first token of the right capital is after each layer, (country, layer), by the logit lens.

    `prompt` has {} for the country.  `patched`: the vector at the last place after that layer (from 1) is taken from
    the same country's statement.
    """
    model, tokenizer = shipped("storyteller")
    found: dict[str, Tensor] = {}
    for names in _of_one_length(prompt):
        tokens = torch.tensor([tokenizer.encode(prompt.format(name)) for name in names])
        right = torch.tensor([tokenizer.encode(f" {capitals()[name]}")[0] for name in names])
        with one_thread(), torch.no_grad(), _stated(names, patched):
            law = logit_lens(model, tokens)[:, :, -1].softmax(-1)
        chances = law.gather(-1, right.expand(len(law), -1)[..., None])[..., 0]
        best = law[-1].argmax(-1) == right
        for i, name in enumerate(names):
            found[name] = torch.cat([chances[:, i], best[i:i + 1].float()])
    return torch.stack([found[name] for name in capitals()])


@contextmanager
def _stated(names: list[str], patched: int | None) -> Iterator[None]:
    """While open, the last place gets after layer `patched` what it has in these countries' statements."""
    model, tokenizer = shipped("storyteller")
    changes: dict[str, Callable[[Tensor], Tensor]] = {}
    if patched is not None:
        place = f"blocks.{patched - 1}"
        with capture(model, place) as seen:
            model(torch.tensor([tokenizer.encode(STATEMENT.format(name)) for name in names]))
        last = seen[place][:, -1:]
        changes[place] = lambda x: torch.cat([x[:, :-1], last], 1)
    with intervene(model, changes):
        yield


def _of_one_length(prompt: str) -> list[list[str]]:
    """Countries whose prompts, and whose statements, have as many tokens: they can be read side by side."""
    tokenizer, groups = shipped("storyteller")[1], defaultdict(list)
    for name in capitals():
        groups[len(tokenizer.encode(prompt.format(name))), len(tokenizer.encode(STATEMENT.format(name)))].append(name)
    return list(groups.values())


def gaze_at_names(prompt: str, *, patched: int | None = None) -> Tensor:
    """Where the last place looks: the share of its attention that goes to the country's name, (layer,), the mean of
    heads and countries.  `patched` as above."""
    model, tokenizer = shipped("storyteller")
    start = len(tokenizer.encode(prompt.split(" {")[0]))
    total, n_countries = torch.zeros(model.config.n_layers), 0
    for names in _of_one_length(prompt):
        tokens = torch.tensor([tokenizer.encode(prompt.format(name)) for name in names])
        with (one_thread(), torch.no_grad(), _stated(names, patched),
              capture(model, "blocks.*.attention.pattern") as seen):
            model(tokens)
        looks = torch.stack([pattern[:, :, -1, start:-1].sum(-1).mean(1) for pattern in seen.values()])
        total, n_countries = total + looks.sum(1), n_countries + len(names)
    return total / n_countries


def answered(prompt: str, *, patched: int | None = None) -> tuple[int, int]:
    """For how many countries the capital's first token is the likeliest one, and of how many."""
    found = first_token_of_capitals(prompt, patched=patched)[:, -1]
    return int(found.sum()), len(found)
