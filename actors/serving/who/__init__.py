"""Who asks: keys that the application gives out, and tokens of whoever knows its users."""
