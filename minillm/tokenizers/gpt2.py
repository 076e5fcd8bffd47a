"""Use GPT-2's own vocabulary: 50,257 tokens, learnt from eight million English web pages."""
from __future__ import annotations

from minillm.tokenizers.bpe import BPETokenizer
from minillm.tokenizers.protocol import END_OF_TEXT


class GPT2Tokenizer(BPETokenizer):
    """The byte-pair encoding of Radford et al. 2019, fetched by tiktoken (1.5 MB, once, then from its cache).

    Saved like any other, it is read back without a network.
    """
    def __init__(self):
        from tiktoken_ext import openai_public

        try:
            ranks = openai_public.gpt2()["mergeable_ranks"]
        except Exception as error:  # whatever the network, a proxy or a full disk may raise
            raise ConnectionError(
                "GPT-2's vocabulary is not in tiktoken's cache and could not be fetched "
                f"({type(error).__name__}); try again with a network, point TIKTOKEN_CACHE_DIR at a folder that has "
                "it, or train one of your own: BPETokenizer.train(text, vocab_size)") from None
        super().__init__(sorted(ranks, key=ranks.get), pattern="gpt2", special={END_OF_TEXT: len(ranks)})
