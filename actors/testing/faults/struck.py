"""Which faults struck nothing, and why: a fault that names nothing tests nothing, and must not look like success."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..errors import FaultStruckNothing
from ..trace.names import meant
from .drawing import Chances, is_one_of
from .faults import PHASES, Crash, Fault, Kill, Partition, describe, is_below

_NAMED = 12
_COUNTED = {
    "recv": "messages taken up",
    "send": "messages sent",
    "reply": "replies",
    "step": "steps",
    "crossing": "messages and replies between them",
    "point": "how often each was reached",
    "write": "writes to its journal",
    "request": "requests",
}
_NOUNS = {
    "step": "actor or task",
    "write": "process with a journal",
    "request": "faulty provider",
    "point": 'point maybe("…")',
}


def unstruck(faults: Iterable[Fault], struck: Collection[Fault]) -> list[Fault]:
    """Return the faults that should have struck and did not.

    Args:
        faults: whatever they leave open.
        struck: those that did strike, in all runs, each as it struck.
    """
    return [
        fault for fault in faults if not fault.optional and not any(is_one_of(settled, fault) for settled in struck)
    ]


def why(fault: Fault, counts: Chances, struck: Collection[Fault] = ()) -> str:
    """Say what a fault that struck nothing would have needed, and what there was.

    Args:
        fault: the fault.
        counts: what there was to strike, by actor; an actor without anything counts 0.
        struck: the faults that did strike, each as it struck.
    """
    if wrong := misnamed(fault, counts):
        return wrong
    if others := sorted(describe(it) for it in struck if _ends_what(it, fault)):
        return f"what it was to strike had ended by then, with another fault: {others[0]}"
    kind = fault.strikes
    count = counts[kind, fault.target]
    if count < (fault.nth or 1):
        return f"it was reached {count} times" if kind == "point" else f"{_COUNTED[kind]} there: {count}"
    if isinstance(fault, Crash) and fault.when == "in":
        return "the handler never waited, and when='in' strikes where it does (before and after need no wait)"
    return f"it was not reached; {_COUNTED[kind]} there: {count}"


def _ends_what(other: Fault, fault: Fault) -> bool:
    """Whether a fault that struck ended the message of another: it killed the actor, or crashed it earlier; or the
    write or request of another, of which each has one fault."""
    if other.target != fault.target or other.nth != fault.nth:
        return False
    if fault.strikes in ("write", "request"):
        return other.strikes == fault.strikes
    if not isinstance(fault, Crash):
        return False
    if isinstance(other, Crash):
        return fault.when == "any" or PHASES.index(other.when) < PHASES.index(fault.when)
    return isinstance(other, Kill)


def misnamed(fault: Fault, counts: Chances) -> str:
    """Say of a fault's names which one there is not, and what there is; "" where there are all.

    Args:
        fault, counts: as for `why`.
    """
    kind = fault.strikes
    if isinstance(fault, Partition):
        actors = {path: count for (what, path), count in counts.items() if what == "recv"}
        for side in (fault.one, fault.other):
            if side != "client" and not any(is_below(path, side) for path in actors):
                return _unknown(side, "recv", actors)
        return ""
    of = "recv" if kind == "reply" else kind  # an actor that never replied is there all the same
    there = {path: counts[kind, path] for what, path in counts if what == of}
    return _unknown(fault.target, kind, there) if fault.target not in there else ""


def _unknown(target: str, kind: str, there: dict[str, int]) -> str:
    noun = _NOUNS.get(kind, "actor")
    if not there:
        return f"there is no {noun} at all"
    names = ", ".join(f"{path} ({number})" for path, number in sorted(there.items())[:_NAMED])
    more = ", …" if len(there) > _NAMED else ""
    return f"there is no {noun} {target!r}.{meant(target, there)} There are, with their {_COUNTED[kind]}: {names}{more}"


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
