"""Notebook 03: let tokens look back, share keys, remember them, and do without most of them."""
from minillm.lessons import lazily

__getattr__, __dir__ = lazily(
    __name__,
    measures="storyteller attended fresh_patterns even_share largest_tensor",
    widgets="reader width_dial mask_stages sharing_dial window_dial head_atlas",
    remembering="cache_split",
    drawings="reshape_flow memory_picture",
    recall="recall_picture",
    races="race trains_anyway race_picture ScrambledAttention")
