"""Facts, whose they are, and the pure part of finding them."""
