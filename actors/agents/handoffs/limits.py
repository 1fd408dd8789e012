"""How far handoffs may go: how deep a chain, how often in circles, how many in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....providers.checks import Wish, is_whole
from ..errors import HandoffCycle, HandoffDepth, HandoffLimit
from ..wishes import define
from .handoff import Handoff

_AT_LEAST_NOTHING = Wish("a whole number, at least 0", lambda given: is_whole(given) and given >= 0)


@dataclass(frozen=True, slots=True)
class HandoffLimits:
    """How far handoffs may go. The defaults stop runaway teams and leave ordinary ones alone.

    Args:
        depth: handoffs in one chain.
        visits: times one agent may stand in one chain.
        repeats: times one agent may be given the very same task in one chain.
        total: handoffs of one root run, in all its branches.

    Raises:
        DefinitionError: one of them is no whole number, or below 0.
    """

    depth: int = 16
    visits: int = 8
    repeats: int = 2
    total: int = 100

    def __post_init__(self) -> None:
        for name in ("depth", "visits", "repeats", "total"):
            define("HandoffLimits", **{name: (getattr(self, name), _AT_LEAST_NOTHING)})


def check_chain(chain: Sequence[str], tasks: Sequence[str], handoff: Handoff, limits: HandoffLimits) -> None:
    """Refuse a handoff that goes too deep or in circles.

    Args:
        chain: the agents from the first asked to the sender.
        tasks: what each of them but the first was asked, as ``target: task``.
        handoff: what is about to be sent.
        limits: what is allowed.

    Raises:
        HandoffDepth: the chain is as long as it may get.
        HandoffCycle: the target stands in the chain too often, or was given the very same task in it too often.
    """
    way = " → ".join((*chain, handoff.target))
    if len(chain) > limits.depth:
        raise HandoffDepth(f"more than {limits.depth} handoffs in one chain: {way}")
    if chain.count(handoff.target) >= limits.visits:
        raise HandoffCycle(f"{handoff.target} stands {limits.visits} times in one chain: {way}")
    if handoff.kind == "delegate" and tasks.count(f"{handoff.target}: {handoff.task}") >= limits.repeats:
        raise HandoffCycle(f"{handoff.target} was given the same task {limits.repeats} times in one chain: {way}")


def count_handoff(counts: dict[str, int], root: str, limits: HandoffLimits) -> None:
    """Count one more handoff of a root run.

    Raises:
        HandoffLimit: there were as many as it may make.
    """
    count = counts[root] = counts.get(root, 0) + 1
    if count > limits.total:
        raise HandoffLimit(f"more than {limits.total} handoffs in one run")
