"""Memory: what is known beyond a conversation, whose it is, and how it is found again."""
