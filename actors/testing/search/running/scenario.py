"""What a scenario is given, and what the systems inside it report to."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from ....core.mail.future import Failure
from ....core.refs.ref import ActorRef
from ....core.runtime.parts import MESSAGE_FIELDS
from ....core.system import System
from ...errors import SimulationError
from ...faults.injector import Injector
from ...loop.lanes.lanes import process as current
from ...loop.loop import SimulationLoop
from ...processes.process import Main, Process
from ...processes.stores import OUTSIDE, Journals
from ...trace.checks import check_function
from ...trace.invariants import Invariant
from ...trace.names import Name, sides
from ...trace.trace import Fact, Trace, named

if TYPE_CHECKING:
    from ....agents.agency import Agency
    from ...oracles.agencies import Watch
    from ...oracles.runs import Forbidden

Scenario: TypeAlias = Callable[..., Awaitable[object]]
_NOTHING: Forbidden = MappingProxyType({})
_LOOK_AFTER = ("done", "started", "restarted")
_TAKEN = {
    *MESSAGE_FIELDS,
    *("crashed", "dead", "dead_letter", "escalated", "fault", "killed", "lost", "restarted", "spawn", "started"),
    *("stashed", "stopped", "system_stopped", "system_stopping"),
}
"""The events of the runtime and of faults, which invariants go by: no mark is called so."""


class Simulation:
    """What a scenario is given; also the probe that the systems inside report to.

    ``system`` is a started `System`. When the scenario has ended, what can still run without time going on runs; then
    the system is stopped.
    """

    system: System

    def __init__(self, loop: SimulationLoop, injector: Injector) -> None:
        self.loop = loop
        self.trace = self._so_far = Trace()
        self.injector = injector
        self.invariants: list[Invariant] = []
        """What must hold for this run beside what `simulate` was given."""
        self._watch: Watch | None = None
        self._systems = 0
        self._expected: list[Callable[[Fact], object]] = []
        self._append = self.trace.raw.append
        # None where no fault could strike: then the runtime does not ask.
        self.on_send = injector.on_send if injector.on_sends else None
        self.on_reply = injector.on_reply if injector.on_replies else None
        self.on_process = injector.on_process if injector.looks else None
        self.on_look: Callable[[int], None] | None = None
        self.on_full: Callable[[str], None] | None = None
        self.on_view: Callable[[str | None], None] | None = None
        self.unheard: list[tuple[str, Failure]] = []
        """The asks that failed while nobody waited for them."""
        self.steps, self.ended = 0, 0.0
        """How many steps the run took, and when it was over, in virtual seconds."""
        self.processes: dict[str, Process] = {}
        """By name."""
        self._folder: TemporaryDirectory[str] | None = None
        self.journals = Journals(loop, injector)
        injector.tell = self.event
        injector.loop = loop

    # -- for the scenario --------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.loop.time()

    def mark(self, kind: str, **fields: Any) -> None:
        """Put an event of your own into the trace, for invariants to look at.

        Raises:
            TypeError: the kind is no text.
            ValueError: the runtime takes down events of that kind itself.
        """
        _check_text(kind, "the kind of a mark")
        if kind in _TAKEN:
            raise ValueError(f"a mark cannot be called {kind!r}: the runtime takes down events of that kind itself")
        self._append((self.loop._now, kind, fields))

    def watch(self, agency: Agency, *, forbidden: Forbidden = _NOTHING) -> None:
        """Hold the runs of an agency to the oracles for LLM flows, and put their events into the trace.

        Each request is one that every vendor would take; no call is without a result; budgets hold; no tool is called
        twice; each run ends once; what needs an approval has one; what was cancelled is not carried out. To be called
        before there are runs; of agencies that share a journal, of each. Dead letters within it are expected.

        Args:
            agency: which one.
            forbidden: for a label, which is a piece of text such as ``"UNTRUSTED"``, the names of the tools that must
                not be called because of a text with it: not by a run that was shown it, nor by one that takes over
                from such a run, unless a person approves the call.

        Raises:
            SimulationError: it is watched already, has had a run, or is no agency.
            TypeError: what is forbidden is of another shape.
        """
        from ...oracles.agencies import Watch  # not at the top: few watch an agency, and it takes half of all the time

        if self._watch is None:
            self._watch = Watch(self.loop.time, lambda row: self._append(row), self._so_far)
            self.invariants.append(self._watch.check)
        self._watch.add(agency, forbidden)
        name = agency.name  # one that closes, or crashes, leaves messages to itself: what is lost of a run is judged
        self.expect_dead_letters(lambda letter: letter.actor == name or letter.actor.startswith(f"{name}/"))

    def follow(self, ref: ActorRef[Any], **states: Callable[[Any], object]) -> None:
        """Put what an actor is like into the trace, as events of the kind ``state``: at once, and whenever it has
        changed with a message or a restart.

        Args:
            ref: the actor.
            states: what to look at, by name: functions of the actor, quick, and without an effect.

        Raises:
            TypeError: that is no actor of this framework's, or a state is no function.
        """
        if not isinstance(ref, ActorRef):
            raise TypeError(f"what is followed is the ref of an actor, not {ref!r:.80}")
        for name, state in states.items():
            check_function(state, name, "the actor")
        cell, append, last = ref._cell, self._append, dict[str, object]()
        probe: Any = cell.runtime.probe
        system = {} if probe is self else {"system": probe.number}
        whose = system.get("system"), cell.path

        def look() -> None:
            try:
                now = {name: state(cell.actor) for name, state in states.items()} if cell.actor is not None else last
                changed = now != last
            except Exception as error:
                self.loop.unhandled.append({"message": f"a state of {cell.path} that is followed", "exception": error})
                return
            if changed:
                last.update(now)
                append((self.loop._now, "state", {**system, "actor": cell.path, **now}))

        def followed(row: tuple[Any, ...]) -> None:
            append(row)
            if row[1] in _LOOK_AFTER:
                fields = named(row)
                if (fields.get("system"), fields.get("actor")) == whose:
                    look()

        self._append = followed
        look()

    def names(self) -> tuple[Name, ...]:
        """The names that the scenario goes by: each must come up in some run."""
        remote = [
            Name("sim.remote", "actor", path, sides, "there is no actor") for path in sorted(self.injector.remote)
        ]
        return (*remote, *(() if self._watch is None else self._watch.names()))

    async def idle(self) -> None:
        """Wait until nothing can run without time going on."""
        await self.loop.idle()

    def expect_dead_letters(self, condition: Callable[[Fact], object] = lambda _: True) -> None:
        """Allow dead letters that satisfy ``condition``, a function of the ``dead_letter`` event.

        Raises:
            TypeError: it is none.
        """
        if not callable(condition):
            raise TypeError(f"which dead letters to expect is said by a function of the event, not by {condition!r}")
        self._expected.append(condition)

    def remote(self, *paths: str) -> None:
        """Declare that a network lies before these actors: messages to them and replies may be lost, or come twice.

        Raises:
            TypeError: a path is no text.
        """
        for path in paths:
            _check_text(path, "the path of an actor")
        self.injector.remote.update(paths)

    def process(self, name: str, main: Main) -> Process:
        """Start a process: a program with a system of its own, which shares with others nothing but stores.

        The program is called anew whenever the process is started again. Awaited, the process gives what the program
        returns. One that still runs when the scenario has ended is cancelled, as a signal does.

        Args:
            name: by which `Restart` and `StoreFault` know it.
            main: ``async def main(system)``, given a started system.

        Raises:
            SimulationError: there is a process of that name.
            TypeError: the name is none, or the program no function.
        """
        if not isinstance(name, str) or not name or not callable(main) or inspect.isclass(main):
            raise TypeError(f"a process has a name and a program: async def main(system), not {name!r} and {main!r}")
        if name in self.processes or name == OUTSIDE:
            raise SimulationError(f"there is a process {name!r} already")
        made = self.processes[name] = Process(self.loop, self.injector, name, main)
        self.injector.found["write", name] += 0
        made.start()
        return made

    @property
    def folder(self) -> Path:
        """A folder of this run's own, for files of journals; it is gone afterwards."""
        if self._folder is None:
            where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where nothing waits for a disk
            self._folder = TemporaryDirectory(prefix="callboard-", dir=where, ignore_cleanup_errors=True)
            self.loop.writable.append(os.path.join(self._folder.name, ""))
        return Path(self._folder.name)

    async def end(self) -> None:
        """The scenario has ended: the processes that still run are cancelled."""
        for each in self.processes.values():
            await each.stop()

    def allow_writing(self, *directories: str | Path) -> None:
        """Allow files below these directories to be changed.

        They outlive the run: to be the same in every run, a scenario has to begin with an empty one.

        Raises:
            TypeError: that is no path.
            ValueError: that is no directory.
        """
        for directory in directories:
            if not isinstance(directory, str | Path):
                raise TypeError(f"where writing is allowed is the path of a directory, not {directory!r:.80}")
            if not os.path.isdir(directory):
                raise ValueError(f"{os.fspath(directory)!r} is no directory")
        self.loop.writable.extend(os.path.join(os.path.abspath(directory), "") for directory in directories)

    def probe(self) -> Simulation | _Further:
        """Return the probe of the next system that starts in this run."""
        self._systems += 1
        if self._systems == 1:
            return self
        probe = _Further(self, self._systems)
        incarnation = current.get()
        if incarnation is not None:
            incarnation.probes.append(probe)
        return probe

    # -- the probe ---------------------------------------------------------------------------------------------

    def event(self, kind: str, **fields: Any) -> None:
        """Take down a fact. Called by the runtime."""
        if kind == "dead_letter" and self._expected and not fields.get("expected"):
            fact = Fact(len(self.trace), self.loop._now, kind, fields)
            fields["expected"] = any(condition(fact) for condition in self._expected)
        self._append((self.loop._now, kind, fields))

    def unheard_failure(self, what: str, failure: Failure) -> None:
        """Take note of an ask or a hook that failed while nobody waited for it. Called by the runtime."""
        self.unheard.append((what, failure))

    def message(self, kind: str, *values: Any) -> None:
        """Take down what happened to a message. Called by the runtime."""
        self._append((self.loop._now, kind, *values))

    def close(self) -> None:
        """Take nothing down any more: the run is over."""
        self.steps, self.ended = self.loop.steps, self.loop.time()
        self.journals.close()
        for process in self.processes.values():
            process.abandon()
        if self._folder is not None:
            self._folder.cleanup()
        self._append = lambda _: None
        self.trace = Trace()


def _check_text(value: object, what: str) -> None:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{what} is a text, not {value!r}")


class _Further:
    """The probe of a second, third, … system in one run: their envelopes are numbered anew, so they are told apart."""

    def __init__(self, sim: Simulation, number: int) -> None:
        self.on_send = None if sim.on_send is None else partial(sim.on_send, system=number)
        self.on_reply = None if sim.on_reply is None else partial(sim.on_reply, system=number)
        self.on_process = sim.on_process
        self.number = number
        self.on_look = sim.on_look
        self.on_full = sim.on_full
        self.on_view = sim.on_view
        self._sim = sim

    def event(self, kind: str, **fields: Any) -> None:
        self._sim.event(kind, system=self.number, **fields)

    def message(self, kind: str, *values: Any) -> None:
        self.event(kind, **dict(zip(MESSAGE_FIELDS[kind], values, strict=True)))

    def unheard_failure(self, what: str, failure: Failure) -> None:
        self._sim.unheard_failure(what, failure)


def takes_simulation(scenario: Scenario) -> bool:
    """Whether the scenario wants the `Simulation` as its argument."""
    parameters = inspect.signature(scenario).parameters.values()
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
