"""What a limit on requests is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from ....providers import checks
from ....providers.pool.accounts.periods import PERIODS, Period
from ...agents.errors import DefinitionError

LimitScope: TypeAlias = Literal["caller_key", "user", "tenant", "address"]
SCOPES: Final[tuple[LimitScope, ...]] = get_args(LimitScope)


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """How many requests somebody may make. What they may use in tokens and money is the pool's to say, exactly, before
    each call: ``Budget("caller_key", "*", period="day", dollars=2.0)``.

    Args:
        scope: of whom: each key (``caller_key``), user or tenant; or each ``address`` from which somebody asks who does
            not say who they are, or not credibly.
        name: which one, as in `Budget`; ``*`` stands for each that has no limit of its own.
        requests: in the period, of all workers that share the agency's journal (a second behind); None for any number.
        period: minute, hour, day or month, of the calendar in UTC.
        concurrent: requests that are answered at once, in each worker for itself; None for any number.

    Raises:
        DefinitionError: something of it is wrong.
    """

    scope: LimitScope
    name: str = "*"
    requests: int | None = None
    period: Period = "minute"
    concurrent: int | None = None

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise DefinitionError(f"a request limit is of {', '.join(SCOPES)}, not {self.scope!r:.80}")
        if self.period not in PERIODS:
            raise DefinitionError(f"a request limit's period is one of {', '.join(PERIODS)}, not {self.period!r:.80}")
        count = checks.COUNT.or_none("for any number")
        checks.require(
            DefinitionError,
            f"the request limit of {self.scope}",
            name=(self.name, checks.NAME),
            requests=(self.requests, count),
            concurrent=(self.concurrent, count),
        )
        if self.requests is None and self.concurrent is None:
            raise DefinitionError(f"the request limit of {self.scope} {self.name} limits nothing: give requests=…")
