"""Cut a text into chunks before any merge: words with the space before them, numbers, signs."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import regex

from minillm.tokenizers.protocol import check_text

SECONDS = 2.0  # of a processor, that a pattern may take for a text; and one for 20,000 characters
MOST_PATTERN = 10_000
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {  # where a text is cut into chunks before any merge; no token ever spans two chunks
    # Radford et al. 2019, encoder.py: a word takes the space before it along
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # tiktoken, cl100k_base; also Llama 3: digits in groups of three, any one sign may lead a word
    "gpt4": _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _REST,
    # the same with digits one by one
    "qwen2": _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _REST,
    # StarCoder and SmolLM: GPT-2's with digits one by one
    "starcoder": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+",
    # tiktoken, o200k_base: vowel signs belong to words, capitals begin them
    "gpt4o": "|".join([rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?",
                       rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?",
                       r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", _REST]),
}
# A sentence with the line ends before it, in the signs of many scripts: `BPETokenizer.train` with `words`
SENTENCES = r"\n*[^\n.!?。！？।؟]{1,200}[.!?。！？।؟]*[\"”’»]?|[.!?。！？।؟]+[\"”’»]?|\n+"


def compiled(pattern: str) -> regex.Pattern:
    """A pattern, ready to cut.  Raises ValueError where it is none, or is longer than any that is published."""
    if len(pattern) > MOST_PATTERN:
        raise ValueError(f"pattern={pattern[:40]!r}… has {len(pattern):,} characters, more than {MOST_PATTERN:,}; take "
                         f"one of: {', '.join(PATTERNS)}")
    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError, ValueError, IndexError) as error:
        raise ValueError(f"pattern={pattern[:200]!r} is no regular expression ({error}); mend it, or take one of: "
                         f"{', '.join(PATTERNS)}") from None


def cut(text: str, pattern: regex.Pattern) -> list[str]:
    """The chunks of a text.  Raises ValueError for a pattern that does not give all of it back,
    or not in a time that grows with the text: it may come from a file."""
    with _in_time(text, pattern) as limit:
        chunks = pattern.findall(text, timeout=limit)
    _check_all(sum(map(len, chunks)), len(text), pattern)
    return chunks


def count_chunks(texts: str | Iterable[str], pattern: str) -> Counter[bytes]:
    """How often each chunk occurs.  A text has few distinct ones, so all that follows is fast, and none of the others
    is kept: in memory, counting takes nothing that grows with the text."""
    ready, counts, size = compiled(pattern), Counter(), 0
    for text in [texts] if isinstance(texts, str) else texts:
        check_text(text)
        with _in_time(text, ready) as limit:
            counts.update(map(regex.Match.group, ready.finditer(text, timeout=limit)))
        size += len(text)
    _check_all(sum(len(chunk) * count for chunk, count in counts.items()), size, ready)
    return Counter({chunk.encode("utf-8"): count for chunk, count in counts.items()})


@contextmanager
def _in_time(text: str, pattern: regex.Pattern) -> Iterator[float]:
    """How many seconds a text may take; where they do not suffice, that is said."""
    limit = SECONDS + len(text) / 20_000
    try:
        yield limit
    except TimeoutError:
        raise ValueError(f"pattern={pattern.pattern!r} has not cut {len(text):,} characters in {limit:.0f} s; one that "
                         f"tries the same letters again and again, as (a+)+ does, never ends: take another") from None


def _check_all(found: int, there: int, pattern: regex.Pattern) -> None:
    if pattern.groups or found != there:
        raise ValueError(f"pattern={pattern.pattern!r} passes over some characters; add |\\s|\\S at its end, write "
                         f"(?:...) for (...), or take one of: {', '.join(PATTERNS)}")
