"""How sure a model said it was of a completion. Pure; never invented: None where it did not say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from ....providers.messages import Completion


def confidence_of(completion: Completion, value: Any = None) -> float | None:
    """How sure the model said it was, from 0 to 1.

    Args:
        completion: what it answered. Where the vendor told log probabilities, the geometric mean of its tokens'
            probabilities counts (the exponential of the mean of their logarithms).
        value: the answer as the type that was asked for. Its own field ``confidence`` comes first.
    """
    if value is not None:
        said = value.get("confidence") if isinstance(value, Mapping) else getattr(value, "confidence", None)
        if _is_number(said) and 0.0 <= said <= 1.0:
            return float(said)
    if not completion.extra:
        return None
    mean = completion.extra.get("avgLogprobs")  # Gemini's
    if not _is_number(mean):
        found = list(_logarithms(completion.extra.get("logprobs")))
        if not found:
            return None
        mean = math.fsum(found) / len(found)
    return math.exp(min(mean, 0.0))


def _logarithms(logprobs: Any) -> Iterator[float]:
    """The logarithms in OpenAI's ``{"content": [{"token": …, "logprob": …}, …]}``."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    for token in content if isinstance(content, list | tuple) else ():
        one = token.get("logprob") if isinstance(token, Mapping) else None
        if _is_number(one):
            yield one


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
