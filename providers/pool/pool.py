"""The pool: one actor that answers `Request` like a provider does, from several of them.

It is thin: what is decided stands in the rooms `accounts` and `admission`, how a request goes through them in
`dispatch`, what may happen to it before in `front`, and how the provider actors, which are its children, are started
and stopped in `members`. The actor answers the control messages.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from inspect import signature
from typing import Any

from pydantic import SecretStr

from ...actors.core.actor import Actor
from ...actors.core.base.errors import SpecError
from ...actors.core.base.events import Outcome
from ...actors.core.base.send_context import current_send_context
from ...actors.core.base.spec import ChildSpec
from ...actors.core.refs.watching import Terminated
from ...actors.journal.memory import MemoryJournal
from ...actors.journal.store import Journal
from .. import checks
from ..embeddings import EmbeddingRequest
from ..messages import Message, Request
from ..registry.resolve import Registry
from .accounts.cost import Price, Prices, load_prices
from .accounts.keeping import Keeper
from .accounts.limits import Budget, Exhausted, check_budgets
from .accounts.stats import EndpointCounts, Health, PoolStats
from .admission.gate import Gate, Grant
from .admission.hedge import Hedge
from .admission.limiter import ONE_REQUEST
from .admission.routing import Cheapest, LeastLoaded, Priority, Routing
from .control import (
    REQUESTER,
    AddEndpoint,
    CheckBudgets,
    DrainEndpoint,
    FanOut,
    GetHealth,
    GetServing,
    GetStats,
    Probe,
    RaiseBudget,
    RemoveEndpoint,
    ResumeEndpoint,
    RotateKey,
    SetBudget,
    Submit,
    SwitchProvider,
)
from .dispatch.dispatcher import Dispatcher
from .dispatch.endpoint import Endpoint, Member, by_served_model, check_names, with_key
from .dispatch.health import health_of
from .dispatch.job import ANYONE, Requester
from .dispatch.usage import OnUsage, can_be_told
from .front.batch import Batching
from .front.cache import Cache
from .front.fanout import fan_out
from .front.front import Front
from .front.safe_cache import SafeCache
from .members import Idle, Members, StartAgain, Started
from .memory import Memory
from .shared_limits import SharedLimits

logger = logging.getLogger("callboard.pool")

_PING = Request((Message("user", "ping"),), max_tokens=1)


class Pool(Actor):
    """Answers `Request` with a `Completion` (``ask``) or `Delta`s (``stream``), and `EmbeddingRequest` with
    `Embeddings`, from whichever endpoint can.

    A request that no endpoint can take now waits, in order, until its deadline (of ``ask(timeout=)``, or of a
    `send_context`), or for ``queue_timeout`` if it has none. After that, or when nobody can do it, the caller gets
    `NoProvider` with the causes.

    Args:
        endpoints: the providers, in order of preference where the routing leaves a tie.
        routing: which of several free endpoints gets a request.
        fallbacks: lesser models by model, best first, used while every endpoint of the model is down, by whichever of
            its names the model was asked for. ``acme:*`` stands for each model of the endpoint (or group) acme that
            has none of its own.
        registry: says what names mean that no endpoint has: aliases, and whose a model is that nobody lists. None to
            take all names as they stand.
        hedge: sends slow calls a second time; None for never.
        queue_timeout: seconds a request without a deadline waits for an endpoint, anew for each attempt; what attempts
            themselves take does not count.
        cache: keeps completions of equal requests; None for none. See `cache`.
        coalesce: whether equal requests in flight share one call.
        batching: how requests submitted with ``batch`` are put together; None to send them singly.
        prices: US dollars by model name, in place of the price list's.
        budgets: limits on spending.
        probe_interval: seconds between health probes of endpoints that are not well; None leaves it to requests.
        on_usage: told of each call to a provider as it ends: a function of a `CallRecord`.
        journal: where what was spent is kept, so that it outlives the process, and by which processes share accounts
            and limits; None for nowhere. It must take plain dictionaries as events, as an agency's does, and one made
            with ``JsonCodec()``.
        clock: seconds since 1970, for the periods of budgets.
        memory: what a restart of the pool itself must not forget; `spec` provides it.
        seed: of all randomness (routing, jitter); None to take one from the actor system.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint] = (),
        *,
        routing: Routing | None = None,
        fallbacks: Mapping[str, Sequence[str]] | None = None,
        registry: Registry | None = None,
        hedge: Hedge | None = None,
        queue_timeout: float = 30.0,
        cache: Cache | None = None,
        coalesce: bool = False,
        batching: Batching | None = None,
        prices: Mapping[str, Price] | None = None,
        budgets: Iterable[Budget] = (),
        probe_interval: float | None = None,
        on_usage: OnUsage | None = None,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.time,
        memory: Memory | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        _check({"queue_timeout": queue_timeout, "hedge": hedge, "coalesce": coalesce, "batching": batching})
        _check({"registry": registry})
        _check({"prices": prices, "probe_interval": probe_interval, "on_usage": on_usage, "fallbacks": fallbacks})
        memory = self._memory = memory or Memory()
        self._budgets = memory.budgets
        self._budgets.clock = clock
        if memory.endpoints is None:  # it begins: a restart goes on with what was changed since
            given = tuple(endpoints)
            check_names(given)
            budgets = tuple(by_served_model(budget, given) for budget in budgets)
            check_budgets(budgets, (account for one in given for account in one.accounts()))
            for budget in budgets:
                self._budgets.set(budget)
            memory.endpoints = given
        self._endpoints = memory.endpoints
        self._seed = seed
        self._prices = Prices(prices)
        self._options: dict[str, Any] = {
            "routing": routing or Priority(LeastLoaded()),
            "fallbacks": dict(fallbacks or {}),
            "registry": registry,
            "hedge": hedge,
            "queue_timeout": queue_timeout,
        }
        self._cache = None if cache is None else SafeCache(cache)
        self._coalesce = coalesce
        self._batching = batching
        self._probe_interval = probe_interval
        self._on_usage = on_usage
        self._keeper = None if journal is None else Keeper(memory.budgets, journal)
        self._shared_in = None if isinstance(journal, MemoryJournal) else journal
        self._shared: SharedLimits | None = None
        self._dispatcher: Dispatcher
        self._members: Members

    @classmethod
    def spec(cls, endpoints: Iterable[Endpoint], *, name: str = "pool", **options: Any) -> ChildSpec:
        """Return the child spec of a pool; ``options`` are the constructor's.

        Raises:
            SpecError: there is no such option.
            ValueError: it cannot have that value.
        """
        known = signature(cls).parameters
        for option in options:
            if option not in known:
                raise SpecError(f"a pool has no option {option!r}; it has {', '.join(known)}")
        _check(options)
        return ChildSpec(cls, (tuple(endpoints),), {"memory": Memory(), **options}, name=name)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Start the provider actors."""
        loop = asyncio.get_running_loop()
        rng = random.Random(self.system.rng.random() if self._seed is None else self._seed)
        memory = self._memory
        self._dispatcher = Dispatcher(
            loop,
            prices=self._prices,
            budgets=memory.budgets,
            ledger=memory.ledger,
            counts=memory.counts,
            on_usage=self._on_usage,
            rng=rng,
            **self._options,
        )
        prices = self._prices if _wants_prices(self._options["routing"]) else None  # or the list need not be loaded
        self._members = Members(self, self._dispatcher.planner, memory, prices, rng)
        self._front = Front(self._dispatcher, self._cache, self._coalesce, self._batching, memory.switches)
        if self._shared_in is not None:
            self._shared = SharedLimits(memory, self._shared_in, self._dispatcher)
        for endpoint in self._endpoints:
            self._members.begin(endpoint)
        self._dispatcher.queue.changed()
        # The vendors' SDKs take up to two seconds of CPU: before the pool has started, or the first request would wait.
        self._interruptible = True
        for factory in {endpoint.spec.factory for endpoint in self._endpoints}:
            load = getattr(factory, "load", None)
            if load is not None:
                with suppress(Exception):  # its actors cannot start either, and say why
                    await loop.run_in_executor(None, load)
        if any(endpoint.price is None for endpoint in self._endpoints):
            await loop.run_in_executor(None, load_prices)
        self._interruptible = False
        if self._cache is not None:
            await self._cache.open()
        if self._keeper is not None:
            await self._keeper.start()
        if self._probe_interval is not None:
            self.schedule_every(self._probe_interval, Probe())

    def on_stop(self) -> Any:
        """Stop the queue's timer and what runs for several requests; close the cache, and what keeps the budgets."""
        if not hasattr(self, "_dispatcher"):  # it failed before it had started
            return None
        self._dispatcher.queue.close()
        self._front.close()
        resources = [each for each in (self._cache, self._keeper, self._shared) if each is not None]
        return _closed(resources) if resources else None

    def on_failure(self, *_: Any) -> Any:
        """As `on_stop`: the next incarnation makes its own."""
        return self.on_stop()

    # -- messages ------------------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Answer requests beside the mailbox, control messages at once."""
        kind = message.__class__
        if kind is Request or kind is EmbeddingRequest:
            return self._serve(Submit(message, _requester()))
        if kind is Submit:
            return self._serve(message)
        handler = _HANDLERS.get(kind)
        if handler is None:
            return super().on_receive(message)
        return handler(self, message)

    def _serve(self, submit: Submit) -> Any:
        if self.expects == "stream":
            return self._front.stream(submit)
        return self._reply(self._front.complete(submit))

    def _reply(self, answer: Coroutine[Any, Any, Any]) -> Any:
        if self.expects == "nothing":
            # Under a tell nobody gets the answer, and a failure would count as the pool's own.
            answer.close()
            logger.warning(
                "%s: a request that was told, not asked, is not sent: nobody would get the answer", self.path
            )
            return None
        return self.reply_with(answer)

    def _fan_out(self, message: FanOut) -> Any:
        if message.requester is ANYONE:
            message = replace(message, requester=_requester())
        return self._reply(fan_out(self._dispatcher, message))

    def _health(self, _: GetHealth) -> Health:
        now = self._dispatcher.loop.time()
        return Health(tuple(health_of(member, now) for member in self._dispatcher.planner.members.values()))

    def _serving(self, message: GetServing) -> Any:
        return self._reply(self._served(message.model))

    async def _served(self, model: str) -> tuple[str, ...]:
        return self._dispatcher.planner.serving(Request((), model))

    def _stats(self, _: GetStats) -> PoolStats:
        dispatcher = self._dispatcher
        return PoolStats(
            pool=replace(dispatcher.counts),
            endpoints={name: self._memory.counted(name) + EndpointCounts() for name in dispatcher.planner.members},
            models={
                name: {model: gate.counts + EndpointCounts() for model, gate in member.gates.items()}
                for name, member in dispatcher.planner.members.items()
            },
            waiting=dispatcher.admission.waiting,
            cost=self._budgets.spent.get("pool:", 0.0),
            spent=dict(self._budgets.spent),
            bought=self._memory.ledger.entries(),
            budgets=self._budgets.stats(),
            oldest=dispatcher.queue.oldest,
        )

    def _probe(self, message: Probe) -> Any:
        if message.endpoint and not self._dispatcher.planner.called(message.endpoint):
            raise SpecError(self._dispatcher.planner.unknown(message.endpoint))
        return self._carried_out(self._probed(message.endpoint))

    async def _probed(self, name: str) -> Health:
        if self._shared is not None:
            await self._shared.wake()
        gates = []
        planner = self._dispatcher.planner
        for member in planner.called(name) if name else planner.members.values():
            unwell = [gate for gate in member.gates.values() if gate.state != "closed"]
            gates += unwell or ([_usual(member)] if name else [])
        await asyncio.gather(*map(self._pinged, gates), return_exceptions=True)
        return self._health(GetHealth())

    async def _pinged(self, gate: Gate) -> None:
        dispatcher = self._dispatcher
        now = dispatcher.loop.time()
        if gate.ready(ONE_REQUEST, now):
            model = f"{gate.name}:{gate.model}"
            request = EmbeddingRequest(("ping",), model) if _embeds(gate) else replace(_PING, model=model)
            job = dispatcher.open(request, Requester(endpoint=gate.name))
            job.ping = True
            await dispatcher.attempts.once(job, Grant(gate, ONE_REQUEST, now))

    def _add_endpoint(self, message: AddEndpoint) -> Any:
        added = message.endpoint
        members = self._dispatcher.planner.members
        if not isinstance(added, Endpoint):
            raise SpecError(f"AddEndpoint takes an Endpoint, not {type(added).__name__}")
        check_names((*(member.endpoint for name, member in members.items() if name != added.name), added))
        if added.name in members:
            return self._carried_out(self._replaced(added.name, lambda _: added))
        self._members.add(added)
        self._dispatcher.queue.changed()
        return added.name

    async def _replaced(self, name: str, change: Callable[[Endpoint], Endpoint]) -> str:
        await self._members.replace(name, change)
        self._dispatcher.queue.changed()
        return name

    def _carried_out(self, order: Coroutine[Any, Any, Any]) -> Any:
        """Do beside the mailbox what takes a while, and answer with what comes of it, where somebody waits for that."""
        if self.expects == "nothing":
            self.pipe(order, self._noted)
            return None
        return self.reply_with(order)

    def _noted(self, outcome: Outcome[Any]) -> Any:
        if outcome.error is not None:
            logger.warning("%s: %s", self.path, outcome.error)
        return _NOBODY

    def _remove_endpoint(self, message: RemoveEndpoint) -> bool:
        found = self._members.remove(message.name)
        self._dispatcher.queue.changed()
        return found

    def _drain(self, message: DrainEndpoint | ResumeEndpoint) -> None:
        self._members.drain(message.name, isinstance(message, DrainEndpoint))
        self._dispatcher.queue.changed()

    def _rotate_key(self, message: RotateKey) -> Any:
        member = self._dispatcher.planner.members.get(message.endpoint)
        if member is None:
            keys = ", ".join(one.endpoint.name for one in self._dispatcher.planner.called(message.endpoint))
            if keys:
                raise SpecError(f"{message.endpoint!r} is a group in this pool: each of {keys} has a key of its own")
            raise SpecError(self._dispatcher.planner.unknown(message.endpoint))
        if not isinstance(message.key, SecretStr) or not message.key.get_secret_value().strip():
            found = "an empty one" if isinstance(message.key, SecretStr) else type(message.key).__name__
            raise SpecError(f"RotateKey for {message.endpoint!r}: expected the key as a SecretStr, not {found}")
        if not checks.is_key(message.key.get_secret_value()):
            raise SpecError(f"RotateKey for {message.endpoint!r}: expected {checks.SENDABLE_KEY}")

        def with_new_key(endpoint: Endpoint) -> Endpoint:
            label = endpoint.key if message.label is None else message.label
            # The spec is what a restart after a crash starts from, so it is the spec that must get the key.
            return replace(endpoint, spec=with_key(endpoint.spec, message.key, message.argument), key=label)

        return self._carried_out(self._replaced(message.endpoint, with_new_key))

    def _switch(self, message: SwitchProvider) -> str:
        if message.endpoint and not self._dispatcher.planner.called(message.endpoint):
            raise SpecError(self._dispatcher.planner.unknown(message.endpoint))
        before = self._memory.switches.pop(message.whom, None)
        if message.endpoint or message.model:
            self._memory.switches[message.whom] = message
        return "" if before is None else before.endpoint

    def _set_budget(self, message: SetBudget) -> float:
        members = self._dispatcher.planner.members.values()
        budget = by_served_model(message.budget, [member.endpoint for member in members])
        check_budgets((budget,), (account for member in members for account in member.accounts))
        return self._budgets.set(budget)

    def _raise_budget(self, message: RaiseBudget) -> float:
        return self._budgets.raised(message.account, message.period, message.measure, message.limit)

    def _check_budgets(self, message: CheckBudgets) -> Exhausted | None:
        return self._budgets.exhausted(message.requester.accounts())

    def _stop_idle(self, message: Idle) -> None:
        self._members.stop_idle(message)

    def _terminated(self, message: Terminated) -> None:
        queue = self._dispatcher.queue
        if self._members.ended(message):
            queue.changed()
        else:
            queue.pump()

    def _start_again(self, message: StartAgain) -> None:
        self._members.start_again(message)
        self._dispatcher.queue.pump()

    def _started(self, message: Started) -> None:
        self._members.started(message)
        self._dispatcher.queue.pump()


