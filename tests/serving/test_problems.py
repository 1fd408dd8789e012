"""What goes wrong, as each protocol tells it: status, code, and when to come back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from callboard.actors.agents import errors as agents
from callboard.actors.journal import errors as journal
from callboard.actors.serving.ag_ui.endpoint import refusal as ag_ui
from callboard.actors.serving.mcp.jsonrpc import error_of
from callboard.actors.serving.mcp.jsonrpc import refusal as mcp
from callboard.actors.serving.openai.errors import error_body
from callboard.actors.serving.openai.errors import refusal as openai
from callboard.actors.serving.operations.problem_json import problem_json
from callboard.actors.serving.problems import Problem, problem_of, refuse
from callboard.providers import errors as providers

SOON = 1.0

OURS: Any = [
    (agents.UnknownAgent, 404, "unknown_agent", None),
    (agents.UnknownConversation, 404, "unknown_conversation", None),
    (agents.UnknownRun, 404, "unknown_run", None),
    (agents.UnknownApproval, 404, "unknown_approval", None),
    (agents.DefinitionError, 400, "invalid_request", None),
    (agents.NotAllowed, 403, "not_allowed", None),
    (agents.ConversationBusy, 409, "conversation_busy", SOON),
    (agents.ConversationIdle, 409, "conversation_idle", None),
    (agents.AnswerChanged, 409, "answer_changed", None),
    (agents.RunCancelled, 409, "run_cancelled", None),
    (agents.LabelRefused, 400, "label_refused", None),
    (agents.AnswerBlocked, 400, "content_filter", None),
    (agents.ContextOverflow, 400, "context_length_exceeded", None),
    (agents.CostLimit, 402, "cost_limit", None),
    (agents.TimeLimit, 504, "time_limit", None),
    (agents.TokenLimit, 422, "token_limit", None),
    (agents.LimitReached, 422, "limit_reached", None),
    (agents.InvalidAnswer, 502, "invalid_answer", None),
    (agents.HandoffError, 422, "handoff_refused", None),
    (agents.OutcomeUnknown, 503, "outcome_unknown", SOON),
    (agents.AgentUnavailable, 503, "agent_unavailable", SOON),
    (agents.AgencyClosed, 503, "stopping", SOON),
    (journal.JournalClosed, 503, "stopping", SOON),
    (journal.EventNotReadable, 500, "journal_damaged", None),
    (journal.JournalError, 503, "journal_unavailable", SOON),
    (agents.AgentError, 500, "failed", None),
]


def made(kind: type[Exception], **about: Any) -> Exception:
    """An error of a kind, however it is made."""
    error = kind.__new__(kind)
    Exception.__init__(error, "the message")
    for name, value in about.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(("kind", "status", "code", "retry_after"), OURS)
def test_each_error_of_ours_has_a_status_and_a_code(
    kind: type[Exception], status: int, code: str, retry_after: float | None
) -> None:
    problem = problem_of(made(kind), "r1")
    assert (problem.status, problem.code, problem.retry_after, problem.run) == (status, code, retry_after, "r1")
    assert "the message" in problem.message
    assert problem_of(made(kind)).run == ""


OF_PROVIDERS: Any = [
    (providers.RateLimited, 429, "provider_rate_limited", SOON),
    (providers.NoProvider, 503, "no_provider", SOON),
    (providers.ProviderOverloaded, 503, "provider_overloaded", SOON),
    (providers.ProviderTimeout, 504, "provider_timeout", None),
    (providers.BudgetSpent, 402, "budget_spent", None),
    (providers.AuthenticationFailed, 502, "provider_refused_the_key", None),
    (providers.ContextTooLong, 400, "context_length_exceeded", None),
    (providers.UnknownModel, 502, "unknown_model", None),
    (providers.InvalidRequest, 400, "provider_refused_the_request", None),
    (providers.ProviderError, 502, "provider_failed", None),
    (ValueError, 500, "run_failed", None),
]


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("kind", "status", "code", "retry_after"), OF_PROVIDERS)
def test_a_run_that_failed_by_its_provider_says_so(
    kind: type[Exception], status: int, code: str, retry_after: float | None, depth: int
) -> None:
    error: Exception = made(kind)
    if kind is providers.RateLimited:
        error = made(kind, retry_after=None)
    for _ in range(depth):
        failed = made(agents.RunFailed)
        failed.__cause__ = error
        error = failed
    problem = problem_of(error, "r1")
    assert (problem.status, problem.code, problem.retry_after, problem.run) == (status, code, retry_after, "r1")
    assert problem.message == "the message"


@pytest.mark.parametrize(("waits", "told"), [(7.5, 7.5), (0.0, 0.0), (None, SOON)])
def test_a_provider_that_says_when_to_come_back_is_believed(waits: float | None, told: float) -> None:
    failed = made(agents.RunFailed)
    failed.__cause__ = made(providers.RateLimited, retry_after=waits)
    assert problem_of(failed).retry_after == told


def test_what_others_raise_is_told_by_its_kind_only() -> None:
    problem = problem_of(KeyError("secret"), "r1")
    assert (problem.status, problem.code, problem.run) == (500, "internal_error", "r1")
    assert problem.message == "the server failed: KeyError"
    refused = problem_of(HTTPException(418, "a teapot", {"x-a": "b"}), "r1")
    assert (refused.status, refused.code, refused.message, refused.run) == (418, "refused", "a teapot", "r1")
    assert refused.headers == {"x-a": "b"}
    assert problem_of(HTTPException(300)).status == 300
    assert problem_of(HTTPException(599)).status == 599
    assert problem_of(HTTPException(600)).code == problem_of(HTTPException(299)).code == "internal_error"
    quota = problem_of(made(agents.QuotaExceeded, retry_after=3.25), "r1")
    assert (quota.status, quota.code, quota.retry_after, quota.run) == (429, "quota_exceeded", 3.25, "r1")
    mine = refuse(400, "x", "m", "field")
    assert problem_of(mine, "other") is mine.problem
    assert (str(mine), mine.problem.where) == ("m", "field")


@pytest.mark.parametrize(
    ("retry_after", "told"),
    [(None, None), (0.0, "1"), (0.2, "1"), (1.0, "1"), (1.2, "2"), (59.999, "60"), (60.0, "60")],
)
def test_when_to_come_back_is_whole_seconds_and_never_none(retry_after: float | None, told: str | None) -> None:
    headers = Problem(503, "x", "m", retry_after=retry_after).all_headers
    assert headers.get("retry-after") == told
    assert headers["x-should-retry"] == ("false" if told is None else "true")


FULL = Problem(429, "slow_down", "Slow.", "field", 2.0, "r1", {"x-a": "b"})
BARE = Problem(500, "broken", "It broke.")
HEADERS = {"x-a": "b", "x-should-retry": "true", "retry-after": "2", "callboard-run": "r1"}


@pytest.mark.parametrize(
    ("answer", "kind", "full", "bare"),
    [
        (
            openai,
            "application/json",
            {
                "error": {
                    "message": "Slow.",
                    "type": "rate_limit_error",
                    "param": "field",
                    "code": "slow_down",
                    "run": "r1",
                }
            },
            {"error": {"message": "It broke.", "type": "server_error", "param": None, "code": "broken"}},
        ),
        (
            problem_json,
            "application/problem+json",
            {
                "type": "about:blank",
                "title": "Too Many Requests",
                "status": 429,
                "code": "slow_down",
                "detail": "Slow.",
                "where": "field",
                "run": "r1",
            },
            {
                "type": "about:blank",
                "title": "Internal Server Error",
                "status": 500,
                "code": "broken",
                "detail": "It broke.",
            },
        ),
        (
            mcp,
            "application/json",
            {
                "jsonrpc": "2.0",
                "id": None,
                "error": {
                    "code": -32029,
                    "message": "Slow.",
                    "data": {"code": "slow_down", "where": "field", "run": "r1", "retryAfter": 2.0},
                },
            },
            {
                "jsonrpc": "2.0",
                "id": None,
                "error": {"code": -32603, "message": "It broke.", "data": {"code": "broken"}},
            },
        ),
        (
            ag_ui,
            None,
            {"type": "RUN_ERROR", "message": "Slow.", "code": "slow_down", "where": "field"},
            {"type": "RUN_ERROR", "message": "It broke.", "code": "broken"},
        ),
    ],
)
def test_each_protocol_tells_all_that_is_known(answer: Any, kind: str | None, full: Any, bare: Any) -> None:
    for problem, body in ((FULL, full), (BARE, bare)):
        told = answer(problem)
        assert json.loads(told.body) == body
        assert told.status_code == problem.status
        assert {name: told.headers.get(name) for name in HEADERS} == (
            HEADERS if problem is FULL else dict.fromkeys(HEADERS) | {"x-should-retry": "false"}
        )
        assert kind is None or told.headers["content-type"].partition(";")[0] == kind


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", -32600),
        (401, "authentication_error", -32001),
        (403, "permission_error", -32003),
        (404, "not_found_error", -32600),
        (413, "invalid_request_error", -32600),
        (429, "rate_limit_error", -32029),
        (499, "invalid_request_error", -32600),
        (500, "server_error", -32603),
        (503, "server_error", -32603),
    ],
)
def test_each_status_has_its_kind_of_error(status: int, kind: str, code: int) -> None:
    problem = Problem(status, "x", "m")
    assert error_body(problem)["error"]["type"] == kind
    assert error_of(problem)["code"] == code
    assert error_of(Problem(400, "not_json", "m"))["code"] == -32700


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (418, "FAILED_PRECONDITION"),
        (500, "INTERNAL"),
    ],
)
def test_a2a_has_its_words_for_them(status: int, word: str) -> None:
    from callboard.actors.serving.a2a.endpoint import refusal, rpc_refusal

    told = json.loads(bytes(refusal(Problem(status, "some_code", "", run="r1", retry_after=2.5)).body))["error"]
    assert (told["code"], told["status"]) == (status, word)
    assert told["message"]
    assert told["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "SOME_CODE",
            "domain": "callboard",
            "metadata": {"code": "some_code", "run": "r1", "retryAfter": "2.5"},
        }
    ]
    unread = rpc_refusal(Problem(400, "not_json", "m"))
    rpc = json.loads(bytes(unread.body))
    assert (rpc["jsonrpc"], rpc["id"], rpc["error"]["code"], rpc["error"]["message"]) == ("2.0", None, -32700, "m")
    assert (unread.status_code, rpc["error"]["data"][0]["metadata"]) == (200, {"code": "not_json"})
    answer = rpc_refusal(Problem(status, "some_code", "m"), "i")
    of_id = json.loads(bytes(answer.body))
    assert (answer.status_code, of_id["id"]) == (status, "i")
    assert of_id["error"]["code"] == (-32603 if status >= 500 else -32600)
    bare = json.loads(bytes(refusal(Problem(404, "not_there", "m")).body))["error"]
    assert (bare["message"], bare["details"][0]["metadata"]) == ("m", {"code": "not_there"})


def test_a2a_says_of_what_it_has_no_error_for_when_to_come_back() -> None:
    from callboard.actors.serving.a2a.errors import as_error

    told = as_error(made(agents.QuotaExceeded, retry_after=2.5))
    assert told.data == {"code": "quota_exceeded", "retryAfter": 2.5}
    of_run: Any = as_error(refuse(402, "payment_required", "pay"))
    assert (of_run.message, of_run.data) == ("pay", {"code": "payment_required"})
    assert type(of_run).__name__ == type(as_error(made(agents.LabelRefused))).__name__ == "NotServed"
    wrong = as_error(refuse(422, "reused", "again"))
    assert (type(wrong).__name__, wrong.data) == ("InvalidParamsError", {"code": "reused"})
    for kind, name in (
        (agents.UnknownRun, "TaskNotFoundError"),
        (agents.UnknownAgent, "TaskNotFoundError"),
        (agents.UnknownConversation, "TaskNotFoundError"),
        (agents.ConversationIdle, "UnsupportedOperationError"),
        (agents.DefinitionError, "InvalidParamsError"),
        (agents.NotAllowed, "NotServed"),
    ):
        assert type(as_error(made(kind))).__name__ == name
    of_its_run = as_error(made(agents.AgencyClosed), "r1")
    assert of_its_run.data == {"code": "stopping", "retryAfter": 1.0, "run": "r1"}
    assert as_error(told) is told
