"""What the pool answers besides `Request`. All are plain messages for ``ask``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from pydantic import SecretStr

from ...actors.core.base.typed import Returns
from .. import checks
from ..embeddings import Asked
from ..messages import Completion, Request
from .accounts.limits import Budget, Exhausted
from .accounts.periods import Period
from .accounts.stats import Health, Measure, PoolStats
from .dispatch.endpoint import Endpoint
from .dispatch.job import ANYONE, Requester

REQUESTER = "callboard.requester"
"""Under this key of the baggage a `Requester` travels with a plain `Request`:
``with send_context(baggage={REQUESTER: Requester(agent="planner")}): await pool.ask(request)``."""


@dataclass(frozen=True, slots=True)
class Submit:
    """A request with what a plain `Request` cannot say. Answered as the request itself would be, also as a stream.

    Args:
        request: what to complete, or to embed.
        requester: on whose behalf, how urgent.
        cached: whether a cached or a coalesced answer will do, where the pool has a cache or coalesces.
    """

    request: Asked
    requester: Requester = ANYONE
    cached: bool = True


Outcomes: TypeAlias = dict[str, Completion | Exception]
"""What became of a fan-out, by endpoint."""


@dataclass(frozen=True, slots=True)
class FanOut:
    """The same request to several endpoints at once.

    It ends a little before its deadline with what there is by then. An endpoint that is down, or has failed, is waited
    for two seconds after another one has answered. Whoever is not waited for any more has a named error as its outcome.

    Args:
        request: what to complete.
        providers: names of endpoints or groups; empty for all that serve the model, of a group one.
        combine: ``first`` answers with the first completion and cancels the rest; ``majority`` with the completion most
            of them agree on, as soon as that is decided; ``all`` with a dictionary of completion or error by name. A
            function, plain or async, is given that dictionary once all have ended, unless all failed, and returns the
            answer. Where that is one completion, its usage and cost are those of all that were answered.
        requester: on whose behalf; by default that of the send context, as for a `Request`.
        concurrency: how many are asked at the same time; the others follow in order. None for all.

    Raises:
        ValueError: an unknown way to combine, a concurrency that is no number of calls, or no tuple of names, or one
            twice: each has one voice.
    """

    request: Request
    providers: tuple[str, ...] = ()
    combine: Literal["first", "majority", "all"] | Callable[[Outcomes], Any] = "first"
    requester: Requester = ANYONE
    concurrency: int | None = None

    def __post_init__(self) -> None:
        combine, names = self.combine, self.providers
        if not callable(combine) and combine not in ("first", "majority", "all"):
            raise ValueError(f"combine is {combine!r}; expected first, majority, all or a function")
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"providers is {names!r}; expected a tuple of names of endpoints or groups")
        if len(set(names)) != len(names):
            raise ValueError(f"providers is {names!r}; expected each name once")
        checks.look("concurrency", self.concurrency, checks.COUNT.or_none())


@dataclass(frozen=True, slots=True)
class GetHealth(Returns[Health]):
    """Answered with `Health`."""


@dataclass(frozen=True, slots=True)
class GetStats(Returns[PoolStats]):
    """Answered with `PoolStats`."""


@dataclass(frozen=True, slots=True)
class GetServing(Returns[tuple[str, ...]]):
    """Say which endpoints would be sent requests for a model; nothing is sent. Answered with their names, those of a
    group with the group's; with `UnknownModel`, `AuthenticationFailed` or `NoProvider` as a request would be, if nobody
    would.

    Args:
        model: as requests name it; empty for the default.
    """

    model: str = ""


@dataclass(frozen=True, slots=True)
class Probe(Returns[Health]):
    """Send a tiny request to one endpoint, or to each that is not well, and count the outcome; a model that was asked
    for embeddings is asked for one. That a model refuses it does not count, since it may do what it is for. Answered
    with `Health`.

    Args:
        endpoint: its name, or its group's; empty for all whose breaker is not closed and may be probed now.
    """

    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class AddEndpoint(Returns[str]):
    """Add an endpoint, or replace the one of the same name: once the new actor has started, new requests go to it, and
    requests in flight end at the old one. Its limits' state is kept, its breaker starts anew. Answered with the
    endpoint's name; with `StartFailed`, and nothing is changed, if the actor cannot be made, or the new one of an
    endpoint cannot start."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class RemoveEndpoint(Returns[bool]):
    """Send nothing more to an endpoint and stop its actor when its requests in flight have ended. Answered with whether
    it was there."""

    name: str


