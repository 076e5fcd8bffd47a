"""Train and generate beside transformers' GPT-2 and Llama, at two sizes."""
from __future__ import annotations

import copy
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from minillm.config import ModelConfig
from minillm.model import Transformer
from minillm.optim import adamw
from minillm.quantized import in_int8
from minillm.recipes import Recipe, small
from minillm.sampling import generate_batch
from minillm.training import train
from tests.benchmarks.timing import Row, in_a_fresh_process, race

transformers.logging.set_verbosity_error()

S = ModelConfig(vocab_size=65, d_model=128, n_layers=4, n_heads=4, context_length=64)
M = ModelConfig(vocab_size=512, d_model=384, n_layers=6, n_heads=6, context_length=256)
SIZES = {"S": (S, 12, 20), "M": (M, 16, 1)}  # config, sequences per step, steps per measurement
ARCHITECTURES = {
    "GPT-2's": dict(norm="layernorm", position="learned", mlp="gelu", bias="all"),
    "Llama's": dict(mlp="swiglu"),
    "recipe's": dict(mlp=small(65).mlp, qk_norm=small(65).qk_norm, attention_gate=small(65).attention_gate),
}


def gpt2(c: ModelConfig) -> nn.Module:
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=c.vocab_size, n_positions=c.context_length, n_embd=c.d_model, n_layer=c.n_layers,
        n_head=c.n_heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=None))


def llama(c: ModelConfig) -> nn.Module:
    c = replace(c, mlp="swiglu").resolve()
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=c.vocab_size, max_position_embeddings=c.context_length, hidden_size=c.d_model,
        intermediate_size=c.d_ff, num_hidden_layers=c.n_layers, num_attention_heads=c.n_heads,
        tie_word_embeddings=True, bos_token_id=0, eos_token_id=None))


def their_step(model: nn.Module, tokens: Tensor) -> Callable[[], None]:
    """A training step as their documentation writes it."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        model(tokens, labels=tokens).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return step


def our_step(config: ModelConfig, tokens: Tensor, precision: str, rule: Callable = adamw) -> Callable[[], object]:
    model = Transformer(config)
    steps = train(model, iter(lambda: (tokens, tokens), None), optimizer=rule(model), precision=precision)
    return lambda: next(steps)


def training(size: str) -> list[Row]:
    """Tokens per second; the first rival is transformers' GPT-2 as it is shipped."""
    config, batch, n = SIZES[size]
    tokens = torch.randint(config.vocab_size, (batch, config.context_length))
    steps = {"transformers GPT-2 (fp32)": their_step(gpt2(config), tokens),
             "transformers Llama (fp32)": their_step(llama(config), tokens)}
    for name, choices in ARCHITECTURES.items():
        for precision in ("fp32", "auto"):
            steps[f"minillm {name} ({precision})"] = our_step(replace(config, **choices), tokens, precision)
    for precision in ("fp32", "auto"):
        steps[f"… by the recipe's Muon ({precision})"] = our_step(
            replace(config, **ARCHITECTURES["recipe's"]), tokens, precision, Recipe().optimizer)
    rivals = {name: lambda step=step: [step() for _ in range(n)] for name, step in steps.items()}
    return race(f"training {size}", rivals, work=n * tokens.numel(), unit="tokens/s")


def peak_memory(who: str) -> float:
    """Gigabytes at most, training M, in this process alone."""
    config, batch, _ = SIZES["M"]
    tokens = torch.randint(config.vocab_size, (batch, config.context_length))
    step = (their_step(gpt2(config), tokens) if who == "transformers GPT-2"
            else our_step(replace(config, **ARCHITECTURES["GPT-2's"]), tokens, who))
    for _ in range(3):
        step()
    status = Path("/proc/self/status")  # the system's other counter, ru_maxrss, begins with the parent's peak
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9  # macOS counts bytes


def memory() -> list[Row]:
    gigabytes = {who: in_a_fresh_process("models.peak_memory", who) for who in ("transformers GPT-2", "bf16", "fp32")}
    first = gigabytes["transformers GPT-2"]
    return [("peak memory, training M", who if who.startswith("tr") else f"minillm GPT-2's ({who})", value, "GB",
             f"{value / first:.2f} ×") for who, value in gigabytes.items()]


def generation(n_texts: int) -> list[Row]:
    """Tokens per second, 224 after a prompt of 32, drawn at temperature 1 with a cache."""
    prompt = torch.randint(M.vocab_size, (n_texts, 32))
    theirs, rivals = gpt2(M).eval(), {}
    for dtype, model in (("fp32", theirs), ("bf16 weights", copy.deepcopy(theirs).bfloat16())):
        rivals[f"transformers GPT-2 ({dtype})"] = lambda model=model: model.generate(
            prompt, max_new_tokens=224, do_sample=True, top_k=0, pad_token_id=0)
    for name, choices in ARCHITECTURES.items():
        for dtype in (torch.float32, torch.bfloat16):
            model = Transformer(replace(M, **choices)).eval().to(dtype)
            label = f"minillm {name} ({'fp32' if dtype == torch.float32 else 'bf16 weights'})"
            rivals[label] = lambda model=model: list(generate_batch(model, prompt, n_tokens=224))
        if n_texts == 1:
            model = in_int8(Transformer(replace(M, **choices)).eval())
            rivals[f"minillm {name} (int8 weights)"] = lambda model=model: list(
                generate_batch(model, prompt, n_tokens=224))
    title = "generation M, one text" if n_texts == 1 else f"generation M, {n_texts} texts"
    return race(title, rivals, work=224 * n_texts, unit="tokens/s", warm=1)
