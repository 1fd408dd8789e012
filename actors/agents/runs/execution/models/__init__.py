"""Asking the model, with what a prompt function defines for the step."""
