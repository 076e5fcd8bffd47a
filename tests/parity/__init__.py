"""Hold every family to transformers' own implementation, and the comparison to its power to find mistakes."""
