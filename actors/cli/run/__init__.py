"""One request to a team."""
