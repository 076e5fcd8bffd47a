"""Write one configuration as one file: only the parts in use, no branches, nothing needed but PyTorch."""
from __future__ import annotations

import re
from dataclasses import replace

from minillm.config import ModelConfig, canonical
from minillm.costs import parameters
from minillm.ejection.linear import linear
from minillm.ejection.norms import norms
from minillm.ejection.parts import attention, block, gating, mlps, transformer
from minillm.ejection.positions import positions
from minillm.ejection.source import pattern
from minillm.layers.position import frequencies
from minillm.layers.stretching import blended
from minillm.model import labels

MAIN = """if __name__ == "__main__":
    model = Transformer()
    print(model)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")"""


def eject(config: ModelConfig) -> str:
    """The source of a file whose `Transformer()` is `minillm.Transformer(config)`, spelled for this config alone.

    Parameters have the same names, so ``load_state_dict(model.state_dict())`` fills it, and then the logits are
    equal.  Blocks and MLPs are the library's own lines; the other parts have one template for each choice.
    There is no cache in it, and attention is written as its three lines.
    """
    c = replace(canonical(config), dropout=config.dropout)
    body = "\n\n\n".join((*norms(c), *positions(c), *gating(c), *linear(c), *attention(c), *mlps(c), block(c),
                            transformer(c), MAIN))
    body = re.sub(r"\n\n\n+(?= )", "\n\n", body)  # where a part has nothing to set up
    used = [(name, value, said) for name, value, said in constants(c) if re.search(rf"\b{name}\b", body)]
    lines = [f"{name} = {value}" + (f"  # {said}" if said else "") for name, value, said in used]
    functional = ["import torch.nn.functional as F"] if re.search(r"\bF\.", body) else []
    imports = ["import torch", *functional, "from torch import nn"]
    return "\n".join([head(c), "", *imports, "", *lines, "", "", body, ""])


def head(c: ModelConfig) -> str:
    """What the file is, and how to fill it with weights."""
    latent = f" Keys and values are read from a latent of {c.d_latent:,} numbers." * (c.attention == "latent")
    order, norm, position, mlp = (labels(name)[getattr(c, name)] for name in ("norm_order", "norm", "position", "mlp"))
    what = f"{order[0].upper()}{order[1:]} ({norm}), {position}, {mlp}"
    mixture = f" in {c.n_experts} experts" if c.n_experts else ""
    return f'''\
"""A language model of {sum(parameters(c).values()):,} parameters in one file that needs PyTorch alone.

{what}{mixture}.
{c.n_layers} layers of {c.n_heads} heads, made for texts of up to {c.context_length:,} tokens.{latent}
Its weights have the names of the minillm model that it was written from:

    model = Transformer()
    model.load_state_dict(weights)  # the other's state_dict()
    logits = model(tokens)          # (batch, seq) of token ids -> (batch, seq, {c.vocab_size:,})
"""'''


def constants(c: ModelConfig) -> list[tuple[str, object, str]]:
    """Every number that a part may use: its name, its value and what it is."""
    s, turned = c.rope_scaling, int(c.d_rotary * c.rope_fraction)
    whole = int if s and s.whole_pairs else float
    first, last = map(whole, blended(frequencies(turned, c.rope_theta), s)) if s and s.kind == "yarn" else (0, 0)
    return [
        ("VOCAB_SIZE", c.vocab_size, ""), ("CONTEXT_LENGTH", c.context_length, "tokens"),
        ("N_LAYERS", c.n_layers, ""), ("LAYERS", pattern(c), "from the first to the last"),
        ("D_MODEL", c.d_model, "width of the residual stream"), ("N_HEADS", c.n_heads, ""),
        ("N_KV_HEADS", c.n_kv_heads, f"{c.n_heads // c.n_kv_heads} query heads share a key head"),
        ("D_HEAD", c.d_head, ""), ("D_LATENT", c.d_latent, "all that keys and values are read from"),
        ("D_QUERY", c.d_query, "all that queries are read from"),
        ("D_ROTARY", c.d_rotary, "width of the key that tells the position"),
        ("D_TURNED", turned, "components of a head that RoPE turns"),
        ("D_FF", c.d_ff, ""), ("D_EXPERT", c.d_expert, "width of an expert"), ("N_EXPERTS", c.n_experts, ""),
        ("EXPERTS_PER_TOKEN", c.experts_per_token, ""),
        ("N_GROUPS", c.n_expert_groups, "of experts"), ("GROUPS_PER_TOKEN", c.groups_per_token, ""),
        ("N_SHARED_EXPERTS", c.n_shared_experts, "visited by every token"),
        ("CONV_WIDTH", c.conv_width, "tokens that a short convolution mixes"),
        ("WINDOW", c.window, "positions that a query sees, itself included"),
        ("THETA", c.rope_theta, "RoPE's longest wavelength is about 2π theta"),
        ("LOCAL_THETA", c.rope_theta_local, "the same in windowed layers"),
        ("STRETCH", s and s.factor, "RoPE's wavelengths grow by this"),
        ("ORIGINAL_CONTEXT", s and s.original_context, "tokens, before the stretch"),
        ("LOW_FREQ", s and s.low_freq, "fewer turns in the original context: stretched"),
        ("HIGH_FREQ", s and s.high_freq, "more turns: left alone"),
        ("LAST_KEPT", first, "the last pair that keeps its speed"),
        ("FIRST_STRETCHED", last, "the first pair that keeps none of it"),
        ("ATTENTION_SCALE", c.attention_scale, ""), ("ATTENTION_CAP", c.attention_softcap, ""),
        ("LOGIT_CAP", c.logit_softcap, ""), ("NORM_EPS", c.norm_eps, ""), ("DROPOUT", c.dropout, ""),
    ]
