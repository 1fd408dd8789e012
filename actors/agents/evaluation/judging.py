"""Whether what came is what was expected. Pure, but for the functions of the user's and the model that judge."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.base.foreign import awaited, is_ours
from ..answer import Answer, StepCall
from ..errors import AgentError, said
from .case import Code, Expected, ExpectedCall


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a case's questions.

    Args:
        answers: to each of them, in order; the last one is what was done until the error, where there is one.
        error: what the last run ended in.
        seconds: from the first question to the last answer.
    """

    answers: tuple[Answer, ...]
    error: AgentError | None
    seconds: float

    @property
    def last(self) -> Answer:
        """The last answer; an empty one where an error kept none."""
        return self.answers[-1] if self.answers else Answer("")

    @property
    def calls(self) -> tuple[StepCall, ...]:
        """All calls, those of agents that work was handed to within, in their order."""
        return tuple(call for answer in self.answers for call in _calls(answer.steps))

    @property
    def tokens(self) -> int:
        """Tokens of all answers."""
        return sum(answer.usage.input_tokens + answer.usage.output_tokens for answer in self.answers)

    @property
    def cost(self) -> float:
        """US dollars of all answers."""
        return sum(answer.cost for answer in self.answers)

    @property
    def steps(self) -> int:
        """Completions of all agents."""
        return sum(_steps(answer.steps) for answer in self.answers)


def problems(expected: Expected, came: Came) -> Iterator[str]:
    """What of it is not as expected, in words that show nothing of the answer; without what functions and models say.

    Args:
        expected: what was.
        came: what came.
    """
    if came.error is not None and not expected.error:
        cause = came.error.__cause__
        yield f"the run ended in {type(came.error).__name__}" + (f", from {type(cause).__name__}" if cause else "")
    elif expected.error:
        ended = "an answer" if came.error is None else type(came.error).__name__
        if came.error is None or expected.error not in _names(came.error):
            yield f"expected the error {expected.error}, and it ended in {ended}"
    yield from _about_the_text(expected, came.last)
    yield from _about_what_was_done(expected, came)


def _about_the_text(expected: Expected, answer: Answer) -> Iterator[str]:
    text = answer.text.strip()
    if expected.equals is not None and text != expected.equals.strip():
        yield f"the text is not {expected.equals!r:.80}"
    for part in expected.contains:
        if part.casefold() not in text.casefold():
            yield f"the text does not contain {part!r:.80}"
    for part in expected.lacks:
        if part.casefold() in text.casefold():
            yield f"the text contains {part!r:.80}"
    if expected.matches and not re.search(expected.matches, text):
        yield f"the text does not match {expected.matches!r:.80}"
    if expected.value is not None and not same(_plain(answer), as_plain(expected.value)):
        yield f"the value is not {expected.value!r:.80}"
    if expected.output is not None:
        try:
            expected.output.value(text)
        except Exception:  # a type of the user's may raise anything
            yield f"the text does not read as {getattr(expected.type, '__name__', 'the type')}"
    if expected.agent and answer.agent != expected.agent:
        yield f"{answer.agent or 'nobody'} answered, not {expected.agent}"


def _about_what_was_done(expected: Expected, came: Came) -> Iterator[str]:
    calls = [call for call in came.calls if call.handoff is None]
    missing = _missing(expected.calls, calls)
    if missing is not None:
        yield f"{missing} was not called{_in_order(expected.tools)}"
    for name in expected.no_tools:
        found = [call.tool for call in calls if name in ("*", call.tool)]
        if found:
            yield f"{found[0]} was called"
    to = iter([record.target for answer in came.answers for record in answer.handoffs if not record.failed])
    for target in expected.handoffs:
        if target not in to:
            yield f"nothing was handed to {target}{_in_order(expected.handoffs)}"
            break
    for name, most, found_number in (
        ("steps", expected.steps, came.steps),
        ("tokens", expected.tokens, came.tokens),
        ("cost", expected.cost, came.cost),
        ("seconds", expected.seconds, came.seconds),
    ):
        if most is not None and found_number > most:
            yield f"{name}: {found_number:.6g}, at most {most:.6g} were expected"


async def said_by(function: Code, answer: Answer) -> str:
    """What a function of the user's finds wrong with an answer; empty for nothing.

    Args:
        function: it.
        answer: what it is given.
    """
    name = getattr(function, "__name__", type(function).__name__)
    task = asyncio.current_task()
    try:
        found = await awaited(f"the check {name}", function, answer)
    except AssertionError as error:
        return f"{name}: {said(error) or 'it asserts something else'}"
    except BaseException as error:
        if is_ours(error, task):
            raise
        return f"{name} failed: {type(error).__name__}"
    if found is None or found is True:
        return ""
    if found is False:
        return f"{name} says no"
    if isinstance(found, str):
        return f"{name}: {found}" if found else ""
    return f"{name} failed: it returned {type(found).__name__}; expected True, False, or a text"


def same(found: Any, wanted: Any) -> bool:
    """Whether two plain values are the same; 1 and 1.0 are, 1 and True are not."""
    if isinstance(wanted, dict) or isinstance(found, dict):
        both = isinstance(wanted, dict) and isinstance(found, dict) and found.keys() == wanted.keys()
        return both and all(same(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, list) or isinstance(found, list):
        both = isinstance(wanted, list) and isinstance(found, list) and len(found) == len(wanted)
        return both and all(map(same, found, wanted))
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def as_plain(value: Any) -> Any:
    """A value as JSON has it; what JSON has not, as it shows itself."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=repr)


def _plain(answer: Answer) -> Any:
    """An answer's value as plain data."""
    if answer.value is not None:
        return as_plain(answer.value)
    try:
        return json.loads(answer.text)
    except (ValueError, RecursionError):
        return answer.text


def _missing(wanted: Sequence[ExpectedCall], calls: Sequence[StepCall]) -> ExpectedCall | None:
    """The first of the calls that was not made, in the order in which they were wanted."""
    left = iter(calls)
    for one in wanted:
        if not any(_is_that(call, one) for call in left):
            return one
    return None


def _is_that(call: StepCall, wanted: ExpectedCall) -> bool:
    if call.tool != wanted.tool:
        return False
    given = call.input if isinstance(call.input, dict) else {}
    return all(name in given and same(given[name], value) for name, value in wanted.arguments.items())


def _in_order(several: Sequence[object]) -> str:
    return "" if len(several) < 2 else ", in the order that was expected"


def _calls(steps: Sequence[Any]) -> Iterator[StepCall]:
    for step in steps:
        for call in step.calls:
            yield call
            yield from _calls(call.steps)


def _steps(steps: Sequence[Any]) -> int:
    return sum(1 + sum(_steps(call.steps) for call in step.calls) for step in steps)


def _names(error: BaseException) -> set[str]:
    """The names by which an error may be expected: its own, and those of what it is."""
    return {kind.__name__ for kind in type(error).__mro__ if issubclass(kind, AgentError)}
