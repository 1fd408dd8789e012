"""The subjects of ``benchmarks core``: one module each, run in a worker process of its own.

A subject's module has ``SCENARIOS``, a mapping from a scenario's name to ``function(n: int) -> list[Sample]``, and
``SCALE``, the share of the full size that makes one of its runs take a fraction of a second. Only the standard
library is imported outside these modules, so that a peer's environment needs nothing of ours.
"""
