"""Take the language model out of a published model of several senses, and leave the others by name."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

WRAPPERS = {"gemma3": "gemma3_text", "mistral3": "mistral", "llava": "llama"}  # and which language model is usual
SENSES = ("vision_tower.", "multi_modal_projector.")
ROLES = ("bos_token_id", "eos_token_id", "pad_token_id")
USUAL = {  # sizes that these files leave out: those of the language model's class in transformers
    "gemma3_text": dict(vocab_size=262208, hidden_size=2304, intermediate_size=9216, num_hidden_layers=26,
                        num_attention_heads=8, num_key_value_heads=4, head_dim=256),
    "mistral": dict(vocab_size=32000, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
                    num_attention_heads=32),
    "llama": dict(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
                  num_attention_heads=32)}


def text_of(theirs: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The settings of the language model inside, or those that are given where it is not inside of anything.

    Its unembedding is its embedding where neither says otherwise and the weights, by their `names`, hold no other.
    """
    text, kind = theirs.get("text_config"), theirs.get("model_type")
    if "text_config" not in theirs and "vision_config" not in theirs:
        return theirs
    if kind not in tuple(WRAPPERS) or not isinstance(text, dict):
        raise ValueError(f"model_type={kind!r} is a model of several senses (text_config, vision_config), whose "
                         f"language model is not opened by itself here; opened are those inside of "
                         f"{', '.join(WRAPPERS)}; choose one of these, or a checkpoint for text alone")
    inner = text.get("model_type", WRAPPERS[kind])
    tied = [told["tie_word_embeddings"] for told in (theirs, text) if told.get("tie_word_embeddings") is not None]
    alone = not any(name.endswith("lm_head.weight") for name in names)
    return (USUAL.get(inner, {}) if isinstance(inner, str) else {}) | text | {
        "model_type": inner, "tie_word_embeddings": any(tied) if tied else alone,
        **{role: theirs[role] for role in ROLES if theirs.get(role) is not None}}


def inner_name(name: str) -> str | None:
    """A tensor's name within the language model; None for one of another sense."""
    if name.removeprefix("model.").startswith(SENSES):
        return None
    if name.startswith("model.language_model."):
        return "model." + name.removeprefix("model.language_model.")
    return name.removeprefix("language_model.")
