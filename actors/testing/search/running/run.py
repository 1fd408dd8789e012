"""One simulated run: a scenario under one schedule and one set of faults."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isawaitable
from threading import Lock
from typing import Any

from ....core.base.buggify import deciding
from ....core.base.errors import text_of
from ....core.base.registry import forget_of
from ....core.mail.mailbox import enqueue
from ....core.system import System
from ....journal.threaded.running import hosting
from ...errors import InvariantViolated, SimulationError, UnhandledFailure
from ...faults.drawing import Chances, Waits, chances
from ...faults.faults import Fault
from ...faults.injector import Injector
from ...loop.isolation import clocks
from ...loop.lanes.lanes import Schedule
from ...loop.lanes.tasks import name_of
from ...loop.loop import Order, SimulationLoop
from ...loop.telling import TellingLoop
from ...loop.threads import locks
from ...loop.threads.threads import here
from ...loop.timing import Timekeeper, Timing, Variation
from ...schedules.plan import Hold, Interrupt, fresh
from ...trace.invariants import Invariant, check, runtime
from ...trace.names import Name
from ...trace.rendering import shown
from ...trace.trace import Trace
from .. import stopping
from ..coverage import NOTHING, Coverage
from ..frames import hidden
from .arguments import no_scenario
from .behaviour import Behaviour
from .deadlock import left_to_people, lock_of_a_thread, who_waits
from .scenario import Scenario, Simulation

_TEARDOWN_STEPS = 5_000
_OF_FAULTS = ("run_one", "_arrive", "_resume", "take_step", "_nudge", "_start_again", "_timed_out")
"""The callbacks of timers that faults, journals and threads set; nobody has to wait for a thread."""
_OURS = f"{runtime.__code__.co_filename}:"


@dataclass(slots=True)
class Run:
    """How one run went.

    Args:
        error: what failed, or None.
        trace: what happened, up to the failure.
        steps: steps of the loop.
        time: virtual seconds.
        picks: the choice made at each contested step.
        holds, faults: the plan it ran under; of a searched schedule, the holds are not counted yet.
        unused: holds that did not come up.
        found: what there was to strike, as far as the trace does not show it.
        struck: the faults of the plan that struck.
        waits: at which messages of each actor its handler waited, where a fault made us look at handlers.
        picked_at: how many events the trace had at each contested step, where the run was told.
        interrupts: where threads were interrupted.
        atomic: the functions for executors that ran as one step, because there is no switch point in them.
        threaded: whether functions for executors ran on threads.
        refused: whether ``error`` is that something makes no sense, such as a fault where it was to strike: no failure
            of the scenario's.
        names: that the scenario went by.
        coverage: what the search that this run ended has covered.
    """

    error: BaseException | None
    trace: Trace
    steps: int
    time: float
    picks: list[int]
    holds: tuple[Hold | Interrupt, ...]
    faults: tuple[Fault, ...]
    unused: set[tuple[str, int]]
    found: Chances
    struck: frozenset[Fault]
    waits: Waits
    picked_at: Sequence[int] = ()
    interrupts: tuple[Interrupt, ...] = ()
    atomic: tuple[str, ...] = ()
    threaded: bool = False
    refused: bool = False
    names: tuple[Name, ...] = ()
    coverage: Coverage = NOTHING

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.error is None

    @property
    def deviations(self) -> int:
        """Holds and faults: how far the schedule is from the ordinary one."""
        return len(self.holds) + len(self.faults)

    @property
    def failure(self) -> Any:
        """What tells one failure from another: the kind, and the place it was raised at."""
        return None if self.error is None else failure_key(self.error)


def failure_key(error: BaseException) -> Any:
    """Return what tells one failure from another: neither a payload nor anything else that its text may quote."""
    if isinstance(error, BaseExceptionGroup):
        return tuple(sorted({str(failure_key(inner)) for inner in error.exceptions}))
    kind = type(error).__qualname__
    if isinstance(error, UnhandledFailure) and error.__cause__ is not None:
        return kind, failure_key(error.__cause__)
    place = ""
    traceback = error.__traceback__
    while traceback is not None:
        if not hidden(traceback):
            place = f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    if isinstance(error, InvariantViolated) and (not place or place.startswith(_OURS)):
        return kind, text_of(error).partition(":")[0]  # one line raises for all that are made alike
    return kind, place


def execute(
    scenario: Scenario,
    schedule: Schedule | None,
    *,
    holds: Sequence[Hold | Interrupt] = (),
    faults: Sequence[Fault] = (),
    watched: Sequence[Fault] = (),
    invariants: Sequence[Invariant] = (),
    order: Order = "contract",
    max_steps: int = 20_000,
    argument: bool = True,
    timing: Timing | None = None,
    tell: bool = False,
    behaviour: Behaviour | None = None,
    kinds: tuple[type[SimulationLoop], type[Simulation]] | None = None,
) -> Run:
    """Run the scenario once; never raises what the scenario raised, but puts it into the `Run`.

    Args:
        tell: whether the trace says more, for people: see `loop.telling`.
        behaviour: takes down what the run came to.
        kinds: of the loop and of what the scenario is given, where they are to look on.
    """
    loop_kind, simulation_kind = kinds or (TellingLoop if tell else SimulationLoop, Simulation)
    variations = [fault for fault in faults if isinstance(fault, Variation)]
    while True:
        loop = loop_kind(schedule, order=order, max_steps=max_steps)
        keeper = Timekeeper(timing, variations) if timing is not None and variations else None
        sim = simulation_kind(loop, Injector(faults, watched, keeper))
        if sim.injector.on_steps:
            loop.detain = sim.injector.on_step
        if keeper is not None:
            keeper.keep(loop)
        wall = None if keeper is None else keeper.wall(loop)
        with (
            stopping.ends_with(loop),
            clocks.follow(loop.time, wall),
            deciding(sim.injector.on_point),
            locks.interleaved(loop, scenario) as threads,
        ):
            error, trace = _execute(scenario, sim, invariants, argument, behaviour)
        if not threads.anew:
            break
        schedule = None if schedule is None else fresh(schedule)
    unused: set[tuple[str, int]] = getattr(schedule, "unused", set())
    interrupts = tuple(Interrupt(lane, nth, place) for (lane, nth), place in threads.interrupted.items())
    unused = unused.difference(it.key for it in interrupts)
    injector = sim.injector
    return Run(
        error,
        trace,
        sim.steps,
        sim.ended,
        loop.picks,
        tuple(holds),
        tuple(faults),
        unused,
        injector.found,
        frozenset(injector.struck),
        injector.waits,
        loop.picked_at if isinstance(loop, TellingLoop) else (),
        interrupts,
        tuple(threads.atomic),
        threads.used,
        injector.refused is not None,
        sim.names(),
    )


def _execute(
    scenario: Scenario, sim: Simulation, invariants: Sequence[Invariant], argument: bool, behaviour: Behaviour | None
) -> tuple[BaseException | None, Trace]:
    loop = sim.loop
    loop.simulation = sim
    loop.silent = sim.injector.killed
    loop.callboard_dispatcher = sim.injector if sim.injector.processing else loop.call_turn
    threads = loop.threads
    loop.who_waits = lambda: "; ".join(filter(None, [threads.blocked() if threads else "", who_waits(sim.trace, loop)]))
    loop.left_to_people = lambda: left_to_people(loop)
    if threads and isinstance(loop, TellingLoop):
        threads.find_name = lock_of_a_thread
    if behaviour is not None:
        behaviour.begin(sim)
    failed_at: int | None = None
    told: int | None = None
    error: BaseException | None = None
    if isinstance(loop, TellingLoop):
        loop.happened = lambda: len(sim.trace)

    async def main() -> None:
        nonlocal failed_at, told
        hosting.set(sim.journals)
        async with System("sim") as system:
            sim.system = system
            if isinstance(loop, TellingLoop):
                loop.sender = system.runtime.sender
            try:
                running = scenario(sim) if argument else scenario()
                if not isawaitable(running):
                    sim.injector.refused = no_scenario(scenario, running)
                    return
                await running
                await loop.idle()  # what was sent last is still taken up
                await sim.end()
            except BaseException:
                failed_at = len(sim.trace)
                told = len(loop.told) if isinstance(loop, TellingLoop) else None
                raise

    task = loop.create_task(main(), name="client")
    try:
        loop.run_until_complete(task)
        _arrive(loop)
        error = _left_over(sim)
    except (KeyboardInterrupt, SystemExit):
        sim.close()
        _drop(loop)
        raise
    except BaseException as raised:
        error = raised
    injector = sim.injector
    if injector.checks_remote and error is None:
        injector.check_remote(chances(sim.trace, injector.found))
    if injector.refused is not None:
        error = injector.refused
    elif loop.escaped is not None:
        error = loop.escaped
    elif error is None and loop.unhandled:
        error = _unhandled(loop.unhandled[0])
    trace = sim.trace.upto(failed_at)
    if isinstance(loop, TellingLoop):
        trace.beside = loop.beside(told)
    if error is None:
        try:
            runtime(trace)
            for invariant in (*invariants, *sim.invariants):
                check(invariant, trace)
        except (KeyboardInterrupt, SystemExit):
            sim.close()
            _drop(loop)
            raise
        except BaseException as violated:  # one that trips over an event it did not expect breaks too
            error = violated
    sim.close()
    _tear_down(loop, task)
    return error, trace


def _arrive(loop: SimulationLoop) -> None:
    """What a fault still holds up when all has stopped comes now, and is a dead letter, as it would be later."""
    for timer in loop.pending_timers():
        if _callback(timer) is enqueue:
            late = timer._args
            timer.cancel()
            enqueue(*late)


def _left_over(sim: Simulation) -> InvariantViolated | UnhandledFailure | None:
    loop = sim.loop
    # Nobody can end what is suspended: its step comes when the pause is over.
    going_on = [task for task in loop.unfinished() if not sim.injector.is_paused(name_of(task))]
    tasks = sorted(map(loop.label_of, going_on))
    if tasks:
        return InvariantViolated(f"no leaks: still running after the system had stopped: {', '.join(tasks)}")
    timers = [timer for timer in loop.pending_timers() if getattr(_callback(timer), "__name__", "") not in _OF_FAULTS]
    if timers:
        names = sorted(getattr(_callback(timer), "__qualname__", "a callback") for timer in timers)
        return InvariantViolated(f"no leaks: timers still set after the system had stopped: {', '.join(names)}")
    if loop.unawaited:
        return InvariantViolated(f"no leaks: coroutines that were never awaited: {', '.join(loop.unawaited)}")
    if loop.threads is not None and not loop.killed and (held := loop.threads.left_held()):
        return InvariantViolated(f"no leaks: locks still held after the system had stopped: {'; '.join(held)}")
    unheard = ((what, failure.error) for what, failure in sim.unheard if not failure.seen)
    if (unseen := loop.unseen() or next(unheard, None)) is not None:
        what, error = unseen
        unhandled = UnhandledFailure(f"{what} failed, and nobody looked: {shown(error)}")
        unhandled.__cause__ = error
        return unhandled
    return None


def _callback(timer: asyncio.TimerHandle) -> Any:
    return timer._callback  # type: ignore[attr-defined]


def _unhandled(context: dict[str, Any]) -> UnhandledFailure:
    cause = context.get("exception")
    failure = UnhandledFailure(f"{context.get('message', 'unhandled failure')}: {shown(cause)}")
    failure.__cause__ = cause
    return failure


def _tear_down(loop: SimulationLoop, task: asyncio.Task[Any]) -> None:
    """Let a run that did not end stop its systems, for a limited number of steps; then drop what is left."""
    try:
        if not task.done():
            loop.schedule = loop.watch = None
            loop.max_steps = loop.steps + _TEARDOWN_STEPS
            task.cancel()
            try:
                loop.run_until_complete(task)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                pass
        if task.done() and not task.cancelled():
            task.exception()  # seen
    finally:
        _drop(loop)


def _drop(loop: SimulationLoop) -> None:
    """Give up a run's loop, and the actors of what was killed or never ended on it: nobody else finds them any more."""
    loop.abandon()
    forget_of(loop)


