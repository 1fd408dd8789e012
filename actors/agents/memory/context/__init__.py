"""Context strategies: what of a long conversation its model is shown."""