def _usual(member: Member) -> Gate:
    """Return the model of an endpoint that is asked most, or that would be asked first."""
    asked = max(member.gates.values(), key=lambda gate: gate.counts.sent, default=None)
    return asked or member.gate_of(member.endpoint.default_model or next(iter(member.endpoint.models), ""))


def _embeds(gate: Gate) -> bool:
    """Return whether a model is to be asked for embeddings, as far as one knows."""
    able: frozenset[str] = gate.member.endpoint.capabilities
    return gate.embeds or able == {"embeddings"}


def _requester() -> Requester:
    """On whose behalf the message at work was sent, as its send context says."""
    requester: Requester = current_send_context().baggage.get(REQUESTER, ANYONE)
    return requester


async def _closed(resources: Sequence[SafeCache | Keeper | SharedLimits]) -> None:
    await asyncio.gather(*(resource.close() for resource in resources))


_OPTIONS: Mapping[str, checks.Wish] = {
    "queue_timeout": checks.SECONDS,
    "registry": checks.made_as(Registry).or_none(),
    "fallbacks": checks.by_name(checks.several(checks.NAME, (tuple, list))).or_none(),
    "hedge": checks.made_as(Hedge).or_none(),
    "coalesce": checks.FLAG,
    "batching": checks.made_as(Batching).or_none(),
    "prices": checks.by_name(checks.made_as(Price)).or_none(),
    "probe_interval": checks.SOME_SECONDS.or_none(),
    "on_usage": checks.Wish("a function that is not async: nobody waits for what it returns", can_be_told).or_none(),
}


def _check(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if name in _OPTIONS:
            checks.look(name, value, _OPTIONS[name])


_NOBODY = object()
"""What the pool sends itself when something has ended whose answer nobody had asked for."""


def _wants_prices(routing: Any) -> bool:
    return isinstance(routing, Cheapest) or (hasattr(routing, "then") and _wants_prices(routing.then))


_HANDLERS: dict[type, Any] = {
    FanOut: Pool._fan_out,
    GetHealth: Pool._health,
    GetServing: Pool._serving,
    GetStats: Pool._stats,
    Probe: Pool._probe,
    AddEndpoint: Pool._add_endpoint,
    RemoveEndpoint: Pool._remove_endpoint,
    DrainEndpoint: Pool._drain,
    ResumeEndpoint: Pool._drain,
    RotateKey: Pool._rotate_key,
    SwitchProvider: Pool._switch,
    SetBudget: Pool._set_budget,
    RaiseBudget: Pool._raise_budget,
    CheckBudgets: Pool._check_budgets,
    Terminated: Pool._terminated,
    Idle: Pool._stop_idle,
    StartAgain: Pool._start_again,
    Started: Pool._started,
    object: lambda _self, _message: None,
}
