"""Notebook 08: teach the small model to answer, with a correction a tenth of its size, and see what it forgets."""
from minillm.lessons import lazily

__getattr__, __dir__ = lazily(
    __name__,
    measures="QUESTION Setting answer asked forgotten held_out listed material rises sample stream tuning",
    runs="half_tuned preferring rewarded shipped",
    drawings="beside adapter_files",
    plots="dots gradient_sizes group_bars preference_curves reward_curves scale_map singular_values",
    widgets="chat mask side_by_side story_lost tuning_lab what_alpha")
