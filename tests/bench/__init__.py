"""Load and what it measures."""
