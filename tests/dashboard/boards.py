"""Dashboards that are really served, and those who ask them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.requests import HTTPConnection

from callboard import Agency, Caller
from callboard.actors.serving.dashboard.app import dashboard
from tests.serving.support import served


def who(connection: HTTPConnection) -> Caller | None:
    """``Bearer USER[@TENANT][+SCOPE]``."""
    said = connection.headers.get("authorization", "").removeprefix("Bearer ")
    user, _, scope = said.partition("+")
    user, _, tenant = user.partition("@")
    return Caller(user, tenant, frozenset({scope} if scope else ())) if user else None


def as_(user: str) -> dict[str, str]:
    return {"authorization": f"Bearer {user}"}


@asynccontextmanager
async def board_of(agency: Agency, user: str = "root+admin") -> AsyncIterator[httpx.AsyncClient]:
    """The dashboard of an agency that runs, and a client of somebody who may do everything."""
    async with served(dashboard(agency, who)) as it, it.client(headers=as_(user)) as client:
        yield client


async def get(client: httpx.AsyncClient, path: str, /, **query: Any) -> Any:
    answer = await client.get(f"/api/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def post(client: httpx.AsyncClient, path: str, /, **body: Any) -> Any:
    answer = await client.post(f"/api/{path}", json=body)
    assert answer.status_code in (200, 201, 202), answer.text
    return answer.json()


async def refused(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
    """Status, code and place of a refusal."""
    answer = await client.request(method, f"/api/{path}", json=body)
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, told["code"], told.get("where", "")


async def log_of(client: httpx.AsyncClient) -> list[tuple[str, str, str, str]]:
    """What the audit log says, the earliest first: who did what to what, and how that ended."""
    entries = (await get(client, "audit"))["entries"]
    return [(one["who"], one["action"], one["target"], one["outcome"]) for one in reversed(entries)]


async def eventually(look: Any) -> Any:
    """Wait until what is looked at is something."""
    for _ in range(10_000):
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.002)
    raise AssertionError("it never came about")
