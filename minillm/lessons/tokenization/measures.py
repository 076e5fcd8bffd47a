"""Measure tokenizers on one text in 19 languages, and show a text as coloured tokens."""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import cache

import numpy as np

from minillm import corpora
from minillm.notebook import plots
from minillm.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, SentencePieceTokenizer, Tokenizer

LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "de": "German", "tr": "Turkish", "vi": "Vietnamese",
             "ru": "Russian", "el": "Greek", "ar": "Arabic", "he": "Hebrew", "hi": "Hindi", "bn": "Bengali",
             "ta": "Tamil", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "th": "Thai", "ka": "Georgian",
             "am": "Amharic"}
KNOWN = 20          # paragraphs of each language to learn from; the other eight are unseen


@cache
def halves() -> tuple[dict[str, str], dict[str, str]]:
    """{language: text} of one history in 19 languages: the part to learn from, and the part no tokenizer has seen."""
    paragraphs = {language: text for language, text in corpora.parallel().items() if language in LANGUAGES}
    return ({language: "\n\n".join(text[:KNOWN]) for language, text in paragraphs.items()},
            {language: "\n\n".join(text[KNOWN:]) for language, text in paragraphs.items()})


@cache
def family() -> dict[str, Tokenizer]:
    """The tokenizers that notebook 01 compares, learnt from the known half; Unigram's pieces ship."""
    known, _ = halves()
    return {"characters": CharTokenizer.train(known.values()),
            "bytes": ByteTokenizer(),
            "BPE, English": BPETokenizer.train(known["en"], 4096, special=()),
            "BPE, 19 languages": BPETokenizer.train(known.values(), 4096, special=(), pattern="gpt4o"),
            "Unigram, 19 languages": SentencePieceTokenizer.load(corpora.data_folder() / "tokenizers" / "unigram-19")}


def bits_per_byte(tokenizer: Tokenizer, known: str, unseen: str, *, added: float = 0.1) -> float:
    """What a text costs under the smoothed frequencies of its tokens, whatever the tokens are.

    $$
    \\text{bpb} = -\\frac{1}{N_{bytes}} \\sum_t \\log_2 \\frac{n(w_t) + \\kappa}{N_{tokens} + \\kappa V}
    $$

    n(w) counts token w among the N_tokens tokens of `known`; κ is what is `added` to each count; N_bytes is the number
    of bytes of `unseen`, w_t its t-th token; V the vocabulary's size.
    """
    counts = Counter(tokenizer.encode(known))
    total = counts.total() + added * tokenizer.vocab_size
    return -sum(math.log2((counts[t] + added) / total) for t in tokenizer.encode(unseen)) / len(unseen.encode())


COMPARED = ("bytes", "BPE, English", "BPE, 19 languages", "Unigram, 19 languages")


@cache
def measured() -> dict[str, np.ndarray]:
    """Each measure as (languages, tokenizers), on paragraphs that no tokenizer has seen."""
    known, unseen = halves()
    tokenizers = [family()[name] for name in COMPARED]
    tokens = np.array([[len(t.encode(unseen[language])) for t in tokenizers] for language in LANGUAGES])
    characters = np.array([[len(unseen[language])] for language in LANGUAGES])
    sizes = np.array([[len(unseen[language].encode())] for language in LANGUAGES])
    bits = np.array([[bits_per_byte(t, known[each], unseen[each]) for t in tokenizers] for each in LANGUAGES])
    return {"tokens, compared with English": tokens / tokens[0], "tokens per character": tokens / characters,
            "bytes per token": sizes / tokens, "bits per byte": bits}


SIZES = (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
FOLLOWED = {"en": plots.BLUE, "ru": plots.ORANGE, "ar": plots.GREEN, "hi": plots.RED, "zh": plots.PURPLE}


@cache
def growth() -> tuple[BPETokenizer, dict[str, list[float]]]:
    """One large vocabulary, and bytes per token on unseen text for each of its beginnings, by language."""
    known, unseen = halves()
    largest = BPETokenizer.train(known.values(), SIZES[-1], special=(), pattern="gpt4o")
    smaller = [BPETokenizer(largest.tokens[:size], special=(), pattern="gpt4o") for size in SIZES]
    return largest, {language: [len(unseen[language].encode()) / len(tokenizer.encode(unseen[language]))
                                for tokenizer in smaller] for language in FOLLOWED}


def two_by_three(values: Mapping[tuple[str, str], float], ylabel: str) -> plots.Picture:
    """Bars for algorithm × training text."""
    figure = plots.picture(height=300, title="Which matters more: the algorithm, or the text it learnt from?")
    ax = plots.axes(figure, ylabel=ylabel)
    algorithms, texts = list(dict.fromkeys(a for a, _ in values)), list(dict.fromkeys(t for _, t in values))
    for i, algorithm in enumerate(algorithms):
        heights = [values[algorithm, each] for each in texts]
        bars = ax.bar([x + 0.38 * (i - 0.5) for x in range(len(texts))], heights, width=0.36, label=algorithm,
                      color=plots.COLOURS[{"BPE": "bpe", "Unigram": "unigram"}[algorithm]])
        ax.bar_label(bars, [f"{height:.2f}" for height in heights], color=plots.INK, fontsize=10, padding=2)
    ax.set_xticks(range(len(texts)), [f"learnt from {each}" for each in texts])
    ax.set_ylim(0, 1.15 * max(values.values()))
    ax.legend(frameon=False, labelcolor=plots.INK)
    spans = {each: sorted(values[algorithm, each] for algorithm in algorithms) for each in texts}
    worst = max(texts, key=lambda each: spans[each][0])
    apart = min(spans[worst]) > 1.2 * max(spans[each][-1] for each in texts if each != worst)
    return figure.describe(
        f"{ylabel}, for {' and '.join(algorithms)} learnt from {', '.join(texts)}. Those from {worst} are "
        + ("far higher than all others, whichever the algorithm." if apart else "highest, but not by far."))
