"""The scenarios of ``benchmarks cluster``. What nodes do is shown in `tests.cluster`."""

from __future__ import annotations

from benchmarks import cluster


def test_what_is_compared_is_what_the_suite_has() -> None:
    suite = cluster.suite(quick=True)
    try:
        assert [(case.scenario, case.subject) for case in suite.cases] == [
            ("ask", "ray"),
            ("ask", "callboard"),
            ("ask", "ray_sync"),
            ("in_flight", "ray"),
            ("in_flight", "callboard"),
            ("takeover", "callboard"),
        ]
    finally:
        suite.close()
