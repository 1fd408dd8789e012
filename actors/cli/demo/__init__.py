"""The demonstration, and a team to start from."""
