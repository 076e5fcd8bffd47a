"""List the texts that minillm knows by name, and fetch them into the cache."""
from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  minillm corpora                     all texts: name, language, size, title, author
  minillm corpora --language ar       only those in Arabic
  minillm corpora get kalila faust    fetch two of them now, for a train ride without a network
  minillm corpora show kalila         what is known about one, and how it begins
"""


def define(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "get", "show"), default="list", help="what to do")
    parser.add_argument("names", nargs="*", metavar="NAME", help="with which texts; list: with all")
    parser.add_argument("--language", metavar="CODE", help="only texts in this language: en, ar, …")


def run(options: argparse.Namespace) -> int:
    from minillm import corpora
    if options.language and (options.names or options.action != "list"):
        raise ValueError(f"--language {options.language} chooses from the whole list; beside "
                         f"{'names' if options.names else options.action} it has no meaning: leave one out")
    if options.action == "list":
        names = options.names or corpora.names(language=options.language)
        if not names:
            known = sorted({card.language for card in map(corpora.card, corpora.names())} - {""})
            raise ValueError(f"no text is in {options.language!r}; there are texts in {', '.join(known)}")
        for card in map(corpora.card, names):
            size = f"{card.characters / 1000:,.0f}k" if card.characters else "–"
            author = f", {card.author}" if card.author else ""
            ships = "  (ships)" if card.shipped else ""
            print(f"{card.name:<20} {card.language:<4} {size:>7}  {card.title}{author}{ships}")
        return 0
    if not options.names:
        raise ValueError(f"name the texts to {options.action}; `minillm corpora` lists them")
    for name in options.names:
        corpus = corpora.load(name)
        print(f"{name}: {corpus.characters:,} characters, ready")
        if options.action == "show":
            known = [("title", corpus.title), ("author", corpus.author), ("year", corpus.year),
                     ("language", corpus.language), ("script", corpus.script), ("licence", corpus.licence),
                     ("note", corpus.note)]
            print("".join(f"  {word:<9} {value}\n" for word, value in known if value))
            print(corpus.text[:400].rstrip(), "…")
    return 0
