r"""Let something cheap guess several tokens, and let the model read them all at once: the same text law, sooner.

The model says after one reading what it would have said at each guessed place, p; the guesser said q.  A guess is kept
with probability min(1, p/q); the first that is not is drawn anew from what q had too little of, max(0, p - q).  What
comes out has the distribution p, whatever q is.  Leviathan et al. 2023, arXiv:2211.17192; Chen et al. 2023,
arXiv:2302.01318.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minillm.cache import KVCache
from minillm.model import evaluating
from minillm.sampling import next_token_probabilities, penalize_repeats

Draft = Callable[[list[int], int], Sequence[int]]  # (text so far, how many) -> so many guesses, or fewer


def accept_rule(p: Float[Tensor, "vocab"], q: Float[Tensor, "vocab"]
                ) -> tuple[Float[Tensor, "vocab"], Float[Tensor, "vocab"]]:
    r"""How likely each guess is kept, and what is drawn from where it is not.

    $$ \mathrm{keep}_v = \min(1, p_v / \hat p_v), \qquad
       \mathrm{again}_v = \frac{\max(0, p_v - \hat p_v)}{\sum_i \max(0, p_i - \hat p_i)} $$

    p is the model's law, \hat p the guesser's (`q` in code; in equations q is a query).  Then
    q keep + (1 - sum_i q_i keep_i) again = p.  A token that q never guesses counts as kept; where p = q
    nothing is drawn again, and `again` is p.
    """
    left = (p - q).clamp(min=0)
    return torch.where(q > 0, p / q.clamp(min=1e-38), 1.0).clamp(max=1), left / left.sum() if left.any() else p


@dataclass
class Tally:
    """What a draft was worth: readings of the model, tokens guessed, guesses kept."""
    readings: int = 0
    guessed: int = 0
    kept: int = 0
    written: list[int] = field(default_factory=list)


@torch.inference_mode()
def speculate(model: nn.Module, tokens: Sequence[int], draft: Draft, *, n_tokens: int, n_guesses: int = 4,
              temperature: float = 1.0, repetition_penalty: float = 1.0, seed: int = 0, tally: Tally | None = None
              ) -> Iterator[int]:
    """Continue `tokens` by `n_tokens` ids, with the law of `generate`, reading up to `n_guesses` guesses at a time.

    `draft` names its guesses outright: q is 1 for each, so it is kept with the model's own probability p(guess), and
    where it is not, p without it decides.  The text must fit into the context.  A `repetition_penalty` counts at each
    place what the text has before it, guesses included.  `tally` counts along.
    """
    context = model.config.context_length
    if not 1 <= len(tokens) <= context - n_tokens:
        raise ValueError(f"{len(tokens)} tokens and n_tokens={n_tokens} more do not fit into context_length={context}; "
                         f"begin with at least one, and crop the prompt or write less")
    if n_guesses < 0:
        raise ValueError(f"n_guesses={n_guesses} must be at least 0, which is plain generation")
    tally, device = Tally() if tally is None else tally, next(model.parameters()).device
    nameless = list(getattr(model, "nameless", ()))  # rows to which the tokenizer has no token
    random, cache, text = torch.Generator().manual_seed(seed), KVCache(model.config), list(tokens)
    end = len(text) + n_tokens
    while len(text) < end:
        guesses = list(draft(text, min(n_guesses, end - len(text) - 1)))[:end - len(text) - 1]
        unread = torch.tensor([[*text[cache.length:], *guesses]]).to(device)
        with evaluating(model):  # a reader may train it between two tokens
            logits = model(unread, cache)[0, -1 - len(guesses):].detach().cpu()  # few, and drawn from alike everywhere
        logits[:, nameless] = -torch.inf
        if repetition_penalty != 1:
            before = [torch.tensor(text + guesses[:place]) for place in range(len(guesses) + 1)]
            logits = torch.stack([penalize_repeats(row, seen, repetition_penalty)
                                  for row, seen in zip(logits, before, strict=True)])
        laws = next_token_probabilities(logits, temperature=temperature)
        tally.readings, tally.guessed = tally.readings + 1, tally.guessed + len(guesses)
        for place, law in enumerate(laws):
            guess = guesses[place] if place < len(guesses) else None
            if guess is not None and float(torch.rand((), generator=random)) < float(law[guess]):
                token, tally.kept = guess, tally.kept + 1
            else:
                if guess is not None:
                    law = law.clone()
                    law[guess] = 0.0
                token = int(torch.multinomial(law, 1, generator=random))
            text.append(token)
            tally.written.append(token)
            yield token
            if guess is None or token != guess:
                break
        cache.forget(min(cache.length, len(text) - 1))
