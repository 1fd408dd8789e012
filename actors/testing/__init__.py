"""Simulation testing of message flows: schedules, faults, virtual time, replay.

`simulate` runs a scenario of actors under many schedules and faults and reports the first failure, made small, with a
token that replays it.
"""

from .errors import (
    Deadlock,
    EscapedSimulation,
    FaultRefused,
    InjectedCrash,
    InvariantViolated,
    Nondeterministic,
    SimulationError,
    SimulationFailed,
    StepBudgetSpent,
    TokenRefused,
    UnhandledFailure,
)
from .faults import Crash, Delay, Drop, Duplicate, Fault, Kill, ProviderFault, Slow
from .invariants import RUNTIME, Invariant, eventually, exactly_once, never
from .loop import SimulationLoop
from .run import Run, Simulation
from .schedules import Hold
from .simulation import simulate
from .trace import Fact, Trace

__all__ = [
    "RUNTIME",
    "Crash",
    "Deadlock",
    "Delay",
    "Drop",
    "Duplicate",
    "EscapedSimulation",
    "Fact",
    "Fault",
    "FaultRefused",
    "Hold",
    "InjectedCrash",
    "Invariant",
    "InvariantViolated",
    "Kill",
    "Nondeterministic",
    "ProviderFault",
    "Run",
    "Simulation",
    "SimulationError",
    "SimulationFailed",
    "SimulationLoop",
    "Slow",
    "StepBudgetSpent",
    "TokenRefused",
    "Trace",
    "UnhandledFailure",
    "eventually",
    "exactly_once",
    "never",
    "simulate",
]
