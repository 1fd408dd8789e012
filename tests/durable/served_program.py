"""The page's recipe for a server, as a program; its agent waits for a person before it pays."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from callboard import Agency, Agent, Request, tool
from callboard.actors.agents.errors import AgencyClosed
from tests.durable.support import call, function, results


@tool
async def pay() -> str:
    """Pay."""
    return "paid"


def model(request: Request) -> Any:
    return f"done: {results(request)[-1]}" if results(request) else call("pay", "p1")


front = Agent("Front", "You pay.", tools=[pay], autonomy="supervised")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with Agency(front, model=function(model), journal=os.environ["JOURNAL"]) as agency:
        agency.stop_on_signals(drain=0.1)
        app.state.agency = agency
        yield


async def ask(request: HttpRequest) -> Response:
    asked = await request.json()
    try:
        handle = await request.app.state.agency.start_run(
            asked["text"], conversation=asked["conversation"], run_id=asked["id"]
        )
        answer = await handle.answer(timeout=30.0)
    except TimeoutError:
        return JSONResponse({"status": "at work"}, 202)
    except AgencyClosed:
        return JSONResponse({"status": "at work"}, 503, {"Retry-After": "1"})
    return JSONResponse({"text": answer.text})


async def approvals(request: HttpRequest) -> Response:
    return JSONResponse([approval.tool for approval in request.app.state.agency.approvals])


async def approve(request: HttpRequest) -> Response:
    for approval in request.app.state.agency.approvals:
        request.app.state.agency.approve(approval)
    return Response()


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/ask", ask, methods=["POST"]),
        Route("/approvals", approvals),
        Route("/approve", approve, methods=["POST"]),
    ],
)
