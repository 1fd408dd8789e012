"""Runs: what acts. Conversations and those that supervise them, and the handles by which callers hold their runs."""
