"""The event loop that a schedule drives: what is ready, virtual time, and what is refused."""
