"""The benchmark harness: what a suite is, how it is run, and how its results are shown.

A suite is a module ``benchmarks/NAME.py`` with one function::

    def suite(quick: bool) -> Suite

It returns the :class:`Case` objects to measure, one for each (scenario, subject). The runner calls each case's
``run`` ``repeats`` times, the subjects of a scenario in turn (A B A B …), so that a slow minute of the machine hits
them all, and reports medians. A ratio is a subject's median divided by the median of the suite's baseline subject
in the same scenario; its spread is the lowest and the highest of the rounds' own ratios. Where a case is set beside
another subject than the baseline, the ratio is the median of the rounds' own.
"""

from .model import Case, Comparison, Row, Sample, Suite, Unsupported
from .runner import measure

__all__ = ["Case", "Comparison", "Row", "Sample", "Suite", "Unsupported", "measure"]
