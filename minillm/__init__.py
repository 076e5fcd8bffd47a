"""Understand language models by building one: every part once, as equation, code and behaviour."""
from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

_EXPORTS = {  # name -> module that defines it; nothing is imported until it is asked for
    "ModelConfig": "config", "RopeScaling": "config", "PRESETS": "presets", "scaled": "presets",
    "KVCache": "cache", "Transformer": "model",
    "RMSNorm": "layers", "LayerNorm": "layers", "Learned": "layers", "Sinusoidal": "layers", "RoPE": "layers",
    "ALiBi": "layers", "Attention": "layers", "Mixture": "layers", "ReLU": "layers", "ReLU2": "layers",
    "GELU": "layers", "SwiGLU": "layers", "GeGLU": "layers",
    "capture": "inspection", "intervene": "inspection", "logit_lens": "inspection", "token_losses": "inspection",
    "BPETokenizer": "tokenizers", "ByteTokenizer": "tokenizers", "CharTokenizer": "tokenizers",
    "GPT2Tokenizer": "tokenizers", "SentencePieceTokenizer": "tokenizers", "load_tokenizer": "tokenizers",
    "batches": "data", "prompt_batches": "conversation", "TokenFile": "data", "Corpus": "corpora",
    "train": "training", "evaluate": "training", "Step": "training", "next_token_loss": "training",
    "adamw": "optim", "muon": "optim", "warmup_cosine": "optim",
    "generate": "sampling", "generate_batch": "sampling", "next_token_probabilities": "sampling",
    "save": "checkpoints", "load": "checkpoints", "load_pretrained": "pretrained", "export_hf": "pretrained",
    "add_lora": "lora", "merge_lora": "lora", "LoRALinear": "lora", "DoRALinear": "lora", "eject": "ejection",
    "save_adapter": "pretrained.adapters", "load_adapter": "pretrained.adapters",
}
__all__ = list(_EXPORTS)  # from minillm import *


def __getattr__(name: str):
    if name in _EXPORTS:
        return getattr(import_module(f"minillm.{_EXPORTS[name]}"), name)
    try:
        return import_module(f"minillm.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"minillm.{name}":
            raise
    raise AttributeError(f"minillm has no {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
