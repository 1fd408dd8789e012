from __future__ import annotations

import pytest
from benchmarks.harness import Sample
from benchmarks.observe import suite
from benchmarks.subjects.replayed import replayed


def calls(kind: str) -> float:
    """Calls of Python functions a turn, besides those of OpenTelemetry's: no other load on the machine changes them."""
    case = next(case for case in suite(quick=True).cases if (case.scenario, case.subject) == ("calls", kind))
    counted = case.run()
    assert isinstance(counted, Sample)
    return counted.value


@pytest.mark.parametrize(("kind", "percent"), [("figures", 2.0), ("spans", 5.0), ("both", 5.0)])
def test_telemetry_is_at_most_five_percent_more_calls_a_turn(kind: str, percent: float) -> None:
    off, on = calls("off"), calls(kind)
    assert off < on <= off * (1 + percent / 100), f"{kind}: {on:.1f} calls a turn, and {off:.1f} without telemetry"


async def test_a_journal_is_read_from_its_beginning_with_all_its_events() -> None:
    assert abs(await replayed(2_000, 200)) < 50e6
