"""Measure what notebook 07 shows: choices cut down, loops, heads by what they do, speed, capitals asked for."""
from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn

from minillm import copying, corpora
from minillm.cache import KVCache
from minillm.checkpoints import load
from minillm.data import Batches
from minillm.drafts import Continuations
from minillm.inspection import ablate, capture, token_losses
from minillm.model import Transformer
from minillm.notebook.threads import one_thread
from minillm.optim import adamw
from minillm.sampling import apply_temperature, generate, keep_min_p, keep_top_k, keep_top_p
from minillm.speculation import Tally, speculate
from minillm.tokenizers import Tokenizer
from minillm.training import train

STORED = 128                       # colours of a stored picture: this notebook has very many
SENTENCE = "Nora has a hamster. The hamster is called Dot."
OPENING = "It was a cold morning. In a small house in Oakford lived Nora and"
ROUND = " Nora's hamster is called Dot."
LOOPING = "One day Nora"


@cache
def shipped(name: str) -> tuple[Transformer, Tokenizer]:
    """The storyteller or the parrot, at rest."""
    model, tokenizer, *_ = load(name)
    return model.eval().requires_grad_(False), tokenizer


def read(name: str, text: str, *, most: int = 64) -> Tensor:
    """A text as that model's tokens, in a batch of one."""
    return torch.tensor([shipped(name)[1].encode(text)[:most]])


# -- choosing --------------------------------------------------------------------------------------------------------

@cache
def next_logits(text: str) -> Tensor:
    """The storyteller's scores of what comes next."""
    with one_thread(), torch.no_grad():
        return shipped("storyteller")[0](read("storyteller", text))[0, -1]


def cut_down(logits: Tensor, temperature: float, top_k: int | None, top_p: float, min_p: float, *,
             temperature_last: bool = False) -> Tensor:
    """The probabilities that are left; the cuts come after the temperature, as in most libraries, or before."""
    def cuts(x: Tensor) -> Tensor:
        x = x if top_k is None else keep_top_k(x, top_k)
        return keep_min_p(keep_top_p(x, top_p), min_p)
    if temperature_last:
        return apply_temperature(cuts(logits), temperature).softmax(-1)
    return cuts(apply_temperature(logits, temperature)).softmax(-1)


def entropy(p: Tensor) -> float:
    """-sum p ln p, in nats."""
    return float(torch.special.entr(p).sum())


@cache
def greedy(text: str = LOOPING, n_tokens: int = 40, *, name: str = "storyteller") -> tuple[list[str], list[float]]:
    """What a model writes when it always takes the likeliest token: pieces, and how likely each was."""
    model, tokenizer = shipped(name)
    prompt = tokenizer.encode(text)
    with one_thread(), torch.no_grad():
        ids = list(generate(model, prompt, n_tokens=n_tokens, temperature=0))
        p = model(torch.tensor([prompt + ids]))[0].softmax(-1)
    chances = [float(p[len(prompt) + i - 1, token]) for i, token in enumerate(ids)]
    return tokenizer.pieces(ids), chances


def rounds(pieces: list[str], sentence: str) -> list[tuple[int, int]]:
    """Where a sentence stands among the pieces of a text: (first, behind the last), time and again."""
    text, starts = "".join(pieces), []
    for piece in pieces:
        starts.append((starts[-1][1] if starts else 0, (starts[-1][1] if starts else 0) + len(piece)))
    return [(next(i for i, (a, b) in enumerate(starts) if b > found.start()),
             next(i for i, (a, b) in enumerate(starts) if b >= found.end()) + 1)
            for found in re.finditer(re.escape(sentence), text)]


# -- speed -----------------------------------------------------------------------------------------------------------

@cache
def counted() -> Continuations:
    """What came after the last one to six tokens in the first 300,000 characters of the shipped stories."""
    return Continuations(shipped("storyteller")[1].encode(corpora.load("stories").text[:300_000]), longest=6)


