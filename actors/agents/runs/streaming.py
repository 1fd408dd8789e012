"""A run as a stream of its events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..answer import Answer
from ..errors import AgentError
from ..events import PartialAnswer, RunEvent, RunFinished, TextDelta
from ..memory.context.strategy import ContextStrategy
from ..output import Output
from ..turns.records import RunRequest
from .runtime.runtime import AgencyRuntime


async def stream_run(
    runtime: AgencyRuntime, make_run: Callable[[], tuple[RunRequest, Output | None, Any, ContextStrategy | None]]
) -> AsyncGenerator[RunEvent]:
    """Have a run made, and yield what happens from here on; the last event is its `RunFinished`.

    Leaving the iteration cancels the run, unless others wait for it. Text that is not read in time is put together, so
    that a slow reader costs no more memory than the answer.

    Args:
        runtime: of the agency.
        make_run: makes the request, and what goes with it, once the first event is asked for.

    Raises:
        AgentError: the run ended without an answer; after the last event.
    """
    run, *along = make_run()
    events: deque[RunEvent] = deque()
    arrived = asyncio.Event()

    finished = False

    def take(event: RunEvent) -> None:
        nonlocal finished
        finished = finished or (isinstance(event, RunFinished) and event.run == run.id)
        put_together(events, event)
        arrived.set()

    unsubscribe = runtime.bus.subscribe(take, run.root)
    task = asyncio.get_running_loop().create_task(runtime.answer(run, *along), name=f"run {run.id}")
    task.add_done_callback(lambda _: arrived.set())
    try:
        while not task.done() or events:
            while events:
                yield events.popleft()
            if not task.done():
                arrived.clear()
                await arrived.wait()
        if not finished and not task.cancelled():  # it had ended before, or was made in another process
            yield _finished(runtime, run, task)
        await task
    finally:
        unsubscribe()
        if not task.done():
            task.cancel()
        with suppress(BaseException):
            await task


def put_together(events: deque[RunEvent], event: RunEvent) -> None:
    """Add an event to those that were not read yet: text is put together with the text before it, and of the parts of
    an answer the newest is enough, so that a slow reader costs no more memory than the answer."""
    if isinstance(event, PartialAnswer):
        _leave_out_older(events, event.run)
    last = events[-1] if events else None
    if isinstance(event, TextDelta) and isinstance(last, TextDelta) and last.run == event.run:
        events[-1] = replace(event, text=last.text + event.text)
    else:
        events.append(event)


def _leave_out_older(events: deque[RunEvent], run: str) -> None:
    """Leave out a part of an answer that was not read in time, where a newer one comes."""
    if len(events) < 3:
        return
    before, older, more = events[-3], events[-2], events[-1]
    if {before.run, older.run, more.run} != {run} or not isinstance(older, PartialAnswer):
        return
    if isinstance(before, TextDelta) and isinstance(more, TextDelta):
        events.pop()
        events.pop()
        events[-1] = replace(more, text=before.text + more.text)


def _finished(runtime: AgencyRuntime, run: RunRequest, task: asyncio.Task[Answer]) -> RunFinished:
    """The end of a run, as those who listened were told of it."""
    error = task.exception()
    answer = task.result() if error is None else getattr(error, "partial", None)
    return runtime.finished(run, answer, error if isinstance(error, AgentError) else None)
