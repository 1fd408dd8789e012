"""Tests of the wire mappings."""
