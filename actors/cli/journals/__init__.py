"""Commands that look at what programs keep in their journals, and do something about it."""
