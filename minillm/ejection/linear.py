"""Spell linear attention and its short convolution: the library's own lines, without what only a cache needs."""
from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from minillm.config import ModelConfig
from minillm.ejection.norms import shared_norm
from minillm.ejection.source import full_layers, initial, lifted, method, said
from minillm.layers.linear import ATTENTIONS, DeltaAttention, ShortConvolution


def linear(c: ModelConfig) -> Iterator[str]:
    """The layers that keep a state, in a model that has some."""
    from minillm.ejection.parts import head_projections, kind_arguments
    if len(full_layers(c)) == c.n_layers:
        return
    if c.conv_width:
        yield lifted(ShortConvolution, d_model="D_MODEL", width="CONV_WIDTH", self_width="CONV_WIDTH")
    cls = ATTENTIONS[c.linear_attention]
    setup = head_projections(replace(c, qk_norm=None, attention="heads"))
    setup += [f"self.o_proj = nn.Linear(N_HEADS * D_HEAD, D_MODEL, bias={c.is_biased('out')})"]
    setup += ["self.rate_proj = nn.Linear(D_MODEL, "
              f"{'N_KV_HEADS' if c.n_kv_heads < c.n_heads else 'N_HEADS'}, bias=False)"] * (cls is DeltaAttention)
    setup += ["self.convolve = ShortConvolution()"] * bool(c.conv_width)
    setup += [f"self.out_norm = {'RMSNorm(D_HEAD)' if shared_norm(c) else 'OutNorm()'}"]
    setup += ["self.gate = HeadGate()"] * c.attention_gate
    known = {"self.d_head": ast.Name("D_HEAD"), "self.group": ast.Constant(c.n_heads // c.n_kv_heads),
             "self.scores": "idle"}
    known |= {} if c.conv_width else {"self.convolve": "idle"}
    known |= {} if c.attention_gate else {"self.gate": "idle"}
    known |= {} if c.n_kv_heads < c.n_heads else {"self.share": "idle"}
    names = ["forward", "written", "split", "join", *["share"] * (c.n_kv_heads < c.n_heads)]
    given = "".join(f", {name}" for name in kind_arguments(c) if name in ("window", "omega"))  # full layers need them
    methods = "\n\n".join(method(getattr(cls, name), known) for name in names)
    yield f"""class {cls.__name__}(nn.Module):
    {said(cls)}

{initial(given, setup)}
{methods}"""
