"""Check and time a device in one run, five minutes at most on a GPU: ``python -m tests.device [part ...]``.

What a GPU computes is compared with the CPU; then it trains at three sizes beside transformers and plain lines, and
learns a text for a minute.  Where there is no GPU the CPU stands in for it, with smaller sizes.
"""
from __future__ import annotations

import argparse
import sys
import time

import torch

from minillm.precision import choose_device, device_name, processor_name
from tests.benchmarks.timing import show
from tests.device.checks import CHECKS

SPEEDS = ("speed", "minute")


def check(name: str, device: torch.device) -> bool:
    """One line for each comparison; does all of it hold?"""
    holds = True
    try:
        for what, found, most in CHECKS[name](device):
            right = found <= most  # NaN is not
            holds &= right
            print(f"{name:12} {what:44} {found:10.1e} {'≤' if right else '>'} {most:<8.1e} "
                  f"{'holds' if right else 'WRONG'}", flush=True)
    except Exception as error:  # one that breaks off shall not hide what the others find
        said = (str(error).splitlines() or [""])[0]
        print(f"{name:12} {type(error).__name__}: {said}  WRONG", flush=True)
        return False
    return holds


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 where a comparison does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.device", description=__doc__.split("\n\n")[1])
    every = (*CHECKS, *SPEEDS)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(every)} (all if left out)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--text", help="a file to learn from (our stories if left out)")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes: is the script itself alive?")
    options = parser.parse_args(arguments)
    parts = options.parts or every
    if wrong := [part for part in parts if part not in every]:
        parser.error(f"no part is called {wrong[0]!r}; there are {', '.join(every)}")
    device, began = choose_device(options.device), time.perf_counter()
    print(f"{device_name(device)} and {processor_name()}, PyTorch {torch.__version__}, CUDA "
          f"{torch.version.cuda or 'none'}\n")
    results = [check(part, device) for part in parts if part in CHECKS]
    if speeds := [part for part in parts if part in SPEEDS]:
        from tests.device import speeds as measures  # loads transformers
        amount = measures.QUICK if options.quick else measures.GPU if device.type == "cuda" else measures.CPU
        print()
        for part in speeds:
            more = {"text": options.text} if part == "minute" else {}
            show(getattr(measures, part)(device, amount, lambda line: print(line, flush=True), **more))
    wrong = results.count(False)
    print(f"\n{len(results) - wrong} of {len(results)} parts hold; {time.perf_counter() - began:.0f} s in all")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
