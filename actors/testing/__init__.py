"""Simulation testing of message flows: schedules, faults, virtual time, replay.

`simulate` runs a scenario of actors under many schedules and faults and reports the first failure, made small, with a
token that replays it.
"""

from ...providers.latency import Latency
from ..core.base.buggify import maybe
from .clock import run_virtual, virtual_time
from .doubles.models import FunctionModel, Script, ScriptedModel, call
from .doubles.probe import Probe
from .errors import (
    Deadlock,
    EscapedSimulation,
    FaultRefused,
    FaultStruckNothing,
    HistoryTooLong,
    InjectedCrash,
    InvariantViolated,
    Nondeterministic,
    OracleSawNothing,
    SimulationError,
    StepBudgetSpent,
    TimingRefused,
    TokenRefused,
    UnhandledFailure,
)
from .faults.faults import (
    Buggify,
    Crash,
    Delay,
    DelayReply,
    Drop,
    Duplicate,
    Fault,
    Kill,
    LoseReply,
    Partition,
    Pause,
    ProviderFault,
    Restart,
    Slow,
    StoreFault,
)
from .faults.provider import FaultyProvider
from .loop.loop import SimulationLoop
from .loop.threads.threads import switch
from .loop.timing import Timing
from .oracles.linearizability import linearizable
from .oracles.liveness import hot, no_starvation
from .processes.process import Process
from .schedules.plan import Hold, Interrupt
from .search.coverage import Coverage
from .search.exploring.explore import Exploration, explore
from .search.reporting.failed import SimulationFailed
from .search.running.run import Run
from .search.running.scenario import Simulation
from .search.simulation import simulate
from .trace.invariants import RUNTIME, Invariant, children_end, eventually, exactly_once, never
from .trace.trace import Fact, Trace

__all__ = [
    "RUNTIME",
    "Buggify",
    "Coverage",
    "Crash",
    "Deadlock",
    "Delay",
    "DelayReply",
    "Drop",
    "Duplicate",
    "EscapedSimulation",
    "Exploration",
    "Fact",
    "Fault",
    "FaultRefused",
    "FaultStruckNothing",
    "FaultyProvider",
    "FunctionModel",
    "HistoryTooLong",
    "Hold",
    "InjectedCrash",
    "Interrupt",
    "Invariant",
    "InvariantViolated",
    "Kill",
    "Latency",
    "LoseReply",
    "Nondeterministic",
    "OracleSawNothing",
    "Partition",
    "Pause",
    "Probe",
    "Process",
    "ProviderFault",
    "Restart",
    "Run",
    "Script",
    "ScriptedModel",
    "Simulation",
    "SimulationError",
    "SimulationFailed",
    "SimulationLoop",
    "Slow",
    "StepBudgetSpent",
    "StoreFault",
    "Timing",
    "TimingRefused",
    "TokenRefused",
    "Trace",
    "UnhandledFailure",
    "call",
    "children_end",
    "eventually",
    "exactly_once",
    "explore",
    "hot",
    "linearizable",
    "maybe",
    "never",
    "no_starvation",
    "run_virtual",
    "simulate",
    "switch",
    "virtual_time",
]
