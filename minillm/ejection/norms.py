"""Spell the norms of one configuration: the library's own lines, for one width, with or without what they learn."""
from __future__ import annotations

from collections.abc import Iterator

from minillm.config import ModelConfig
from minillm.ejection.source import lifted, said
from minillm.layers.norm import NORMS, HeadNorm, RMSNorm, Softcap


def norms(c: ModelConfig) -> Iterator[str]:
    """The norms in use, and the softcap."""
    yield norm(NORMS[c.norm], width="width" if shared_norm(c) else "D_MODEL", weight=c.norm_weight)
    if c.qk_norm == "head":
        yield norm(RMSNorm, described=HeadNorm, name="HeadNorm", width="D_HEAD")
    if c.qk_norm == "full" and not shared_norm(c):
        yield norm(RMSNorm, name="QueryKeyNorm", width="width")
    if any(map(c.is_linear, range(c.n_layers))) and not shared_norm(c):
        yield norm(RMSNorm, name="OutNorm", width="D_HEAD")
    if c.attention == "latent" and not shared_norm(c):
        yield norm(RMSNorm, name="LatentNorm", width="width" if c.d_query else "D_LATENT")
    if c.attention_softcap or c.logit_softcap:
        yield f"""def softcap(x, c):
    {said(Softcap)}
    return c * torch.tanh(x / c)"""


def norm(cls: type, *, described: type | None = None, name: str = "", width: str, weight: bool = True) -> str:
    """A norm of one width, or of any ("width"), with or without what it learns."""
    return lifted(cls, described=described, name=name, arguments=", width" * (width == "width"),
                  extra="" if weight else "Here nothing is learned: gains are 1, shifts 0.",
                  d_model=width, weight=str(weight), eps="NORM_EPS", self_eps="NORM_EPS")


def shared_norm(c: ModelConfig) -> bool:
    """Does one class normalise both the stream and something of another width: all queries at once, or a latent?"""
    several = c.qk_norm == "full" or c.attention == "latent" or c.linear_attention
    return bool(several) and c.norm == "rmsnorm" and c.norm_weight


def norm_of(c: ModelConfig) -> str:
    """How a norm of the residual stream is made."""
    return f"{NORMS[c.norm].__name__}({'D_MODEL' if shared_norm(c) else ''})"
