"""Signed webhooks, as Standard Webhooks (standardwebhooks.com) has it. Pure.

An HMAC-SHA256 of id, time and body: so the receiver knows who sent it, that nothing was changed, and that it is no old
one sent again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final

from ..errors import DefinitionError, WebhookRefused

TOLERANCE: Final = 300.0
"""Seconds that the clocks of sender and receiver may be apart."""

_PREFIX: Final = "whsec_"


def sign_webhook(secret: str, message_id: str, body: bytes, *, now: float | None = None) -> dict[str, str]:
    """The headers that sign a webhook.

    Args:
        secret: a text, or ``whsec_`` and base64.
        message_id: the same each time the same message is sent.
        body: exactly what is sent.
        now: seconds since 1970; by default the clock's.

    Raises:
        DefinitionError: the secret is none, or the body is not bytes.
    """
    at = str(int(time.time() if now is None else now))
    signature = _signature(key_of(secret), message_id, at, body)
    return {"webhook-id": message_id, "webhook-timestamp": at, "webhook-signature": f"v1,{signature}"}


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> str:
    """Look whether a webhook comes from whoever has the secret.

    Args:
        secret: see `sign_webhook`.
        headers: of the request, in whatever case; ``webhook-signature`` may hold several, of which one suffices.
        body: exactly what has come.
        now: seconds since 1970; by default the clock's.

    Returns:
        The message's id: one that has come before is the same message again.

    Raises:
        WebhookRefused: it does not, something is missing, or it was signed more than five minutes ago, or ahead.
        DefinitionError: the secret is none, or the body is not bytes.
    """
    key = key_of(secret)
    if not key:
        raise DefinitionError("a webhook is verified by a secret, and there is none")
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not given.get(name)]
    if missing:
        raise WebhookRefused(f"the webhook has no {', '.join(missing)}")
    message_id, at = given["webhook-id"], given["webhook-timestamp"]
    if not at.isascii() or not at.isdigit() or len(at) > 15:
        raise WebhookRefused("the webhook's timestamp is none")
    if abs((time.time() if now is None else now) - int(at)) > TOLERANCE:
        raise WebhookRefused(f"the webhook was signed more than {TOLERANCE:g} seconds ago, or ahead")
    wanted = _signature(key, message_id, at, body).encode()
    for each in given["webhook-signature"].split(" "):
        version, _, signature = each.partition(",")
        if version == "v1" and hmac.compare_digest(signature.encode("utf-8", "replace"), wanted):
            return message_id
    raise WebhookRefused("the webhook's signature is wrong")


def key_of(secret: str) -> bytes:
    """The key that a secret stands for.

    Args:
        secret: a text, or ``whsec_`` and base64; empty for none.

    Raises:
        DefinitionError: it is none.
    """
    if not isinstance(secret, str):
        raise DefinitionError(f"a webhook's secret is a text, not of type {type(secret).__name__}")
    if not secret.startswith(_PREFIX):
        return secret.encode("utf-8", "surrogatepass")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise DefinitionError(
            f"a webhook's secret that begins with {_PREFIX} goes on in base64; this does not"
        ) from None
    if not key:
        raise DefinitionError(f"a webhook's secret has something behind {_PREFIX}")
    return key


def _signature(key: bytes, message_id: str, at: str, body: bytes) -> str:
    if not isinstance(body, bytes | bytearray | memoryview):
        raise DefinitionError(f"a webhook's body is its bytes as they came, not of type {type(body).__name__}")
    signed = b".".join((message_id.encode("utf-8", "replace"), at.encode(), body))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
