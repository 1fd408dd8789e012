"""What happens to a request before it is dispatched: counted, cached, joined with equal ones, batched."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ....actors.core.base.scope import Scope, active, current_scope
from ...embeddings import Answered, EmbeddingRequest, Embeddings, divided, joined
from ...errors import InvalidRequest
from ...messages import Completion, Delta, Request
from ..control import Submit
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.job import Job, Requester
from .batch import Batcher, Batching
from .cache import Cache, as_cached, fingerprint


class _Shared:
    """One call that several equal requests wait for."""

    __slots__ = ("job", "task", "waiters")

    def __init__(self, job: Job, task: asyncio.Task[Completion]) -> None:
        self.job = job
        self.task = task
        self.waiters = 0


class Front:
    """Accepts requests.

    Args:
        dispatcher: sends what is not answered here.
        cache: completions of earlier equal requests; None for none.
        coalesce: whether equal requests in flight share one call.
        batching: how requests that may wait are put together; None to send them singly.
    """

    def __init__(self, dispatcher: Dispatcher, cache: Cache | None, coalesce: bool, batching: Batching | None) -> None:
        self._dispatcher = dispatcher
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
        try:
            if submit.cached and (self._coalesce or self._cache is not None):
                answer = await self._looked_up(submit)
            else:
                answer = await self._made(submit)
        except Exception:
            counts.failed += 1
            raise
        except BaseException:
            counts.cancelled += 1
            raise
        counts.answered += 1
        return answer

    async def stream(self, submit: Submit) -> AsyncGenerator[Delta, None]:
        """Yield the deltas of a completion. Raises as `Dispatcher.stream`."""
        if isinstance(submit.request, EmbeddingRequest):
            raise InvalidRequest("embeddings do not come in pieces: ask for them, instead of streaming")
        counts = self._counts
        counts.accepted += 1
        ended = False
        try:
            key = fingerprint(submit.request) if submit.cached and self._cache is not None else ""
            found = await self._cached(key)
            if isinstance(found, Completion):
                ended = True
                counts.answered += 1
                for delta in replay(found):
                    yield delta
                return
            async with aclosing(self._dispatcher.stream(submit.request, submit.requester)) as deltas:
                async for delta in deltas:
                    if delta.completion is not None:
                        ended = True
                        counts.answered += 1
                        await self._keep(key, delta.completion)
                    yield delta
        except Exception:
            if not ended:
                counts.failed += 1
            raise
        except BaseException:
            if not ended:
                counts.cancelled += 1
            raise

    async def _made(self, submit: Submit) -> Answered:
        if isinstance(submit.request, EmbeddingRequest):
            return await self._embedded(submit.request, submit.requester)
        if submit.batch and self._batcher is not None:
            return await self._batcher.complete(submit.request, submit.requester)
        return await self._dispatcher.complete(submit.request, submit.requester)

    async def _embedded(self, request: EmbeddingRequest, requester: Requester) -> Embeddings:
        """Embed texts, in as many calls as the endpoints' limits want, each with its own place in the queue."""
        loop = self._dispatcher.loop
        began = loop.time()
        parts = divided(request, self._dispatcher.embedding_limit(request, requester))
        tasks = [loop.create_task(self._dispatcher.embed(part, requester), name="embedding") for part in parts]
        try:
            made = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()  # those that still run when one has failed, or the caller has left
            await asyncio.gather(*tasks, return_exceptions=True)
        return joined(made, loop.time() - began)

    async def _looked_up(self, submit: Submit) -> Answered:
        key = fingerprint(submit.request)
        found = await self._cached(key)
        if found is not None:
            return found
        if self._coalesce and not submit.batch and isinstance(submit.request, Request):
            # Requests on one endpoint's behalf must not be answered by another's call.
            return await self._joined(f"{key} {submit.requester.endpoint}", key, submit.request, submit.requester)
        answer = await self._made(submit)
        await self._keep(key, answer)
        return answer

    async def _cached(self, key: str) -> Answered | None:
        if self._cache is None or not key:
            return None
        found = await self._cache.get(key)
        if found is None:
            return None
        self._counts.cache_hits += 1
        return as_cached(found)

    async def _keep(self, key: str, answer: Answered) -> None:
        if self._cache is not None and key:
            await self._cache.put(key, answer)

    async def _joined(self, joint: str, key: str, request: Request, requester: Requester) -> Completion:
        """Wait for the one call that equal requests share; it goes on as long as one of them waits."""
        dispatcher = self._dispatcher
        shared = self._shared.get(joint)
        if shared is None:
            job = dispatcher.open(request, requester)
            # The call belongs to all: the first one's deadline must not end it for those that can wait longer.
            context = contextvars.copy_context()
            context.run(active.set, Scope(None, current_scope().values))
            task = dispatcher.loop.create_task(self._run(joint, key, job), name="coalesced request", context=context)
            shared = self._shared[joint] = _Shared(job, task)
        else:
            self._counts.coalesced += 1
            shared.job.limit = max(shared.job.limit, dispatcher.limit())
        shared.waiters += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiters -= 1
            if not shared.waiters:
                if self._shared.get(joint) is shared:
                    del self._shared[joint]
                shared.task.cancel()

    async def _run(self, joint: str, key: str, job: Job) -> Completion:
        try:
            completion = await self._dispatcher.run(job)
            await self._keep(key, completion)
            return completion
        finally:
            self._shared.pop(joint, None)


def replay(completion: Completion) -> list[Delta]:
    """Return a finished completion as the deltas of a stream."""
    message = completion.message
    deltas = []
    if message.reasoning:
        deltas.append(Delta(reasoning=message.reasoning))
    if message.text:
        deltas.append(Delta(text=message.text))
    for index, call in enumerate(message.tool_calls):
        deltas.append(Delta(tool_index=index, tool_id=call.id, tool_name=call.name, tool_arguments=call.arguments))
    deltas.append(Delta(completion=completion))
    return deltas
