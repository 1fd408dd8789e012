"""A facilitator of x402 on this machine, a scheme that needs no chain, and a client that pays in it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from x402 import x402Client, x402ResourceServer
from x402.http import FacilitatorConfig, HTTPFacilitatorClient
from x402.http.clients.httpx import x402AsyncTransport
from x402.schemas import AssetAmount, PaymentRequirements

from callboard.actors.serving.payments.payments import Payments

from .support import listening_socket

NETWORK = "eip155:84532"


class Facilitator:
    """Verifies and settles: each nonce once.

    Attributes:
        verified, settled: the nonces, as often as it was asked.
        taken: those that were really taken.
        invalid: why nothing is valid.
        refuses: why nothing is settled.
        down: whether it fails.
        settling: what a settlement waits for, before it is done.
        dies: whether it fails when it has settled, so that nobody hears of it.
    """

    def __init__(self) -> None:
        self.url = ""
        self.verified: list[str] = []
        self.settled: list[str] = []
        self.taken: list[str] = []
        self.invalid = ""
        self.refuses = ""
        self.down = False
        self.dies = False
        self.settling = asyncio.Event()
        self.settling.set()
        self.clients: list[HTTPFacilitatorClient] = []

    async def supported(self, request: Request) -> Response:
        if self.down:
            return Response("secret details", 500)
        kind = {"x402Version": 2, "scheme": "exact", "network": NETWORK}
        return JSONResponse({"kinds": [kind], "extensions": [], "signers": {}})

    async def verify(self, request: Request) -> Response:
        nonce = await self._nonce(request)
        if self.down:
            return Response("secret details", 500)
        self.verified.append(nonce)
        if self.invalid or nonce in self.taken:
            return JSONResponse({"isValid": False, "invalidReason": self.invalid or "nonce_used"})
        return JSONResponse({"isValid": True, "payer": "0xpayer"})

    async def settle(self, request: Request) -> Response:
        nonce = await self._nonce(request)
        self.settled.append(nonce)
        await self.settling.wait()
        if self.down:
            return Response("secret details", 500)
        failed = {"success": False, "transaction": "", "network": NETWORK}
        if self.refuses:
            return JSONResponse({**failed, "errorReason": self.refuses})
        if nonce in self.taken:
            return JSONResponse({**failed, "errorReason": "nonce_used"})
        self.taken.append(nonce)
        if self.dies:
            return Response("secret details", 500)
        return JSONResponse({"success": True, "transaction": f"0x{nonce}", "network": NETWORK, "payer": "0xpayer"})

    @staticmethod
    async def _nonce(request: Request) -> str:
        body = await request.json()
        assert body["paymentRequirements"]["payTo"] == "0xshop"
        nonce: str = body["paymentPayload"]["payload"]["authorization"]["nonce"]
        return nonce

    def payments(self, **options: Any) -> Payments:
        client = HTTPFacilitatorClient(FacilitatorConfig(url=self.url))
        self.clients.append(client)
        server = x402ResourceServer(client).register(NETWORK, Scheme())  # type: ignore[arg-type]
        return Payments(server, pay_to="0xshop", network=NETWORK, **options)


class Scheme:
    """Dollars, in millionths."""

    scheme = "exact"
    default_asset_transfer_method = "eip3009"
    payment_flows = {"eip3009": {"supported": ("authorization",), "default": "authorization"}}  # noqa: RUF012

    def parse_price(self, price: Any, network: Any) -> AssetAmount:
        amount = Decimal(str(price).removeprefix("$")) * 1_000_000
        return AssetAmount(amount=str(int(amount)), asset="0xdollar", extra={"name": "Dollar"})

    def enhance_payment_requirements(self, requirements: Any, kind: Any, extensions: Any) -> Any:
        return requirements

    def create_payment_payload(self, requirements: PaymentRequirements, *more: Any) -> dict[str, Any]:
        nonce = uuid4().hex
        return {"signature": f"0x{nonce}", "authorization": {"nonce": nonce, "value": requirements.amount}}


def paying(url: str) -> httpx.AsyncClient:
    """x402's own client: it asks, is told what to pay, pays, and asks again."""
    client = x402Client().set_spend_controls(False).register(NETWORK, Scheme())
    return httpx.AsyncClient(base_url=url, timeout=60, transport=x402AsyncTransport(client))


def decoded(header: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(base64.b64decode(header))
    return made


def signed(wanted: str, nonce: str = "", **changed: Any) -> dict[str, str]:
    """The header with a payment for what a 402 wants."""
    requirements = decoded(wanted)["accepts"][0]
    nonce = nonce or uuid4().hex
    inner = {"signature": f"0x{nonce}", "authorization": {"nonce": nonce, "value": requirements["amount"]}}
    payload = {"x402Version": 2, "payload": inner, "accepted": requirements, **changed}
    return {"payment-signature": base64.b64encode(json.dumps(payload).encode()).decode()}


@asynccontextmanager
async def facilitator() -> AsyncIterator[Facilitator]:
    """One that listens."""
    made = Facilitator()
    routes = [
        Route("/supported", made.supported),
        Route("/verify", made.verify, methods=["POST"]),
        Route("/settle", made.settle, methods=["POST"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning", timeout_graceful_shutdown=1))
    listening = listening_socket()
    made.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield made
    finally:
        made.settling.set()
        for client in made.clients:
            await client.aclose()
        server.should_exit = True
        await task
        listening.close()
