"""Teams that are asked over HTTP, by programs and by editors."""
