"""Notebook 04: put attention and an MLP on one stream, with norms in between, and see what each part is for."""
from minillm.lessons import lazily

__getattr__, __dir__ = lazily(
    __name__,
    measures="WORDS layer_sizes start_as moved_by expert_loads favourites balance_four_ways sizes_at_start",
    races="COMPARISONS race_of shipped_curves letter_entropy",
    plots="activations spreads race_picture order_picture",
    widgets="norm_dials fair_widths who_moves size_by_depth race router_dial experts")
