"""How incarnations of an actor start, crash, end and start again."""
