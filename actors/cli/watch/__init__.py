"""Programs that run, seen from another terminal or in a browser."""
