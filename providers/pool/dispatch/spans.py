"""The pool's calls as spans."""

from __future__ import annotations

from typing import Any

from ....actors.observe import conventions as names
from ....actors.observe.spans import Place
from ...messages import Usage
from ..admission.gate import Grant
from .job import Job


def tell_attempt(
    place: Place,
    job: Job,
    grant: Grant,
    seconds: float,
    outcome: str = "answered",
    error: BaseException | None = None,
    usage: Usage | None = None,
) -> None:
    """Write the span of a call that has ended.

    Args:
        place: where the request was made.
        job, grant: the call.
        seconds: it took.
        outcome: what became of it, as in `CallRecord`.
        error: how it failed, or None.
        usage: tokens, of an answer.
    """
    told: dict[str, Any] = {
        names.OPERATION: names.ATTEMPT,
        names.ENDPOINT: grant.gate.name,
        names.ATTEMPTS: job.attempts,
        names.OUTCOME: outcome,
    }
    if grant.gate.model:
        told[names.REQUEST_MODEL] = grant.gate.model
    if usage is not None:
        told[names.INPUT_TOKENS] = usage.input_tokens
        told[names.OUTPUT_TOKENS] = usage.output_tokens
    name = "" if error is None else type(error).__name__
    place.tell(f"{names.ATTEMPT} {grant.gate.name}", seconds, told, error=name, client=True)
