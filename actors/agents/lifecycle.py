"""The life of an agency: starting its actors, stopping them, waiting for runs under way."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...providers.checks import LIST
from ..core.base.errors import CoreError
from ..core.base.log import logger_of
from ..core.base.spec import ChildSpec
from ..core.mail.future import Future
from ..core.refs.ref import ActorRef
from ..core.system import System
from ..journal.errors import JournalError
from ..journal.store import Journal, Record, at_hand
from ..observe.otlp import MetricsPush
from ..observe.telemetry import Telemetry
from .answer import Answer
from .errors import AgencyClosed, AgentUnavailable, DefinitionError
from .runs.coordination.recovery import recover
from .runs.runtime.figures import read_figures
from .runs.runtime.register import Entry
from .runs.runtime.runtime import AgencyRuntime, Baggage
from .runs.supervisors import AgencyActor
from .team.prepared import PreparedAgent
from .telemetry.figures import Figures
from .telemetry.run_spans import tell_over
from .telemetry.tracing import TellPast, Tracing
from .turns.outcome import STOPS
from .turns.records import RunRequest
from .wishes import WAIT, define

if TYPE_CHECKING:
    from ...providers.config.llmfile import LlmConfig
    from ...providers.pool.dispatch.usage import OnUsage


logger = logger_of()

LOOK: Final = 0.5
"""Seconds between two looks at whether a run has come to wait for a person."""

PoolMaker: TypeAlias = Callable[[Iterable[str]], ChildSpec]
"""Makes a pool that serves the models of these names."""


class Lifecycle:
    """Starts and stops the actors of an agency.

    Args:
        name: of the agency's actor.
        runtime: what the actors share.
        model: the actor that answers requests, what to start it from, or a function that makes a pool.
        system: the system to live in, or None for one of its own.
        address: of the journal to open at the start and to close at the end, or None where there is one.
        telemetry: what it tells of itself, or None.

    Attributes:
        system: the system it lives in, once started.
        closed: whether it has stopped or is about to.
        resumed: the answers of runs that an earlier process left unfinished, by run id.
        opens: opens the journal at an address, on a thread.
    """

    def __init__(
        self,
        name: str,
        runtime: AgencyRuntime,
        model: ActorRef[Any] | ChildSpec | PoolMaker,
        system: System | None,
        address: str | Path | None,
        telemetry: Telemetry | None,
    ) -> None:
        self.name = name
        self.system: System | None = None
        self.closed = False
        self.resumed: dict[str, Future[Answer]] = {}
        self.opens: Callable[[str | Path], Journal] = open_journal
        self._runtime = runtime
        self._model = model
        self._given_system = system
        self._address = address
        self._telemetry = telemetry
        self._deaf: list[Callable[[], object]] = []
        """What has those who look on listen no more."""
        self._watch: asyncio.Task[None] | None = None
        self._alerts: asyncio.Task[None] | None = None
        self._pushing: tuple[MetricsPush, asyncio.Task[None]] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Task[None] | None = None
        self._put_back: Callable[[], None] | None = None

    async def start(self) -> None:
        """Start the actors. Runs that a durable journal holds unfinished are gone on with.

        Raises:
            AgencyClosed: it was started before, or is stopped meanwhile.
            SkillFailed: a skill could not be initialized.
        """
        if self.system is not None or self.closed:
            raise AgencyClosed("an agency is started once; make a new one from the same agents")
        system = self._given_system
        if system is None:
            system = System(self.name)
            await system.__aenter__()
        self.system = system
        runtime = self._runtime
        runtime.time = asyncio.get_running_loop().time
        runtime.system = system
        try:
            if self._address is not None:  # beside the loop: an older file may have to be rewritten
                runtime.journal = await asyncio.to_thread(self.opens, self._address)
                if "://" not in str(self._address):
                    runtime.journal_file = Path(self._address)
            self._observe()
            self._start_model(system)
            for agent in list(runtime.directory.agents.values()):
                await runtime.skills.open(agent.all_skills)
            if runtime.shared:
                self.resumed = await recover(runtime)
            root = system.supervise(ChildSpec(AgencyActor, (runtime,), name=self.name, shutdown=30.0))
            runtime.root = root
            runtime.register.closed = runtime.following.closed = ""
            await root.started()
            if runtime.model is not None and runtime.model is not self._model:
                await runtime.model.started()  # with the vendors' SDKs loaded, for which the first run need not wait
            runtime.journal.on_post(runtime.posted)  # not before there is anybody to take them
        except BaseException as error:
            await self._stop_actors(system)  # before their journal is closed: what works on goes by it
            await self._observe_no_more()
            if self._address is not None:
                runtime.journal.close()
            if self.closed and isinstance(error, CoreError | JournalError):
                raise AgencyClosed("the agency was stopped while it started") from error
            raise
        self._watch = asyncio.get_running_loop().create_task(self._until_gone(root), name=f"{self.name}-watch")

    def _observe(self) -> None:
        """Have told what is wanted of what happens."""
        telemetry, runtime = self._telemetry, self._runtime
        if telemetry is None:
            return
        writer = telemetry.writer()
        if writer is not None:
            runtime.tracing = Tracing(telemetry, writer)
            runtime.tracing.resumed, runtime.tracing.over = self._tell_past, self._tell_over
        if telemetry.metrics:
            assert self.system is not None
            measured = self.system.measure(times=False)
            runtime.figures = Figures(telemetry.series, measured, runtime.journal_file)
            runtime.counts = runtime.figures.runs.counts
            self._deaf.append(measured.close)
            pushing = telemetry.pushing()
            if pushing is not None:
                sending = pushing.run(partial(read_figures, runtime))
                self._pushing = pushing, asyncio.get_running_loop().create_task(sending, name=f"{self.name}-figures")
        if writer is not None or telemetry.metrics:
            self._deaf.append(runtime.bus.tell())
        if telemetry.alerts is not None:
            watching = telemetry.alerts.watch(partial(read_figures, runtime))
            self._alerts = asyncio.get_running_loop().create_task(watching, name=f"{self.name}-alerts")

    def _tell_past(self, run: RunRequest, tell: TellPast) -> None:
        """Have told what an earlier process did of a run."""
        self._tell(run.stream_name, lambda records: tell(records, self._asked(run.agent)))

    def _tell_over(self, run: RunRequest, seconds: float, error: str) -> None:
        """Have told the whole of a run of whose end nobody has told."""
        tracing, model = self._runtime.tracing, self._asked(run.agent)
        assert tracing is not None
        self._tell(run.stream_name, lambda records: tell_over(tracing, run, seconds, error, records, model))

    def _asked(self, agent: str) -> str:
        """The name of the model that an agent asks; empty where that is the provider's affair."""
        runtime = self._runtime
        model = runtime.directory.prepared(agent).agent.model
        return model or runtime.model_for(agent) if isinstance(model, str) else ""

    def _tell(self, stream: str, tell: Callable[[Sequence[Record]], object]) -> None:
        unknown = "what was done before in %s is in no span: %s"
        try:
            reading = self._runtime.journal.read(stream)  # now: it may be let go of soon
        except JournalError as error:
            logger.warning(unknown, stream, error)
            tell(())
            return

        async def telling() -> None:
            records: Sequence[Record] = ()
            try:
                records = await at_hand(reading)
            except JournalError as error:
                logger.warning(unknown, stream, error)
            tell(records)  # what waits for the past is told, whatever is known of it

        task = asyncio.get_running_loop().create_task(telling(), name=f"past of {stream}")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _observe_no_more(self) -> None:
        if self._telling:
            await asyncio.wait(self._telling)
        tracing, self._runtime.tracing = self._runtime.tracing, None
        closing: list[Awaitable[None]] = []  # an exporter may have to be waited for
        if tracing is not None and tracing.writer.owned:
            closing.append(asyncio.to_thread(tracing.writer.close))
        if self._pushing is not None:
            (pushing, task), self._pushing = self._pushing, None
            pushing.end()
            closing.append(task)
        await asyncio.gather(*closing)
        while self._deaf:
            self._deaf.pop()()
        if self._alerts is not None:
            self._alerts.cancel()
            with suppress(asyncio.CancelledError):
                await self._alerts
        self._runtime.figures, self._runtime.counts = None, {}

    def _start_model(self, system: System) -> None:
        given, runtime = self._model, self._runtime
        agents = [agent for agent in runtime.directory.agents.values() if not hasattr(agent, "answer")]
        if isinstance(given, ActorRef):
            runtime.model = given
        elif isinstance(given, ChildSpec):
            runtime.model = system.supervise(self._with_journal(given))
        elif any(isinstance(agent.model, str) for agent in agents):
            named = [agent.model or runtime.model_for(agent.name) for agent in agents]
            spec = given([name for name in named if isinstance(name, str)])
            runtime.model = system.supervise(self._with_journal(spec))
        models = [runtime.model, *(agent.model for agent in agents)]
        refs = {model: None for model in models if isinstance(model, ActorRef)}
        runtime.pools = tuple(model for model in refs if _is_pool(model.actor_class))
        if runtime.pools:
            runtime.baggage = _for_pool()

    def _with_journal(self, spec: ChildSpec) -> ChildSpec:
        """A pool keeps its budgets where the agency keeps its runs, if that outlives them and nothing else is said."""
        runtime = self._runtime
        if not _is_pool(spec.factory) or not runtime.shared or "journal" in spec.kwargs:
            return spec
        return replace(spec, kwargs={**spec.kwargs, "journal": runtime.journal})

    async def _until_gone(self, root: ActorRef[Any]) -> None:
        with suppress(CoreError):
            await root.terminated()
        self._runtime.register.fail_open(lambda: AgentUnavailable("the agency's actors have stopped"))
        self._runtime.following.close("has failed for good")
        self._runtime.tool_tasks.cancel()

    async def stop(self, drain: float) -> None:
        """Stop. What is still running then ends in `AgencyClosed`; nothing is dropped silently.

        Args:
            drain: seconds to wait for runs under way; new ones are refused meanwhile.

        Raises:
            DefinitionError: ``drain`` is no number.
        """
        define("stop", drain=(drain, WAIT))
        runtime = self._runtime
        register = runtime.register
        self.closed = True
        register.closed = "has stopped or is stopping"
        if self._put_back is not None:
            self._put_back()
        if self.system is None:
            return
        if drain > 0:
            await self.drained(drain)
        if not runtime.shared:
            for entry in register.open():
                if entry.accepted and not entry.run.parent:
                    register.cancel(entry.run.id, STOPS)
            self._close_open_runs()
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        for entry in register.open():
            if entry.session is not None:
                entry.session.let_go()
        await self._stop_actors(self.system)
        self._close_open_runs()  # with a journal that others may open only now: until then it goes on with each
        runtime.following.close("has stopped")
        runtime.clock.close()
        runtime.lingering.close()
        runtime.tool_tasks.cancel()
        await runtime.tool_tasks.ended()
        await self._observe_no_more()
        if self._address is not None:
            runtime.journal.close()
        elif runtime.shared:
            with suppress(JournalError):
                runtime.journal.on_post(None)
                for stream in runtime.streams.values():
                    stream.release()

    async def _stop_actors(self, system: System) -> None:
        """Stop what has been started, with its system where that is its own."""
        runtime = self._runtime
        # Skills are closed between the runs that use them and the system that their actors live in.
        apart = bool(runtime.skills) or self._given_system is not None
        if apart and runtime.root is not None and runtime.root.is_alive():
            with suppress(CoreError):
                await runtime.root.stop()
        await runtime.skills.close()
        if self._given_system is None:
            await system.stop()
        elif runtime.model is not None and runtime.model is not self._model:  # a pool tells the journal that it goes
            with suppress(CoreError):
                await runtime.model.stop()

    def _close_open_runs(self) -> None:
        goes_on = "; whoever opens its journal next goes on with it" if self._runtime.shared else ""
        error = f"the agency stopped before the run had its answer{goes_on}"
        self._runtime.register.fail_open(lambda: AgencyClosed(error))

    def stop_on_signals(self, drain: float, signals: Sequence[signal.Signals]) -> asyncio.Event:
        """Stop when the process is told to end, and then call the handler that was found, if it is a function.

        Returns:
            an event that is set once the agency has stopped.

        Raises:
            DefinitionError: ``drain`` is no number, or ``signals`` are none.
        """
        define("stop_on_signals", drain=(drain, WAIT), signals=(signals, LIST))
        signals = [_signal(one) for one in signals]
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        # asyncio has no public way to look at a loop's own handlers.
        own = dict(getattr(loop, "_signal_handlers", {}))
        found = {number: signal.getsignal(number) for number in signals}

        async def stop(number: signal.Signals) -> None:
            try:
                await self.stop(drain)
            finally:
                stopped.set()
                if number in own or callable(found[number]):
                    signal.raise_signal(number)

        def put_back() -> None:
            self._put_back = None
            for number in signals:
                loop.remove_signal_handler(number)
                if number in own:
                    loop.add_signal_handler(number, own[number]._callback, *own[number]._args)
                elif found[number] is not None:
                    signal.signal(number, found[number])

        def begin(number: signal.Signals) -> None:
            put_back()  # a second one does what it always did
            self._stopping = loop.create_task(stop(number), name=f"{self.name}-stop")

        for number in signals:
            loop.add_signal_handler(number, begin, number)
        self._put_back = put_back
        return stopped

    async def drained(self, seconds: float) -> bool:
        """Wait until no run is under way. Those that wait for a person are not waited for where a journal keeps them:
        that may take days, and whoever goes on with them asks again.

        Args:
            seconds: how long at most.

        Returns:
            whether that came about in time.

        Raises:
            DefinitionError: ``seconds`` is no number.
        """
        define("drained", seconds=(seconds, WAIT))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        register = self._runtime.register
        while roots := [entry for entry in register.open() if not entry.run.parent and not self._waits(entry)]:
            left = deadline - loop.time()
            if left <= 0:
                return False
            ended = asyncio.Event()
            roots[0].reply.add_done_callback(partial(_set, ended))
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK)):
                    await ended.wait()
        return True

    def _waits(self, entry: Entry) -> bool:
        """Whether a run waits for a person, and goes on doing so without this process."""
        return self._runtime.shared and entry.session is not None and bool(entry.session.stopwatch.paused)


