"""Compare a family with its reference: logits in both precisions, greedy tokens, and every mistake."""
from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from minillm.cache import KVCache
from minillm.model import Transformer
from minillm.pretrained import build, load_pretrained
from minillm.pretrained.families import family_of
from tests.parity.mistakes import MISTAKES, made
from tests.parity.references import VOCAB, reference

FP32, FP64 = 1e-4, 5e-5  # in double precision transformers still rounds norms and angles to single
CAUGHT = FP32  # a mistake is noticed where the comparison would fail
N_TOKENS, N_GREEDY = 40, 32


@dataclass
class Result:
    """What a comparison found; `caught` maps each mistake to the difference that it makes."""
    fp32: float
    fp64: float
    greedy: bool
    greedy_cached: bool
    caught: dict[str, float]

    @property
    def holds(self) -> bool:
        return (self.fp32 <= FP32 and self.fp64 <= FP64 and self.greedy and self.greedy_cached
                and all(difference > CAUGHT for difference in self.caught.values()))


@torch.no_grad()
def compare(name: str) -> Result:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        theirs = reference(name, folder)
        ours, _ = load_pretrained(folder)
        settings = json.loads((folder / "config.json").read_text())
    family = family_of(settings)
    tokens = torch.randint(0, VOCAB, (2, N_TOKENS), generator=torch.Generator().manual_seed(1))
    expected = theirs(tokens).logits
    fp32 = difference(ours(tokens), expected)
    caught = {}
    for label, mistake in MISTAKES[name].items():
        config, state = made(mistake, family.read(settings), ours.state_dict())
        caught[label] = difference(build(config, state)(tokens), expected)
    wanted = greedy_theirs(theirs, tokens[:, :8])
    plain, cached = greedy(ours, tokens[:, :8], use_cache=False), greedy(ours, tokens[:, :8], use_cache=True)
    ours.double(), theirs.double()
    return Result(fp32, difference(ours(tokens), in_double(theirs, tokens)), torch.equal(plain, wanted),
                  torch.equal(cached, wanted), caught)


def in_double(theirs: nn.Module, tokens: Tensor) -> Tensor:
    """Logits of a model that was made double; some (XGLM) add a least number that only double precision holds."""
    torch.set_default_dtype(torch.float64)
    try:
        return theirs(tokens).logits
    finally:
        torch.set_default_dtype(torch.float32)


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def greedy(model: Transformer, tokens: Tensor, *, use_cache: bool) -> Tensor:
    """Append the most probable token, N_GREEDY times."""
    cache, new = KVCache(model.config) if use_cache else None, tokens
    for _ in range(N_GREEDY):
        logits = model(new, cache=cache) if use_cache else model(tokens)
        new = logits[:, -1:].argmax(-1)
        tokens = torch.cat([tokens, new], dim=1)
    return tokens


def greedy_theirs(model: nn.Module, tokens: Tensor) -> Tensor:
    return model.generate(tokens, do_sample=False, max_new_tokens=N_GREEDY, use_cache=False,
                          attention_mask=torch.ones_like(tokens))
