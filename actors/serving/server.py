"""What every endpoint of a served agency shares: the agency, who asks, and how much may be sent."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import unquote

from starlette.requests import HTTPConnection

from ..agents.agency import Agency
from ..agents.caller import NOBODY, Caller
from ..agents.errors import DefinitionError
from .problems import refuse
from .requests import BODY_LIMIT

Authenticate: TypeAlias = Callable[[HTTPConnection], "Caller | Awaitable[Caller | None] | None"]
"""Says who asks, by the headers of a request; None where it is nobody who may. It may be async, and raises `Refused` to
say what is wrong."""

OnDisconnect: TypeAlias = Literal["continue", "cancel"]
"""What becomes of a run whose client has gone."""

RESERVED = frozenset(
    {"v1", "a2a", "ag-ui", "docs", "healthz", "mcp", "metrics", "openapi.json", "readyz", "realtime", ".well-known"}
)
"""First steps of paths that are not an agent's."""


@dataclass(slots=True)
class Server:
    """An agency that is served.

    Args:
        agency: whom to ask.
        authenticate: says who asks; None where everybody may, as nobody in particular.
        body_limit: bytes of a request's body, at most.
        on_disconnect: what becomes of a run whose client has gone, where the request does not say.
        ping: seconds of silence after which a stream says that it lives.
    """

    agency: Agency
    authenticate: Authenticate | None = None
    body_limit: int = BODY_LIMIT
    on_disconnect: OnDisconnect = "continue"
    ping: float = 15.0
    draining: bool = field(default=False, init=False)
    """Whether it has been told to stop: clients that are sent away have not gone by themselves."""

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Who asks.

        Raises:
            Refused: nobody who may.
        """
        if self.authenticate is None:
            return NOBODY
        found = self.authenticate(connection)
        if inspect.isawaitable(found):
            found = await found
        if found is None:
            raise unauthorized("give the key or token that you were given as `Authorization: Bearer …`")
        return found

    def agent(self, name: str) -> str:
        """The agent of a name, as a path has it.

        Raises:
            Refused: there is none.
        """
        name = unquote(name)
        if name not in self.agency.agents:
            raise refuse(404, "unknown_agent", f"there is no agent {name!r:.100}: see GET /v1/models")
        return name

    def check(self) -> None:
        """Look whether the agency can be served.

        Raises:
            DefinitionError: an agent has a name that is a path of the server's.
        """
        for name in self.agency.agents:
            if name in RESERVED:
                raise DefinitionError(f"an agent that is served cannot be called {name!r}: that path is the server's")


def unauthorized(message: str) -> Exception:
    """The refusal of somebody who did not say who they are, or not credibly."""
    refused = refuse(401, "unauthorized", message)
    refused.problem.headers["www-authenticate"] = "Bearer"  # type: ignore[index]
    return refused
