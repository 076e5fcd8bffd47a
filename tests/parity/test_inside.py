"""What is seen and changed inside a loaded family is what transformers shows and does, on the same random weights."""
from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from minillm import copying
from minillm.inspection import (
    ablate,
    attribution_patching,
    capture,
    logit_lens,
    logit_shares,
    patch_grid,
    written,
)
from minillm.pretrained import load_pretrained
from tests.parity.references import VOCAB, reference

TOKENS = copying.twice(VOCAB, length=8, lists=3, seed=5)
FAMILIES = ["gpt2", "llama-2", "qwen3", "phi", "gemma"]          # two norms, biases, shared keys, a parallel residual


@cache
def both(name: str):
    """transformers' model and ours, with the same weights."""
    with TemporaryDirectory() as folder:
        theirs = reference(name, Path(folder))
        theirs.set_attn_implementation("eager")
        ours = load_pretrained(folder)
    return theirs, (ours[0] if isinstance(ours, tuple) else ours).eval()


def parts_of(theirs):
    """transformers' blocks, last norm and unembedding, whatever it calls them."""
    body = getattr(theirs, "transformer", None) or theirs.model
    blocks = getattr(body, "h", None) or body.layers
    norm = getattr(body, "ln_f", None) or getattr(body, "final_layernorm", None) or body.norm
    return blocks, norm, theirs.lm_head


def patterns(theirs, tokens):
    return torch.stack(theirs(tokens, output_attentions=True, use_cache=False).attentions)


def streams(theirs, tokens):
    """What each block gives, seen by a hook of PyTorch's own (`hidden_states` has the last one normed)."""
    seen, blocks = [], parts_of(theirs)[0]
    hooks = [block.register_forward_hook(lambda m, i, out: seen.append(out[0] if isinstance(out, tuple) else out))
             for block in blocks]
    theirs(tokens, use_cache=False)
    for hook in hooks:
        hook.remove()
    return seen


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_patterns_and_induction_scores(name):
    theirs, ours = both(name)
    found = patterns(theirs, TOKENS)
    with capture(ours, "blocks.*.attention.pattern") as seen:
        ours(TOKENS)
    torch.testing.assert_close(torch.stack([*seen.values()]), found, atol=1e-4, rtol=1e-3)
    n = TOKENS.shape[1] // 2
    scores, previous = torch.zeros(2, *found.shape[:1], found.shape[2]).unbind(0)
    for q in range(1, 2 * n):
        previous += found[:, :, :, q, q - 1].mean(1) / (2 * n - 1)
        scores += found[:, :, :, q, q - n + 1].mean(1) / n if q >= n else 0
    torch.testing.assert_close(copying.scores(ours, TOKENS).induction, scores, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(copying.scores(ours, TOKENS).previous, previous, atol=1e-4, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_the_lens_reads_transformers_hidden_states(name):
    theirs, ours = both(name)
    _, norm, unembed = parts_of(theirs)
    wanted = torch.stack([unembed(norm(x)) for x in streams(theirs, TOKENS)])
    torch.testing.assert_close(logit_lens(ours, TOKENS), wanted, atol=1e-3, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_shares_end_at_transformers_logit(name):
    theirs, ours = both(name)
    logits, text = theirs(TOKENS[:1]).logits[0], TOKENS[:1]
    torch.testing.assert_close(sum(written(ours, text).values()), streams(theirs, text)[-1], atol=1e-3, rtol=1e-3)
    for token, other in ((3, None), (7, 2)):
        wanted = logits[-1, token] - (0 if other is None else logits[-1, other])
        torch.testing.assert_close(logit_shares(ours, text, token, other).values.sum(), wanted, atol=1e-3, rtol=1e-3)


def two_texts() -> tuple[torch.Tensor, torch.Tensor]:
    """A clean one, and one that differs at position 4."""
    corrupt = TOKENS[:1].clone()
    corrupt[0, 4] = (corrupt[0, 4] + 1) % VOCAB
    return TOKENS[:1], corrupt


def measure(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, -1, 3] - logits[:, -1, 7]


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_a_patched_cell_is_what_a_hook_in_transformers_gives(name):
    theirs, ours = both(name)
    clean, corrupt = two_texts()

    best, worst, there = (measure(theirs(clean).logits), measure(theirs(corrupt).logits), streams(theirs, clean)[0])

    def put(module, inputs, output):
        x = output[0] if isinstance(output, tuple) else output
        x = torch.cat([x[:, :4], there[:, 4:5], x[:, 5:]], 1)
        return (x, *output[1:]) if isinstance(output, tuple) else x

    hook = parts_of(theirs)[0][0].register_forward_hook(put)
    wanted = (measure(theirs(corrupt).logits) - worst) / (best - worst)
    hook.remove()
    torch.testing.assert_close(patch_grid(ours, clean, corrupt, measure)[0, 4:5], wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_linear_estimate_is_transformers_gradient(name):
    theirs, ours = both(name)
    clean, corrupt = two_texts()

    there, best = streams(theirs, clean), measure(theirs(clean).logits)
    seen = []
    hooks = [block.register_forward_hook(lambda m, i, out: seen.append(out[0] if isinstance(out, tuple) else out))
             for block in parts_of(theirs)[0]]
    worst = measure(theirs(corrupt, use_cache=False).logits)
    for hook in hooks:
        hook.remove()
    slopes = torch.autograd.grad(worst.sum(), seen)
    wanted = torch.stack([((new - old) * slope).sum(-1)[0]
                          for new, old, slope in zip(there, seen, slopes, strict=True)])
    torch.testing.assert_close(attribution_patching(ours, clean, corrupt, measure), (wanted / (best - worst)).detach(),
                               atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_a_head_taken_away_is_columns_of_transformers_matrix_set_to_zero():
    theirs, ours = both("llama-2")
    weight = theirs.model.layers[1].self_attn.o_proj.weight
    before, d_head = weight.clone(), ours.config.resolve().d_head
    weight[:, 2 * d_head:3 * d_head] = 0
    wanted = theirs(TOKENS).logits
    weight.copy_(before)
    with ablate(ours, [(1, 2)]):
        torch.testing.assert_close(ours(TOKENS), wanted, atol=1e-3, rtol=1e-3)
