"""What is wrong, as the protocol has it."""

from __future__ import annotations

from typing import Any

from a2a.utils.errors import A2AError, InvalidParamsError, TaskNotFoundError, UnsupportedOperationError

from ...agents.errors import (
    ConversationIdle,
    DefinitionError,
    UnknownAgent,
    UnknownConversation,
    UnknownRun,
)
from ..problems import Problem, Refused, problem_of


class NotServed(A2AError):
    """The protocol has no error of its own for it; its data have the code, and when to come back.

    Args:
        problem: what is wrong.
    """

    def __init__(self, problem: Problem) -> None:
        data: dict[str, Any] = {"code": problem.code}
        if problem.retry_after is not None:
            data["retryAfter"] = problem.retry_after
        if problem.run:
            data["run"] = problem.run
        super().__init__(problem.message, data)
        self.problem = problem


def as_error(error: Exception) -> A2AError:
    """An error of ours in the protocol's shape. Whose a task is, is not told: another's is as if there were none."""
    if isinstance(error, A2AError):
        return error
    if isinstance(error, UnknownRun | UnknownAgent | UnknownConversation):
        return TaskNotFoundError()
    if isinstance(error, ConversationIdle):
        return UnsupportedOperationError(str(error))
    if isinstance(error, DefinitionError):
        return InvalidParamsError(str(error))
    problem = problem_of(error)
    if isinstance(error, Refused) and problem.status in (400, 422):
        return InvalidParamsError(problem.message, {"code": problem.code})
    return NotServed(problem)
