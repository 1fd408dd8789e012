"""Runs: what acts. Conversations and those that supervise them, and what an agency keeps of its runs."""
