"""Payments by x402 (version 2): what they are asked for with, and whoever verifies and settles them.

https://github.com/coinbase/x402/blob/main/specs/x402-specification-v2.md. x402's own middleware settles what a handler
has answered; here a run may outlast its request, so verifying and settling are done where runs are begun and end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from ....providers import checks
from ...agents.errors import DefinitionError
from ..problems import Problem, Refused

if TYPE_CHECKING:
    from x402 import x402ResourceServer
    from x402.schemas import PaymentPayload, PaymentRequirements, SettleResponse, VerifyResponse

MOST_VERIFIED: Final = 100
"""Payments that are verified at once: anybody may send any, and those above are sent away."""

PATIENCE: Final = 60.0
"""Seconds for which whoever verifies and settles may take."""

logger = logging.getLogger("callboard")


class Payments:
    """How payments are taken: ``serve(agency, payments=Payments(server, pay_to="0x…", network="eip155:8453"))``.

    Without a server nothing is taken: what was used of what has a price is recorded, to be charged elsewhere.

    Args:
        server: an ``x402ResourceServer`` with the facilitator and the scheme; from ``callboard[x402]``.
        pay_to: whom to pay.
        network: where, such as ``eip155:8453``.
        scheme: how, one that the server was given for the network, in which is settled after the answer.
        valid: seconds for which a payment has to be good: longer than any run takes.

    Raises:
        DefinitionError: something of it is wrong.
    """

    def __init__(
        self,
        server: x402ResourceServer | None = None,
        *,
        pay_to: str = "",
        network: str = "",
        scheme: str = "exact",
        valid: int = 3_600,
    ) -> None:
        if server is not None:
            _look(server)
            texts = {"pay_to": pay_to, "network": network, "scheme": scheme}
            checks.require(
                DefinitionError,
                "payments",
                valid=(valid, checks.COUNT),
                **{name: (given, checks.NAME) for name, given in texts.items()},
            )
            if not server.has_registered_scheme(network, scheme):
                raise DefinitionError(f"payments: the server has no scheme {scheme!r} for {network!r}: register it")
        elif pay_to or network:
            raise DefinitionError("payments: give the x402ResourceServer that verifies and settles them")
        self._server = server
        self._pay_to, self._network, self._scheme, self._valid = pay_to, network, scheme, valid
        self._ready = False
        self._verifying = 0
        self._getting_ready = asyncio.Lock()
        self._wanted: dict[Decimal, PaymentRequirements] = {}

    def __repr__(self) -> str:
        return f"Payments(network={self._network!r}, scheme={self._scheme!r})"

    @property
    def takes(self) -> bool:
        """Whether payments are taken, and not only records made."""
        return self._server is not None

    async def wanted(self, price: Decimal) -> PaymentRequirements:
        """What a payment of a price has to be like.

        Raises:
            Refused: whoever settles payments does not answer, or takes none like that.
        """
        from x402.schemas import ResourceConfig

        server = self._given()
        found = self._wanted.get(price)
        if found is None:
            await self._prepared(server)
            config = ResourceConfig(
                scheme=self._scheme,
                pay_to=self._pay_to,
                price=f"${price:f}",
                network=self._network,
                max_timeout_seconds=self._valid,
            )
            try:
                (found,) = server.build_payment_requirements(config)
            except Exception as error:
                logger.error("payments cannot be asked for: %s", type(error).__name__, exc_info=error)
                raise unavailable() from error
            if "paymentFlow" in found.extra:
                logger.error("payments: the scheme %s settles before the answer, which is not done", self._scheme)
                raise unavailable()
            self._wanted[price] = found
        return found

    def fits(self, requirements: PaymentRequirements, payload: PaymentPayload) -> bool:
        """Whether a payment is for what was asked."""
        return self._given().find_matching_requirements([requirements], payload) is not None

    async def _prepared(self, server: x402ResourceServer) -> None:
        async with self._getting_ready:
            if self._ready:
                return
            try:
                async with asyncio.timeout(PATIENCE):
                    await asyncio.to_thread(server.initialize)
            except Exception as error:
                logger.warning("whoever settles payments does not say what they take: %s", type(error).__name__)
                raise unavailable() from error
            self._ready = True

    async def verify(self, offer: Mapping[str, Any]) -> VerifyResponse:
        """Ask whether a payment is good, without taking it.

        Raises:
            Refused: nobody can say at the moment.
        """
        from x402.schemas import PaymentPayload, PaymentRequirements

        server = self._given()
        payload = PaymentPayload.model_validate(offer["payload"])
        requirements = PaymentRequirements.model_validate(offer["requirements"])
        if self._verifying >= MOST_VERIFIED:
            raise unavailable()
        self._verifying += 1
        try:
            async with asyncio.timeout(PATIENCE):
                return (await server.verify_payment(payload, requirements)).verify
        except Exception as error:
            logger.warning("a payment could not be verified: %s", type(error).__name__)
            raise unavailable() from error
        finally:
            self._verifying -= 1

    async def settle(self, offer: Mapping[str, Any]) -> SettleResponse:
        """Take a payment.

        Raises:
            Refused: nobody can say whether it was taken.
        """
        from x402.schemas import PaymentPayload, PaymentRequirements

        server = self._given()
        payload = PaymentPayload.model_validate(offer["payload"])
        requirements = PaymentRequirements.model_validate(offer["requirements"])
        await self._prepared(server)
        try:
            async with asyncio.timeout(PATIENCE):
                return await server.settle_payment(payload, requirements)
        except Exception as error:
            logger.warning("a payment could not be settled: %s", type(error).__name__)
            raise undecided() from error

    def _given(self) -> x402ResourceServer:
        assert self._server is not None
        return self._server


def unavailable() -> Refused:
    """Whoever verifies and settles payments does not answer."""
    message = "payments cannot be taken at the moment, and none was: come back with the same payment"
    return Refused(Problem(503, "payments_unavailable", message, retry_after=5.0))


def undecided() -> Refused:
    """A payment is being taken, and nobody here knows what has come of it."""
    message = "it is not known yet whether the payment was taken: come back with the same one, which is taken once"
    return Refused(Problem(503, "payments_unavailable", message, retry_after=5.0))


def _look(server: object) -> None:
    try:
        from x402 import x402ResourceServer
    except ImportError as error:
        raise DefinitionError("payments need an optional dependency: pip install 'callboard[x402]'") from error
    if not isinstance(server, x402ResourceServer):
        raise DefinitionError(f"payments: the server is an x402ResourceServer, not {type(server).__name__}")
