"""Agents: descriptions, conversations, handoffs, agencies."""
