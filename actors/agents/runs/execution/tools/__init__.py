"""Calling tools, and the calls that these make."""
