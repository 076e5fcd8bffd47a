"""Hold a GPU to what the CPU says, and measure it: ``python -m tests.device``."""
