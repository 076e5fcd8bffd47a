"""Spell the norms of one configuration."""
from __future__ import annotations

from collections.abc import Iterator

from minillm.config import ModelConfig
from minillm.ejection.source import initial, said
from minillm.layers.norm import NORMS, HeadNorm, LayerNorm, RMSNorm, Softcap


def norms(c: ModelConfig) -> Iterator[str]:
    """The norms in use, and the softcap."""
    if c.norm == "rmsnorm":
        yield rms_norm(RMSNorm, "RMSNorm", "" if not c.norm_weight else "width" if shared_norm(c) else "D_MODEL")
    else:
        start = initial("", ["self.weight = nn.Parameter(torch.ones(D_MODEL))",
                             "self.bias = nn.Parameter(torch.zeros(D_MODEL))"] * c.norm_weight)
        yield f"""class LayerNorm(nn.Module):
    {said(LayerNorm, "" if c.norm_weight else "Here without w and b: w = 1, b = 0.")}

{start}
    def forward(self, x):
        return F.layer_norm(x, (D_MODEL,), {"self.weight, self.bias, NORM_EPS" if c.norm_weight else "eps=NORM_EPS"})"""
    if c.qk_norm == "head":
        yield rms_norm(HeadNorm, "HeadNorm", "D_HEAD")
    if c.qk_norm == "full" and not shared_norm(c):
        yield rms_norm(RMSNorm, "QueryKeyNorm", "width")
    if c.attention == "latent" and not shared_norm(c):
        yield rms_norm(RMSNorm, "LatentNorm", "D_LATENT")
    if c.attention_softcap or c.logit_softcap:
        yield f"""def softcap(x, c):
    {said(Softcap)}
    return c * torch.tanh(x / c)"""


def rms_norm(described: type, name: str, width: str) -> str:
    """A root-mean-square norm of one width, of any ("width"), or without a gain ("")."""
    gain = [f"self.weight = nn.Parameter(torch.ones({width}))"] if width else []
    start = initial(", width" if width == "width" else "", gain)
    return f"""class {name}(nn.Module):
    {said(described, "" if width else "Here without the gain: w = 1.")}

{start}
    def forward(self, x):
        return {"self.weight * " if width else ""}x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPS)"""


def shared_norm(c: ModelConfig) -> bool:
    """Does one class normalise both the stream and something of another width: all queries at once, or a latent?"""
    return (c.qk_norm == "full" or c.attention == "latent") and c.norm == "rmsnorm" and c.norm_weight


def norm_of(c: ModelConfig) -> str:
    """How a norm of the residual stream is made."""
    return f"{NORMS[c.norm].__name__}({'D_MODEL' if shared_norm(c) else ''})"
