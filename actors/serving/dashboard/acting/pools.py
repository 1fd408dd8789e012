"""What can be done with providers and budgets: what their pools can do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from .....providers.pool.control import (
    DrainEndpoint,
    GetHealth,
    GetStats,
    Probe,
    RaiseBudget,
    RemoveEndpoint,
    ResumeEndpoint,
)
from ....core.base.errors import AskTimeout, CoreError, SpecError
from ....core.refs.ref import ActorRef
from ...answers import Json
from ...operations.problem_json import body_of, query_of
from ...problems import SOON, Problem, Refused, refuse
from ..board import Board
from ..figures.money import BudgetKey, budget
from ..figures.reading import MOST_ROWS
from .log import acting

_PATIENCE: Final = 30.0
"""Seconds that a pool may take: a probe waits for its vendor."""

_ACTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "drain": DrainEndpoint,
    "resume": ResumeEndpoint,
    "remove": RemoveEndpoint,
    "probe": Probe,
}


async def act_on_provider(board: Board, request: Request) -> Response:
    """Drain, resume, remove or probe an endpoint of a pool."""
    caller = await board.who(request, "act")
    query_of(request)
    action = request.path_params["action"]
    fields = await body_of(board.server, request, "pool", "endpoint", "reason")
    path, name, reason = fields.text("pool", ...), fields.text("endpoint", ...), fields.text("reason", "")
    order = _ACTIONS.get(action)
    if order is None:
        raise refuse(404, "unknown_action", f"nothing is called {action!r:.80} here; there are {', '.join(_ACTIONS)}")
    pool = _pool(board, path, "pool")
    there = [each.name for each in (await _answer(pool, GetHealth())).endpoints]
    if name not in there:
        known = ", ".join(there) or "none"
        raise refuse(
            404, "unknown_endpoint", f"the pool {path} has no endpoint {name!r:.80}; there are {known}", "endpoint"
        )
    async with acting(board, caller, f"{action} provider", f"{path}/{name}", reason=reason):
        await _answer(pool, order(name))
    return Json({"pool": path, "endpoint": name, "action": action})


async def list_budgets(board: Board, request: Request) -> Response:
    """All budgets of this process: those of pools, and limits on requests, which have no pool."""
    await board.who(request, "look")
    query_of(request)
    told = []
    for pool in board.agency.pools:
        told += [budget(pool.path, one) for one in (await _answer(pool, GetStats())).budgets]
    if board.server.door is not None:
        told += [budget("", one) for one in board.server.door.limits]
    return Json({"budgets": told[:MOST_ROWS], "all": len(told)})


async def raise_budget(board: Board, request: Request) -> Response:
    """Have a budget last longer, in this process, until it ends."""
    caller = await board.who(request, "act")
    query_of(request)
    try:
        key = BudgetKey.read(request.path_params["budget"])
    except ValueError as error:
        raise refuse(404, "unknown_budget", str(error)) from None
    fields = await body_of(board.server, request, "limit", "reason")
    limit = fields.get("limit", (int, float), "a number", ...)
    # A whole number beyond the greatest that is no whole one is as good as infinite.
    if not 0 < limit <= sys.float_info.max:
        raise refuse(400, "invalid_field", f"limit is a finite number above 0, not {limit!s:.40}", "limit")
    pool = _pool(board, key.pool, "") if key.pool else None
    target = f"{key.measure} of {key.account}" + (f" a {key.period}" if key.period else "")
    details = {"limit": limit, **({"pool": key.pool} if key.pool else {})}
    async with acting(board, caller, "raise budget", target, details, fields.text("reason", "")):
        try:
            spent = await _raised(board, pool, key, float(limit))
        except SpecError as error:
            raise refuse(400, "invalid_field", str(error), "limit") from None
    return Json({"budget": request.path_params["budget"], "limit": limit, "spent": spent})


async def _raised(board: Board, pool: ActorRef[Any] | None, key: BudgetKey, limit: float) -> float:
    period: Any = key.period
    measure: Any = key.measure
    if pool is not None:
        spent: float = await _answer(pool, RaiseBudget(key.account, period, measure, limit))
        return spent
    door = board.server.door
    if door is None or measure != "requests":
        raise SpecError(f"there is no limit on {measure} that is not of a pool")
    return door.raised(key.account, period, limit)


def _pool(board: Board, path: str, where: str) -> ActorRef[Any]:
    """The pool of the agency's at a path."""
    for pool in board.agency.pools:
        if pool.path == path:
            return pool
    known = ", ".join(pool.path for pool in board.agency.pools) or "none"
    raise refuse(404, "unknown_pool", f"the agency has no pool {path!r:.80}; there are {known}", where)


async def _answer(pool: ActorRef[Any], message: Any) -> Any:
    try:
        return await pool.ask(message, timeout=_PATIENCE)
    except SpecError:
        raise
    except (AskTimeout, CoreError) as error:
        problem = Problem(503, "pool_unavailable", f"the pool {pool.path} did not answer: {error}", retry_after=SOON)
        raise Refused(problem) from None
