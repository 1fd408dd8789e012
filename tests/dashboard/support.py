"""Dashboards that are looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from callboard import Agency, Agent, serve
from callboard.actors.serving.dashboard.board import own_key
from tests.serving.support import served

Told = tuple[str, dict[str, Any]]
"""An event's name, and its data."""


def agency_of(**options: Any) -> Agency:
    """One of a single agent that answers offline."""
    return Agency(Agent("Helper"), **{"model": "offline", **options})


@asynccontextmanager
async def shown(agency: Agency | Starlette, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A served agency's dashboard, for whoever has its own key; paths are those of the dashboard."""
    if isinstance(agency, Agency):
        agency = serve(agency, dashboard=True, **options)
    async with served(agency) as one:
        headers = {} if "authenticate" in options else {"authorization": f"Bearer {own_key()}"}
        async with one.client(headers=headers) as client:
            client.base_url = httpx.URL(f"{one.url}/dashboard/")
            yield client


@asynccontextmanager
async def looking(client: httpx.AsyncClient, view: str = "", every: float = 0.5, **query: Any) -> AsyncIterator[Any]:
    """Look at a view: gives what gives the next event."""
    named = {"view": view} if view else {}
    async with client.stream("GET", "api/live", params={**named, "every": every, **query}) as answer:
        assert answer.status_code == 200, await answer.aread()
        async with asyncio.timeout(60), aclosing(_events(answer)) as events:
            yield events.__anext__


async def _events(answer: httpx.Response) -> AsyncGenerator[Told]:
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
