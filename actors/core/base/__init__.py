"""Values and pure decisions: no loop, no thread, no actor object is touched here."""
