"""Streams through the pool."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from ...errors import ProviderTimeout, StreamCut
from ...messages import Delta, Request
from ..accounts.estimate import text_bytes
from ..admission.admission import Grant
from .dispatcher import Dispatcher
from .endpoint import Member
from .job import Job, Requester

_NOTHING = Delta()


async def stream(dispatcher: Dispatcher, request: Request, requester: Requester) -> AsyncGenerator[Delta, None]:
    """Yield the deltas of a completion; the last one carries it.

    A failure before the first delta is retried elsewhere and not seen. After it the caller has text that another model
    would not continue, so the stream ends with the error, and the caller decides.

    Raises:
        StreamCut: the stream broke after its first delta.
        ProviderError: as `Dispatcher.complete`.
    """
    job = dispatcher.open(request, requester)
    while True:
        grant = await dispatcher.grant(job)
        member = dispatcher.member(grant.gate)
        begun = False
        try:
            async with aclosing(_deltas(dispatcher, job, grant, member)) as deltas:
                async for delta in deltas:
                    begun = True
                    yield delta
            return
        except Exception as error:
            if begun:
                if isinstance(error, StreamCut):
                    raise
                name = member.endpoint.name
                raise StreamCut(
                    f"{name}: the stream broke after it had begun: {type(error).__name__}: {error}", provider=name
                ) from error
            delay = dispatcher.after(job, grant, error)
        if delay > 0.0:
            await asyncio.sleep(delay)


async def _deltas(dispatcher: Dispatcher, job: Job, grant: Grant, member: Member) -> AsyncGenerator[Delta, None]:
    """Yield one call's deltas; book how it ended, exactly once."""
    name = member.endpoint.name
    loop = dispatcher.loop
    timeout = member.endpoint.retry.attempt_timeout
    ended = False
    first = True
    came = 0
    dispatcher.records.sent(job, grant, member)
    try:
        async with member.ref.stream(dispatcher.adapted(job, grant)) as deltas:
            while True:
                until = job.deadline
                if first and timeout is not None:
                    until = min(until or math.inf, loop.time() + timeout)
                try:
                    async with asyncio.timeout_at(until):
                        delta: Delta = await anext(deltas)
                except StopAsyncIteration:
                    raise StreamCut(f"{name}: the stream ended before its finish reason", provider=name) from None
                except TimeoutError:
                    raise ProviderTimeout(f"{name} sent nothing in time", provider=name) from None
                if delta.completion is not None:
                    ended = True
                    yield replace(delta, completion=dispatcher.answered(job, grant, member, delta.completion))
                    return
                if first and delta == _NOTHING:
                    continue  # a role or a ping: failover is still invisible after it
                first = False
                came += text_bytes(delta.text) + text_bytes(delta.reasoning) + text_bytes(delta.tool_arguments)
                yield delta
    except BaseException as error:
        if not ended:
            dispatcher.failed(job, grant, member, error, None if first else -(-came // 4))
        raise