def _signal(given: Any) -> signal.Signals:
    try:
        found = signal.Signals(given)
    except ValueError:
        raise DefinitionError(f"stop_on_signals: signals are such as signal.SIGTERM, not {given!r:.80}") from None
    if found.name in ("SIGKILL", "SIGSTOP"):
        raise DefinitionError(f"stop_on_signals: no process is told of {found.name}; use signal.SIGTERM")
    return found


def _set(event: asyncio.Event, _: object) -> None:
    event.set()


def who_answers(
    model: ActorRef[Any] | ChildSpec | str | None,
    config: LlmConfig | str | Path | None,
    on_usage: OnUsage | None,
) -> tuple[ActorRef[Any] | ChildSpec | PoolMaker, Callable[[str], str]]:
    """What an agency was given to answer requests, and the name of the model of each agent that names none.

    Args:
        model: an actor, what to start it from, or the name of a model.
        config: a file, or what was read of one.
        on_usage: told of each call of the pool that is made.

    Raises:
        ConfigError: the file is wrong.
    """
    if config is not None:
        from ...providers.config.llmfile import LlmConfig, load_config  # not at the top: as below
        from ...providers.config.pool import pool_from_config

        said = config if isinstance(config, LlmConfig) else load_config(config)
        return partial(pool_from_config, said, on_usage=on_usage), said.model_for
    named = model if isinstance(model, str) else ""
    made = partial(_pool_from_environment, on_usage=on_usage)
    return made if model is None or isinstance(model, str) else model, lambda _: named


