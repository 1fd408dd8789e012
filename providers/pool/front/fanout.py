"""One request to several endpoints at once, and how their answers become one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from ...errors import NoProvider
from ...messages import Completion
from ..control import FanOut
from ..dispatch.dispatcher import Dispatcher

Outcomes: TypeAlias = dict[str, Completion | Exception]


async def fan_out(dispatcher: Dispatcher, message: FanOut) -> Completion | Outcomes:
    """Send the request to each provider and combine; see `FanOut`. What is still running at the end is cancelled.

    Raises:
        NoProvider: ``first`` or ``majority``, and all failed; with the causes.
        ValueError: an unknown way to combine.
    """
    if message.combine not in ("first", "majority", "all"):
        raise ValueError(f"combine is {message.combine!r}; expected first, majority or all")
    names = message.providers or dispatcher.planner.serving(message.request)
    counts = dispatcher.counts
    counts.accepted += 1
    tasks = {
        dispatcher.loop.create_task(
            dispatcher.complete(message.request, replace(message.requester, endpoint=name)), name=f"fan out to {name}"
        ): name
        for name in names
    }
    outcomes: Outcomes = {}
    try:
        pending = set(tasks)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in (each for each in tasks if each in done):
                error = task.exception()
                outcomes[tasks[task]] = task.result() if not isinstance(error, Exception) else error
            answer = _combined(message.combine, outcomes, names)
            if answer is not None:
                counts.answered += 1
                return answer
        if message.combine == "all":
            counts.answered += 1
            return {name: outcomes[name] for name in names}
        causes: dict[str, BaseException] = {n: o for n, o in outcomes.items() if isinstance(o, Exception)}
        counts.failed += 1
        raise NoProvider(f"all of {', '.join(names)} failed: {_listed(causes)}", causes=causes)
    except asyncio.CancelledError:
        counts.cancelled += 1
        raise
    finally:
        for task in tasks:
            task.cancel()


def _combined(combine: str, outcomes: Outcomes, names: tuple[str, ...]) -> Completion | None:
    """Return the answer once it is decided, otherwise None."""
    answers = {name: outcome for name in names if isinstance(outcome := outcomes.get(name), Completion)}
    if combine == "all" or not answers:
        return None
    if combine == "first":
        return next(iter(answers.values()))
    votes = Counter(_said(answer) for answer in answers.values())
    winner, count = max(votes.items(), key=lambda vote: vote[1])  # the earliest provider's answer wins a tie
    missing = len(names) - len(outcomes)
    runner_up = max((number for said, number in votes.items() if said != winner), default=0)
    if missing and count <= runner_up + missing:
        return None
    answer = next(each for each in answers.values() if _said(each) == winner)
    return replace(answer, notes=(*answer.notes, f"majority: {count} of {len(names)} agree"))


def _said(completion: Completion) -> Any:
    message = completion.message
    return " ".join(message.text.split()).casefold(), tuple((call.name, call.arguments) for call in message.tool_calls)


def _listed(causes: Mapping[str, BaseException]) -> str:
    return "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in causes.items())
