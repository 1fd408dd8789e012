"""Whose a vendor's own state is."""

from __future__ import annotations

from urllib.parse import urlsplit

_OWN = ("api.openai.com", "api.anthropic.com")
"""Where the makers of the protocols are themselves."""


def origin_at(protocol: str, url: str) -> str:
    """What the state of answers from `url` is tagged with.

    Args:
        protocol: the protocol's own origin, as ``anthropic``.
        url: the endpoint's address; empty for the maker of the protocol.

    Returns:
        The protocol, and the host where somebody else speaks it: ``openai.chat:generativelanguage.googleapis.com``.
    """
    try:
        host = urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        host = url
    return protocol if not host or host in _OWN else f"{protocol}:{host}"
