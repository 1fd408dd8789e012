"""Whether what a provider's actor answered is an answer. Pure.

Anybody may write a provider, so nothing is taken for granted: what is none fails the call by name, like any other
malformed response, before anything is booked.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn, get_args

from ...embeddings import Answered, Asked, EmbeddingRequest, Embeddings
from ...errors import MalformedResponse
from ...messages import Completion, Delta, FinishReason, Message, RateLimits, Usage
from ...provider import BatchAnswer

_REASONS = frozenset(get_args(FinishReason))
_NUMBERS = (int, float)
_MOST_TOKENS = 10**12
"""More than any call takes; a count beyond it is no count."""


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
        _check_told(answer, provider)
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


def checked_piece(piece: Any, asked: Asked, provider: str) -> Delta:
    """Return a piece of a stream, if it is one.

    Raises:
        MalformedResponse: it is none, or the completion in it is none.
    """
    if not isinstance(piece, Delta):
        _refuse(provider, "a Delta", piece)
    for text in (piece.text, piece.reasoning, piece.tool_arguments):
        if not isinstance(text, str):
            _refuse(provider, "a Delta of texts", text)
    if piece.completion is not None:
        checked(piece.completion, asked, provider)
    return piece


def _result(result: Any, provider: str) -> Completion | Exception:
    if isinstance(result, Exception):
        return result
    try:
        return _check_completion(result, provider)
    except MalformedResponse as error:
        return error


def _check_completion(answer: Any, provider: str) -> Completion:
    if not isinstance(answer, Completion):
        _refuse(provider, "a Completion", answer)
    if not isinstance(answer.message, Message):
        _refuse(provider, "a Completion whose message is a Message", answer.message)
    if not isinstance(answer.finish_reason, str) or answer.finish_reason not in _REASONS:
        _refuse(provider, f"a finish_reason of {', '.join(sorted(_REASONS))}", answer.finish_reason)
    _check_told(answer, provider)
    return answer


def _check_told(answer: Answered, provider: str) -> None:
    """Look at what is counted with: it goes into limits and budgets, which a wrong number would spoil for all."""
    usage = answer.usage
    if not isinstance(usage, Usage):
        _refuse(provider, "a Usage", usage)
    for count in (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    ):
        if count.__class__ is not int or not 0 <= count <= _MOST_TOKENS:
            raise MalformedResponse(
                f"{provider}: a usage whose counts are not whole numbers of tokens, at least 0", provider=provider
            )
    if not isinstance(answer.notes, tuple):
        _refuse(provider, "notes in a tuple", answer.notes)
    if not isinstance(answer.model, str):
        _refuse(provider, "the name of a model, or empty", answer.model)
    if answer.limits is not None and not isinstance(answer.limits, RateLimits):
        _refuse(provider, "RateLimits or None", answer.limits)
    for number in (answer.cost, answer.latency):
        if number is not None and not (isinstance(number, _NUMBERS) and 0.0 <= number < math.inf):
            raise MalformedResponse(f"{provider}: a cost or a latency that is no number, at least 0", provider=provider)


def _refuse(provider: str, wish: str, found: object) -> NoReturn:
    # Only the type of what came: its text may hold anything.
    raise MalformedResponse(f"{provider}: expected {wish}, not {type(found).__name__}", provider=provider)