def without_cache(prompt: list[int], n_tokens: int) -> list[int]:
    """Greedy, reading everything again for each token."""
    model, text = shipped("storyteller")[0], list(prompt)
    with torch.inference_mode():
        for _ in range(n_tokens):
            text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
    return text[len(prompt):]


def with_cache(prompt: list[int], n_tokens: int) -> list[int]:
    """Greedy, reading each token once."""
    model, new, written = shipped("storyteller")[0], list(prompt), []
    cache = KVCache(model.config)
    with torch.inference_mode():
        for _ in range(n_tokens):
            new = [int(model(torch.tensor([new]), cache)[0, -1].argmax())]
            written += new
    return written


GUESSES = (2, 4, 8)
ANEW, CACHED = "all read again for each token", "with a cache"
FASTER = {ANEW: 0, CACHED: 0, **{f"{k} counted guesses at a time": k for k in GUESSES}}      # way -> guesses


def speed(way: str, *, n_tokens: int = 32, temperature: float = 1.0) -> tuple[float, Tally]:
    """Tokens per second of one of the ways, on this machine and at this moment, and what its guesses were worth."""
    model, tokenizer = shipped("storyteller")
    prompt, draft, tally = tokenizer.encode(OPENING), counted().draft, Tally()
    with one_thread():
        with_cache(prompt, 4)                                            # a first call sets up more than it computes
        began = time.perf_counter()
        if way in (ANEW, CACHED):
            (without_cache if way == ANEW else with_cache)(prompt, n_tokens)
        else:
            list(speculate(model, prompt, draft, n_tokens=n_tokens, n_guesses=FASTER[way], temperature=temperature,
                           tally=tally))
        return n_tokens / (time.perf_counter() - began), tally


def tokens_per_reading(kept: float, n_guesses: int) -> float:
    r"""How many tokens a reading of n guesses brings, when each is kept with the same probability.

    $$ \sum_{i=0}^{N_{guesses}} \mathrm{kept}^i $$
    """
    return sum(kept ** i for i in range(n_guesses + 1))


# -- heads -----------------------------------------------------------------------------------------------------------

SUMMARIES = ("token before", "first token", "first token × size of its value", "full stops and commas",
             "what came after the same token", "how many keys")


@cache
def patterns(name: str, text: str) -> tuple[Tensor, list[str]]:
    """Where every head looks, (layer, head, query, key), and the pieces of the text."""
    model, tokenizer = shipped(name)
    tokens = read(name, text, most=40)
    with one_thread(), torch.no_grad(), capture(model, "blocks.*.attention.pattern") as seen:
        model(tokens)
    return torch.stack([each[0] for each in seen.values()]), tokenizer.pieces(tokens[0].tolist())


@cache
def summaries(name: str, text: str) -> dict[str, Tensor]:
    """One number for each head, (layer, head), of each kind; shares of its attention, but for the last."""
    pattern, pieces = patterns(name, text)
    tokens = read(name, text, most=40)
    weighed = pattern * value_sizes(name, text)[:, :, None, :]            # what a key really adds: weight × size
    stops = torch.tensor([piece.strip() in (".", ",") for piece in pieces])
    ids, n = tokens[0], len(pieces)
    same = torch.zeros(n, n)
    for q in range(n):
        for k in range(1, q):
            same[q, k] = float(ids[k - 1] == ids[q])                     # k stands behind an earlier copy of q
    again = same.any(-1)
    return dict(zip(SUMMARIES, (
        pattern.diagonal(-1, -2, -1).mean(-1), pattern[:, :, 1:, 0].mean(-1),
        (weighed[..., 0] / weighed.sum(-1))[:, :, 1:].mean(-1), pattern[:, :, :, stops].sum(-1)[:, :, 1:].mean(-1),
        (pattern * same).sum(-1)[:, :, again].mean(-1) if again.any() else torch.zeros(pattern.shape[:2]),
        torch.special.entr(pattern[:, :, 1:]).sum(-1).exp().mean(-1)), strict=True))


