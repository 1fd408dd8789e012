"""Checks of other libraries and services, as checks of guardrails."""
