"""Train a model on a text, watch the loss fall, and keep what it learned in a folder."""
from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from minillm.cli.numbers import COUNT, SEED, number
from minillm.cli.words import LEARNED, MAX_MB, MOST_MB, TOKENIZERS

EXAMPLES = """\
examples:
  minillm train shakespeare                           a name from `minillm corpora`; two minutes, character by character
  minillm train mine.txt other.txt --minutes 10       your own files, mixed
  minillm train kalila --tokenizer bpe --vocab-size 2048
  minillm train shakespeare --preset llama-3-8b --size nano --set norm=layernorm --steps 1000
  minillm train --resume runs/shakespeare             go on where Ctrl-C stopped it
  torchrun --nproc-per-node 2 -m minillm train shakespeare        two processes share each batch

Ctrl-C stops after the step that is being made, saves, and says how to go on.
"""
MAY_CHANGE = ("resume", "steps", "minutes", "device", "fsdp", "evaluations", "threads")  # when a run goes on


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="names of texts, or files; several are mixed")
    model = parser.add_argument_group("the model")
    model.add_argument("--tokenizer", default="char", metavar="WHICH",
                       help=f"one of {', '.join(TOKENIZERS)}, or a folder that holds a tokenizer")
    model.add_argument("--vocab-size", type=COUNT, default=1024, metavar="N", help="tokens to learn, bytes included")
    model.add_argument("--preset", metavar="NAME", help="a published architecture (gpt2, llama-3-8b, …) instead of "
                       "minillm's own")
    model.add_argument("--size", choices=("nano", "small", "full"), default="small",
                       help="nano and small fit a laptop; full is the preset's published size")
    model.add_argument("--context", type=COUNT, metavar="N", help="how many tokens it sees at once")
    model.add_argument("--set", action="append", metavar="FIELD=VALUE", dest="fields",
                       help="any field of ModelConfig, for instance n_layers=6 or position=alibi; may be repeated")
    learning = parser.add_argument_group("how it learns")
    length = learning.add_mutually_exclusive_group()
    length.add_argument("--steps", type=COUNT, metavar="N", help="how many steps to make")
    length.add_argument("--minutes", type=number(float, above=0), metavar="M",
                        help="how long to train, evaluations aside (2, unless --steps is given)")
    learning.add_argument("--batch", type=COUNT, metavar="N",
                          help="sequences per step (8, unless said otherwise)")
    learning.add_argument("--micro-batch", type=COUNT, metavar="N", help="of them in memory at a time")
    learning.add_argument("--optimizer", choices=("muon", "adamw"), default="muon", help="by which rule")
    learning.add_argument("--lr", type=number(float, above=0), metavar="X",
                          help="learning rate; the optimizer's usual one if left out")
    learning.add_argument("--seed", type=SEED, default=0, metavar="N",
                          help="the same seed makes the same model, in fp32 to the bit")
    learning.add_argument("--precision", choices=("auto", "fp32", "medium", "bf16", "fp16"), default="auto",
                          help="auto takes the fastest here and says which; fp32 is exactly repeatable")
    where = parser.add_argument_group("where")
    where.add_argument("--out", metavar="FOLDER", help="what to write; runs/TEXT if left out")
    where.add_argument("--resume", metavar="FOLDER", help="go on with the run in this folder")
    where.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    where.add_argument("--threads", type=number(least=1, most=1024), metavar="N", help="of a CPU; if left out, the "
                       "fastest here, which it says (with --precision fp32 as many as PyTorch takes, for the bits hang "
                       "on it)")
    where.add_argument("--fsdp", action="store_true", help="under torchrun, split the weights over the processes too")
    where.add_argument("--evaluations", type=number(least=1, most=1_000_000), default=10, metavar="N",
                       help="how often to look at the validation part, and save")
    where.add_argument("--max-mb", type=number(float, above=0, most=MOST_MB), default=MAX_MB, metavar="MB",
                       help="refuse files larger than this")


