"""Run the notebooks top to bottom and store them clean, as they are committed.

A notebook that did not change stays the same file, byte for byte.  Badges, Colab's set-up cell and the points of the
exercises are written anew from their one home (pyproject.toml and exercises.py of each lesson).
"""
from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  minillm notebooks                      run all of notebooks/ and store what changed
  minillm notebooks 01_tokenization      one of them
  minillm notebooks --check              change nothing, and fail if one would change
  minillm notebooks --times              and write into README.md how long each took; for a quiet machine
  minillm notebooks --no-run             only clean them and write badge and set-up cell
"""


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="notebooks, by name or path; all of notebooks/ when left out")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a notebook would change")
    parser.add_argument("--no-run", action="store_true", help="do not run the cells")
    parser.add_argument("--times", action="store_true", help="write how long each took into README.md")


def run(options: argparse.Namespace) -> int:
    from minillm.notebook.stored import refresh_all
    if options.times and (options.no_run or options.check):
        raise ValueError("--times says how long running takes; leave --no-run and --check out")
    return refresh_all(options.names, check=options.check, run=not options.no_run, times=options.times)
