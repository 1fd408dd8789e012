"""Guardrails: checks of what goes in and out of a run, and what happens when one finds something."""
