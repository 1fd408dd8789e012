"""Turns: pure. What a conversation keeps, what follows from it, and what is to be done next."""
