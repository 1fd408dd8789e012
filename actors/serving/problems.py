"""What goes wrong, as HTTP has it: a status, a code, a sentence, and when to come back. Each protocol writes it in its
own shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException

from ...providers.errors import (
    AuthenticationFailed,
    BudgetSpent,
    ContextTooLong,
    InvalidRequest,
    NoProvider,
    ProviderError,
    ProviderOverloaded,
    ProviderTimeout,
    RateLimited,
    UnknownModel,
)
from ..agents.errors import (
    AgencyClosed,
    AgentError,
    AgentUnavailable,
    AnswerBlocked,
    AnswerChanged,
    ContextOverflow,
    ConversationBusy,
    ConversationIdle,
    CostLimit,
    DefinitionError,
    GuardrailTripped,
    HandoffError,
    InvalidAnswer,
    LabelRefused,
    LimitReached,
    NotAllowed,
    OutcomeUnknown,
    QuotaExceeded,
    RunCancelled,
    RunFailed,
    TimeLimit,
    TokenLimit,
    UnfitArguments,
    UnknownAgent,
    UnknownApproval,
    UnknownConversation,
    UnknownRun,
)
from ..core.base.errors import named
from ..journal.errors import EventNotReadable, JournalClosed, JournalError

SOON: Final = 1.0
"""Seconds after which to come back where nobody knows better."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a request, or with the run that it led to.

    Args:
        status: of HTTP.
        code: for programs.
        message: for people: what was wrong, where, and what to do.
        where: which field or parameter is to blame; empty where none is.
        retry_after: seconds after which the same request may succeed; None where coming back does not help.
        run: the id of the run, where there is one.
        headers: that the answer has besides.
    """

    status: int
    code: str
    message: str
    where: str = ""
    retry_after: float | None = None
    run: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers of the answer: when to come back, whether asking again can help, and which run it was."""
        headers = {**self.headers, "x-should-retry": "false" if self.retry_after is None else "true"}
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after + 0.499)))
        if self.run:
            headers["callboard-run"] = self.run
        return headers


class Refused(Exception):
    """A request that is not served.

    Args:
        problem: why.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def refuse(status: int, code: str, message: str, where: str = "") -> Refused:
    """A request that is not served, and why; see `Problem`."""
    return Refused(Problem(status, code, message, where))


STATUS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (UnknownAgent, 404, "unknown_agent"),
    (UnknownConversation, 404, "unknown_conversation"),
    (UnknownRun, 404, "unknown_run"),
    (UnknownApproval, 404, "unknown_approval"),
    (UnfitArguments, 400, "invalid_arguments"),
    (DefinitionError, 400, "invalid_request"),
    (NotAllowed, 403, "not_allowed"),
    (ConversationBusy, 409, "conversation_busy"),
    (ConversationIdle, 409, "conversation_idle"),
    (AnswerChanged, 409, "answer_changed"),
    (RunCancelled, 409, "run_cancelled"),
    (GuardrailTripped, 400, "guardrail_tripped"),
    (LabelRefused, 400, "label_refused"),
    (AnswerBlocked, 400, "content_filter"),
    (ContextOverflow, 400, "context_length_exceeded"),
    (CostLimit, 402, "cost_limit"),
    (TimeLimit, 504, "time_limit"),
    (TokenLimit, 422, "token_limit"),
    (LimitReached, 422, "limit_reached"),
    (InvalidAnswer, 502, "invalid_answer"),
    (HandoffError, 422, "handoff_refused"),
    (OutcomeUnknown, 503, "outcome_unknown"),
    (AgentUnavailable, 503, "agent_unavailable"),
    (JournalClosed, 503, "stopping"),
    (EventNotReadable, 500, "journal_damaged"),
    (JournalError, 503, "journal_unavailable"),
)
"""The first that fits counts."""

OF_PROVIDERS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (RateLimited, 429, "provider_rate_limited"),
    (NoProvider, 503, "no_provider"),
    (ProviderOverloaded, 503, "provider_overloaded"),
    (ProviderTimeout, 504, "provider_timeout"),
    (BudgetSpent, 402, "budget_spent"),
    (AuthenticationFailed, 502, "provider_refused_the_key"),
    (ContextTooLong, 400, "context_length_exceeded"),
    (UnknownModel, 502, "unknown_model"),
    (InvalidRequest, 400, "provider_refused_the_request"),
    (ProviderError, 502, "provider_failed"),
)
"""What stands behind a `RunFailed`: the first that fits counts."""

_COME_BACK: Final = frozenset(
    {"conversation_busy", "outcome_unknown", "agent_unavailable", "journal_unavailable", "stopping"}
)
"""Codes of what may be over soon."""


def problem_of(error: BaseException, run: str = "") -> Problem:
    """What an error of ours means to whoever has asked.

    Args:
        error: any; what is not of ours is told by its kind only: its text may say what nobody outside may know.
        run: the id of the run that ended in it, where there is one.
    """
    if isinstance(error, Refused):
        return error.problem
    # Of a function that refuses as those of starlette do; with a status that refuses nothing it is a mistake.
    if isinstance(error, HTTPException) and 300 <= error.status_code < 600:
        return Problem(error.status_code, "refused", str(error.detail), headers=error.headers or {}, run=run)
    if isinstance(error, QuotaExceeded):
        return Problem(429, "quota_exceeded", str(error), retry_after=error.retry_after, run=run)
    if isinstance(error, AgencyClosed):
        return Problem(503, "stopping", str(error), retry_after=SOON, run=run)
    if isinstance(error, RunFailed) and not isinstance(error, ContextOverflow):
        return _of_failed(error, run)
    for kind, status, code in STATUS:
        if isinstance(error, kind):
            retry = SOON if code in _COME_BACK else None
            where = "arguments" if code == "invalid_arguments" else ""
            return Problem(status, code, str(error), where, retry_after=retry, run=run)
    if isinstance(error, AgentError):
        return Problem(500, "failed", named(error), run=run)
    return Problem(500, "internal_error", f"the server failed: {type(error).__name__}", run=run)


def _of_failed(error: RunFailed, run: str) -> Problem:
    """A run that failed: by its provider, or by something else."""
    cause: BaseException | None = error.__cause__
    for _ in range(20):
        if cause is None:
            break
        for kind, status, code in OF_PROVIDERS:
            if isinstance(cause, kind):
                waits = getattr(cause, "retry_after", None)
                retry = (waits if waits is not None else SOON) if status in (429, 503) else None
                return Problem(status, code, str(error), retry_after=retry, run=run)
        cause = cause.__cause__
    return Problem(500, "run_failed", str(error), run=run)


_STATUSES: Final = frozenset(HTTPStatus)


def problem_body(problem: Problem) -> dict[str, Any]:
    """A problem as RFC 9457 has it: ``code`` is for programs, ``detail`` for people, ``where`` names the field."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase if problem.status in _STATUSES else "",
        "status": problem.status,
        "code": problem.code,
        "detail": problem.message,
    }
    if problem.where:
        body["where"] = problem.where
    if problem.run:
        body["run"] = problem.run
    return body
