"""One request to several endpoints at once, and how their answers become one."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter, deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from ....actors.core.base.send_context import current_send_context
from ...errors import InvalidRequest, NoProvider, ProviderTimeout
from ...messages import Completion, Usage
from ...shapes import misshapen
from ..control import FanOut, Outcomes
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.foreign import is_own
from ..dispatch.job import Job
from ..dispatch.planner import listed, no_provider

GRACE = 2.0
"""Seconds that an endpoint which is down, or has failed, is waited for after another one has answered."""

_TICK = 0.5
"""Seconds between two looks at those that are waited for."""

_MARGIN = 0.1
_LONGEST_MARGIN = 1.0
"""The share of its time, and the seconds at most, that a fan-out ends before its deadline: an answer must get there."""


async def fan_out(dispatcher: Dispatcher, message: FanOut) -> Any:
    """Send the request to each provider and combine; see `FanOut`. What is still running at the end is cancelled.

    Raises:
        InvalidRequest: it has not the shape of a request.
        NoProvider: all failed, unless ``all`` were asked for; with the causes.
        Exception: what the function that combines raised; of what would end an actor, `RuntimeError` that names it.
    """
    if problem := misshapen(message.request):
        raise InvalidRequest(problem)
    combine = message.combine
    names = tuple(message.providers) or dispatcher.planner.serving(message.request)
    counts = dispatcher.counts
    counts.accepted += 1
    branches = _Branches(dispatcher, message, names)
    try:
        async for outcomes in branches.ended():
            answer = _decided(combine, outcomes, names)
            if answer is not None:
                break
        else:
            answer = await _combined(combine, branches.outcomes, names)
    except asyncio.CancelledError:
        counts.cancelled += 1
        raise
    except BaseException:
        counts.failed += 1
        raise
    finally:
        branches.cancel()
    counts.answered += 1
    return _priced(answer, branches.outcomes) if isinstance(answer, Completion) else answer


class _Branches:
    """The calls of one fan-out.

    Args:
        dispatcher: makes them.
        message: what is asked.
        names: of the endpoints.
    """

    def __init__(self, dispatcher: Dispatcher, message: FanOut, names: tuple[str, ...]) -> None:
        self.outcomes: Outcomes = {}
        self._dispatcher = dispatcher
        self._message = message
        self._waiting = deque(names)
        self._running: dict[asyncio.Task[Completion], tuple[str, Job]] = {}
        self._troubled: dict[str, float] = {}
        now = dispatcher.loop.time()
        deadline = current_send_context().deadline
        self._until = None if deadline is None else deadline - min(_LONGEST_MARGIN, _MARGIN * (deadline - now))

    async def ended(self) -> AsyncGenerator[Outcomes, None]:
        """Yield what is known each time that another one has ended, until all have."""
        while self._waiting or self._running:
            self._start()
            if self._running:
                done, _ = await asyncio.wait(self._running, timeout=self._patience(), return_when="FIRST_COMPLETED")
                for task in [each for each in self._running if each in done]:
                    name, _job = self._running.pop(task)
                    error = task.exception()
                    self.outcomes[name] = task.result() if not isinstance(error, Exception) else error
            self._give_up(self._dispatcher.loop.time())
            yield self.outcomes

    def cancel(self) -> None:
        """End what is still running."""
        for task in self._running:
            task.cancel()

    def _start(self) -> None:
        message, most = self._message, self._message.concurrency
        while self._waiting and (most is None or len(self._running) < most):
            name = self._waiting.popleft()
            try:
                job = self._dispatcher.open(message.request, replace(message.requester, endpoint=name))
            except Exception as error:
                self.outcomes[name] = error
                continue
            task = self._dispatcher.loop.create_task(self._dispatcher.run(job), name=f"fan out to {name}")
            self._running[task] = name, job

    def _patience(self) -> float | None:
        left = None if self._until is None else max(0.0, self._until - self._dispatcher.loop.time())
        if not self._answered():
            return left
        return _TICK if left is None else min(_TICK, left)

    def _answered(self) -> bool:
        return any(isinstance(outcome, Completion) for outcome in self.outcomes.values())

    def _give_up(self, now: float) -> None:
        """Name an error for those that are waited for in vain, so that they do not take the others' answers along."""
        if self._until is not None and now >= self._until:
            late = [*(name for name, _ in self._running.values()), *self._waiting]
            self.cancel()
            self._running.clear()
            self._waiting.clear()
            for name in late:
                self.outcomes[name] = ProviderTimeout(f"{name} had not answered when the time was over", provider=name)
            return
        if not self._answered():
            return
        for task, (name, job) in list(self._running.items()):
            if not job.causes and job.plan.other_than((), now):
                self._troubled.pop(name, None)
            elif now - self._troubled.setdefault(name, now) >= GRACE:
                task.cancel()
                del self._running[task]
                self.outcomes[name] = no_provider(job, f"{name} was down when another had answered")


def _decided(combine: Any, outcomes: Mapping[str, Completion | Exception], names: tuple[str, ...]) -> Completion | None:
    """Return the answer if what is missing can change it no more."""
    answers = [outcome for name in names if isinstance(outcome := outcomes.get(name), Completion)]
    if not answers or combine not in ("first", "majority"):
        return None
    if combine == "first":
        return answers[0]
    votes = Counter(map(_said, answers))
    winner, count = max(votes.items(), key=lambda vote: vote[1])  # the earliest provider's answer wins a tie
    missing = len(names) - len(outcomes)
    runner_up = max((number for said, number in votes.items() if said != winner), default=0)
    if missing and count <= runner_up + missing:
        return None
    answer = next(each for each in answers if _said(each) == winner)
    return replace(answer, notes=(*answer.notes, f"majority: {count} of {len(names)} agree"))


async def _combined(combine: Any, outcomes: Mapping[str, Completion | Exception], names: tuple[str, ...]) -> Any:
    """Return the answer once all have ended and it was not decided before."""
    ordered = {name: outcomes[name] for name in names}
    if combine == "all":
        return ordered
    causes: dict[str, BaseException] = {name: each for name, each in ordered.items() if isinstance(each, Exception)}
    if len(causes) == len(ordered):
        raise NoProvider(f"all of {', '.join(names)} failed: {listed(causes)}", causes=causes)
    try:
        answer = combine(ordered)
        return await answer if inspect.isawaitable(answer) else answer
    except (asyncio.CancelledError, SystemExit) as error:
        if not is_own(error):
            raise
        raise RuntimeError(f"the function that combines raised {type(error).__name__}") from error


def _said(completion: Completion) -> Any:
    message = completion.message
    return " ".join(message.text.split()).casefold(), tuple((call.name, call.arguments) for call in message.tool_calls)


def _priced(answer: Completion, outcomes: Mapping[str, Completion | Exception]) -> Completion:
    """The answer with what all took that were answered: its caller has paid for each."""
    answers = [outcome for outcome in outcomes.values() if isinstance(outcome, Completion)]
    costs = [each.cost for each in answers if each.cost is not None]
    return replace(
        answer, usage=sum((each.usage for each in answers), Usage()), cost=sum(costs) if costs else answer.cost
    )
