"""Let a model write: choose the next token, append it, ask again."""
from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from numbers import Integral, Real

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from minillm.cache import KVCache
from minillm.precision import race
from minillm.quick import Quick

Logits = Float[Tensor, "*batch vocab"]


def _number(value: object) -> bool:
    """Python's or NumPy's."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def apply_temperature(logits: Logits, temperature: float) -> Logits:
    r"""Sharpen (below 1) or flatten (above 1) the choice; 0 leaves only the likeliest token.

    $$ p_v = \mathrm{softmax}(\ell / \tau)_v $$
    """
    if not _number(temperature) or not temperature >= 0:  # NaN, too
        raise ValueError(f"temperature={temperature!r} must be at least 0, which means the likeliest token")
    if temperature == 0:
        return keep_top_k(logits, 1)
    if temperature < 1:  # a large logit over a small temperature is no number any more; the largest is 0 over it
        logits = logits - logits.amax(dim=-1, keepdim=True)
    numbers = torch.finfo(logits.dtype)
    return logits / float(min(max(temperature, numbers.tiny), numbers.max))


def keep_top_k(logits: Logits, k: int) -> Logits:
    """Keep the k likeliest tokens (of equals, the first).  Fan et al. 2018, arXiv:1805.04833."""
    if not _whole(k) or k < 1:
        raise ValueError(f"top_k={k!r} is no count, or would leave no token; use at least 1, or None for all")
    k = min(k, logits.shape[-1])
    least = logits.topk(k, dim=-1).values[..., -1:]
    above, equal = logits > least, logits == least
    first = equal.cumsum(dim=-1) <= k - above.sum(dim=-1, keepdim=True)  # topk itself takes any of equals
    return logits.masked_fill(~(above | equal & first), -torch.inf)


def keep_top_p(logits: Logits, p: float) -> Logits:
    """Keep the fewest tokens that together hold probability p.  Holtzman et al. 2020, arXiv:1904.09751."""
    if not _number(p) or not 0 < p <= 1:
        raise ValueError(f"top_p={p} must be above 0 and at most 1; 1 keeps every token")
    if p == 1:
        return logits  # rounded, the sum may reach 1 before its last terms
    ordered = logits.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    before = ordered.values.cumsum(dim=-1) - ordered.values  # what the likelier ones hold already
    beyond = before >= p
    beyond[..., 0] = False  # the likeliest stays, however small p is
    dropped = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, ordered.indices, beyond)
    return logits.masked_fill(dropped, -torch.inf)


def keep_min_p(logits: Logits, p: float) -> Logits:
    """Keep tokens at least p times as likely as the likeliest.  Nguyen et al. 2024, arXiv:2407.01082."""
    if not _number(p) or not 0 <= p <= 1:
        raise ValueError(f"min_p={p} must lie between 0 (keep every token) and 1 (keep the likeliest)")
    probabilities = logits.softmax(dim=-1)
    return logits.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), -torch.inf)


def next_token_probabilities(logits: Logits, *, temperature: float = 1.0, top_k: int | None = None,
                             top_p: float | None = None, min_p: float | None = None) -> Logits:
    """The distribution from which the next token is drawn: temperature first, then top-k, top-p and min-p."""
    logits = logits.float()
    if not logits.amax(dim=-1).isfinite().all():
        raise ValueError("the logits hold NaN or infinity, or leave no token, so none can be drawn; has the model "
                         "diverged, or do 16 bits not hold its numbers?")
    logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    if min_p is not None:
        logits = keep_min_p(logits, min_p)
    return logits.softmax(dim=-1)


def penalize_repeats(logits: Logits, seen: Int[Tensor, "*batch seq"], penalty: float) -> Logits:
    r"""Make what the text has already less likely beside what it has not.  Keskar et al. 2019, arXiv:1909.05858.

    $$ \ell_v \leftarrow \ell_v / \kappa \;\; (\ell_v > 0), \qquad
       \ell_v \leftarrow \kappa \, \ell_v \;\; (\ell_v \le 0) $$

    κ, the penalty, is 1 for none; 1.2 is usual.  It acts on the size of logits, which a shift of all of them changes.
    """
    if not penalty >= 1:
        raise ValueError(f"penalty={penalty} must be at least 1, which changes nothing")
    old = logits.gather(-1, seen)
    return logits.scatter(-1, seen, torch.where(old > 0, old / penalty, old * penalty))


def until(pieces: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """Pass the pieces of a text on as they come, and end before the first of the `stops`.

    What could be the beginning of one is held back until it is clear, so a stop may lie across pieces.
    """
    if not all(stops):
        raise ValueError("an empty stop would end every text at once; leave it out")
    held = ""
    for piece in pieces:
        held += piece
        found = min((place for stop in stops if (place := held.find(stop)) >= 0), default=None)
        if found is not None:
            if found:
                yield held[:found]
            return
        keep = max((n for stop in stops for n in range(1, len(stop)) if held.endswith(stop[:n])), default=0)
        if len(held) > keep:
            yield held[:len(held) - keep]
            held = held[len(held) - keep:]
    if held:
        yield held


def generate(model: nn.Module, tokens: Sequence[int] | Integer[np.ndarray, "seq"] | Int[Tensor, "seq"], *,
             n_tokens: int | None = None, temperature: float = 1.0, top_k: int | None = None,
             top_p: float | None = None, min_p: float | None = None, repetition_penalty: float = 1.0, seed: int = 0,
             stop: int | Iterable[int] | None = None) -> Iterator[int]:
    """Continue `tokens`, one id at a time, until `n_tokens` are written, or `stop` is drawn (end of text, or several).

    The same `seed` writes the same text; temperature 0 always takes the likeliest token.  The length has no
    limit: when the context is full, the model goes on from what `remember` keeps of it.  A `repetition_penalty` above
    1 makes all that stands in the text, the prompt included, less likely (`penalize_repeats`), before any cut.
    """
    if isinstance(tokens, str):
        raise TypeError(f"tokens={tokens[:20]!r} is text, not ids; give tokenizer.encode(text)")
    try:
        prompt = torch.as_tensor(tokens)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"tokens of type {type(tokens).__name__} are no row of ids ({error}); tokenizer.encode(text) "
                         f"gives one") from None
    if prompt.ndim != 1 or prompt.numel() and (prompt.dtype.is_floating_point or prompt.dtype == torch.bool):
        raise ValueError(f"tokens of shape {tuple(prompt.shape)} and {prompt.dtype} are no row of ids; "
                         f"tokenizer.encode(text) gives one")
    prompt = prompt.long()[None]
    for (token,) in generate_batch(model, prompt, n_tokens=n_tokens, temperature=temperature, top_k=top_k,
                                   top_p=top_p, min_p=min_p, repetition_penalty=repetition_penalty, seed=seed,
                                   stop=stop):
        yield token


@torch.inference_mode()
def generate_batch(model: nn.Module, tokens: Int[Tensor, "batch seq"], *, n_tokens: int | None = None,
                   temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None,
                   min_p: float | None = None, repetition_penalty: float = 1.0, seed: int = 0,
                   stop: int | Iterable[int] | None = None) -> Iterator[list[int | None]]:
    """Continue several prompts of equal length at once, one id per text; None once it has ended."""
    if not _whole(seed) or not -1 << 63 <= seed < 1 << 64:
        raise ValueError(f"seed={seed!r} must be a whole number of at most 64 bits; 0 is usual")
    if n_tokens is not None and (not _whole(n_tokens) or n_tokens < 0):
        raise ValueError(f"n_tokens={n_tokens!r} must be a whole number, at least 0, or None to go on until the end of "
                         f"text")
    context, n_prompt = model.config.context_length, tokens.shape[1]
    if not 1 <= n_prompt <= context:
        raise ValueError(f"the prompt has {n_prompt} tokens; the model reads 1 to context_length={context}; "
                         + ("crop it" if n_prompt else "begin with one"))
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= model.config.vocab_size:
        raise ValueError(f"id {low if low < 0 else high} is outside vocab_size={model.config.vocab_size}; were these "
                         f"ids made by another model's tokenizer?")
    new = written = tokens.to(next(model.parameters()).device)
    stops = set() if stop is None else {int(id) for id in ([stop] if isinstance(stop, Integral) else stop)}
    nameless = torch.tensor(getattr(model, "nameless", ()), dtype=torch.long, device=new.device)
    generator = torch.Generator(new.device).manual_seed(int(seed))
    read, cache, running = Quick(model), KVCache(model.config), [True] * len(tokens)
    for _ in itertools.count() if n_tokens is None else range(n_tokens):
        if cache.length + new.shape[1] > context:
            new, cache = remember(written, n_prompt, context), KVCache(model.config)
        logits = read(new, cache)
        if len(nameless):  # rows to which the tokenizer has no token
            logits = logits.index_fill(-1, nameless, -torch.inf)
        if repetition_penalty != 1:
            logits = penalize_repeats(logits, written, repetition_penalty)
        probabilities = next_token_probabilities(logits, temperature=temperature, top_k=top_k, top_p=top_p,
                                                 min_p=min_p)
        new = draw(probabilities, generator)
        ids = new[:, 0].tolist()
        running = [runs and id not in stops for runs, id in zip(running, ids, strict=True)]
        if not any(running):
            return
        written = torch.cat([written, new], dim=1)
        yield [id if runs else None for id, runs in zip(ids, running, strict=True)]


def choose_weights(model: nn.Module, *, n_texts: int = 1, say: Callable[[str], None] = print) -> nn.Module:
    """The model, or a copy of it in bfloat16: what writes so many texts faster here, and it says which and why.

    Half the bytes are read in half the time, but not every processor multiplies them as they are: the same rounding
    that doubles one text's speed may slow sixteen down.  A copy is taken only where it gains a tenth.
    """
    n_tokens, device = min(8, model.config.context_length), next(model.parameters()).device
    models = {"fp32": model, "bf16": copy.deepcopy(model).bfloat16()}

    @torch.inference_mode()
    def write(read: Quick) -> None:
        cache, tokens = KVCache(model.config), torch.zeros(n_texts, 1, dtype=torch.long, device=device)
        for _ in range(n_tokens):
            read(tokens, cache)

    taken = race({name: partial(write, Quick(one)) for name, one in models.items()})
    seconds = {name: min(times) / n_tokens for name, times in taken.items()}
    best = "bf16" if 1.1 * seconds["bf16"] < seconds["fp32"] else "fp32"
    times = ", ".join(f"{name} {1000 * s:.3g} ms" for name, s in seconds.items())
    say(f"writing with weights in {best} (a token of {n_texts} text{'s' * (n_texts > 1)}: {times})")
    return models[best]


def draw(probabilities: Float[Tensor, "batch vocab"], generator: torch.Generator) -> Int[Tensor, "batch 1"]:
    """Draw one token for each text, as `torch.multinomial` does without its questions: of waiting times with these
    rates, each is the shortest with its probability."""
    times = torch.empty_like(probabilities).exponential_(generator=generator)
    return (probabilities / times).argmax(dim=-1, keepdim=True)


def remember(written: Int[Tensor, "batch seq"], n_prompt: int, context_length: int
             ) -> Int[Tensor, "batch kept"]:
    """What to read again when the context is full: the prompt (up to half a context of it), and of what came
    after it the latest tokens, to half of the room that is left.

    The model then sees one unbroken text with its positions counted afresh, which every position scheme
    understands, and has room for at least a quarter of a context before the next reading.
    """
    prompt = written[:, :min(n_prompt, context_length // 2)]
    latest = max(1, (context_length - prompt.shape[1]) // 2)
    return torch.cat([prompt, written[:, -latest:]], dim=1)
