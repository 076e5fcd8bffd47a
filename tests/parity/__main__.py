"""Print the parity table: python -m tests.parity"""
from __future__ import annotations

import sys

from tests.parity.comparison import CAUGHT, compare
from tests.parity.references import CONFIGS


def main() -> int:
    print(f"{'family':<19}{'|Δ| fp32':>10}{'|Δ| fp64':>10}   {'32 greedy tokens':<17}mistakes")
    failed = False
    for name in CONFIGS:
        result = compare(name)
        same = "equal" if result.greedy and result.greedy_cached else "DIFFERENT"
        found = sum(difference > CAUGHT for difference in result.caught.values())
        mistakes = f"{found} of {len(result.caught)} noticed"
        print(f"{name:<19}{result.fp32:>10.1e}{result.fp64:>10.1e}   {same:<17}{mistakes}")
        failed |= not result.holds
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
