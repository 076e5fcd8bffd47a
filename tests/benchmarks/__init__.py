"""Measure minillm beside the libraries that pip brings: ``python -m tests.benchmarks``."""
