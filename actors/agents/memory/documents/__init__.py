"""Documents: read, cut into passages, found and cited."""
