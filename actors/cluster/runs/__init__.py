"""Runs where their conversations live: sent there, made there, and their answers brought back."""
