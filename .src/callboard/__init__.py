"""Callboard: supervised actors for LLM agents.

One import for users: ``from callboard import Agent, Agency, tool``. Nothing inside the library imports this facade.
"""
