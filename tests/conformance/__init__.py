"""Suites that others wrote for whole protocols, run against agencies that are really served: ``make conformance``."""
