"""Runs one scenario under whatever schedule and faults are asked for."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from ...faults.drawing import is_settled, settle
from ...faults.faults import Fault
from ...loop.lanes.lanes import Schedule
from ...loop.loop import Order, SimulationLoop
from ...loop.timing import Timing
from ...schedules.plan import Hold, Interrupt, Plan
from ...trace.invariants import Invariant
from ...trace.trace import Parting
from .. import token
from .arguments import check_limits, check_scenario, checked_faults, checked_invariants
from .behaviour import Behaviour
from .run import Run, execute
from .scenario import Scenario, Simulation, takes_simulation

_COLLECT_EVERY = 32
"""Runs between two collections of young garbage: the collector itself is off, so that it never comes in the middle."""


class Runner:
    """A scenario with all that is the same in each of its runs.

    Args:
        scenario, faults, invariants, max_steps, order, timing: as for `simulate`.

    Raises:
        FaultRefused, TypeError, ValueError: one of them makes no sense.
    """

    def __init__(
        self,
        scenario: Scenario,
        faults: Sequence[Fault],
        invariants: Sequence[Invariant],
        max_steps: int,
        order: Order,
        timing: Timing | None,
    ) -> None:
        check_scenario(scenario)
        check_limits(max_steps, order)
        self.scenario = scenario
        self.name = token.scenario_name(scenario)
        self.faults = faults = checked_faults(faults)
        self.fixed = tuple(filter(is_settled, faults))
        # After the handler: so the ordinary run still shows where it waits, and may crash in it.
        self.ordinary = tuple(settle(fault, fault.nth, "after") for fault in faults if fault.nth is not None)
        self.invariants = checked_invariants(invariants)
        self.max_steps = max_steps
        self.order = order
        self.timing = timing
        self.argument = takes_simulation(scenario)
        self.runs = 0

    def run(
        self,
        schedule: Schedule | None,
        holds: Sequence[Hold | Interrupt] = (),
        faults: Sequence[Fault] | None = None,
        behaviour: Behaviour | None = None,
        tell: bool = False,
        kinds: tuple[type[SimulationLoop], type[Simulation]] | None = None,
    ) -> Run:
        """Run it once; without faults given, under those that have a number."""
        self.runs += 1
        if not self.runs % _COLLECT_EVERY:
            gc.collect(1)
        return execute(
            self.scenario,
            schedule,
            holds=holds,
            faults=self.ordinary if faults is None else faults,
            watched=self.faults,
            invariants=self.invariants,
            order=self.order,
            max_steps=self.max_steps,
            argument=self.argument,
            timing=self.timing,
            behaviour=behaviour,
            tell=tell,
            kinds=kinds,
        )

    def plan(self, holds: Sequence[Hold | Interrupt], faults: Sequence[Fault]) -> Run:
        """Run it as written down."""
        return self.run(Plan(holds), holds, faults)

    def told(self, run: Run, parting: Parting | None) -> Run:
        """Run a failing plan once more for its report, whose trace says more; or the run itself, should that differ."""
        told = self.run(Plan(run.holds), run.holds, run.faults, tell=True)
        alike = told.failure == run.failure and (parting is not None or told.trace.parting(run.trace) is None)
        return told if alike else run

    def moved(self, run: Run) -> tuple[Fault, ...]:
        """Return the faults of a run that the search has placed."""
        return tuple(fault for fault in run.faults if fault not in self.fixed)
