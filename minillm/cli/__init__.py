"""Do from a terminal what the notebooks do: ``minillm train shakespeare``, then ``minillm generate``."""
from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from importlib import import_module
from typing import NoReturn

COMMANDS = {  # name -> what it does, in one line; the module of that name has `define(parser)` and `run(options)`
    "train": "train a model on a text of the catalogue or on your own files",
    "generate": "let a trained model write",
    "finetune": "teach a model to answer, from your own questions and answers",
    "merge": "add what was learned beside a model to it",
    "export": "write a model as transformers opens it",
    "corpora": "list the texts that minillm knows by name, and fetch them",
    "tokenize": "show how a tokenizer cuts a text, and train tokenizers",
    "eject": "write a model as one readable file that needs PyTorch alone",
    "assign": "make assignments of notebooks, and grade what comes back",
    "notebooks": "run the notebooks and store them clean, as they are committed",
}
SETUP = {  # these need no environment yet: minillm/__main__.py has them
    "lab": "set up what is missing and open the notebooks in JupyterLab",
    "test": "set up what is missing and run every test",
}


def called() -> str:
    """How the program was called, so that what it prints can be typed: `minillm`, or `python -m minillm`."""
    as_module = sys.argv[0].replace("\\", "/").endswith("minillm/__main__.py")
    return "python -m minillm" if as_module else "minillm"


def as_called(examples: str) -> str:
    """Examples that can be typed as they stand."""
    return re.sub(r"(?<!-m )\bminillm (?=[a-z])", f"{called()} ", examples)


EXAMPLES = """\
examples:
  python -m minillm lab                        open the notebooks
  minillm train shakespeare                    a model that writes like Shakespeare, in about two minutes
  minillm generate runs/shakespeare            what it has learned
  minillm train --help                         every choice there is
"""


class Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keep the examples as they are written, and say what each option is when it is left out."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Say in one sentence what was not understood, and where to read more."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` says what there is\n")


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    module = import_module(f"minillm.cli.{name}")
    parser = Parser(prog=f"{called()} {name}", description=module.__doc__.strip(),
                    epilog=as_called(module.EXAMPLES), formatter_class=Help)
    module.define(parser)
    return parser


def given(name: str, arguments: list[str]) -> set[str]:
    """Which options were typed, among them those whose value is the usual one."""
    parser = parser_of(name)
    for action in parser._actions:  # argparse itself keeps no record of what was typed
        action.default = argparse.SUPPRESS if action.option_strings else None  # a word may be left out
    return {name for name, value in vars(parser.parse_args(arguments)).items() if value not in (None, [])}


def overview() -> str:
    """What `minillm --help` says."""
    rows = [f"  {name:<10} {line}" for name, line in {**SETUP, **COMMANDS}.items()]
    return "\n".join([f"usage: {called()} COMMAND …\n\n{__doc__.strip()}\n\ncommands:", *rows,
                      f"\n{called()} COMMAND --help says more about one.\n", as_called(EXAMPLES)])


def main(arguments: list[str]) -> int:
    """Run one command.  Returns the exit code: 0 done, 1 refused (the reason is on stderr), 2 not understood."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        from difflib import get_close_matches
        near = get_close_matches(name, {**SETUP, **COMMANDS}, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join({**SETUP, **COMMANDS})}"
        print(f"minillm: no command is called {name!r}; {hint}", file=sys.stderr)
        return 2
    speak_utf8()
    options = parser_of(name).parse_args(arguments[1:])
    options.given = given(name, arguments[1:])
    try:
        return import_module(f"minillm.cli.{name}").run(options)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError, FloatingPointError, ImportError, MemoryError, RuntimeError) as error:
        print(f"minillm {name}: {in_words(error)}", file=sys.stderr)
    return 1


def speak_utf8() -> None:
    """Read and write UTF-8 in files and pipes, whatever the system's own encoding is (Windows has several).

    A name that is no text (of a file from an old archive) is written with each strange byte as \\udcNN.
    """
    for stream, errors in ((sys.stdin, None), (sys.stdout, "backslashreplace"), (sys.stderr, "backslashreplace")):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors=errors)


def in_words(error: Exception) -> str:
    """What happened and the way out; an error that is ours to mend goes on as it is."""
    text = str(error)
    if isinstance(error, MemoryError) or "alloc" in text and "memory" in text or "out of memory" in text:
        return (f"there is not enough memory ({text.partition(chr(10))[0] or 'for what was asked'}); "
                "take a smaller --size, --batch, --micro-batch or --context")
    if isinstance(error, RuntimeError):
        raise error
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}; {WAYS_OUT.get(error.errno, 'check the name')}"
    if isinstance(error, UnicodeDecodeError):
        return f"the input is not UTF-8 text ({error}); save it as UTF-8 and try again"
    return text


WAYS_OUT = {errno.ENOENT: "make its folder first, or check the spelling", errno.EISDIR: "name a file in it",
            errno.EEXIST: "choose another name", errno.ENOTDIR: "choose another name",
            errno.EACCES: "choose a place of your own, or have its permissions changed",
            errno.EROFS: "choose another place", errno.ENOSPC: "make room, or choose another disk"}
