"""Notebook 01: cut texts into tokens, in any script, and measure what each way of cutting costs."""
from minillm.lessons import lazily

__getattr__, __dir__ = lazily(
    __name__,
    measures="halves family bits_per_byte two_by_three LANGUAGES",
    widgets="explorer merge_steps split_patterns segmentations vocabulary_dial scripts_map",
    drawings="bits_to_bytes merged cuts")
