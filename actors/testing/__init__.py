"""Simulation testing of message flows: schedules, faults, virtual time, replay.

`simulate` runs a scenario of actors under many schedules and faults and reports the first failure, made small, with a
token that replays it.
"""

from .clock import run_virtual, virtual_time
from .errors import (
    Deadlock,
    EscapedSimulation,
    FaultRefused,
    FaultStruckNothing,
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
from .models import FunctionModel, Script, ScriptedModel
from .probe import Probe
from .provider import FaultyProvider
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
    "FaultStruckNothing",
    "FaultyProvider",
    "FunctionModel",
    "Hold",
    "InjectedCrash",
    "Invariant",
    "InvariantViolated",
    "Kill",
    "Nondeterministic",
    "Probe",
    "ProviderFault",
    "Run",
    "Script",
    "ScriptedModel",
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
    "run_virtual",
    "simulate",
    "virtual_time",
]
