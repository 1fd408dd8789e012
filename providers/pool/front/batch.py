"""Micro-batching: requests that may wait go out together through an endpoint's batch capability.

A batch is of one model and of requests that need the same of an endpoint (tools, pictures), and goes only where that is
served as it was asked for, and where each of its requests may be paid for. Each is booked to whom it is for, at a
batch's price, and each asker may leave when their own time is over.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass

from ....actors.core.base.send_context import SendContext, active
from ... import checks
from ...errors import BudgetSpent, InvalidRequest, NoProvider, ProviderError
from ...messages import Completion, Request
from ...shapes import misshapen
from ..accounts.budgets import Reservation
from ..accounts.cost import BATCH_SHARE
from ..accounts.estimate import input_tokens
from ..admission.gate import Gate, Grant
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.job import Job, Requester
from ..dispatch.plan import Plan


@dataclass(frozen=True, slots=True)
class Batching:
    """When a batch is sent.

    Its window begins with its first request. It grows under load: after a batch of several the next one of that model
    waits twice as long; and shrinks when idle: after a batch of one, half as long.

    Args:
        size: requests after which it goes at once.
        min_window, max_window: seconds after its first request at which it goes, however small; at least and at most.

    Raises:
        ValueError: something of it is wrong.
    """

    size: int = 50
    min_window: float = 0.1
    max_window: float = 5.0

    def __post_init__(self) -> None:
        fit = checks.COUNT.fits(self.size) and all(map(checks.SECONDS.fits, (self.min_window, self.max_window)))
        if not fit or self.min_window > self.max_window:
            raise ValueError(f"{self!r}: size must be at least 1, and 0 <= min_window <= max_window")

    def next_window(self, window: float, count: int) -> float:
        """Return how many seconds the next batch waits, after one of ``count`` requests that waited ``window``."""
        if count > 1:
            return min(self.max_window, max(2 * window, self.min_window, 1e-3))
        return max(self.min_window, window / 2)


class _Item:
    """A request that waits for others."""

    __slots__ = ("answer", "batch", "job", "promised")

    def __init__(self, job: Job, answer: asyncio.Future[Completion]) -> None:
        self.job = job
        self.answer = answer
        self.batch: _Batch | None = None
        self.promised: Reservation | None = None

    @property
    def most_tokens(self) -> int:
        """Of its answer, as far as the request says."""
        request = self.job.request
        return (request.max_tokens or 0) if isinstance(request, Request) else 0


class _Batch:
    """Requests of one model and the same needs, while they are collected and while they are out."""

    __slots__ = ("items", "task", "timer")

    def __init__(self, items: Iterable[_Item] = ()) -> None:
        self.items = list(items)
        for item in self.items:
            item.batch = self
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def waiting(self) -> list[_Item]:
        """Those whose askers are still there."""
        return [item for item in self.items if not item.answer.done()]


_Key = tuple[str, str, frozenset[str]]
"""The model and the endpoint that were asked for, and what an endpoint must be able to do."""


class Batcher:
    """Collects requests and sends them as batches.

    Args:
        dispatcher: sends them.
        policy: when.
    """

    def __init__(self, dispatcher: Dispatcher, policy: Batching) -> None:
        self._dispatcher = dispatcher
        self._policy = policy
        self._open: dict[_Key, _Batch] = {}
        self._windows: dict[_Key, float] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}

    async def complete(self, request: Request, requester: Requester) -> Completion:
        """Return the completion of a request that may wait for others. Raises as `Dispatcher.complete`.

        Without an endpoint that takes batches of its model it is sent singly; so is each request of a batch that failed
        as a whole, or that the batch had no time for.
        """
        if problem := misshapen(request):  # or those that go out with it would have to be sent singly
            raise InvalidRequest(problem)
        dispatcher = self._dispatcher
        job = dispatcher.open(request, requester)
        if not _batches(job.plan):
            return await dispatcher.run(job)
        item = _Item(job, dispatcher.loop.create_future())
        self._collect((request.model, requester.endpoint, job.wanted), item)
        try:
            return await item.answer
        except _SendSingly:
            return await dispatcher.complete(request, requester)
        finally:
            self._left(item)

    def close(self) -> None:
        """Stop; what waits is cancelled with its requests."""
        for batch in self._open.values():
            if batch.timer is not None:
                batch.timer.cancel()
            for item in batch.items:
                item.answer.cancel()
        for task in list(self._tasks):
            task.cancel()

    def _collect(self, key: _Key, item: _Item) -> None:
        batch = self._open.get(key)
        if batch is None:
            batch = self._open[key] = _Batch()
            window = self._windows.setdefault(key, self._policy.min_window)
            batch.timer = self._dispatcher.loop.call_later(window, self._send, key)
        batch.items.append(item)
        item.batch = batch
        if len(batch.items) >= self._policy.size:
            self._send(key)

    def _left(self, item: _Item) -> None:
        batch = item.batch
        if batch is not None and batch.task is not None and not batch.waiting():
            batch.task.cancel()  # of no effect where it has ended

    def _send(self, key: _Key) -> None:
        batch = self._open.pop(key)
        assert batch.timer is not None
        batch.timer.cancel()
        count = len(batch.waiting())
        self._windows[key] = self._policy.next_window(self._windows[key], count)
        if count:
            self._begin(batch)

    def _begin(self, batch: _Batch, excluded: tuple[Gate, ...] = ()) -> None:
        # It belongs to all: neither the deadline nor the budget of the one whose request filled it counts for all.
        context = contextvars.copy_context()
        context.run(active.set, SendContext(None, {}))
        delivery = self._deliver(batch, excluded)
        task = batch.task = self._dispatcher.loop.create_task(delivery, name="batch", context=context)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _deliver(self, batch: _Batch, excluded: tuple[Gate, ...]) -> None:
        results: list[Completion | Exception] = []
        items = batch.items = batch.waiting()
        try:
            grant = await self._granted(batch, excluded)
            items = batch.items
            if grant is not None:
                results = await self._dispatcher.attempts.batch([item.job for item in items], grant)
        except asyncio.CancelledError:
            for item in items:
                item.answer.cancel()
            raise
        except Exception:
            results = []  # each is sent singly, and fails, if it must, with an error of its own
        finally:
            for item in items:
                if item.promised is not None:
                    self._dispatcher.charges.budgets.release(item.promised)
        for item, result in zip(items, results, strict=False):
            if not item.answer.done():
                if isinstance(result, Completion):
                    item.answer.set_result(result)
                else:
                    item.answer.set_exception(_SendSingly() if _may_pass(result) else result)
        for item in batch.waiting():
            item.answer.set_exception(_SendSingly())

    async def _granted(self, batch: _Batch, excluded: tuple[Gate, ...]) -> Grant | None:
        """Return the right to send a batch somewhere, with the price of each of its requests promised; None if nobody
        is left in it. Those that can only be paid for elsewhere go out as another batch.

        Raises:
            Exception: no endpoint takes it.
        """
        dispatcher = self._dispatcher
        while items := batch.waiting():
            head = self._head(items, excluded)
            dispatcher.planner.renew(head)
            grant = await dispatcher.queue.grant(head)
            degraded = head.plan.tiers[grant.tier].notes
            batch.items = [] if degraded else self._payable(batch.waiting(), head.plan, grant.gate)
            here = batch.items
            elsewhere = [item for item in items if item not in here and not item.answer.done()]
            if not here:
                grant.refund(dispatcher.loop.time())
                dispatcher.queue.pump()
            if degraded:
                batch.items = items
                raise NoProvider("no endpoint takes batches of the model that was asked for")
            excluded = (*excluded, grant.gate)
            if here:
                if elsewhere:
                    self._begin(_Batch(elsewhere), excluded)
                return grant
            batch.items = elsewhere
        return None

    @staticmethod
    def _head(items: list[_Item], excluded: tuple[Gate, ...]) -> Job:
        """What stands in line for all of a batch."""
        jobs = [item.job for item in items]
        head = copy(jobs[0])
        head.wanted |= {"batch"}
        head.deadline = None
        head.paid = True  # budgets are asked for each of them, once it is known where
        head.excluded = excluded
        head.limit = max(job.limit for job in jobs)
        head.input_tokens = sum(input_tokens(job.request) for job in jobs)
        head.tokens = float(head.input_tokens + sum(item.most_tokens for item in items))
        return head

    def _payable(self, items: list[_Item], plan: Plan, gate: Gate) -> list[_Item]:
        """Those that may be paid for at an endpoint, each price promised; who can be paid for nowhere is told."""
        charges = self._dispatcher.charges
        payable = []
        for item in items:
            try:
                if charges.budgets.limited:
                    item.promised = charges.budgets.reserve(*charges.check(item.job, share=BATCH_SHARE, at=gate))
                item.job.plan = plan
                payable.append(item)
            except BudgetSpent:
                try:
                    charges.check(item.job, share=BATCH_SHARE)
                except BudgetSpent as error:
                    item.answer.set_exception(error)
        return payable


def _batches(plan: Plan) -> bool:
    """Whether an endpoint takes batches of the model as it was asked for."""
    tier = plan.tiers[0]
    return not tier.notes and any("batch" in member.endpoint.capabilities for member in tier.members)


def _may_pass(result: object) -> bool:
    """Whether a request of a batch is worth another call: it failed with what may pass, or its result is none at all.

    No future takes a `StopIteration`, and who awaits a `CancelledError` takes it for the end of their own task.
    """
    if isinstance(result, ProviderError):
        return result.retryable
    return not isinstance(result, Exception) or isinstance(result, StopIteration)


class _SendSingly(Exception):
    """The batch did not work out."""
