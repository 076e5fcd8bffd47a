"""Say how far RoPE's wavelengths are stretched."""
from __future__ import annotations

from dataclasses import dataclass, fields

from minillm.fields import check_type, require


@dataclass(frozen=True)
class RopeScaling:
    """Stretch RoPE's wavelengths so that a model reads further than it was trained to.

    ``linear`` divides every angle by `factor` (Chen et al. 2023, arXiv:2306.15595).  ``llama3`` does so only for
    wavelengths longer than original_context / low_freq, leaves those shorter than original_context / high_freq
    alone, and blends between (Llama Team 2024, arXiv:2407.21783).  ``yarn`` blends from pair to pair instead, from
    the last that turns at least high_freq times in the original context to the first that turns at most low_freq
    times, and multiplies scores by (1 + sharpen ln factor)², as more keys would blur them (Peng et al. 2023,
    arXiv:2309.00071).
    """
    kind: str = "linear"
    factor: float = 1.0
    low_freq: float = 1.0
    high_freq: float = 4.0
    original_context: int = 8192
    sharpen: float = 0.0                   # yarn alone: 0.1 in its paper, 0.0707 in DeepSeek-V2

    def __post_init__(self):
        if self.kind not in ("linear", "llama3", "yarn"):
            raise ValueError(f"RopeScaling kind={self.kind!r} is not one of: linear, llama3, yarn")
        for field in fields(self):
            check_type(field, getattr(self, field.name))
        require(self.factor > 0, f"RopeScaling factor={self.factor} must be above 0; 1 leaves all as it is")
        require(self.original_context >= 1,
                f"RopeScaling original_context={self.original_context} must be at least 1 token")
        require(self.kind == "linear" or 0 < self.low_freq < self.high_freq,
                f"RopeScaling low_freq={self.low_freq} must be above 0 and below high_freq={self.high_freq}: between "
                f"them it blends")
        if self.sharpen and self.kind != "yarn":
            raise ValueError(f"RopeScaling sharpen={self.sharpen} belongs to yarn, not to {self.kind}; leave it 0")
