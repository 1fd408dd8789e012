"""What every endpoint of a served agency shares: the agency, who asks, and how much may be sent."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias
from urllib.parse import unquote

from starlette.requests import HTTPConnection

from ..agents.agency import Agency
from ..agents.caller import NOBODY, Caller
from ..agents.errors import DefinitionError
from ..agents.turns.outcome import no_scope
from .limits.door import Door
from .payments.till import Till
from .problems import SOON, Problem, Refused, refuse
from .requests import BODY_LIMIT

Authenticate: TypeAlias = Callable[[HTTPConnection], "Caller | Awaitable[Caller | None] | None"]
"""Says who asks, by the headers of a request; None where it is nobody whom it knows. It may be async, and raises
starlette's `HTTPException` to say what is wrong. `ApiKeys` and `Jwt` are such."""

MOST_ASKING: Final = 1_000
"""Requests that wait at once to hear who asks: those above are sent away before anything of them is read."""

OnDisconnect: TypeAlias = Literal["continue", "cancel"]
"""What becomes of a run whose client has gone."""

RESERVED = frozenset(
    {
        *("v1", "a2a", "ag-ui", "agency", "dashboard", "docs", "healthz", "mcp", "metrics", "openapi.json", "readyz"),
        *("realtime", ".well-known"),
    }
)
"""First steps of paths that are not an agent's."""


class Stream(Protocol):
    """A stream that is being sent."""

    def look(self, now: float) -> None:
        """Do what is due; it is now so late by the event loop."""


@dataclass(slots=True)
class Server:
    """An agency that is served.

    Args:
        agency: whom to ask.
        authenticate: say who asks, in turn; empty where everybody may, as nobody in particular.
        door: holds the limits on requests; None where there are none.
        till: takes payments; None where nothing has a price.
        body_limit: bytes of a request's body, at most.
        on_disconnect: what becomes of a run whose client has gone, where the request does not say.
        ping: seconds of silence after which a stream says that it lives.
        drain: seconds for which runs under way are waited for when it is told to stop.
    """

    agency: Agency
    authenticate: tuple[Authenticate, ...] = ()
    door: Door | None = None
    till: Till | None = None
    body_limit: int = BODY_LIMIT
    on_disconnect: OnDisconnect = "continue"
    ping: float = 15.0
    drain: float = 30.0
    draining: bool = field(default=False, init=False)
    """Whether it has been told to stop: clients that are sent away have not gone by themselves."""
    leaving: asyncio.Task[None] | None = field(default=None, init=False, repr=False)
    """What ends once it has stopped, where it was told to."""
    streams: dict[asyncio.Task[Any], Stream] = field(default_factory=dict, init=False, repr=False)
    """The requests that are being sent a stream, and what they are sent."""
    looking: asyncio.TimerHandle | None = field(default=None, init=False, repr=False)
    """When the streams are looked at next; None where there are none."""
    also_waited_for: list[Callable[[], Awaitable[object]]] = field(default_factory=list, init=False, repr=False)
    """What is waited for besides runs when it drains."""
    _asking: int = field(default=0, init=False)

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Who asks.

        Raises:
            Refused: nobody who may.
            QuotaExceeded: they have asked too often.
        """
        caller = await self.found(connection)
        if self.door is not None:
            await self.door.enter(connection, caller, self.agency.journal if self.agency.durable else None)
        return caller

    async def found(self, connection: HTTPConnection) -> Caller:
        """Who asks, without that it counts as a request of theirs.

        Raises:
            Refused: nobody who may.
        """
        if not self.authenticate:
            return NOBODY
        if self._asking >= MOST_ASKING:
            message = "too many ask at once who have not said who they are: come back"
            raise Refused(Problem(503, "overloaded", message, retry_after=SOON))
        self._asking += 1
        try:
            for authenticate in self.authenticate:
                found = authenticate(connection)
                if inspect.isawaitable(found):
                    found = await found
                if isinstance(found, Caller):
                    return found
                if found is not None:
                    raise TypeError(f"what says who asks returns a Caller or None, not {type(found).__name__}")
        finally:
            self._asking -= 1
        if self.door is not None:
            self.door.turn_away(connection)
        raise unauthorized()

    def agent(self, name: str) -> str:
        """The agent of a name, as a path has it.

        Raises:
            Refused: there is none.
        """
        if "%" in name:
            name = unquote(name)
        if name not in self.agency.agents:
            raise refuse(404, "unknown_agent", f"there is no agent {name!r:.100}: see GET /v1/models")
        return name

    def check_may_ask(self, agent: str, caller: Caller) -> None:
        """Look whether a caller may ask an agent.

        Raises:
            NotAllowed: they may not.
        """
        if agent not in self.agency.open_to(caller):
            raise no_scope(agent, self.agency.agents[agent].scope)

    def check_loop(self) -> None:
        """Look whether the agency runs on this event loop: on another one answers come when a timer happens to ring.

        Raises:
            Refused: it runs elsewhere.
        """
        system = self.agency.system
        if system is not None and system.runtime.loop is not asyncio.get_running_loop() and not self.agency.stopping:
            message = "the agency runs on another event loop: serve it where it was started"
            raise refuse(500, "other_event_loop", message)

    def check(self) -> None:
        """Look whether the agency can be served.

        Raises:
            DefinitionError: an agent has a name that is a path of the server's; or who asks is to be said by what is no
                function.
        """
        for authenticate in self.authenticate:
            if isinstance(authenticate, type):
                raise DefinitionError(
                    f"authenticate is what a class makes, not {authenticate.__name__} itself: call it"
                )
            if not callable(authenticate):
                raise DefinitionError(f"authenticate is a function, or several, not {type(authenticate).__name__}")
        for name in self.agency.agents:
            if name in RESERVED:
                raise DefinitionError(f"an agent that is served cannot be called {name!r}: that path is the server's")


def in_turn(given: object) -> tuple[Authenticate, ...]:
    """Those who say who asks, as they are given: one, or several; None for nobody.

    Raises:
        DefinitionError: they are several, and there are none.
    """
    if given is None:
        return ()
    several = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not several:
        raise DefinitionError("authenticate: nobody is there to say who asks; None asks nobody")
    return several


def unauthorized() -> Refused:
    """The refusal of somebody who did not say who they are, or not credibly: it is the same whatever was wrong, as
    whoever guesses must not learn how near they are."""
    message = "give the key or token that you were given, and that is still good, as `Authorization: Bearer …`"
    return Refused(Problem(401, "unauthorized", message, headers={"www-authenticate": "Bearer"}))
