"""Rate limits and waiting times in the vendors' response headers.

OpenAI: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers (durations such as ``6m0s``).
Anthropic: https://docs.claude.com/en/api/rate-limits#response-headers (RFC 3339 times).
A time in a header is measured against the response's own ``date`` header, so that a wrong clock on either side does no
harm; only where there is none, against the time the caller gives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..messages import RateLimits

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s|d)")
_ANTHROPIC = tuple(f"anthropic-ratelimit-{kind}" for kind in ("requests", "tokens", "input-tokens", "output-tokens"))
_ANTHROPIC_LIMITS = tuple(f"{name}-limit" for name in _ANTHROPIC)
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def rate_limits(headers: Mapping[str, str]) -> RateLimits | None:
    """What `headers` (case-insensitive, or in lower case) say of the limits, or None if nothing."""
    if "x-ratelimit-limit-requests" in headers or "x-ratelimit-limit-tokens" in headers:
        return RateLimits(
            _count(headers.get("x-ratelimit-limit-requests")),
            _count(headers.get("x-ratelimit-remaining-requests")),
            _seconds(headers.get("x-ratelimit-reset-requests"), headers),
            _count(headers.get("x-ratelimit-limit-tokens")),
            _count(headers.get("x-ratelimit-remaining-tokens")),
            _seconds(headers.get("x-ratelimit-reset-tokens"), headers),
        )
    if any(map(headers.__contains__, _ANTHROPIC_LIMITS)):
        stated: list[float | None] = []
        for name in _ANTHROPIC:
            counts = _count(headers.get(f"{name}-limit")), _count(headers.get(f"{name}-remaining"))
            stated += [*counts, _seconds(headers.get(f"{name}-reset"), headers)]
        return RateLimits(*stated)  # type: ignore[arg-type]  # limit, remaining, reset of each kind, in its order
    return None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds the vendor asks to wait: ``retry-after-ms``, or ``retry-after`` as seconds or a date; never negative.

    Args:
        headers: the response's headers, case-insensitive.
        now: the time, with its zone, for a date where the response has none of its own.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    return _seconds(headers.get("retry-after"), headers, now)


def retry_info(error: Mapping[str, Any]) -> float | None:
    """Seconds the vendor asks to wait in an error's body, as Google does: https://google.aip.dev/193#retryinfo"""
    details = error.get("details")
    for item in details if isinstance(details, list) else ():
        if isinstance(item, Mapping) and str(item.get("@type", "")).endswith("google.rpc.RetryInfo"):
            return _seconds(str(item.get("retryDelay", "")), {})
    return None


def format_duration(seconds: float) -> str:
    """Seconds as OpenAI's headers write them, such as ``1m30s`` or ``250ms``."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    minutes, rest = divmod(seconds, 60)
    return (f"{int(minutes)}m" if minutes else "") + f"{rest:.3f}".rstrip("0").rstrip(".") + "s"


def _count(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _seconds(text: str | None, headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    if not text:
        return None
    number = _number(text)
    if number is not None:
        return max(0.0, number)
    if _DURATION.sub("", text.strip()) == "":
        return sum(float(amount) * _UNITS[unit] for amount, unit in _DURATION.findall(text))
    then, here = _time(text), _time(headers.get("date", "")) or now
    if then is None or here is None:
        return None
    return max(0.0, (then - here).total_seconds())


def _time(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = parse(text)
        except ValueError:
            continue
        if when.tzinfo is not None:
            return when
    return None
