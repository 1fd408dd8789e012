"""Replay tokens: a schedule, its faults, and enough of what happened to notice that it no longer fits.

A token is text for a command line: compressed JSON in URL-safe base64. It holds the plan (holds and faults), the
scenario's name, and short digests of growing prefixes of the trace, so that a refusal can say from which event on the
run differs. Where Hypothesis drew the workload, it holds that too.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from ..errors import FaultRefused, TokenRefused
from ..faults.faults import Fault, from_data, to_data
from ..loop.loop import Order
from ..schedules.plan import Hold, Interrupt
from ..trace.trace import Trace
from .drawn import Example

PREFIX = "sim1-"


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says.

    Args:
        scenario: the scenario function's name.
        order: the loop's order.
        holds, faults: the plan.
        prefixes: ``(events, digest)`` of growing parts of the trace.
        whole: whether the last of these is the whole trace; else what comes after it is another in each run.
        example: what Hypothesis had drawn; None where it drew nothing.
    """

    scenario: str
    order: str
    holds: tuple[Hold | Interrupt, ...]
    faults: tuple[Fault, ...]
    prefixes: tuple[tuple[int, str], ...]
    whole: bool = True
    example: Example | None = None

    def encode(self) -> str:
        """Return the token's text."""
        data = [
            self.scenario,
            self.order,
            [_as_data(hold) for hold in self.holds],
            [to_data(fault) for fault in self.faults],
            [[count, digest] for count, digest in self.prefixes],
            *([] if self.whole and self.example is None else [self.whole]),
            *(self.example or ()),
        ]
        packed = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), 9)
        return PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Token:
        """Read a token.

        Raises:
            TokenRefused: the text is not one, or only a part of one.
        """
        if not isinstance(text, str):
            raise TokenRefused(f"{text!r} is not a replay token: they are text")
        text = text.strip()
        if not text.startswith(PREFIX):
            raise TokenRefused(f"{text[:40]!r} is not a replay token: they begin with {PREFIX!r}")
        body = text[len(PREFIX) :]
        try:
            packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            scenario, order, holds, faults, prefixes, *more = json.loads(zlib.decompress(packed))
            if order not in get_args(Order):
                raise ValueError(f"{order!r:.40} is no order")
            return cls(
                scenario,
                order,
                tuple(Hold(*hold) if len(hold) == 3 else Interrupt(*hold) for hold in holds),
                tuple(from_data(fault) for fault in faults),
                tuple((int(count), str(digest)) for count, digest in prefixes),
                all(more[:1]),
                Example(*map(str, more[1:])) if more[1:] else None,
            )
        except (ValueError, TypeError, RecursionError, zlib.error, binascii.Error, FaultRefused) as error:
            raise TokenRefused(f"the replay token cannot be read; was it copied whole? ({error})") from None

    def check_scenario(self, scenario: str) -> None:
        """Refuse another scenario.

        Raises:
            TokenRefused: the token was made by a scenario of another name.
        """
        if self.scenario != scenario:
            raise TokenRefused(f"the token was made by the scenario {self.scenario!r}; this one is {scenario!r}")

    def check_example(self, drawn: Example | None) -> None:
        """Refuse another example of Hypothesis' than the token's.

        Args:
            drawn: what has been drawn; None where that was given by hand.

        Raises:
            TokenRefused: something else was.
        """
        known = self.example
        if known is not None and (drawn is None or known.blob != drawn.blob):
            again = f"pytest --sim-replay=… on {known.test} does, and so does" if known.test else "what has it do so is"
            raise TokenRefused(
                "Hypothesis has drawn another example than the token's, and has to draw that one again: "
                f"{again} {known} on the test, with the Hypothesis of that version"
            )

    def check_trace(self, trace: Trace, unused: set[tuple[str, int]]) -> None:
        """Refuse a run that differs from the one the token was made from.

        Raises:
            TokenRefused: it does.
        """
        why = "the scenario, its workload or the code under test has changed: search again without the token"
        if unused and self.whole:
            lane, turn = sorted(unused)[0]
            raise TokenRefused(f"the token holds back turn {turn} of {lane!r}, which does not occur any more; {why}")
        total = self.prefixes[-1][0] if self.prefixes else 0
        actual = dict(trace.digests_at([count for count, _ in self.prefixes]))
        same = 0
        for count, digest in self.prefixes:
            if actual.get(count) != digest:
                raise TokenRefused(
                    f"the token's run had {total} events{'' if self.whole else ' and more'}, "
                    f"this one has {len(trace)}, and they differ after event {same}; {why}"
                )
            same = count
        if len(trace) != total and self.whole:
            raise TokenRefused(f"the token's run had {total} events, this one has {len(trace)}; {why}")


def example_of(text: str) -> Example | None:
    """Return the example of a token; None where it has none, or is no token, which `Token.decode` refuses."""
    try:
        return Token.decode(text).example
    except TokenRefused:
        return None


def _as_data(hold: Hold | Interrupt) -> list[Any]:
    return [hold.lane, hold.turn, hold.times] if isinstance(hold, Hold) else [hold.lane, hold.nth]


def scenario_name(scenario: Callable[..., Any]) -> str:
    """Return the name a scenario goes by in tokens."""
    target = getattr(scenario, "func", scenario)
    return str(getattr(target, "__qualname__", type(target).__name__))
