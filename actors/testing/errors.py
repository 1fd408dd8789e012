"""What simulation testing raises.

CallboardError
└── SimulationError
    ├── EscapedSimulation     real I/O, a thread or a subprocess was tried inside a simulation
    ├── Deadlock              nothing can run, no timer is set, and the scenario is not done
    ├── StepBudgetSpent       the scenario took more steps than allowed: probably a livelock
    ├── Nondeterministic      a schedule failed, and when it ran again it did not, or failed otherwise
    ├── TokenRefused          a replay token does not belong to this scenario, code or workload
    ├── FaultRefused          (also ValueError)      a fault against the delivery contract, or that makes no sense
    ├── TimingRefused         (also ValueError)      what is to vary about time makes no sense
    ├── FaultStruckNothing    a fault found nothing to strike in any schedule: it tested nothing
    ├── OracleSawNothing      a name that an oracle goes by never came up in any schedule: it tested nothing
    ├── HistoryTooLong        whether a history is linearizable was not decided within the steps allowed
    ├── UnhandledFailure      an exception that nobody caught ended a callback or a background task
    ├── InvariantViolated     (also AssertionError)  what must always hold did not
    └── SimulationFailed      (also AssertionError)  the report of the first failing schedule
InjectedCrash                 (a BaseException)      what a `Crash` fault raises in an actor

`SimulationFailed` is in `search.failed`, because it holds the run that failed.
"""

from __future__ import annotations

from ..core.base.errors import CallboardError


class SimulationError(CallboardError):
    """Base class of the simulator's own errors."""


class EscapedSimulation(SimulationError):
    """Code under simulation reached for the real world, where nothing can be replayed."""


class Deadlock(SimulationError):
    """Nothing is ready, no timer is pending, and the scenario has not ended."""


class StepBudgetSpent(SimulationError):
    """The scenario did not end within the allowed number of steps."""


class Nondeterministic(SimulationError):
    """A schedule failed, and when it ran again it did not, or failed otherwise: something outside decides."""


class TokenRefused(SimulationError):
    """A replay token that does not fit what it is replayed on."""


class FaultRefused(SimulationError, ValueError):
    """A fault that the delivery contract excludes, or whose arguments make no sense."""


class TimingRefused(SimulationError, ValueError):
    """What is to vary about time makes no sense."""


class FaultStruckNothing(SimulationError):
    """A fault that is not optional struck nothing in any schedule; the text says which, and what there was."""


class OracleSawNothing(SimulationError):
    """An actor, a tool, a kind of event that an oracle names never came up; the text says which, and what there was."""


class UnhandledFailure(SimulationError):
    """An exception reached the event loop because nobody caught it."""


class HistoryTooLong(SimulationError):
    """Whether a history is linearizable was not decided within the steps allowed."""


class InvariantViolated(SimulationError, AssertionError):
    """An invariant does not hold for a run."""


class InjectedCrash(BaseException):
    """Raised inside an actor by a `Crash` fault: no ``except Exception`` of a handler hides it."""
