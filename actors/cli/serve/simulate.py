"""``callboard simulate-provider``: the wire-level server of `callboard.providers.simulated` until Ctrl-C."""

from __future__ import annotations

import asyncio
from typing import Any

from ....providers.simulated import Fault, ServerQuota, SimulatedProvider, parse_fault, serve_forever
from ...core.base.errors import CallboardError
from ..parts.flow import make_console


class CannotServe(CallboardError):
    """The server's address or its fault is wrong."""


def simulate(*, fault: str, requests_per_minute: int | None, tokens_per_minute: int | None, **settings: Any) -> int:
    """Serve until interrupted.

    Args:
        fault: as `parse_fault` reads it.
        requests_per_minute, tokens_per_minute: limits of each key.
        settings: those of `SimulatedProvider`.

    Raises:
        CannotServe: the fault is none that is known, or the address is taken.
    """
    console = make_console()

    def ready(server: SimulatedProvider) -> None:
        console.print(
            f"A simulated provider listens. No model answers, only rules. Ctrl-C ends it.\n"
            f"  OPENAI_API_KEY=any OPENAI_BASE_URL={server.base_url}\n"
            f"  ANTHROPIC_API_KEY=any ANTHROPIC_BASE_URL={server.url}"
        )

    limits = None
    if requests_per_minute is not None or tokens_per_minute is not None:
        limits = ServerQuota(requests_per_minute, tokens_per_minute)
    try:
        asyncio.run(serve_forever(ready, fault=_fault(fault), limits=limits, **settings))
    except OSError as error:
        where = f"{settings['host']}:{settings['port']}"
        raise CannotServe(f"cannot listen on {where}: {error.strerror}; give another --port") from None
    return 0


def _fault(text: str) -> Fault | None:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise CannotServe(str(error)) from None
