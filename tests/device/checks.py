"""Compare a device with the CPU: the same model, the same numbers in, so the same numbers out."""
from __future__ import annotations

import copy
import inspect
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, is_dataclass, replace
from itertools import islice

import torch
from torch import Tensor, nn

from minillm.cache import KVCache
from minillm.checkpoints import load, load_state, save
from minillm.config import ModelConfig
from minillm.data import batches
from minillm.layers import ReLU2, RMSNorm
from minillm.lora import MATRICES, LoRALinear, add_lora, merge_lora
from minillm.model import Transformer
from minillm.optim import adamw, muon
from minillm.precision import Precision
from minillm.quantized import QLoRALinear
from minillm.sampling import generate, generate_batch
from minillm.training import restore, snapshot, train
from tests.benchmarks.timing import ROOT
from tests.test_devices import ASKED

Finding = tuple[str, float, float]  # what was compared, the largest difference, the largest that is allowed

BASE = ModelConfig(vocab_size=97, d_model=64, n_layers=2, n_heads=4, context_length=300)
ARCHITECTURES = {
    "GPT-2's": replace(BASE, norm="layernorm", position="learned", mlp="gelu", bias="all"),
    "Llama's": replace(BASE, n_kv_heads=2),
    "the recipe's": replace(BASE, qk_norm="head", mlp="relu2"),
    "ALiBi, a window": replace(BASE, position="alibi", window=20, global_every=2),
    "a mixture": replace(BASE, n_experts=4, n_shared_experts=1),
    "latent": replace(BASE, attention="latent"),
    "delta rule": replace(BASE, linear_attention="delta", full_every=2, conv_width=3),
}
N_STEPS = 12
LEARNED = 1.0  # nats that these steps gain at least; on a CPU it is 2 to 4


def made(config: ModelConfig) -> Transformer:
    """The same weights at each call, none of them as they start: no gain is 1, no bias 0."""
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        model = Transformer(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def ids(*shape: int) -> Tensor:
    return torch.randint(BASE.vocab_size, shape, generator=torch.Generator().manual_seed(0))


def largest(ours: object, theirs: object) -> float:
    """Between two tensors, numbers, or lists of such."""
    if isinstance(ours, Tensor):
        return (ours.detach().double().cpu() - theirs.detach().double().cpu()).abs().max().item()
    if is_dataclass(ours):
        return largest(astuple(ours), astuple(theirs))
    if isinstance(ours, Sequence):
        assert len(ours) == len(theirs)
        return max((largest(a, b) for a, b in zip(ours, theirs)), default=0.0)
    return abs(ours - theirs)


@torch.no_grad()
def logits(device: torch.device) -> Iterator[Finding]:
    """The device's logits are the CPU's."""
    for name, config in ARCHITECTURES.items():
        model, tokens = made(config), ids(3, 280)
        yield name, largest(copy.deepcopy(model).to(device)(tokens.to(device)), model(tokens)), 1e-4


def gradients(model: nn.Module, tokens: Tensor) -> list[Tensor]:
    model.zero_grad()
    out = model(tokens)
    out.log_softmax(-1)[..., 0].mean().backward()
    return [out, *(p.grad for p in model.parameters() if p.grad is not None)]


def kernels(device: torch.device) -> Iterator[Finding]:
    """What runs fused, or as a twin, is the line that is read: logits and gradients, short and long."""
    for name in ("Llama's", "the recipe's"):
        model = made(ARCHITECTURES[name]).to(device)
        for seq in (24, 280):
            tokens = ids(3, seq).to(device)
            fused = [each.clone() for each in gradients(model.fuse(), tokens)]
            yield f"attention, {name}, seq {seq}", largest(fused, gradients(model.fuse(False), tokens)), 1e-4
    x = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)).to(device)
    for part in (RMSNorm(64), ReLU2(64, 96)):
        part = part.to(device)
        yield type(part).__name__, largest(part(x), inspect.unwrap(type(part).forward)(part, x)), 1e-4


@torch.no_grad()
def cache(device: torch.device) -> Iterator[Finding]:
    """Read in pieces with a cache, a text has the logits that it has read at once."""
    for name, config in ARCHITECTURES.items():
        model, tokens = made(config).to(device), ids(2, 60).to(device)
        kept = KVCache(config)
        pieces = [model(piece, kept) for piece in tokens.split([30, 1, 1, 28], dim=1)]
        yield name, largest(torch.cat(pieces, dim=1), model(tokens)), 1e-4


def generation(device: torch.device) -> Iterator[Finding]:
    """The device writes what the CPU writes where nothing is drawn, and with a seed the same again."""
    for name in ("GPT-2's", "the recipe's", "delta rule"):
        model, prompt = made(ARCHITECTURES[name]), ids(8).tolist()
        options = dict(n_tokens=40, temperature=0.0)
        here = list(generate(model, prompt, **options))
        model = model.to(device)
        yield f"{name}: ids that differ from the CPU's", _unlike(generate(model, prompt, **options), here), 0
        drawn = [list(generate(model, prompt, n_tokens=40, seed=3)) for _ in range(2)]
        yield f"{name}: ids that differ when drawn again", _unlike(*drawn), 0
    together = zip(*islice(generate_batch(model, ids(3, 8), temperature=0.0), 40))
    alone = [list(generate(model, row, **options)) for row in ids(3, 8)]
    yield "three texts at once: ids that differ", sum(map(_unlike, together, alone)), 0


