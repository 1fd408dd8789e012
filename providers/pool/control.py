"""What the pool answers besides `Request`. All are plain messages for ``ask``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from ..embeddings import Asked
from ..messages import Request
from .accounts.cost import Budget
from .dispatch.endpoint import Endpoint
from .dispatch.job import ANYONE, Requester

REQUESTER = "callboard.requester"
"""Under this key of the scope's values a `Requester` travels with a plain `Request`:
``with scope(values={REQUESTER: Requester(agent="planner")}): await pool.ask(request)``."""


@dataclass(frozen=True, slots=True)
class Submit:
    """A request with what a plain `Request` cannot say. Answered as the request itself would be, also as a stream.

    Args:
        request: what to complete, or to embed.
        requester: on whose behalf, how urgent.
        batch: it may wait for the endpoint's batch window and go out together with others.
        cached: whether a cached or a coalesced answer will do, where the pool has a cache or coalesces.
    """

    request: Asked
    requester: Requester = ANYONE
    batch: bool = False
    cached: bool = True


@dataclass(frozen=True, slots=True)
class FanOut:
    """The same request to several endpoints at once.

    Args:
        request: what to complete.
        providers: names of endpoints; empty for all that serve the model.
        combine: ``first`` answers with the first completion and cancels the rest; ``majority`` with the completion most
            of them agree on, as soon as that is decided; ``all`` with a dictionary of completion or error by name.
        requester: on whose behalf.
    """

    request: Request
    providers: tuple[str, ...] = ()
    combine: Literal["first", "majority", "all"] = "first"
    requester: Requester = ANYONE


@dataclass(frozen=True, slots=True)
class GetHealth:
    """Answered with `Health`."""


@dataclass(frozen=True, slots=True)
class GetStats:
    """Answered with `PoolStats`."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Send a tiny request to one endpoint, or to each that is not well, and count the outcome. Answered with `Health`.

    Args:
        endpoint: its name; empty for all whose breaker is not closed and may be probed now.
    """

    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class AddEndpoint:
    """Add an endpoint, or replace the one of the same name: new requests go to the new actor, requests in flight end
    at the old one. Its limits' state is kept, its breaker starts anew. Answered with the endpoint's name."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class RemoveEndpoint:
    """Send nothing more to an endpoint and stop its actor when its requests in flight have ended. Answered with whether
    it was there."""

    name: str


@dataclass(frozen=True, slots=True)
class RotateKey:
    """Give an endpoint a new key without a restart: requests in flight end with the old one.

    Args:
        endpoint: its name.
        key: the new key; it never shows.
        argument: the keyword argument of the endpoint's child spec that holds the key, where that is not a
            `ProviderSpec`.
        label: a new label of the key, for budgets; None keeps the old.
    """

    endpoint: str
    key: SecretStr
    argument: str = "api_key"
    label: str | None = None


@dataclass(frozen=True, slots=True)
class SwitchProvider:
    """Send a conversation's requests to one endpoint from now on. Answered with the endpoint it was on, or empty.

    Args:
        conversation: as in `Requester.conversation`.
        endpoint: its name; empty to let the pool choose again.
    """

    conversation: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class SetBudget:
    """Set or replace a budget. Answered with what the account has spent so far, in US dollars."""

    budget: Budget
