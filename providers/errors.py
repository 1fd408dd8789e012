"""What providers raise.

ProviderError                 base; carries provider, status, request_id, retry_after, retryable, concerns
├── AuthenticationFailed      401, 402, 403: a wrong or missing key, or its account has no credit
├── InvalidRequest            400, 404, 413, 422: sending it again cannot help
│   ├── UnknownModel          the model's name is not known here, or this key may not use it
│   └── ContextTooLong        more tokens than the model takes
├── RateLimited               429, with retry_after in seconds where the vendor says so
├── ProviderOverloaded        500, 502, 503, 529: the vendor's trouble
├── ProviderTimeout           nothing came in time
├── Redirected                3xx: the address has moved, and where to
├── ConnectionLost            refused, reset, or closed before the answer began
├── StreamCut                 a stream ended before its finish reason
├── MalformedResponse         not the protocol: HTML with 200, broken JSON, an answer without a finish reason
├── BudgetSpent               a configured budget has nothing left, or less than the request would take
│   └── UnpricedModel         a budget cannot be held, because nobody knows what the model costs
└── NoProvider                every provider is down, refused or excluded; `causes` says which and why

ConfigError                   a configuration file is wrong; path and line   (callboard.providers.config.yamlfile)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ..actors.core.base.errors import CallboardError

if TYPE_CHECKING:
    from .messages import RateLimits

Concern: TypeAlias = Literal["request", "model", "key", "endpoint"]
"""What a failure speaks of, and so what is to be left alone: this request alone, its model at this endpoint, all that
goes out with this key, or the endpoint as a whole. Where the vendor does not say, it is the narrowest that fits: other
models find out for themselves."""


class ProviderError(CallboardError):
    """Base class of provider failures.

    Args:
        message: what went wrong and what to do, without any secret.
        provider: the provider's name.
        status: the HTTP status, where there was one.
        request_id: the vendor's identifier of the request.
        retry_after: seconds the vendor asked to wait.
        limits: what the response's headers said of the vendor's rate limits.
        concerns: what the failure speaks of, where it is not what the class says.
    """

    concerns: Concern = "endpoint"
    """What the failure speaks of."""

    retryable: bool = False
    """Whether the same request may succeed if sent again, here or elsewhere."""

    unsent: bool = False
    """Whether the request never got to the vendor for certain, so that it costs nothing."""

    begun: bool = False
    """Whether the vendor had begun to answer."""

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        status: int | None = None,
        request_id: str = "",
        retry_after: float | None = None,
        limits: RateLimits | None = None,
        concerns: Concern | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.limits = limits
        if concerns is not None:
            self.concerns = concerns


class AuthenticationFailed(ProviderError):
    """The key is missing, wrong, may not do this, or its account has no credit."""

    concerns: Concern = "key"


class InvalidRequest(ProviderError):
    """The request is wrong; sending it again cannot help."""

    concerns: Concern = "request"


class UnknownModel(InvalidRequest):
    """No provider here knows the model, or the key may not use it."""

    concerns: Concern = "model"


class ContextTooLong(InvalidRequest):
    """The request has more tokens than the model takes."""

    @property
    def allowed(self) -> int | None:
        """Tokens that the model takes, where the vendor has named a number."""
        return _number(_ALLOWED, str(self))

    @property
    def used(self) -> int | None:
        """Tokens that the request has, where the vendor has named a number."""
        return _number(_USED, str(self))


_ALLOWED = re.compile(
    r"(?:maximum (?:context|prompt) length (?:is|of)|limit of|\blimit|context size \(|tokens allowed \(|>) ?(\d[\d,]*)"
    r"|(\d[\d,]*) maximum context length",
    re.IGNORECASE,
)
_USED = re.compile(
    r"(?:resulted in|requested|too long:|token count \(|contains|context limit:|^request \(|: request \() ?(\d[\d,]*)",
    re.IGNORECASE,
)


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    """The number that a vendor's words name, without the signs between its digits."""
    found = pattern.search(text)
    digits = next((group for group in found.groups() if group), "") if found else ""
    return int(digits.replace(",", "")) if digits else None


class RateLimited(ProviderError):
    """The vendor refused because of its rate limits."""

    concerns: Concern = "model"
    retryable = True


class ProviderOverloaded(ProviderError):
    """The vendor is in trouble."""

    concerns: Concern = "model"
    retryable = True


class ProviderTimeout(ProviderError):
    """Nothing came in time."""

    concerns: Concern = "model"
    retryable = True


class ConnectionLost(ProviderError):
    """The connection was refused, reset, or closed before the answer began."""

    retryable = True


class Redirected(ProviderError):
    """The vendor's address has moved. Nobody follows: it would take the prompt and the key elsewhere."""


class StreamCut(ProviderError):
    """A stream ended before its finish reason."""

    concerns: Concern = "model"
    retryable = True


class MalformedResponse(ProviderError):
    """What came back is not the protocol."""

    concerns: Concern = "model"
    retryable = True


class BudgetSpent(ProviderError):
    """A configured budget has nothing left, or less than the request would take."""


class UnpricedModel(BudgetSpent):
    """A budget cannot be held, because nobody knows what the model costs."""

    concerns: Concern = "request"


CAUSES: Final = "callboard.causes"
"""Where in the baggage of a request whoever asks may put a dict that is given the last error of each provider that was
tried, by name, as they fail: so that one who gives up before the pool does knows why."""


class NoProvider(ProviderError):
    """Every provider is down, refused or excluded.

    Args:
        causes: the last error of each provider that was tried or passed over, by name.
    """

    concerns: Concern = "request"

    def __init__(self, message: str, *, causes: dict[str, BaseException] | None = None) -> None:
        super().__init__(message)
        self.causes = causes or {}