def _unlike(ours: Sequence[int], theirs: Sequence[int]) -> int:
    return sum(a != b for a, b in zip(ours, theirs, strict=True))


def losses(model: nn.Module, optimizer: torch.optim.Optimizer, *, precision: str = "fp32", start: int = 0,
           n_steps: int = N_STEPS) -> list[float]:
    """Of these steps, on a text that says the same forty ids again and again."""
    stream = batches(ids(40).repeat(20), batch_size=4, context_length=48, seed=0, start=start)
    return [step.loss for step in train(model, stream, optimizer=optimizer, n_steps=n_steps, start=start,
                                        precision=precision, say=str)]


def training(device: torch.device) -> Iterator[Finding]:
    """It learns as on the CPU, and in 16 bits nearly so."""
    for make in (adamw, muon):
        def run(place: torch.device, precision: str = "fp32", make: Callable = make) -> list[float]:
            model = made(ARCHITECTURES["the recipe's"]).to(place)
            return losses(model, make(model), precision=precision)

        here = run(torch.device("cpu"))
        yield f"{make.__name__}, fp32: losses", largest(run(device), here), 5e-3  # Muon's products may be bf16
        for precision in ("medium", "bf16", "fp16", "auto"):
            found = run(device, precision)
            yield f"{make.__name__}, {precision}: losses", largest(found, here), 0.1
            yield f"{make.__name__}, {precision}: last loss, to be below", found[-1], here[0] - LEARNED


def resuming(device: torch.device) -> Iterator[Finding]:
    """A run that is saved half-way and taken up again goes on as if it had never stopped; the CPU can open it."""
    half = N_STEPS // 2
    for make in (adamw, muon):
        model = made(BASE).to(device)
        optimizer = make(model)
        first = losses(model, optimizer, n_steps=half)
        with tempfile.TemporaryDirectory() as folder:
            save(model, None, f"{folder}/run", state=snapshot(optimizer, half))
            again, _ = load(f"{folder}/run", device=device)
            here, _ = load(f"{folder}/run")
            state = load_state(f"{folder}/run")
        for name, weight in here.state_dict().items():
            assert torch.equal(weight, model.state_dict()[name].cpu()), name
        later = make(again)
        start = restore(state, later)
        assert start == half and len(first) == half
        yield (f"{make.__name__}: losses", largest(losses(again, later, start=half),
                                                   losses(model, optimizer, start=half)), 1e-3)


def lora(device: torch.device) -> Iterator[Finding]:
    """A correction learns beside frozen weights, and merged it is what it was apart; so with four bits."""
    for layer in (LoRALinear, QLoRALinear):
        model = add_lora(made(BASE).to(device), targets=MATRICES, layer=layer)
        frozen = {n: p.detach().clone() for n, p in model.named_parameters() if not p.requires_grad}
        found = losses(model, adamw(model, lr=1e-2))
        yield f"{layer.__name__}: last loss, to be below", found[-1], found[0] - LEARNED
        yield (f"{layer.__name__}: frozen weights",
               largest([p for n, p in model.named_parameters() if n in frozen], [*frozen.values()]), 0)
        with torch.no_grad():
            tokens = ids(2, 40).to(device)
            apart = model.eval()(tokens)
            # NF4's correction is rounded to bfloat16 while it is apart
            yield (f"{layer.__name__}: merged", largest(merge_lora(model)(tokens), apart),
                   1e-4 if layer is LoRALinear else 0.1)


def asking(device: torch.device) -> Iterator[Finding]:
    """Likelihoods, preferences, guesses and heads taken away are what they are on the CPU."""
    for name, ask in ASKED.items():
        model = made(replace(BASE, context_length=24)).requires_grad_(False)
        here = ask(model)
        yield name, largest(ask(model.to(device)), here), 1e-3  # sums over several tokens, in nats


def processes(device: torch.device) -> Iterator[Finding]:
    """DDP and FSDP2 with one process learn what none of them learns."""
    done = subprocess.run([sys.executable, "-m", "tests.device.alone", str(device)], cwd=ROOT, capture_output=True,
                          text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    model = made(BASE).to(device)
    here = losses(model, adamw(model))
    for name, found in json.loads(done.stdout.splitlines()[-1]).items():
        yield f"{name}: losses", largest(found, here), 1e-3


def rounding(device: torch.device) -> Iterator[Finding]:
    """Weights in 16 bits say nearly the same: the logits' largest difference, as a share of the largest logit."""
    model, tokens = made(ARCHITECTURES["Llama's"]).to(device), ids(2, 60).to(device)
    with torch.no_grad():
        exact = model(tokens)
        for precision in ("medium", "bf16", "fp16"):
            way = Precision(precision, device)
            with way.forward(), way.rounded():
                yield f"{precision} products", largest(model(tokens).float(), exact) / exact.abs().max().item(), 0.05
        for dtype in (torch.bfloat16, torch.float16):
            found = copy.deepcopy(model).to(dtype)(tokens).float()
            yield (f"{str(dtype).removeprefix('torch.')} weights", largest(found, exact) / exact.abs().max().item(),
                   0.1)


CHECKS = {check.__name__: check for check in (
    logits, kernels, rounding, cache, generation, training, resuming, lora, asking, processes)}
