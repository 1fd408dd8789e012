"""Killing, restarting and stopping actors by their paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ....core.base.errors import ActorDead, SpecError
from ....core.refs.ref import ActorRef
from ...answers import Json
from ...operations.problem_json import body_of, query_of
from ...problems import refuse
from ..board import Board
from .log import acting


async def act_on_actor(board: Board, request: Request) -> Response:
    """Kill, restart or stop the actor at a path."""
    caller = await board.who(request, "act")
    query_of(request)
    action = request.path_params["action"]
    fields = await body_of(board.server, request, "path", "reason")
    path, reason = fields.text("path", ...), fields.text("reason", "")
    act = _ACTIONS.get(action)
    if act is None:
        raise refuse(404, "unknown_action", f"nothing is called {action!r:.80} here; there are {', '.join(_ACTIONS)}")
    ref = _found(board, path)
    if action == "stop" and ref in (board.agency.pool, *board.agency.pools):
        raise refuse(
            403, "not_allowed", f"the agents need {path!r:.200}: kill or restart it, or drain the process", "path"
        )
    async with acting(board, caller, action, path, reason=reason):
        try:
            act(ref)
        except SpecError as error:
            raise refuse(409, "not_restartable", str(error), "path") from None
        except ActorDead:
            raise refuse(404, "unknown_actor", f"the actor {path!r:.200} has stopped this moment", "path") from None
    return Json({"path": path, "action": action})


def _found(board: Board, path: str) -> ActorRef[Any]:
    """The actor at a path.

    Raises:
        Refused: there is none; or it is the one upon which all others depend.
    """
    system = board.agency.system
    if system is None or board.agency.stopping:
        raise refuse(503, "stopping", "the agency does not run")
    if path.strip("/") in ("", board.agency.name, system.name):
        message = f"{path!r:.200} holds all others: drain the process, or name one of those below"
        raise refuse(403, "not_allowed", message, "path")
    ref = system.find(path)
    if ref is None:
        raise refuse(404, "unknown_actor", f"no actor is at {path!r:.200}", "path")
    return ref


def _stop(ref: ActorRef[Any]) -> None:
    ref.stop(block=False)


_ACTIONS: Final[dict[str, Callable[[ActorRef[Any]], None]]] = {
    "kill": ActorRef.kill,
    "restart": ActorRef.restart,
    "stop": _stop,
}
