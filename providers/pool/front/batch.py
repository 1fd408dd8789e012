"""Micro-batching: requests that may wait go out together through an endpoint's batch capability."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ...messages import Completion, Request
from ...provider import BatchAnswer
from ..accounts.estimate import input_tokens
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.job import ANYONE, Requester


@dataclass(frozen=True, slots=True)
class Batching:
    """When a batch is sent.

    Args:
        size: requests after which it goes at once.
        window: seconds after its first request at which it goes, however small.
    """

    size: int = 50
    window: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.window < 0:
            raise ValueError(f"{self!r}: size must be at least 1 and window at least 0 seconds")


class _Item:
    __slots__ = ("answer", "request", "requester")

    def __init__(self, request: Request, requester: Requester, answer: asyncio.Future[Completion]) -> None:
        self.request = request
        self.requester = requester
        self.answer = answer


class Batcher:
    """Collects requests and sends them as batches.

    Args:
        dispatcher: sends them.
        policy: when.
    """

    def __init__(self, dispatcher: Dispatcher, policy: Batching) -> None:
        self._dispatcher = dispatcher
        self._policy = policy
        self._open: list[_Item] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}

    async def complete(self, request: Request, requester: Requester) -> Completion:
        """Return the completion of a request that may wait for others. Raises as `Dispatcher.complete`.

        Without an endpoint that takes batches it is sent singly; so is each request of a batch that failed as a whole.
        """
        loop = self._dispatcher.loop
        item = _Item(request, requester, loop.create_future())
        self._open.append(item)
        if len(self._open) >= self._policy.size:
            self._send()
        elif self._timer is None:
            self._timer = loop.call_later(self._policy.window, self._send)
        try:
            return await item.answer
        except _SendSingly:
            return await self._dispatcher.complete(request, requester)
        finally:
            if item in self._open:
                self._open.remove(item)

    def close(self) -> None:
        """Stop; what waits is cancelled with its requests."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in list(self._tasks):
            task.cancel()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        items, self._open = self._open, []
        if items:
            task = self._dispatcher.loop.create_task(self._deliver(items), name="batch")
            self._tasks[task] = None
            task.add_done_callback(self._tasks.pop)

    async def _deliver(self, items: list[_Item]) -> None:
        items = [item for item in items if not item.answer.done()]
        try:
            answers = await self._sent(tuple(item.request for item in items))
        except asyncio.CancelledError:
            for item in items:
                item.answer.cancel()
            raise
        except Exception:
            answers = BatchAnswer(tuple(_SendSingly() for _ in items))
        results = list(answers.results)
        results += [_SendSingly() for _ in range(len(items) - len(results))]
        for item, result in zip(items, results, strict=False):
            if item.answer.done():
                continue
            if isinstance(result, Exception):
                item.answer.set_exception(result)
            else:
                item.answer.set_result(result)

    async def _sent(self, requests: tuple[Request, ...]) -> BatchAnswer:
        """Send several requests as one batch, through an endpoint that takes batches.

        Raises:
            Exception: none does, or the batch failed as a whole.
        """
        dispatcher = self._dispatcher
        job = dispatcher.open(requests[0], ANYONE)
        job.wanted |= {"batch"}
        dispatcher.planner.renew(job)
        job.input_tokens = sum(map(input_tokens, requests))
        job.tokens = float(job.input_tokens + sum(each.max_tokens or 0 for each in requests))
        return await dispatcher.attempts.batch(job, await dispatcher.queue.grant(job), requests)


class _SendSingly(Exception):
    """The batch did not work out."""
