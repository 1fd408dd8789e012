"""The turn loop of one run: what follows from what happened, within what it may still use, and when it ends. Pure."""
