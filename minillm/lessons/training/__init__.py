"""Notebook 06: train a model before the reader's eyes, race two, and look at one element of one batch."""
from minillm.lessons import lazily

__getattr__, __dir__ = lazily(
    __name__,
    laboratory="training_lab NOBODY",
    racing="race",
    usual="seeds_picture",
    widgets="optimizer_valley schedule_dial learning_rate_finder",
    drawings="windows coverage pieces turn",
    breaking="ward broken_run",
    contest="spectra_of moved_by optimizer_race race_table",
    distilling="towards", pupils="kl_dial teaching", rounding="rounding_dial", memory="memory_dial",
    widths="width_race", scaling="ten_runs fit run_of CHINCHILLA", laws="law_dial", ingredients="worth")
