"""``/realtime/{agent}``, and ``/realtime?agent=…``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..problems import problem_of, refuse
from ..server import Server
from .entering import PROTOCOL, Entrant, check_origin, deny, is_stranger
from .session import Session


def realtime(server: Server, origins: Sequence[str]) -> list[BaseRoute]:
    """The routes.

    Args:
        server: whose.
        origins: of the pages that may connect besides the server's own.
    """

    async def connected(websocket: WebSocket) -> None:
        with suppress(WebSocketDisconnect):
            await _connected(server, origins, websocket)

    return [WebSocketRoute("/realtime/{agent}", connected), WebSocketRoute("/realtime", connected)]


async def _connected(server: Server, origins: Sequence[str], websocket: WebSocket) -> None:
    offered = PROTOCOL in websocket.scope.get("subprotocols", ())
    try:
        server.check_loop()
        check_origin(websocket, origins)
        agent = server.agent(_agent(server, websocket))
        entrant = Entrant(server, websocket)
        if server.authenticate:
            await _look(entrant, may_say_it_later=offered)
        if server.draining:
            raise refuse(503, "stopping", "the server stops: connect to another one")
    except Exception as error:
        problem = problem_of(error)
        if problem.code == "internal_error":
            logging.getLogger("callboard").error("opening a WebSocket failed", exc_info=error)
        await deny(websocket, problem)
        return
    await websocket.accept(PROTOCOL if offered else None)
    await Session(server, websocket, agent, entrant).run()


def _agent(server: Server, websocket: WebSocket) -> str:
    named = [*websocket.query_params.getlist("agent"), *websocket.path_params.values()]
    if websocket.query_params.keys() - {"agent"} or len(named) > 1:
        raise refuse(400, "unknown_field", "the query has one agent, where the path has none, and nothing else")
    return named[0] if named else server.agency.entry


async def _look(entrant: Entrant, *, may_say_it_later: bool) -> None:
    """Look who it is, where they have said it or the connection tells otherwise."""
    try:
        _, _, over = await entrant.caller()
    except Exception as error:
        if not (is_stranger(error) and may_say_it_later and not entrant.said):
            raise
    else:
        over()
        entrant.said = True
