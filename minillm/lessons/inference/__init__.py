"""Notebook 07: let the model write, then look inside: what it would say, who says it, and what happens without."""
from minillm.lessons import lazily

__getattr__, __dir__ = lazily(
    __name__,
    measures="shipped read SENTENCE OPENING LOOPING STATEMENT QUESTION greedy cut_down entropy counted summaries "
             "twice_read ablations capitals answered first_token_of_capitals tokens_per_reading patterns",
    writing="sampling_dials loop_picture round_chances streams guessing_drawing acceptance_dial speed_table",
    heads="atlas circuit_drawing birth_clock births_picture scores_picture",
    birth="VARIANTS shipped_births",
    reading="lens lens_with lens_picture share_bars shares_of",
    reaching="ablation_grid patching patching_drawing agreement rescue_picture")
