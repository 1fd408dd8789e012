"""What every endpoint of a dashboard shares: whose it is, and who may look and act."""

from __future__ import annotations

import hmac
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Final, Literal, TypeAlias, get_args

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ....tools.scopes import ADMIN
from ...agents.agency import Agency
from ...agents.caller import Caller
from ...agents.errors import DefinitionError
from ..operations.metrics import METRICS
from ..problems import refuse
from ..server import Authenticate, Server
from ..who.keys import bearer
from .feed import Feeds

KEY: Final = "CALLBOARD_DASHBOARD_KEY"
"""The variable with the key of dashboards for which nobody says who asks."""

SHORTEST_KEY: Final = 16
"""Characters of such a key."""

OPERATOR: Final = "dashboard"
"""The user as whom the holder of such a key asks."""

May: TypeAlias = Literal["look", "read", "act"]
"""To look at figures; to read what is said; to change something."""

_made: list[str] = []
"""The key of this process, once there is one."""

_told: set[str] = set()
"""The keys of which whoever started the process knows."""

logger = logging.getLogger("callboard")


@dataclass(slots=True)
class Board:
    """A dashboard.

    Args:
        server: the agency that is shown, and how much is taken of one request.
        asked: whose callers may look: the same server, or one that knows the key alone.
        key: of the dashboard's own; empty where the server says who asks.
        elsewhere: finds the sockets of processes that are shown besides, by their numbers.
    """

    server: Server
    asked: Server
    key: str = field(default="", repr=False)
    elsewhere: Callable[[], Mapping[int, Path]] = dict
    feeds: Feeds = field(init=False, repr=False)
    """What is read for those who look now."""

    def __post_init__(self) -> None:
        self.feeds = Feeds(self.agency, lambda: self.server.draining or self.agency.stopping)

    @property
    def agency(self) -> Agency:
        """The agency that is shown."""
        return self.server.agency

    async def who(self, request: HTTPConnection, may: May) -> Caller:
        """Who asks.

        Args:
            request: what is asked.
            may: what they must be allowed.

        Raises:
            Refused: they have not said who they are, or may not.
        """
        caller = await self.asked.caller(request)
        if not allowed(caller, may):
            scopes = f"{METRICS} or {ADMIN}" if may == "look" else ADMIN
            raise refuse(403, "not_allowed", f"this is for callers with the scope {scopes} and of no tenant")
        return caller

    async def still(self, request: HTTPConnection, caller: Caller) -> bool:
        """Whether whoever is being sent a stream may still do what they might when it began: their key may have been
        revoked, or be too old by now. Where that cannot be found out they may not, and hear why when they ask again.

        Args:
            request: by which they asked for it.
            caller: who they were then.
        """
        try:
            now = await self.asked.found(request)
        except Exception:
            return False
        return all(allowed(now, may) or not allowed(caller, may) for may in get_args(May))


Endpoint: TypeAlias = Callable[[Board, Request], Awaitable[Response]]


def allowed(caller: Caller, may: May) -> bool:
    """Whether somebody may do something on a dashboard. It shows what is done for all tenants, so it is for nobody of
    one."""
    wanted = (METRICS, ADMIN) if may == "look" else (ADMIN,)
    return not caller.tenant and not caller.scopes.isdisjoint(wanted)


def board_of(agency: Agency, server: Server | None, authenticate: tuple[Authenticate, ...]) -> Board:
    """A dashboard of an agency.

    Args:
        agency: it.
        server: by which it is served besides; None where it is not.
        authenticate: say who asks; empty for the dashboard's own key.

    Raises:
        DefinitionError: the key that was given is none.
    """
    if authenticate:
        asked = server or Server(agency, authenticate)
        asked.check()
        return Board(server or asked, asked)
    key = own_key()
    if key not in _told:
        _tell(key)
    asked = Server(agency, (OwnKey(key),))
    return Board(server or asked, asked, key)


def own_key() -> str:
    """The key of this process' dashboards: what `KEY` says, or else one that is made once.

    Programs that this one starts do not find it among their variables.

    Raises:
        DefinitionError: the one that was given is too short, or cannot be sent in a header.
    """
    given = os.environ.pop(KEY, "")
    if given and len(given) < SHORTEST_KEY:
        raise DefinitionError(f"{KEY} has {len(given)} characters: give at least {SHORTEST_KEY}, or none")
    if not (given.isascii() and given.isprintable()) or given != given.strip():
        raise DefinitionError(
            f"{KEY} has what no header brings as it is (a letter beyond ASCII, a line's end, a space at an end): "
            f"give at least {SHORTEST_KEY} letters, digits and signs, or none"
        )
    if given:
        _told.add(given)
    if given or not _made:
        _made[:] = [given or token_urlsafe(32)]
    return _made[0]


def _tell(key: str) -> None:
    """Say, once, a key that was made: to whoever sits at a terminal. Logs, and what a service writes, are kept and sent
    elsewhere: no key is there."""
    _told.add(key)
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write(f"callboard: whoever opens the dashboard with #key={key} may do everything there\n")
        sys.stderr.flush()
    else:
        logger.warning("nobody can open the dashboard: its key was made, and is told at a terminal only; give %s", KEY)


def key_is_told() -> str:
    """`own_key`, for who tells it to whoever has started the process."""
    key = own_key()
    _told.add(key)
    return key


class OwnKey:
    """Knows one key.

    Args:
        key: it.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def __call__(self, connection: HTTPConnection) -> Caller | None:
        """Its holder, who may do everything; None for others."""
        fits = hmac.compare_digest(bearer(connection).encode(), self._key)
        return Caller(OPERATOR, scopes=frozenset((ADMIN,)), key=OPERATOR) if fits else None
