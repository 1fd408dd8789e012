"""Vendors' batch endpoints: many requests in one order, at half the price, answered within a day.

OpenAI: https://platform.openai.com/docs/guides/batch
Anthropic: https://docs.claude.com/en/docs/build-with-claude/batch-processing
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeAlias

from ..errors import InvalidRequest, ProviderError, ProviderOverloaded
from ..messages import Completion, Request
from ..shapes import unwritable
from ..wire import fields
from ..wire.failures import from_event, from_status
from ..wire.fitting.letters import sendable
from .http import Protocolled
from .transport import sdk_problem

Outcome: TypeAlias = Completion | ProviderError
Pauses: TypeAlias = Callable[[], AsyncIterator[None]]
"""Yields when it is time to look again."""

_CANCEL = 5.0
"""Seconds that calling a batch off may take when its asker has gone."""


def pauses(first: float = 1.0, longest: float = 60.0) -> Pauses:
    """Waits between two looks at a batch: ``first`` seconds, each half as long again as the one before, at most
    ``longest``."""

    async def wait() -> AsyncIterator[None]:
        delay = first
        while True:
            await asyncio.sleep(delay)
            delay = min(longest, delay * 1.5)
            yield

    return wait


async def ordered(send: Callable[..., Any], client: Any, provider: Any, requests: Sequence[Request]) -> list[Outcome]:
    """Order a batch for an `HttpProvider` that is built on a vendor's SDK.

    Args:
        send: `openai_batch` or `anthropic_batch`.
        client: the SDK's client.
        provider: whose `protocol`, ``spec`` and ``batch_pauses`` count.
        requests: what to order; the first one's model decides the protocol.

    Raises:
        ProviderError: the vendor refused, or could not be reached.
    """
    spec = provider.spec
    protocol = provider.protocol(spec.model_of(requests[0]))
    outcomes: dict[int, Outcome] = {}  # by place
    notes: dict[int, list[str]] = {}  # of those that go out
    payloads: list[dict[str, Any]] = []
    for place, request in enumerate(requests):
        try:
            _, payload, changed = provider.prepared(request)
            payloads.append(sendable(payload, changed))
            notes[place] = changed
        except InvalidRequest as error:
            outcomes[place] = error
        except (TypeError, ValueError) as error:
            outcomes[place] = unwritable(request, error, spec.name)
    problem: Exception
    try:
        wait = pauses(*provider.batch_pauses)
        sent: list[Outcome] = await send(client, payloads, protocol, spec.name, wait) if payloads else []
        for (place, changed), outcome in zip(notes.items(), sent, strict=True):
            outcomes[place] = (
                replace(outcome, notes=tuple(changed)) if changed and isinstance(outcome, Completion) else outcome
            )
        return [outcomes[place] for place in range(len(requests))]
    except Exception as error:
        problem = sdk_problem(error, spec.name)
    raise problem  # out here: the SDK's own error, which may quote a key, is not its context


async def openai_batch(
    client: Any, payloads: Sequence[dict[str, Any]], protocol: Protocolled, provider: str, wait: Pauses
) -> list[Outcome]:
    """Order a batch of OpenAI and wait for its end.

    Args:
        client: an ``AsyncOpenAI``.
        payloads: the requests' bodies.
        protocol: their protocol.
        provider: the provider's name.
        wait: when to look again.

    Returns:
        what became of each request, in their order.
    """
    lines = [
        json.dumps({"custom_id": str(place), "method": "POST", "url": f"/v1{protocol.path}", "body": payload})
        for place, payload in enumerate(payloads)
    ]
    file = await client.files.create(file=("batch.jsonl", "\n".join(lines).encode()), purpose="batch")
    order = await client.batches.create(input_file_id=file.id, endpoint=f"/v1{protocol.path}", completion_window="24h")
    async with _called_off(lambda: client.batches.cancel(order.id)):
        async for _ in wait():
            order = await client.batches.retrieve(order.id)
            if order.status in ("completed", "failed", "expired", "cancelled"):
                break
    found: dict[str, Outcome] = {}
    for id in (order.output_file_id, order.error_file_id):
        if id:
            content = await client.files.content(id)
            for line in _lines(content.content):
                found[line["custom_id"]] = _openai_outcome(line, protocol, provider)
    return _in_order(found, len(payloads), provider, order.status)


async def anthropic_batch(
    client: Any, payloads: Sequence[dict[str, Any]], protocol: Protocolled, provider: str, wait: Pauses
) -> list[Outcome]:
    """Order a batch of Anthropic and wait for its end; as `openai_batch`, with an ``AsyncAnthropic``."""
    entries = [{"custom_id": str(place), "params": payload} for place, payload in enumerate(payloads)]
    order = await client.messages.batches.create(requests=entries)
    async with _called_off(lambda: client.messages.batches.cancel(order.id)):
        async for _ in wait():
            order = await client.messages.batches.retrieve(order.id)
            if order.processing_status == "ended":
                break
    found: dict[str, Outcome] = {}
    results = await client.messages.batches.results(order.id)
    async for entry in results:
        result = entry.result.model_dump(mode="json")
        found[entry.custom_id] = _anthropic_outcome(result, protocol, provider)
    return _in_order(found, len(payloads), provider, "ended")


def _openai_outcome(line: dict[str, Any], protocol: Protocolled, provider: str) -> Outcome:
    response = line.get("response") or {}
    status, body = response.get("status_code") or 0, response.get("body")
    if line.get("error"):
        return from_event(line["error"], provider=provider)
    if status >= 400:
        headers = {"x-request-id": str(response.get("request_id") or "")}
        return from_status(status, json.dumps(body), headers, provider=provider)
    return _read(body, protocol, provider)


def _anthropic_outcome(result: dict[str, Any], protocol: Protocolled, provider: str) -> Outcome:
    if result["type"] == "succeeded":
        return _read(result["message"], protocol, provider)
    if result["type"] == "errored":
        error = result.get("error") or {}
        return from_event(error.get("error") or error, provider=provider)
    return ProviderOverloaded(f"{provider}: the request of a batch was {result['type']}", provider=provider)


def _read(body: Any, protocol: Protocolled, provider: str) -> Outcome:
    try:
        return protocol.from_response(body, provider=provider)
    except ProviderError as error:
        return error


def _in_order(found: dict[str, Outcome], count: int, provider: str, status: str) -> list[Outcome]:
    lost = f"{provider}: the batch ended ({status}) without an answer to this request"
    return [found.get(str(place)) or ProviderOverloaded(lost, provider=provider) for place in range(count)]


def _lines(content: bytes) -> list[dict[str, Any]]:
    return [fields.loads(line) for line in content.splitlines() if line.strip()]


@asynccontextmanager
async def _called_off(cancel: Callable[[], Any]) -> AsyncIterator[None]:
    """Call a batch off at the vendor's if its asker goes away: it would be paid for."""
    try:
        yield
    except asyncio.CancelledError:
        with suppress(Exception):
            async with asyncio.timeout(_CANCEL):
                await cancel()
        raise
