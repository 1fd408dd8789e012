"""Prompts: what roles are told."""
