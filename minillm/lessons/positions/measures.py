"""Measure what positions do: in the shipped model, in one head that is moved along the axis, in random layers."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor

from minillm import corpora
from minillm.checkpoints import load
from minillm.config import ModelConfig
from minillm.inspection import capture, intervene, token_losses
from minillm.layers.position import RoPE, frequencies
from minillm.model import Transformer
from minillm.notebook.threads import one_thread
from minillm.tokenizers import Tokenizer

ROWS, SHORT = 6, 32      # rows of fresh text that are measured; where the table of the clamped mistake ends


@cache
def storyteller() -> tuple[Transformer, Tokenizer]:
    """The small model that ships; its queries and keys are turned by RoPE."""
    model, tokenizer = load("storyteller")
    return model.eval(), tokenizer


@cache
def fresh_rows() -> Tensor:
    """Rows of stories that it has not read, each as long as its context and one more."""
    model, tokenizer = storyteller()
    width = model.config.context_length + 1
    return torch.tensor(corpora.load("stories-fresh").encode(tokenizer)[:ROWS * width]).view(ROWS, width)


# -- what goes wrong, and how it shows -------------------------------------------------------------------------------

def with_speeds(model: Transformer, speeds: Callable[[Tensor], Tensor]) -> Transformer:
    """The same weights, with other speeds of the pairs (radians per position)."""
    broken = rebuilt(model)
    for rope in ropes(broken):
        omega = speeds(frequencies(rope.d_turned, broken.config.rope_theta))
        rope.speeds = torch.stack([-omega, omega], rope.half).flatten()
    return broken


def clamped(model: Transformer) -> Transformer:
    """The same weights with a table that ends too early: later positions get the angles of its last row."""
    broken = rebuilt(model)
    for rope in ropes(broken):
        rope.register_forward_pre_hook(lambda rope, given: (given[0], given[1].clamp(max=SHORT - 1)))
    return broken


def permuted(model: Transformer) -> Transformer:
    """The rows of W_q and W_k put from halves to neighbours, head by head, and read as neighbours."""
    moved = rebuilt(model, rope_pairs="neighbours")
    for block in moved.blocks:
        for name in ("q_proj", "k_proj"):
            projection = getattr(block.attention, name)
            projection.weight.data = rearrange(
                projection.weight.data, "(head two pair) d_model -> (head pair two) d_model",
                head=projection.out_features // block.attention.d_head, two=2).contiguous()
    return moved


def rebuilt(model: Transformer, **choices) -> Transformer:
    """The same weights in a model with other choices."""
    again = Transformer(replace(model.config, **choices))
    again.load_state_dict(model.state_dict())
    return again.eval()


def ropes(model: Transformer) -> list[RoPE]:
    """Its tables of angles, each once: layers of one kind share theirs."""
    return list({id(part): part for part in model.modules() if isinstance(part, RoPE)}.values())


MISTAKES: dict[str, Callable[[Transformer], Transformer]] = {
    "none: as it was trained": lambda model: model,
    "read in the other layout": lambda model: rebuilt(model, rope_pairs="neighbours"),
    "other layout, rows permuted": permuted,
    "pairs counted from 1": lambda model: with_speeds(model, lambda omega: omega * omega[1]),
    "exponent halved": lambda model: with_speeds(model, torch.sqrt),
    "turned backwards": lambda model: with_speeds(model, torch.neg),
    "values turned too": lambda model: model,                    # by `turned_values`, while it runs
    f"table ends at {SHORT}": clamped}


@contextmanager
def turned_values(model: Transformer) -> Iterator[None]:
    """Turn the values as well, while the block is open."""
    def turn(v: Tensor) -> Tensor:
        heads = rearrange(v, "batch seq (head d_head) -> batch head seq d_head", d_head=ropes(model)[0].d_turned)
        turned = ropes(model)[0](heads, torch.arange(v.shape[1]))
        return rearrange(turned, "batch head seq d_head -> batch seq (head d_head)")
    with intervene(model, {"blocks.*.attention.v_proj": turn}):
        yield


@cache
def symptom(mistake: str, n_tokens: int = 40) -> tuple[Tensor, str]:
    """Loss by position on fresh stories, in nats, and what the model writes after an opening, greedily."""
    right, tokenizer = storyteller()
    model, ids = MISTAKES[mistake](right), tokenizer.encode(OPENING)
    with one_thread(), torch.no_grad():
        if mistake.startswith("values"):
            with turned_values(model):
                return token_losses(model, fresh_rows()).mean(0), tokenizer.decode(_greedy(model, ids, n_tokens))
        return token_losses(model, fresh_rows()).mean(0), tokenizer.decode(_greedy(model, ids, n_tokens))


OPENING = "Once upon a time"


def _greedy(model: Transformer, ids: list[int], n_tokens: int) -> list[int]:
    for _ in range(n_tokens):
        ids = [*ids, int(model(torch.tensor([ids]))[0, -1].argmax())]
    return ids


# -- what distance does ----------------------------------------------------------------------------------------------

def scores(model: Transformer, tokens: Int[Tensor, "batch seq"]) -> Iterator[Float[Tensor, "batch head query key"]]:
    """Scores before mask and softmax, layer by layer."""
    parts, at = ("q_proj", "k_proj"), torch.arange(tokens.shape[1])
    with capture(model, *(f"blocks.*.attention.{part}" for part in parts)) as seen:
        model(tokens)
    for layer, block in enumerate(model.blocks):
        attention = block.attention
        q, k = (attention.rotate(attention.split(norm(seen[f"blocks.{layer}.attention.{part}"])), at)
                for part, norm in zip(parts, (attention.q_norm, attention.k_norm), strict=True))
        found = einsum(q, attention.share(k), "batch head query d_head, batch head key d_head -> batch head query key")
        yield attention.softcap(found * attention.scale)


@cache
def mean_scores() -> Float[Tensor, "layer head distance"]:
    """Mean score at each distance up to half the context, less its mean, for every head of the shipped model."""
    model, _ = storyteller()
    tokens = fresh_rows()[:2, :-1]
    n = tokens.shape[1]
    distance = torch.arange(n)[:, None] - torch.arange(n)
    with one_thread(), torch.no_grad():
        means = torch.stack([torch.stack([found.mean(0)[:, distance == far].mean(-1) for far in range(n // 2)], dim=-1)
                             for found in scores(model, tokens)])
    return means - means.mean(-1, keepdim=True)


@cache
def far_gaze(beyond: int) -> Float[Tensor, "layer head"]:
    """Which share of its gaze each head of the shipped model spends on tokens further back than `beyond`."""
    model, _ = storyteller()
    tokens = fresh_rows()[:2, :-1]
    distance = torch.arange(tokens.shape[1])[:, None] - torch.arange(tokens.shape[1])
    with one_thread(), torch.no_grad():
        patterns = [found.masked_fill(distance < 0, -torch.inf).softmax(-1) for found in scores(model, tokens)]
    return torch.stack([(each * (distance > beyond)).sum(-1)[..., beyond:].mean((0, 2)) for each in patterns])


# -- order without positions -----------------------------------------------------------------------------------------

def swapped(n_layers: int, position: str, *, n_tokens: int = 8, nope_every: int | None = None) -> Float[Tensor, "seq"]:
    """By how much the logits at each place change when the tokens at places 1 and 2 swap; random weights."""
    config = ModelConfig(vocab_size=12, d_model=32, n_layers=n_layers, n_heads=2, context_length=16, position=position,
                         nope_every=nope_every)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Transformer(config).eval()
        for weight in model.parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=weight.shape[1] ** -0.5)  # so that every part has a say
    tokens = torch.arange(n_tokens)
    exchanged = tokens.clone()
    exchanged[[1, 2]] = tokens[[2, 1]]
    with torch.no_grad():
        before, after = model(torch.stack([tokens, exchanged]))
    return (before - after).abs().amax(-1)
