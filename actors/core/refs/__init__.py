"""How everybody else reaches an actor."""
