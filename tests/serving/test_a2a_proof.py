"""What a2a-proof, a suite of contracts for agents that speak Agent2Agent, demands of a served agent."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from typing import Any

import pytest
from a2a_proof.models import ProofConfig
from a2a_proof.runner import run

from callboard import Agency, Agent, Caller, MemoryJournal, Webhooks, tool
from callboard.providers.messages import ToolCall

from .support import Served, served, speaker

both = pytest.mark.parametrize("transport", ["JSONRPC", "HTTP+JSON"])


async def proves(it: Served, transport: str, *scenarios: Any, **config: Any) -> None:
    """All scenarios pass; otherwise what was wrong is told."""
    given = {"version": 1, "agent": {"url": it.url, "transport": transport}, "scenarios": list(scenarios), **config}
    result = await run(ProofConfig.model_validate(given))
    with warnings.catch_warnings(action="ignore"):
        gc.collect()  # it leaves its connections open
    assert result.passed, result.model_dump_json(indent=1, exclude_none=True)


@both
async def test_answers_and_conversations(transport: str) -> None:
    agency = Agency(
        Agent("Counter", description="Counts."), model=speaker((("one",), ("two",))), journal=MemoryJournal()
    )
    async with served(agency) as it:
        await proves(
            it,
            transport,
            {
                "name": "goes on",
                "trials": 3,
                "turns": [
                    {"message": "a", "expect": {"state": "completed", "text": {"equals": "one"}}},
                    {"message": "b", "expect": {"state": "completed", "text": {"equals": "two"}}},
                    {"action": "get_task", "expect": {"state": "completed", "text": {"equals": "two"}}},
                ],
            },
            {
                "name": "says its states",
                "message": "a",
                "expect": {"states": {"contains_in_order": ["working", "completed"]}},
            },
        )


@both
async def test_tasks_are_followed_and_cancelled(transport: str) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("Counter"), model=speaker(gates=gates), journal=MemoryJournal())
    begins = {"message": "count", "return_immediately": True}
    async with served(agency) as it:
        await proves(
            it,
            transport,
            {
                "name": "cancelled",
                "turns": [
                    begins,
                    {"action": "cancel", "expect": {"state": "canceled"}},
                    {"action": "get_task", "expect": {"state": "canceled"}},
                ],
            },
        )


@both
async def test_a_task_waits_for_an_approval(transport: str) -> None:
    @tool(risk="risky")
    def erase(path: str) -> str:
        """Erase."""
        return f"{path} is gone"

    script = ((ToolCall("c", "erase", '{"path": "x"}'),), ("Done.",))
    agency = Agency(Agent("A", tools=[erase], autonomy="supervised"), model=speaker(script), journal=MemoryJournal())
    async with served(agency, authenticate=lambda connection: Caller("proof")) as it:
        await proves(
            it,
            transport,
            {
                "name": "approved",
                "turns": [
                    {"message": "erase x", "expect": {"state": "input-required", "text": {"contains": "erase"}}},
                    {"message": "approve", "expect": {"state": "completed", "text": {"contains": "Done."}}},
                ],
            },
        )


@both
async def test_a_webhook_is_told_how_a_task_ends(transport: str) -> None:
    gates = {(0, 1): asyncio.Event()}
    agency = Agency(Agent("Counter"), model=speaker(gates=gates), journal=MemoryJournal())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hooks = Webhooks([f"127.0.0.1:{port}"], "a secret that nobody guesses", private=True)
    async with served(agency, webhooks=hooks) as it:
        gates[(0, 1)].set()
        await proves(
            it,
            transport,
            {
                "name": "told",
                "turns": [
                    {"message": "count", "return_immediately": True, "push_notification": True, "expect": {}},
                    {"action": "await_push", "timeout_seconds": 20, "expect": {"state": "completed"}},
                ],
            },
            push_notifications={"listen_port": port},
        )
