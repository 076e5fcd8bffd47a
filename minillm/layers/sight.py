"""Say which positions a query may look at."""
from __future__ import annotations

import sys

from jaxtyping import Bool, Int
from torch import Tensor


def visible(query: Int[Tensor, "query"], key: Int[Tensor, "key"], window: int = sys.maxsize
            ) -> Bool[Tensor, "query key"]:
    """Which positions a query may look at: itself and those before it, the last `window` in all."""
    distance = query[:, None] - key[None, :]
    return (distance >= 0) & (distance < window)
