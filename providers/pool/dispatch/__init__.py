"""One request's way through the pool: planned, let go, sent, judged, sent again."""