def check_outside(what: str) -> None:
    """Refuse to begin a search where a loop runs, or within a run: in its threads, invariants and models.

    Raises:
        SimulationError: it does.
    """
    if asyncio._get_running_loop() is not None:
        raise SimulationError(f"{what}() runs a loop of its own: call it from an ordinary test, not from an async one")
    if here() is not None:
        raise SimulationError(f"{what}() within a run, in a thread, an invariant or a model of it: call it afterwards")


_before: list[tuple[Any, bool, bool]] = []
"""What the first of the searches under way, one in each thread, found as it began: see `reproducible`."""
_under_way = 0
_changing = Lock()


@contextmanager
def reproducible() -> Iterator[None]:
    """Keep the global random generator, the garbage collector and the threads' scheduler from deciding anything.

    The runtime's log is silent meanwhile: hundreds of runs would fill it, and the trace says what it would.
    """
    global _under_way
    logger = logging.getLogger("callboard")
    with _changing:
        if not _under_way:
            _before[:] = [(random.getstate(), gc.isenabled(), logger.disabled)]
            gc.disable()
            logger.disabled = True
        _under_way += 1
    try:
        with clocks.replaced(), locks.replaced():
            yield
    finally:
        with _changing:
            _under_way -= 1
            if not _under_way:
                state, collecting, logger.disabled = _before[0]
                random.setstate(state)
                if collecting:
                    gc.enable()
