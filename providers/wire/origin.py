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
    return protocol if is_makers(url) else f"{protocol}:{_host(url)}"


def is_makers(url: str) -> bool:
    """Whether an address is that of a protocol's maker; an empty one is."""
    host = _host(url)
    return not host or host in _OWN


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return url
