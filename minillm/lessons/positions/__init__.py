"""Notebook 02: turn ids into vectors, tell the model where each stands, and read beyond the trained length."""
from minillm.lessons import lazily

__getattr__, __dir__ = lazily(
    __name__,
    race="raced losses train tiny three_back last_vowel",
    measures="mean_scores far_gaze",
    pictures="one_hot_drawing three_places pairings race_picture slopes_picture cache_drawing",
    dials="waves dial shift depth",
    widgets="symptoms distances beyond")