@dataclass(frozen=True, slots=True)
class DrainEndpoint(Returns[None]):
    """Send nothing more to an endpoint until it is resumed; its requests in flight end as they would, and it stays as
    it is. Requests that only it could serve wait, as long as they would for another one. It holds over restarts of the
    pool, and of the endpoint's actor, and where the endpoint is replaced.

    Args:
        name: the endpoint's; one that is not there is a `SpecError`.
    """

    name: str


@dataclass(frozen=True, slots=True)
class ResumeEndpoint(Returns[None]):
    """Send requests to an endpoint again that was drained; otherwise as `DrainEndpoint`."""

    name: str


@dataclass(frozen=True, slots=True)
class RotateKey(Returns[str]):
    """Give an endpoint a new key without a restart: requests in flight end with the old one. As in `AddEndpoint`, what
    fails changes nothing.

    Args:
        endpoint: its name.
        key: the new key; it never shows.
        argument: the keyword argument of the endpoint's child spec that holds the key, where that is not a
            `ProviderSpec`.
        label: a new label of the key, for budgets; None keeps the old.
    """

    endpoint: str
    key: SecretStr = field(repr=False)
    argument: str = "api_key"
    label: str | None = None


@dataclass(frozen=True, slots=True)
class SwitchProvider(Returns[str]):
    """Send the requests of a conversation, or all of an agent, to one endpoint or group, or to another model, from now
    on. Answered with the endpoint which they were on, or empty. A conversation's own switch counts before its agent's.

    Args:
        conversation: as in `Requester.conversation`.
        endpoint: its name, or a group's; empty to let the pool choose.
        agent: in place of a conversation: as in `Requester.agent`.
        model: what to ask in place of the model that requests name; empty to leave it. Without an endpoint and a model
            nothing is switched any more.

    Raises:
        ValueError: not one of conversation and agent is given, but both or none.
    """

    conversation: str = ""
    endpoint: str = ""
    agent: str = ""
    model: str = ""

    def __post_init__(self) -> None:
        if bool(self.conversation) == bool(self.agent):
            raise ValueError(f"{self!r}: give a conversation or an agent")

    @property
    def whom(self) -> str:
        """Who is switched: ``agent:planner``."""
        return f"agent:{self.agent}" if self.agent else f"conversation:{self.conversation}"


@dataclass(frozen=True, slots=True)
class CheckBudgets(Returns[Exhausted | None]):
    """Say whether a budget of those whom a request would be for is spent, and until when; None where none is.

    Asked before work is begun: what a request may take is looked at when it comes.
    """

    requester: Requester


@dataclass(frozen=True, slots=True)
class SetBudget(Returns[float]):
    """Set a budget, or replace that of the same account and period. Answered with what was spent of it so far, in US
    dollars."""

    budget: Budget


@dataclass(frozen=True, slots=True)
class RaiseBudget(Returns[float]):
    """Raise a limit of a budget, until the process ends. Where it is one for each of many (``*``), it is raised for one
    of them. Answered with what was spent of it so far.

    Args:
        account: whose, as in `BudgetStats`.
        period: which of theirs, likewise.
        measure: what is raised, likewise.
        limit: to how much: more than it is now; infinite for no limit of dollars.
    """

    account: str
    period: Period | None
    measure: Measure
    limit: float
