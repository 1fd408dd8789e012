"""Where commands listen, and why they cannot."""

from __future__ import annotations

import socket
from typing import Final

from ...core.base.errors import CallboardError

MOST_PORT: Final = 65_535


class CannotListen(CallboardError):
    """An address is none of this machine's, or is taken."""


def check_address(host: str, port: int) -> None:
    """Look whether an address can be listened on, but for whether it is taken.

    Raises:
        CannotListen: it is none; says whether the host or the port is at fault.
    """
    if not 0 <= port <= MOST_PORT:
        raise CannotListen(f"--port is a number from 0 to {MOST_PORT}, not {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trying:
            trying.bind(address)
    except (OSError, ValueError) as error:  # a name that no name can be is a ValueError
        why = getattr(error, "strerror", None) or error
        raise CannotListen(f"--host {host} is no address of this machine: {why}; give another --host") from None


def taken(host: str, port: int, error: OSError) -> CannotListen:
    """What to raise where an address that was checked cannot be listened on."""
    return CannotListen(f"cannot listen on {host}:{port}: {error.strerror or error}; give another --port")
