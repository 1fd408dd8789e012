"""Looking on at an agency."""
