"""Notebook 07: let the model write, then look inside: what it would say, who says it, and what happens without."""
from minillm.lessons import lazily

__getattr__, __dir__ = lazily(
    __name__,
    measures="shipped read SENTENCE OPENING LOOPING greedy cut_down entropy counted summaries value_sizes with_sinks "
             "twice_read ablations absences tokens_per_reading patterns",
    asking="STATEMENT QUESTION capitals answered first_token_of_capitals gaze_at_names",
    overhead="overhead_table",
    writing="sampling_dials loop_picture round_chances streams guessing_drawing acceptance_dial speed_table",
    heads="atlas circuit_drawing birth_clock births_picture scores_picture",
    birth="VARIANTS shipped_births",
    reading="lens lens_with lens_picture share_bars shares_of",
    reaching="ablation_grid PAIRS patching patching_drawing agreement agreements rescue_picture")
