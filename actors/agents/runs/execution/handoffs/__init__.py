"""Handing work to other agents."""
