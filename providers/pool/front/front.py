"""What happens to a request before it is dispatched: counted, cached, joined with equal ones, batched."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace

from ....actors.core.base.errors import CallboardError
from ....actors.core.base.send_context import SendContext, active, current_send_context
from ...embeddings import Answered, Asked, EmbeddingRequest, Embeddings, divided, joined
from ...errors import BudgetSpent, InvalidRequest
from ...messages import Completion, Delta, Request
from ...provider import as_deltas
from ...shapes import misshapen
from ..accounts.budgets import Reservation
from ..control import Submit, SwitchProvider
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.job import Job, Requester
from .batch import Batcher, Batching
from .cache import as_cached, fingerprint, own_copy, worth_keeping
from .safe_cache import SafeCache


class _Shared:
    """One call that several equal requests wait for."""

    __slots__ = ("job", "payers", "task", "waiting")

    def __init__(self, job: Job) -> None:
        self.job = job
        job.refuse = self.refuse
        self.task: asyncio.Task[Completion]
        self.waiting: list[asyncio.Future[Completion]] = []
        """Of each on whose behalf it is made, in the same order."""
        self.payers = 1
        """How many its price was booked to."""

    def refuse(self, index: int, error: BudgetSpent) -> None:
        """See `Job.refuse`."""
        del self.job.requesters[index]
        _fail(self.waiting.pop(index), error)

    def end(self, task: asyncio.Task[Completion]) -> None:
        """Tell all what became of it."""
        for future in self.waiting:
            if task.cancelled():
                future.cancel()
            elif (error := task.exception()) is not None:
                _fail(future, error)
            elif not future.done():
                future.set_result(task.result())

    def leave(self, future: asyncio.Future[Completion]) -> bool:
        """One waits no longer. Return whether they were the last: who leaves the others pays nothing."""
        if future in self.waiting and len(self.waiting) > 1:
            index = self.waiting.index(future)
            del self.waiting[index]
            if not self.task.done():
                del self.job.requesters[index]
        return self.waiting == [future]


def _fail(future: asyncio.Future[Completion], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # so that nothing is logged where who waits is cancelled before they hear of it


class Front:
    """Accepts requests.

    Args:
        dispatcher: sends what is not answered here.
        cache: completions of earlier equal requests; None for none.
        coalesce: whether equal requests in flight share one call.
        batching: how requests that may wait are put together; None to send them singly.
        switches: where agents and conversations have been switched to.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        cache: SafeCache | None,
        coalesce: bool,
        batching: Batching | None,
        switches: Mapping[str, SwitchProvider],
    ) -> None:
        self._dispatcher = dispatcher
        self._switches = switches
        self._counts = dispatcher.counts
        self._cache = cache
        self._coalesce = coalesce
        self._batcher = None if batching is None else Batcher(dispatcher, batching)
        self._shared: dict[str, _Shared] = {}

    def close(self) -> None:
        """Cancel what runs on behalf of several requests."""
        for shared in self._shared.values():
            shared.task.cancel()
        if self._batcher is not None:
            self._batcher.close()

    async def complete(self, submit: Submit) -> Answered:
        """Return a completion, or embeddings. Raises as `Dispatcher.complete`."""
        counts = self._counts
        counts.accepted += 1
        submit = self._switched(submit)
        try:
            if submit.cached and (self._coalesce or self._cache is not None):
                answer = await self._looked_up(submit)
            else:
                answer = await self._made(submit)
        except Exception as error:
            counts.failed += 1
            if problem := _misshapen(submit.request, error):
                raise InvalidRequest(problem) from None
            raise
        except BaseException:
            counts.cancelled += 1
            raise
        counts.answered += 1
        return answer

    async def stream(self, submit: Submit) -> AsyncGenerator[Delta, None]:
        """Yield the deltas of a completion. Raises as `Dispatcher.stream`."""
        submit = self._switched(submit)
        request = submit.request
        if isinstance(request, EmbeddingRequest):
            raise InvalidRequest("embeddings do not come in pieces: ask for them, instead of streaming")
        counts = self._counts
        counts.accepted += 1
        ended = False
        try:
            key = _key(submit) if submit.cached and self._cache is not None else ""
            found = await self._cached(key, submit)
            if isinstance(found, Completion):
                ended = True
                counts.answered += 1
                for delta in as_deltas(found):
                    yield delta
                return
            async with aclosing(self._dispatcher.stream(request, submit.requester)) as deltas:
                async for delta in deltas:
                    if delta.completion is not None:
                        ended = True
                        counts.answered += 1
                        self._keep(key, delta.completion)
                    yield delta
        except Exception as error:
            counts.failed += 1
            if problem := _misshapen(request, error):
                raise InvalidRequest(problem) from None
            raise
        except BaseException:
            if not ended:
                counts.cancelled += 1
            raise

    def _switched(self, submit: Submit) -> Submit:
        who = submit.requester
        if who.endpoint or not self._switches or isinstance(submit.request, EmbeddingRequest):
            return submit
        switch = self._switches.get(f"conversation:{who.conversation}") or self._switches.get(f"agent:{who.agent}")
        if switch is None:
            return submit
        request = replace(submit.request, model=switch.model) if switch.model else submit.request
        return replace(submit, request=request, requester=replace(who, endpoint=switch.endpoint))

    async def _made(self, submit: Submit) -> Answered:
        if isinstance(submit.request, EmbeddingRequest):
            return await self._embedded(submit.request, submit.requester)
        if submit.requester.batch and self._batcher is not None:
            return await self._batcher.complete(submit.request, submit.requester)
        return await self._dispatcher.complete(submit.request, submit.requester)

    async def _embedded(self, request: EmbeddingRequest, requester: Requester) -> Embeddings:
        """Embed texts, in as many calls as the endpoints' limits want, each with its own place in the queue. Budgets
        are asked for all of them before the first is sent."""
        dispatcher = self._dispatcher
        loop = dispatcher.loop
        began = loop.time()
        parts = tuple(divided(request, dispatcher.embedding_limit(request, requester)))
        jobs = dispatcher.open_all(parts, requester)
        tasks = [loop.create_task(dispatcher.embed(job), name="embedding") for job in jobs]
        try:
            made = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()  # those that still run when one has failed, or the caller has left
            await asyncio.gather(*tasks, return_exceptions=True)
            dispatcher.charges.withdraw(jobs)
        return joined(made, loop.time() - began)

    async def _looked_up(self, submit: Submit) -> Answered:
        key = _key(submit)
        found = await self._cached(key, submit)
        if found is not None:
            return found
        if self._coalesce and not submit.requester.batch and isinstance(submit.request, Request):
            return await self._joined(key, submit.request, submit.requester)
        answer = await self._made(submit)
        self._keep(key, answer)
        return answer

    async def _cached(self, key: str, submit: Submit) -> Answered | None:
        if self._cache is None or not key:
            return None
        found = await self._cache.get(key)
        if found is None:
            return None
        # Where nobody could answer it any more, it fails.
        self._dispatcher.planner.plan(submit.request, submit.requester)
        self._counts.cache_hits += 1
        return as_cached(found)

    def _keep(self, key: str, answer: Answered) -> None:
        if self._cache is not None and key and worth_keeping(answer):
            self._cache.put(key, answer)

    async def _joined(self, key: str, request: Request, requester: Requester) -> Completion:
        """Wait for the one call that equal requests share; it goes on as long as one of them waits, and each of those
        who get its answer pays the same part of it.

        Raises:
            BudgetSpent: this one cannot pay its part, now or when the call goes out; the others go on.
        """
        dispatcher = self._dispatcher
        budgets = dispatcher.charges.budgets
        promised: Reservation | None = None
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = _Shared(dispatcher.open(request, requester))
            # The call belongs to all: the first one's deadline must not end it for those that can wait longer.
            shared.job.deadline = None
            context = contextvars.copy_context()
            context.run(active.set, SendContext(None, current_send_context().baggage))
            shared.task = dispatcher.loop.create_task(self._run(key, shared), name="coalesced request", context=context)
            shared.task.add_done_callback(shared.end)
        else:
            if budgets.limited:
                promised = budgets.reserve(*dispatcher.charges.check(shared.job, requester))
                shared.job.promised.append(promised)
            self._counts.coalesced += 1
            shared.job.requesters.append(requester)
            dispatcher.prolong(shared.job)
        future: asyncio.Future[Completion] = dispatcher.loop.create_future()
        shared.waiting.append(future)
        try:
            completion = own_copy(await future)
            return completion if shared.payers == 1 else _part_of(completion, shared.payers)
        finally:
            if promised is not None:
                budgets.release(promised)
            if shared.leave(future):
                if self._shared.get(key) is shared:
                    del self._shared[key]
                shared.task.cancel()

    async def _run(self, key: str, shared: _Shared) -> Completion:
        try:
            completion = await self._dispatcher.run(shared.job)
            shared.payers = len(shared.job.requesters)
            self._keep(key, completion)
            return completion
        finally:
            if self._shared.get(key) is shared:
                del self._shared[key]


def _key(submit: Submit) -> str:
    """What equal requests share. Those for one endpoint alone are not answered with what another has said."""
    return f"{fingerprint(submit.request)} {submit.requester.endpoint}".rstrip()


def _part_of(completion: Completion, payers: int) -> Completion:
    cost = None if completion.cost is None else completion.cost / payers
    return replace(completion, cost=cost, notes=(*completion.notes, f"shared by {payers} equal requests"))


def _misshapen(request: Asked, error: Exception) -> str:
    """What is wrong with a request that ended in an error which nobody has named; empty where it is not that."""
    return "" if isinstance(error, CallboardError) or isinstance(request, EmbeddingRequest) else misshapen(request)
