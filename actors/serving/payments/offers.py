"""What a request is to pay, and what it brings: the headers of x402, version 2."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ....tools.pricing import as_price
from ...agents.agency import Agency
from ..problems import Problem, Refused
from ..requests import as_object
from .payments import Payments

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

HEADER: Final = "payment-signature"
"""Where a request has its payment."""


class Priced(NamedTuple):
    """What has a price.

    Args:
        price: US dollars.
        url: where it is asked for.
        description: what it is.
    """

    price: Decimal
    url: str
    description: str = ""


class Offers:
    """The prices of an agency's agents and tools, and the payments that are offered for them.

    Args:
        agency: whose.
        payments: how they are taken.
    """

    def __init__(self, agency: Agency, payments: Payments) -> None:
        self._agency = agency
        self._payments = payments

    def of_agent(self, agent: str) -> Priced | None:
        """An agent's answer; None where it has no price, or there is no such agent any more."""
        found = self._agency.agents.get(agent)
        if found is None or found.price is None:
            return None
        return Priced(as_price(found.price), f"/{agent}/chat/completions", found.description)

    def calls(self, agent: str) -> Mapping[str, Decimal]:
        """US dollars of a call, of the tools of an agent that have a price."""
        found = self._agency.agents.get(agent)
        tools = () if found is None else found.all_tools
        return {tool.name: as_price(tool.price) for tool in tools if tool.price is not None}

    async def read(self, what: Priced, connection: HTTPConnection | None) -> dict[str, Any]:
        """The payment that a request brings, with what it has to be like, as plain data.

        Args:
            what: what is asked for.
            connection: the request; None where nobody can have sent a payment.

        Raises:
            Refused: it brings none, or one that is for something else.
        """
        from x402.schemas import PaymentPayload

        given = connection.headers.getlist(HEADER) if connection is not None else []
        if not given:
            raise await self.wanted(what, "this is answered who pays: see the header payment-required")
        requirements = await self._payments.wanted(what.price)
        try:
            plain = as_object(base64.b64decode(given[0], validate=True))
            payload = PaymentPayload.model_validate(plain)
            if payload.x402_version != 2 or not payload.payload or len(given) > 1:
                raise ValueError
        except (ValueError, TypeError, Refused):
            message = f"{HEADER} is no payment: send one PaymentPayload of x402, version 2, in base64"
            raise await self.wanted(what, message, "payment_invalid") from None
        if not self._payments.fits(requirements, payload):
            message = "the payment is for something else than what is asked: see the header payment-required"
            raise await self.wanted(what, message, "payment_invalid")
        kept = {"payload": payload, "requirements": requirements}
        return {name: one.model_dump(by_alias=True, exclude_none=True, mode="json") for name, one in kept.items()}

    async def wanted(self, what: Priced | None, message: str, code: str = "payment_required") -> Refused:
        """The refusal of who has not paid, with what a payment has to be like."""
        from x402.schemas import PaymentRequired, ResourceInfo

        if what is None:
            return Refused(Problem(402, code, message))
        wanted = PaymentRequired(
            error=message,
            resource=ResourceInfo(url=what.url, description=what.description or None),
            accepts=[await self._payments.wanted(what.price)],
        )
        plain = wanted.model_dump(by_alias=True, exclude_none=True, mode="json")
        return Refused(Problem(402, code, message, headers={"payment-required": coded(plain)}))


def coded(plain: Mapping[str, Any]) -> str:
    """Plain data as a header has it."""
    return base64.b64encode(json.dumps(plain).encode()).decode()
