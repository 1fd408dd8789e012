"""What happened in a run, and what must hold for it."""
