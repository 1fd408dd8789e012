"""Payments by x402 for calls: what is wanted stands in a result, a payment and its receipt in ``_meta``."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import HTTPConnection

from ..payments.offers import HEADER, coded
from ..problems import Problem

PAYMENT: Final = "x402/payment"
RECEIPT: Final = "x402/payment-response"


def with_payment(request: HTTPConnection | None, meta: Mapping[str, Any] | None) -> HTTPConnection | None:
    """A request with the payment that a call brings, as if it stood in a header."""
    given = None if meta is None else meta.get(PAYMENT)
    if request is None or given is None:
        return request
    plain: Any = given if isinstance(given, Mapping) else {}
    header = (HEADER.encode(), coded(plain).encode())
    return HTTPConnection({**request.scope, "headers": [*request.scope["headers"], header]})


def wanted_by(problem: Problem) -> dict[str, Any] | None:
    """What a payment has to be like, where a problem is that there is none."""
    return _plain(problem.headers.get("payment-required"))


def receipt_in(headers: Mapping[str, str]) -> dict[str, Any] | None:
    """The receipt among the headers of an answer."""
    return _plain(headers.get("payment-response"))


def _plain(header: str | None) -> dict[str, Any] | None:
    if header is None:
        return None
    made: dict[str, Any] = json.loads(base64.b64decode(header))
    return made
