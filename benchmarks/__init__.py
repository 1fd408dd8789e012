"""Benchmarks, each side by side with its peers in one run: ``python -m benchmarks NAME [--quick] [--json FILE]``.

A suite is a module here with ``suite(quick: bool) -> benchmarks.harness.Suite``; see :mod:`benchmarks.harness`.
"""
