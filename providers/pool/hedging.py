"""Hedged calls: the asyncio side of `hedge`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..messages import Completion
from .admission import Admission, Grant
from .hedge import Hedge
from .job import Job

if TYPE_CHECKING:
    from .dispatch import Dispatcher


class Hedger:
    """Makes calls that are sent a second time if they take unusually long.

    Args:
        dispatcher: makes the calls.
        policy: when.
    """

    def __init__(self, dispatcher: Dispatcher, policy: Hedge) -> None:
        self._dispatcher = dispatcher
        self._policy = policy
        self._allowance = policy.allowance()

    async def attempt(self, job: Job, grant: Grant) -> Completion:
        """Send the request; if it takes unusually long, a second time elsewhere; return the first answer.

        The usual case costs a timer and no task: only when the timer fires is the second call made, in a task, and if
        that one is first, it cancels the ask this coroutine waits for.

        Raises:
            Exception: what the first call failed with, if there was no second; otherwise what the second did.
        """
        dispatcher = self._dispatcher
        loop = dispatcher.loop
        gates = job.plan.gates[grant.tier]
        self._allowance.deposit()
        delay = None
        if len(gates) > 1:
            delay = self._policy.delay(dispatcher.member(gate).latencies for gate in gates)
        if delay is None:
            return await dispatcher.attempt(job, grant)
        pause = delay
        member = dispatcher.member(grant.gate)
        dispatcher.books.sent(job, grant, member)
        ask = member.ref.ask(dispatcher.adapted(job, grant), timeout=member.endpoint.retry.attempt_timeout)
        second: asyncio.Task[Completion] | None = None
        timer: asyncio.TimerHandle
        overtaken = False

        def late() -> None:
            nonlocal second, timer
            if ask.done():
                return
            other = self._spare(job, grant)
            if other is None:
                timer = loop.call_later(pause, late)  # nobody is free, or hedges are not affordable: look again
                return
            dispatcher.counts.hedges += 1
            second = loop.create_task(dispatcher.attempt(job, other), name=f"hedge of {grant.gate.name}")
            second.add_done_callback(lambda task: over(task, other))

        def over(task: asyncio.Task[Completion], other: Grant) -> None:
            nonlocal second, timer, overtaken
            other.refund()  # of effect only if the task was cancelled before its first step
            if task.cancelled() or task.exception() is None:
                if not task.cancelled() and not ask.done():
                    grant.slow = overtaken = True
                    ask.cancel()
            elif not ask.done():
                second = None
                timer = loop.call_later(pause, late)

        timer = loop.call_later(pause, late)
        try:
            try:
                completion: Completion = await ask
            except BaseException as error:
                dispatcher.failed(job, grant, member, error)
                gave_up = isinstance(error, asyncio.CancelledError) and (not overtaken or _is_cancelled())
                if second is None or gave_up:
                    raise
                if not overtaken:
                    job.causes[grant.gate.name] = error
                answer = await second
                dispatcher.counts.hedges_won += 1
                return answer
            return dispatcher.answered(job, grant, member, completion)
        finally:
            timer.cancel()
            if second is not None and not second.done():
                second.cancel()

    def _spare(self, job: Job, grant: Grant) -> Grant | None:
        """Return a grant for a second call: another endpoint that is free, if nobody waits and it is affordable."""
        dispatcher = self._dispatcher
        now = dispatcher.loop.time()
        admission: Admission = dispatcher.admission
        if admission.waiting:
            return None
        ready = [
            gate
            for gate in job.plan.gates[grant.tier]
            if gate is not grant.gate and gate.breaker.state == "closed" and gate.ready(job.tokens, now)
        ]
        if not ready or not self._allowance.take(now):
            return None
        return admission.take(admission.choose(ready, now), job.tokens, now, grant.tier)


def _is_cancelled() -> bool:
    """Whether the running task itself is asked to end, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
