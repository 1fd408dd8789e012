"""How far a payment is, by the events that are kept of it. Pure: the table below is the only place where that is said.

::

    (nothing) ──paid──▶ verified ──settling──▶ settling ──settled──▶ settled
        │                 │   ▲                   │ ├─refused──▶ refused ──paid──▶ verified
        │                void paid                │ └─lost─────▶ lost
        │                 ▼   │                   └─settling──▶ settling   (again, after a crash)
        │                 void
        └──noted──▶ noted ──owed──▶ owed      (without a payment: to be charged elsewhere)
                      └─────void──▶ void
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

State: TypeAlias = Literal["", "verified", "settling", "settled", "refused", "lost", "void", "noted", "owed"]

NEXT: Final[Mapping[tuple[State, str], State]] = {
    ("", "paid"): "verified",
    ("", "noted"): "noted",
    ("noted", "owed"): "owed",
    ("noted", "void"): "void",
    ("verified", "settling"): "settling",
    ("verified", "void"): "void",
    ("settling", "settling"): "settling",
    ("settling", "settled"): "settled",
    ("settling", "refused"): "refused",
    ("settling", "lost"): "lost",
    ("void", "paid"): "verified",
    ("refused", "paid"): "verified",
}
"""What an event makes of a state. What is not here does not happen."""

DONE: Final = frozenset({"settled", "refused", "lost", "void", "owed"})
"""States in which nothing is left to do."""


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What somebody has used of what has a price, and what became of the payment.

    Args:
        run: the run's id.
        agent: who was asked.
        user, tenant, key: who has asked.
        at: when it was asked for, in seconds since 1970.
        price: US dollars of the answer.
        calls: how often priced tools were called, by their names.
        calls_price: US dollars of those calls.
        input_tokens, output_tokens, cost: what the run used, and what that cost whoever serves, in US dollars.
        state: of the payment: ``verified`` until the answer is there, ``settling`` while it is taken, ``settled``,
            ``refused`` (whoever settles it refused), ``lost`` (nobody can say whether it was taken), ``void`` (there
            was no answer, and nothing was taken), ``noted`` and ``owed`` (there was no payment).
        why: of those that were not settled.
        payer, transaction, network: of the payment, as whoever settled it says.
    """

    run: str
    agent: str = ""
    user: str = ""
    tenant: str = ""
    key: str = ""
    at: float = 0.0
    price: Decimal = Decimal(0)
    calls: Mapping[str, int] = field(default_factory=dict)
    calls_price: Decimal = Decimal(0)
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    state: State = ""
    why: str = ""
    payer: str = ""
    transaction: str = ""
    network: str = ""


_DECIMAL: Final = ("price", "calls_price")


@dataclass(slots=True)
class Payment:
    """A payment by its events.

    Attributes:
        state: how far it is.
        about: what the events say of it: fields of `UsageRecord`.
        offer: what was signed (``payload``) and for what (``requirements``), as plain data; None where there is none.
    """

    state: State = ""
    about: dict[str, Any] = field(default_factory=dict)
    offer: Mapping[str, Any] | None = None

    def after(self, event: Mapping[str, Any]) -> Payment:
        """The payment after an event.

        Raises:
            ValueError: it cannot follow on what was before.
        """
        kind = event["kind"]
        state = NEXT.get((self.state, kind))
        if state is None:
            raise ValueError(f"{kind} cannot follow on {self.state or 'nothing'}")
        about = {**self.about, "why": "", **{name: value for name, value in event.items() if name != "kind"}}
        offer = about.pop("offer", self.offer)
        return Payment(state, about, offer)

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take an event in; see `after`."""
        after = self.after(event)
        self.state, self.about, self.offer = after.state, after.about, after.offer

    def may(self, kind: str) -> bool:
        """Whether an event may follow."""
        return (self.state, kind) in NEXT

    def record(self, run: str) -> UsageRecord:
        """It as it is shown."""
        about: dict[str, Any] = {
            name: Decimal(value) if name in _DECIMAL else value for name, value in self.about.items()
        }
        return UsageRecord(run, **about, state=self.state)


def fold(events: Iterable[Mapping[str, Any]]) -> Payment:
    """A payment of its events."""
    payment = Payment()
    for event in events:
        payment.apply(event)
    return payment


_SIGNED: Final = ("authorization", "permit2Authorization")
"""What is signed in the schemes for EVM: whom it is from and its nonce make it one payment, whatever else is there."""

_WHOLE: Final = ("transaction", "signature")
"""Texts that are one payment each: Solana's, and what was signed with."""


def marks_of(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells two payments apart, each mark by itself: of what is signed, not of how it is written. Who adds
    something to a payment, or writes it otherwise, has one of its marks at least."""
    inner, accepted = payload["payload"], payload["accepted"]
    found: list[Any] = []
    for name in _SIGNED:
        given = inner.get(name)
        if isinstance(given, Mapping) and given.get("nonce") is not None:
            found.append([name, str(given.get("from", "")), str(given["nonce"])])
    found += [[name, inner[name]] for name in _WHOLE if isinstance(inner.get(name), str) and inner[name]]
    where = [accepted["scheme"], accepted["network"]]
    return tuple(_hashed([*where, *mark]) for mark in found or [["payload", inner]])


def _hashed(value: Any) -> str:
    text = json.dumps(value, sort_keys=True).lower()
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
