"""Handoffs: what one agent asks of another, to whom it may go, and how far."""