def _pool_from_environment(models: Iterable[str], on_usage: OnUsage | None) -> ChildSpec:
    from ...providers.pool import pool_from_environment  # not at the top: it takes longer to import than all of this

    return pool_from_environment(models, on_usage=on_usage)


def open_journal(address: str | Path) -> Journal:
    """The journal at an address: an SQLite file, or a database ``postgresql://…``.

    Raises:
        JournalUnavailable: it cannot be opened.
    """
    from .turns.encoding.codec import RunCodec  # not at the top: few need it at once

    if isinstance(address, str) and address.partition("://")[0] in ("postgres", "postgresql"):
        from ..journal.postgres import PostgresJournal

        return PostgresJournal(address, RunCodec())
    from ..journal.sqlite import SqliteJournal

    return SqliteJournal(address, RunCodec())


def _for_pool() -> Baggage:
    """What a pool wants to know of a request: it keeps budgets and choices by agent, conversation, user and tenant."""
    from ...providers.pool import REQUESTER, Requester  # not at the top: as above

    def baggage(run: RunRequest, agent: PreparedAgent) -> Mapping[str, Any]:
        caller = run.caller
        return {
            REQUESTER: Requester(
                run.agent,
                run.conversation,
                user=caller.user,
                tenant=caller.tenant,
                batch=agent.batch,
                caller_key=caller.key,
            )
        }

    return baggage


def _is_pool(made: object) -> bool:
    return getattr(made, "__name__", "") == "Pool"  # its module is not imported where nobody needs it
