"""Find texts to learn from: those that ship, famous ones that are fetched when asked for, your own files."""
from __future__ import annotations

from minillm.corpora.aligned import parallel
from minillm.corpora.catalogue import cache_folder, card, clean, data_folder, load, names
from minillm.corpora.download import DownloadError, fetch
from minillm.corpora.files import MAX_BYTES, read, stream
from minillm.corpora.text import Card, Corpus, mix

__all__ = ["MAX_BYTES", "Card", "Corpus", "DownloadError", "cache_folder", "card", "clean", "data_folder",
           "fetch", "load", "mix", "names", "parallel", "read", "stream"]
