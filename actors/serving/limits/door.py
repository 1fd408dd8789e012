"""Counts those who come in, and sends those away who have come too often, before anything of their request is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from starlette.requests import HTTPConnection

from ....providers.messages import Usage
from ....providers.pool import Requester
from ....providers.pool.accounts.budgets import Budgets
from ....providers.pool.accounts.keeping import Keeper
from ....providers.pool.accounts.limits import Budget, Exhausted
from ....providers.pool.accounts.periods import Period
from ....providers.pool.accounts.stats import BudgetStats
from ...agents.caller import Caller
from ...agents.errors import DefinitionError, QuotaExceeded
from ...journal.store import Journal
from ..problems import SOON
from .entrance import LEAVE
from .limit import RequestLimit
from .strangers import Strangers, network_of

STREAM: Final = "callboard.requests"
"""How the names of the streams begin that keep what was asked."""

_NO_USAGE: Final = Usage()


class Door:
    """Holds request limits.

    Args:
        limits: they.
        clock: seconds since 1970.

    Raises:
        DefinitionError: two are of the same.
    """

    def __init__(self, limits: Iterable[RequestLimit], clock: Callable[[], float] = time.time) -> None:
        self._counted = Budgets(clock=clock)
        self._strangers = Strangers(clock)
        self._at_once: dict[str, int] = {}
        self._inside: dict[str, int] = {}
        self._keeper: Keeper | None = None
        self._starting: asyncio.Task[None] | None = None
        seen: set[tuple[str, str]] = set()
        for limit in limits:
            if not isinstance(limit, RequestLimit):
                raise DefinitionError(f"limits are RequestLimits, not {type(limit).__name__}")
            self._set(limit, seen)

    def _set(self, limit: RequestLimit, seen: set[tuple[str, str]]) -> None:
        account = f"{limit.scope}:{limit.name}"
        kinds = (limit.period, limit.requests), ("concurrent", limit.concurrent)
        for kind in (name for name, given in kinds if given is not None):
            if (account, kind) in seen:
                raise DefinitionError(f"there are two request limits of {limit.scope} {limit.name}: which one counts?")
            seen.add((account, kind))
        if limit.concurrent is not None:
            self._at_once[account] = limit.concurrent
        if limit.requests is None:
            return
        if limit.scope == "address":
            self._strangers.add(limit)
        else:
            self._counted.set(Budget(limit.scope, limit.name, period=limit.period, requests=limit.requests))

    async def enter(self, connection: HTTPConnection, caller: Caller, journal: Journal | None) -> None:
        """Count a request of somebody.

        Args:
            connection: it.
            caller: who asks; nobody in particular is counted by address.
            journal: in which other workers count.

        Raises:
            QuotaExceeded: they have come too often, or are in too often.
            JournalError: what others have counted cannot be read.
        """
        requester = Requester(user=caller.user, tenant=caller.tenant, caller_key=caller.key)
        accounts = requester.accounts()
        if not accounts:
            self.turn_away(connection)
            self._let_in(connection, [f"address:{_address(connection)}"])
            return
        if self._counted.limited:
            if journal is not None and self._keeper is None:
                await self._start(journal)
            if (spent := self._counted.exhausted(accounts)) is not None:
                raise _too_often(spent)
        self._let_in(connection, accounts)
        self._counted.book(dict.fromkeys(accounts, 1.0), 0.0, _NO_USAGE)

    def turn_away(self, connection: HTTPConnection) -> None:
        """Count a request of somebody who has not said who they are.

        Raises:
            QuotaExceeded: there were too many from there.
        """
        self._strangers.enter(_address(connection))

    @property
    def limits(self) -> tuple[BudgetStats, ...]:
        """How the limits of keys, users and tenants on requests stand, by account and period."""
        return self._counted.stats()

    def raised(self, account: str, period: Period | None, limit: float) -> float:
        """Let somebody make more requests in a period, until the process ends. Return how many they have made.

        Raises:
            SpecError: there is no such limit, or it is no more than it was.
        """
        return self._counted.raised(account, period, "requests", limit)

    def _let_in(self, connection: HTTPConnection, accounts: Sequence[str]) -> None:
        if not self._at_once:
            return
        held = [account for account in accounts if self._most(account) is not None]
        for account in held:
            most, inside = self._most(account), self._inside.get(account, 0)
            if most is not None and inside >= most:
                scope, _, name = account.partition(":")
                raise QuotaExceeded(f"{scope} {name} has {inside} of {most} requests under way", None, SOON)
        for account in held:
            self._inside[account] = self._inside.get(account, 0) + 1
        connection.scope[LEAVE].append(lambda: self._leave(held))

    def _leave(self, accounts: Iterable[str]) -> None:
        for account in accounts:
            self._inside[account] -= 1
            if not self._inside[account]:
                del self._inside[account]

    def _most(self, account: str) -> int | None:
        most = self._at_once.get(account)
        return most if most is not None else self._at_once.get(f"{account.partition(':')[0]}:*")

    async def _start(self, journal: Journal) -> None:
        """Read what was counted before, once for all who come meanwhile."""
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._started(journal), name="reading requests")
        await asyncio.shield(self._starting)

    async def _started(self, journal: Journal) -> None:
        try:
            keeper = Keeper(self._counted, journal, STREAM)
            await keeper.start()
            self._keeper = keeper
        finally:
            self._starting = None

    async def close(self) -> None:
        """Keep what was counted, while the journal is still open."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.close()


def _address(connection: HTTPConnection) -> str:
    client = connection.client
    return network_of(client.host) if client is not None else "unknown"


def _too_often(spent: Exhausted) -> QuotaExceeded:
    return QuotaExceeded(spent.why.replace("the budget of", "the limit of"), spent.retry_at, spent.retry_after)
