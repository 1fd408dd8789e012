"""Programs that call functions, and agents as such functions."""
