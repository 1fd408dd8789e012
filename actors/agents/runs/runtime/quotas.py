"""Whether a caller may ask at all: the budgets of the pools that would answer, asked before a run is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ....core.base.errors import CoreError
from ....core.refs.ref import ActorRef
from ...caller import Caller
from ...errors import QuotaExceeded


async def check_quotas(pools: Iterable[ActorRef[Any]], caller: Caller) -> None:
    """Ask pools whether the budgets of a user, their tenant and their key have anything left.

    A pool that is being restarted is not waited for: what it is asked for later it refuses by itself.

    Raises:
        QuotaExceeded: one has not.
    """
    from .....providers.pool import CheckBudgets, Requester  # not at the top: few need it, and it takes long to import

    if not caller.user and not caller.tenant and not caller.key:
        return
    for pool in pools:
        exhausted = None
        with suppress(CoreError):
            asked = Requester(user=caller.user, tenant=caller.tenant, caller_key=caller.key)
            exhausted = await pool.ask(CheckBudgets(asked))
        if exhausted is not None:
            raise QuotaExceeded(exhausted.why, exhausted.retry_at, exhausted.retry_after)
