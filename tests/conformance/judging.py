"""What became of the cases of a suite, beside what is expected of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Case(NamedTuple):
    """What became of a case.

    Args:
        name: its own.
        outcome: ``passed``, ``failed`` or ``skipped``.
        why: what was wrong.
    """

    name: str
    outcome: str
    why: str


def judged(cases: Iterable[Case], left_out: Mapping[str, tuple[str, ...]]) -> int:
    """Compare with what is expected, and tell.

    Args:
        cases: what became of all.
        left_out: why some do not pass, and which: by their names, or how these begin. All of them must not pass.

    Returns:
        0 where all is as expected.
    """
    reasons = {name: why for why, names in left_out.items() for name in names}
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    used: set[str] = set()
    for case in cases:
        expected = next((name for name in reasons if case.name.startswith(name)), None)
        if case.outcome == "passed":
            counts["passed"] += 1
        elif expected is not None:
            used.add(expected)
            counts[f"not served: {reasons[expected]}"] += 1
        else:
            wrong.append(f"{case.outcome}: {case.name}: {case.why:.500}")
    wrong += [f"passes now, or is there no more: {name}" for name in sorted(reasons.keys() - used)]
    for what, times in counts.most_common():
        print(f"{times:5} {what}")
    print("\n".join([*wrong, ""]))
    return 1 if wrong else 0
