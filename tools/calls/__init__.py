"""One running call: its place among those at once, its end, and what it changes."""
