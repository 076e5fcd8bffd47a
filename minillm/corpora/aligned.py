"""Lay one text beside its translations, paragraph by paragraph."""
from __future__ import annotations

from minillm.corpora.catalogue import load, names

PREFIX = "parallel-"
NOT_ALIGNED = ("code", "emoji", "mixed")  # samples of other kinds of text, beside the translations


def parallel() -> dict[str, list[str]]:
    """{language: paragraphs} of the history that ships in many languages; paragraph i says the same in each.

    So tokens compare fairly: {language: len(tokenizer.encode(" ".join(text))) for … in parallel().items()}.
    """
    texts = {name.removeprefix(PREFIX): load(name) for name in names(shipped=True) if name.startswith(PREFIX)}
    return {language: corpus.text.strip().split("\n\n")
            for language, corpus in texts.items() if language not in NOT_ALIGNED}
