"""Notebook 05: change any choice of a model, and see its picture, equations, code and costs change together."""
from minillm.lessons import lazily

__getattr__, __dir__ = lazily(
    __name__,
    explorer="Explorer",
    comparison="ledger differences",
    lineage="timeline ancestry",
    fetching="hub",
    diagrams="block_diagram",
    insides="order",
    drawings="stream kept fused_rows")
