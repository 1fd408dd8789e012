"""Benchmarks, each side by side with its peers in one run: ``python -m benchmarks NAME [--quick] [--json FILE]``."""
