"""Whether what a provider's actor answered is an answer. Pure.

Anybody may write a provider, so nothing is taken for granted: what is none fails the call by name, like any other
malformed response, before anything is booked.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ...embeddings import Asked, EmbeddingRequest, Embeddings
from ...errors import MalformedResponse
from ...messages import Completion, Delta
from ...provider import BatchAnswer
from ...shapes import OF_TOLD, wrong_completion, wrong_delta, wrong_field, wrong_usage


def checked(answer: Any, asked: Asked, provider: str) -> Any:
    """Return a provider's answer, if it is one to ``asked``.

    Args:
        answer: what came.
        asked: what was sent.
        provider: its name, for the error.

    Raises:
        MalformedResponse: it is none; says what was expected.
    """
    if isinstance(asked, EmbeddingRequest):
        if not isinstance(answer, Embeddings):
            _refuse(provider, "Embeddings", answer)
        # It goes into limits and budgets, which a wrong number would spoil for all.
        if wrong := wrong_usage(answer.usage) or wrong_field(answer, OF_TOLD):
            raise _malformed(provider, wrong)
    else:
        _check_completion(answer, provider)
    return answer


def checked_batch(answer: Any, size: int, provider: str) -> tuple[Completion | Exception, ...]:
    """Return the results of a batch of ``size`` requests; what is neither a completion nor an error is one.

    Raises:
        MalformedResponse: it is no `BatchAnswer`, or has not one result for each request.
    """
    if not isinstance(answer, BatchAnswer) or not isinstance(answer.results, tuple):
        _refuse(provider, "a BatchAnswer with a tuple of results", answer)
    if len(answer.results) != size:
        raise MalformedResponse(
            f"{provider} answered a batch of {size} requests with {len(answer.results)} results", provider=provider
        )
    return tuple(_result(each, provider) for each in answer.results)


def checked_piece(piece: Any, provider: str) -> Delta:
    """Return a piece of a stream, if it is one.

    Raises:
        MalformedResponse: it is none, or the completion in it is none.
    """
    if wrong := wrong_delta(piece):
        raise _malformed(provider, wrong)
    assert isinstance(piece, Delta)
    return piece


def _result(result: Any, provider: str) -> Completion | Exception:
    if isinstance(result, Exception):
        return result
    try:
        return _check_completion(result, provider)
    except MalformedResponse as error:
        return error


def _check_completion(answer: Any, provider: str) -> Completion:
    if wrong := wrong_completion(answer):
        raise _malformed(provider, wrong)
    assert isinstance(answer, Completion)
    return answer


def _refuse(provider: str, wish: str, found: object) -> NoReturn:
    # Only the type of what came: its text may hold anything.
    raise _malformed(provider, f"expected {wish}, not {type(found).__name__}")


def _malformed(provider: str, wrong: str) -> MalformedResponse:
    return MalformedResponse(f"{provider}: {wrong}", provider=provider)
