"""Tell stories of a small world, and say exactly how surprising they are."""
