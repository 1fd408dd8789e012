"""What must not stand in a text that people read: keys, passwords in addresses, and what was asked."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

from ..errors import ProviderError
from .quotations import unquoted, without_hidden

_LONGEST = 500
"""Characters of a vendor's message that are kept."""
_PIECE = 8
"""Characters in a row of a key that give it away; vendors that mask keys show fewer."""
_SHORTEST = 4
"""Shorter keys protect nothing, and blotting them out would spoil every text."""


def cleaned(error: ProviderError, secrets: Iterable[str], prompts: Iterable[str] = ()) -> ProviderError:
    """`error` itself, without what must not be shown, and without the errors it came of, which may show it.

    Args:
        error: what goes to the caller.
        secrets: keys and passwords that were sent.
        prompts: what was asked.
    """
    secrets, prompts = tuple(secrets), tuple(prompts)
    error.args = tuple(blot(item, *secrets, prompts=prompts) if isinstance(item, str) else item for item in error.args)
    error.request_id = blot(error.request_id, *secrets, prompts=prompts)
    error.__cause__ = error.__context__ = None
    return error


def blot(text: str, *secrets: str, prompts: Iterable[str] = ()) -> str:
    """`text` without what must not be shown.

    Args:
        text: what a vendor said, or what is said of it.
        secrets: keys, of which no eight characters in a row stay, whether they stand there as they are, escaped as in
            an address, or within base64 as in basic authentication.
        prompts: what was asked; quotations of twenty characters and more are left out.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = _without(text, _forms(secret), "[key]")
    return unquoted(text, prompts)


def shortened(text: str) -> str:
    """`text` on one line, cut to a sensible length."""
    text = " ".join(text[: 4 * _LONGEST].split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def public(url: str) -> str:
    """An address without user, password, query and fragment, which may hold secrets."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        return "an address that cannot be read"


def _forms(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "replace")
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    # In base64 its letters depend on where it begins within three bytes; those it shares with its neighbours are cut.
    for before, shared in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")[shared:-1]
        forms |= {encoded, encoded.replace("+", "-").replace("/", "_")}
    return {form.lower() for form in forms if len(form) >= min(_PIECE, len(secret))}


def _without(text: str, forms: Iterable[str], instead: str) -> str:
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters grow in lower case
        text = lowered
    shown = [True] * len(text)
    for form in forms:
        size = min(_PIECE, len(form))
        pieces = {form[start : start + size] for start in range(len(form) - size + 1)}
        for start in range(len(text) - size + 1):
            if lowered[start : start + size] in pieces:
                shown[start : start + size] = [False] * size
    return without_hidden(text, shown, instead)