SAVED = {  # what a run keeps of itself
    "step": range(2 ** 63), "seconds": float, "text": str, "precision": str, "scaler": dict, "optimizer": dict,
    "threads?": range(1, 1025), "options": {
        "texts": [str], "tokenizer": str, "vocab_size": int, "preset?": str, "size": str, "context?": int,
        "fields?": [str], "steps?": int, "minutes?": float, "batch?": int, "micro_batch?": int, "optimizer": str,
        "lr?": float, "seed": int, "precision": str, "out?": str, "device?": str, "threads?": int, "fsdp?": bool,
        "evaluations": int, "max_mb": float, "base?": str}}


def run(options: argparse.Namespace) -> int:
    from minillm.checkpoints import load_state
    from minillm.cli.job import Job
    from minillm.cli.processes import joined, leave
    from minillm.disk import alone
    saved, typed = None, vars(options).pop("given")
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started, one writes
    with alone(options.resume) if first and options.resume and os.path.isdir(options.resume) else nullcontext():
        if options.resume:
            saved = load_state(options.resume)
            if "options" not in saved:
                raise ValueError(f"{options.resume} was not made by `minillm train`, which would know its text and "
                                 "settings; go on with it from Python: minillm.checkpoints.load_state")
            check_saved(saved, options.resume)
            options = _go_on_with(saved["options"], options, typed)
        elif not options.texts:
            raise ValueError("name a text to learn from, say `minillm train shakespeare`; `minillm corpora` lists them")
        elif "vocab_size" in typed and options.tokenizer not in LEARNED:
            raise ValueError(f"--vocab-size is learned by {', '.join(LEARNED)}; {options.tokenizer} has a size "
                             f"of its own: leave it out, or add --tokenizer bpe")
        if options.steps is None and options.minutes is None:
            options.minutes = 2.0
        with joined(options.device) as team:
            job = Job(options, saved, team)
            with told_to_end() as told:
                code = job.work(told)
    if team.together:
        leave(code)
    return code


def check_saved(saved: dict, folder: str) -> None:
    """Refuse what no run keeps of itself, and options that could not have been typed."""
    from minillm.cli import parser_of
    from minillm.reading import check
    source = f"the state in {folder}"
    check(saved, SAVED, source)
    parser, options = parser_of("train"), saved["options"]
    actions = {action.dest: action for action in parser._actions}
    if strange := sorted(map(str, {*options} - {*actions, "base"})):
        raise ValueError(f"{source} was not kept by `minillm train`, which has no option {strange[0]!r}")
    for name, value in options.items():
        action = actions.get(name)
        if action and value is not None and (action.type or action.choices):
            try:
                parser._check_value(action, parser._get_value(action, str(value)))
            except argparse.ArgumentError as error:
                raise ValueError(f"{source} was not kept by `minillm train`: {error}") from None


@contextmanager
def told_to_end() -> Iterator[list[int]]:
    """A list that fills when the reader (Ctrl-C), the system (SIGTERM) or a terminal that is closed (SIGHUP, unless
    nohup has it ignored) asks this program to end: between two steps it then saves, so that what is saved is whole.
    A second Ctrl-C is obeyed at once."""
    told: list[int] = []

    def note(number, frame):
        told.append(number)
        if told.count(signal.SIGINT) > 1:
            raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _go_on_with(saved: dict, options: argparse.Namespace, typed: set[str]) -> argparse.Namespace:
    """The options of the run that goes on; only how long and where may be new."""
    new = {name: value for name, value in vars(options).items() if name in typed}
    for name, value in new.items():
        if name not in MAY_CHANGE and value != saved.get(name):
            said = {"fields": "--set", "texts": "text"}.get(name, f"--{name.replace('_', '-')}")
            raise ValueError(f"a resumed run keeps its own {said}; leave it out, or begin a new run")
    base = os.path.join(os.path.realpath(options.resume), saved.get("base", "."))
    saved = {**saved, "texts": [os.path.join(base, text) if not os.path.exists(text)
                                and os.path.isfile(os.path.join(base, text)) else text for text in saved["texts"]]}
    if {"steps", "minutes"} & set(new):
        saved = {**saved, "steps": None, "minutes": None}
    return argparse.Namespace(**{**saved, "fsdp": False, "device": "auto", "threads": None, **new})
