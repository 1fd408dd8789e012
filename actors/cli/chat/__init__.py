"""A conversation with a team, in a terminal or from a pipe."""
