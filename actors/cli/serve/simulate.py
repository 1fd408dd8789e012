"""``callboard simulate-provider``: the wire-level server of `callboard.providers.simulated` until Ctrl-C."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from ....providers.simulated import Fault, ServerQuota, SimulatedProvider, parse_fault, serve_forever
from ...core.base.errors import CallboardError
from ..parts.flow import make_console
from ..parts.listening import check_address, taken


class CannotServe(CallboardError):
    """A fault or a number is none."""


def simulate(*, fault: str, requests_per_minute: int | None, tokens_per_minute: int | None, **settings: Any) -> int:
    """Serve until interrupted.

    Args:
        fault: as `parse_fault` reads it.
        requests_per_minute, tokens_per_minute: limits of each key.
        settings: those of `SimulatedProvider`.

    Raises:
        CannotServe: the fault is none that is known, or a number cannot be.
        CannotListen: the address is taken, or none.
    """
    console = make_console()

    def ready(server: SimulatedProvider) -> None:
        of_a_file = f'{{trial: {{base_url: "{server.base_url}", api_key: any, default_model: any}}}}'
        console.print(
            f"A simulated provider listens. No model answers, only rules. Ctrl-C ends it.\n"
            f"  OPENAI_API_KEY=any OPENAI_BASE_URL={server.base_url}\n"
            f"  ANTHROPIC_API_KEY=any ANTHROPIC_BASE_URL={server.url}\n"
            f"  in a team file: providers: {of_a_file}"
        )

    _check(requests_per_minute, tokens_per_minute, **settings)
    limits = None
    if requests_per_minute is not None or tokens_per_minute is not None:
        limits = ServerQuota(requests_per_minute, tokens_per_minute)
    try:
        asyncio.run(serve_forever(ready, fault=_fault(fault), limits=limits, **settings))
    except KeyboardInterrupt:  # as it says it is ended
        return 0
    except OSError as error:
        raise taken(settings["host"], settings["port"], error) from None
    return 0


def _check(requests: int | None, tokens: int | None, **settings: Any) -> None:
    """Raises `CannotServe` where a number is none that can be."""
    check_address(settings["host"], settings["port"])
    for option in ("latency", "chunk_delay"):
        if not 0 <= settings[option] < math.inf:
            name = option.replace("_", "-")
            raise CannotServe(f"--{name} is a number of seconds from 0 on, not {settings[option]:g}")
    if not 0 <= settings["failure_rate"] <= 1:
        raise CannotServe(f"--failure-rate is a number from 0 to 1, not {settings['failure_rate']:g}")
    for name, number in (("requests-per-minute", requests), ("tokens-per-minute", tokens)):
        if number is not None and number < 1:
            raise CannotServe(f"--{name} is a number from 1 on, not {number}; leave it out for no limit")


def _fault(text: str) -> Fault | None:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise CannotServe(str(error)) from None