@cache
def value_sizes(name: str, text: str) -> Tensor:
    """How long the vectors are that a head reads off each token, (layer, head, seq)."""
    model, d_head = shipped(name)[0], shipped(name)[0].config.resolve().d_head
    with one_thread(), torch.no_grad(), capture(model, "blocks.*.attention.v_proj") as seen:
        model(read(name, text, most=40))
    return torch.stack([each[0].unflatten(-1, (-1, d_head)).norm(dim=-1).mT for each in seen.values()])


@cache
def with_sinks(n_steps: int = 20) -> Transformer:
    """The storyteller with a sink beside each softmax (notebook 03), one number per head; these alone have learned,
    from stories."""
    model, tokenizer = shipped("storyteller")
    changed = Transformer(replace(model.config, attention_sinks=True)).requires_grad_(False)
    changed.load_state_dict(model.state_dict(), strict=False)           # all but the sinks, which it has not
    for block in changed.blocks:
        block.attention.softmax.sinks.data.fill_(-3.0)                  # nearly shut
        block.attention.softmax.sinks.requires_grad_(True)
    ids = torch.tensor(tokenizer.encode(corpora.load("stories").text[:100_000]))
    stream = Batches(ids, batch_size=4, context_length=64, seed=0)
    with one_thread():
        for _ in train(changed, stream, optimizer=adamw(changed, lr=0.3, weight_decay=0.0), n_steps=n_steps,
                       precision="fp32"):
            pass
    return changed.eval().requires_grad_(False)


@cache
def twice_read(lists: int = 16) -> tuple[copying.Scores, tuple[float, float]]:
    """The parrot on random lists that it reads twice: scores of its heads, nats of the first and second reading."""
    model, tokenizer = shipped("parrot")
    tokens = copying.twice(tokenizer.vocab_size, lists=lists)
    return copying.scores(model, tokens), copying.gain(model, tokens)


# -- taking away -----------------------------------------------------------------------------------------------------

WAYS = ("zero", "mean", "resampled")


AWAY = ("attention", "mlp", "layer")     # beside each head: all heads of a layer, its MLP, and both


@cache
def absences(name: str, instead: str, *, rows: int = 2) -> Tensor:
    """Loss without a part minus loss with all, in nats per token: (layer, each head and then each of `AWAY`).

    The parrot reads random lists twice, and only the second reading counts; the storyteller reads fresh stories.
    """
    model, tokenizer = shipped(name)
    if name == "parrot":
        tokens, counts = copying.twice(tokenizer.vocab_size, lists=rows), slice(copying.LENGTH, None)
        others = copying.twice(tokenizer.vocab_size, lists=rows, seed=1)
    else:
        ids = torch.tensor(tokenizer.encode(corpora.load("stories-fresh").text[:8000])[:96 * rows])
        tokens, counts = ids[:48 * rows].view(rows, 48), slice(0, None)
        others = ids[48 * rows:].view(rows, 48)

    def loss(parts: list) -> float:
        with torch.no_grad(), ablate(model, parts, instead=instead, others=None if instead == "zero" else elsewhere):
            return float(token_losses(model, tokens)[:, counts].mean())

    with one_thread():
        with torch.no_grad(), capture(model, *(f"blocks.*.{end}" for end in ("attention.gate", "attention", "mlp"))
                                      ) as elsewhere:
            model(others)
        whole = loss([])
        c = model.config
        return torch.tensor([[loss([(layer, part)]) - whole for part in (*range(c.n_heads), *AWAY)]
                             for layer in range(c.n_layers)])


def ablations(name: str, instead: str) -> Tensor:
    """The same of single heads, (layer, head)."""
    return absences(name, instead)[:, :-len(AWAY)]


def unhooked(model: nn.Module) -> bool:
    """Is nothing left behind by those who looked in?"""
    return not any(part._forward_hooks for part in model.modules())
