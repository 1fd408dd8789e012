"""How actors of two nodes talk: messages in frames, in order, each processed once at most."""
