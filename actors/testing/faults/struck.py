"""Which faults struck nothing, and why: a fault that names nothing tests nothing, and must not look like success."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from ..errors import FaultStruckNothing
from .faults import Crash, Fault, describe, is_one_of
from .injector import Chances, chance

_NAMED = 12
_COUNTED = {"recv": "messages taken up", "send": "messages sent", "request": "requests"}


def unstruck(faults: Iterable[Fault], struck: Collection[Fault]) -> list[Fault]:
    """Return the faults that should have struck and did not.

    Args:
        faults: whatever they leave open.
        struck: those that did strike, in all runs, each as it struck.
    """
    return [
        fault for fault in faults if not fault.optional and not any(is_one_of(settled, fault) for settled in struck)
    ]


def why(fault: Fault, counts: Chances) -> str:
    """Say what a fault that struck nothing would have needed, and what there was.

    Args:
        fault: the fault.
        counts: what there was to strike, by actor; an actor without anything counts 0.
    """
    kind = chance(fault)
    there = {path: count for (what, path), count in counts.items() if what == kind}
    count = there.get(fault.actor)
    if count is None:
        noun = "faulty provider" if kind == "request" else "actor"
        names = ", ".join(f"{path} ({number})" for path, number in sorted(there.items())[:_NAMED])
        close = difflib.get_close_matches(fault.actor, there, 1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        more = ", …" if len(there) > _NAMED else ""
        if not there:
            return f"there is no {noun} at all"
        return f"there is no {noun} {fault.actor!r}.{meant} There are, with their {_COUNTED[kind]}: {names}{more}"
    if count < (fault.nth or 1):
        return f"{_COUNTED[kind]} there: {count}"
    if isinstance(fault, Crash) and fault.when == "in":
        return "the handler never waited, and when='in' strikes where it does (before and after need no wait)"
    return f"it was not reached; {_COUNTED[kind]} there: {count}"


def nothing(reasons: Iterable[tuple[Fault, str]], where: str) -> FaultStruckNothing:
    """Return the error that names faults that struck nothing.

    Args:
        reasons: the faults, and `why`.
        where: in what they struck nothing.
    """
    lines = [f"  {describe(fault)}: {reason}" for fault, reason in reasons]
    return FaultStruckNothing(
        "\n".join([f"struck nothing in {where}:", *lines, "If one may strike nothing, make it with optional=True"])
    )
