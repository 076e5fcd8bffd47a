"""Train on a device beside transformers and beside plain lines, and learn against its clock."""
from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from minillm import corpora
from minillm.config import ModelConfig
from minillm.costs import flops, parameters
from minillm.ejection import eject
from minillm.model import Transformer
from minillm.optim import adamw
from minillm.precision import Precision, choose_precision, device_name
from minillm.recipes import learn, small
from minillm.tokenizers import CharTokenizer
from minillm.training import evaluate, train
from tests.benchmarks.models import ARCHITECTURES, M, S, gpt2
from tests.benchmarks.timing import Row, race

transformers.logging.set_verbosity_error()

GPT2_SMALL = ModelConfig(vocab_size=50257, d_model=768, n_layers=12, n_heads=12, context_length=1024)
M350 = replace(GPT2_SMALL, d_model=1024, n_layers=24, n_heads=16)
PEAKS = {  # 10¹² operations per second in bf16 (a T4's and a V100's in fp16), dense: makers' data sheets
    "H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "L40": 181, "L4": 121, "A40": 150,
    "A10G": 70, "A10": 125, "A6000": 155, "RTX 4090": 165, "RTX 3090": 71, "V100": 125, "T4": 65}


@dataclass(frozen=True)
class Amount:
    """How much of everything: what a GPU does in five minutes, a CPU in two, a test in seconds."""
    sizes: dict[str, tuple[ModelConfig, int]]  # config, sequences per step at most
    repeats: int
    seconds: float                             # of learning
    side: int                                  # of the matrices whose product is the ceiling
    held_out: int = 100_000                    # characters of the last tenth, at most


GPU = Amount({"M": (M, 128), "GPT-2 small": (GPT2_SMALL, 32), "350M": (M350, 16)}, repeats=5, seconds=60.0, side=8192)
CPU = Amount({"S": (S, 12), "M": (M, 4)}, repeats=3, seconds=20.0, side=1024)
QUICK = Amount({"S": (replace(S, n_layers=1), 2)}, repeats=1, seconds=0.1, side=64, held_out=1000)


def finished(device: torch.device) -> None:
    """Wait until all that was asked of a GPU is done: it answers at once and computes later."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def plain_step(model: nn.Module, tokens: Tensor, precision: Precision) -> Callable[[], None]:
    """A step as a person writes it from the documentation: autocast, PyTorch's fused AdamW, the norm cut off."""
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3, fused=True)

    def step() -> None:
        with precision.forward():
            out = model(tokens)
            logits = out if isinstance(out, Tensor) else out.logits
            loss = F.cross_entropy(logits.flatten(0, 1).float(), tokens.flatten())
        precision.scaler.scale(loss).backward()
        precision.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        precision.scaler.step(optimizer)
        precision.scaler.update()
        optimizer.zero_grad()
    return step


def ejected(config: ModelConfig) -> nn.Module:
    """The same architecture as one file of plain PyTorch, its attention in three lines."""
    scope = {"__name__": "ejected"}
    exec(compile(eject(config), "ejected.py", "exec"), scope)
    return scope["Transformer"]()


def our_step(model: nn.Module, tokens: Tensor, precision: Precision) -> Callable[[], object]:
    steps = train(model, itertools.repeat((tokens, tokens)), optimizer=adamw(model), precision=precision, say=str)
    return lambda: next(steps)


def rivals(config: ModelConfig, batch: int, device: torch.device, name: str) -> Iterator[tuple[str, Callable]]:
    """One at a time: who is raced, and a step of theirs."""
    tokens = torch.randint(config.vocab_size, (batch, config.context_length), device=device)
    in_gpt2s = replace(config, **ARCHITECTURES["GPT-2's"])
    for who, model, step in (
            ("transformers GPT-2", lambda: gpt2(config), plain_step),
            ("plain lines (ejected GPT-2)", lambda: ejected(in_gpt2s), plain_step),
            ("minillm GPT-2's", lambda: Transformer(in_gpt2s), our_step),
            ("minillm recipe's", lambda: Transformer(replace(config, **ARCHITECTURES["recipe's"])), our_step)):
        run = step(model().to(device), tokens, Precision(name, device))
        yield who, lambda run=run: (run(), finished(device))


def ceiling(device: torch.device, precision: Precision, side: int) -> float:
    """Operations per second of the largest product, in this precision."""
    x = torch.randn(side, side, device=device)

    def product() -> None:
        with precision.forward(), precision.rounded():
            for _ in range(4):
                x @ x
        finished(device)

    return race("", {"": product}, work=4 * 2 * side ** 3, unit="", repeats=5)[0][2]


def speed(device: torch.device, amount: Amount, say: Callable[[str], None]) -> Iterator[Row]:
    """Tokens per second and the share of the device's peak: transformers' GPT-2 as shipped is 1."""
    precision = choose_precision("auto", device, say=say)
    name = device_name(device)
    published = next((peak * 1e12 for gpu, peak in PEAKS.items() if gpu in name), None)
    measured = ceiling(device, precision, amount.side)
    peak = published if published and precision.dtype else measured
    yield (f"{amount.side}² products, {precision.name}", name, measured / 1e12, "TFLOP/s",
           f"{measured / peak:.0%} of the peak that is counted against")
    for size, (config, batch) in amount.sizes.items():
        while True:
            try:
                rows = list(raced(size, config, batch, device, precision.name, amount.repeats))
                break
            except torch.cuda.OutOfMemoryError:
                if batch == 1:
                    rows = [(f"training {size}", "does not fit", float("nan"), "tokens/s", "")]
                    break
                batch //= 2
            torch.cuda.empty_cache()
        per_token = 3 * sum(flops(replace(config, **ARCHITECTURES["GPT-2's"]), seq=config.context_length).values()
                            ) / config.context_length  # forward once, backward twice; all scores, as PaLM counts
        for title, who, value, unit, ratio in rows:
            yield title, who, value, unit, f"{ratio}, MFU {value * per_token / peak:.1%}"


def raced(size: str, config: ModelConfig, batch: int, device: torch.device, name: str, repeats: int) -> list[Row]:
    n = sum(parameters(replace(config, **ARCHITECTURES["GPT-2's"])).values())
    return race(f"training {size}, {n / 1e6:.1f} M, {batch} rows, {name}", dict(rivals(config, batch, device, name)),
                work=batch * config.context_length, unit="tokens/s", repeats=repeats)


def minute(device: torch.device, amount: Amount, say: Callable[[str], None], text: str | None = None
             ) -> Iterator[Row]:
    """Nats per character on the last tenth after so many seconds of the recipe, the model's making included."""
    corpus = corpora.read([text]) if text else corpora.load("stories")
    train_text, held_out = corpus.split()
    tokenizer = CharTokenizer.train(corpus.text)
    ids, held_out = tokenizer.encode(train_text), tokenizer.encode(held_out)
    batch = 64 if device.type == "cuda" else 8  # the recipe's own leaves a GPU idle
    began = time.perf_counter()
    torch.manual_seed(0)
    model = Transformer(small(tokenizer.vocab_size)).to(device)
    steps = learn(model, ids, seconds=amount.seconds - (time.perf_counter() - began), say=say, batch_size=batch)
    tokens = sum(step.tokens for step in steps)
    finished(device)
    took = time.perf_counter() - began
    yield (f"{corpus.name}, {amount.seconds:g} s", f"the recipe, {batch} rows",
           evaluate(model, held_out[:amount.held_out]), "nats/char",
           f"{tokens / 1e6:.2f} M characters in {took:.1f} s")
