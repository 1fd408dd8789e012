"""Simulated providers in a process of their own, so that their CPU is not counted.

``python -m benchmarks.pool_server N`` prints N base URLs as JSON, then obeys one JSON object a line on standard input:
``{"set": 0, "fault": "503", "rate": 1.0, "latency": [0.05, 0.08], "limits": {…}}``, ``{"stats": 0}``,
``{"arrivals": 0}``. With ``"model": "gpt-4o"`` the fault befalls requests for that model only.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from callboard.providers.messages import Completion, Message, Usage
from callboard.providers.simulated import Latency, ServerQuota, SimulatedProvider, parse_fault

ANSWER = Completion(
    Message("assistant", "The quick brown fox jumps over the lazy dog. " * 4), "stop", Usage(100, 50), "gpt-4o"
)


class Recorded(SimulatedProvider):
    """Notes when requests arrive."""

    def __init__(self) -> None:
        super().__init__(ANSWER)
        self.arrivals: list[float] = []
        self.model = ""

    def _handle(self, incoming: Any, connection: Any) -> None:
        self.arrivals.append(asyncio.get_running_loop().time())
        super()._handle(incoming, connection)

    def _answer_to(self, exchange: Any, found: Any) -> None:
        fault = self.fault
        if self.model and f'"{self.model}"'.encode() not in exchange.incoming.body:
            self.fault = None
        super()._answer_to(exchange, found)
        self.fault = fault


def obey(servers: list[Recorded], order: dict[str, Any]) -> Any:
    """Carry out one order."""
    now = asyncio.get_running_loop().time()
    if "set" in order:
        server = servers[order["set"]]
        server.fault = parse_fault(order.get("fault", ""))
        server.failure_rate = order.get("rate", 1.0)
        server.model = order.get("model", "")
        if "latency" in order:
            server.latency = Latency(*order["latency"])
        if "limits" in order:
            server.limits = ServerQuota(**order["limits"]) if order["limits"] else None
            server._enforcers.clear()
        if "chunk_delay" in order:
            server.chunk_delay = order["chunk_delay"]
        return now
    if "arrivals" in order:
        server = servers[order["arrivals"]]
        arrivals, server.arrivals = server.arrivals, []
        return arrivals
    stats = servers[order["stats"]].stats
    return {"requests": stats.requests, "statuses": {str(k): v for k, v in stats.statuses.items()}}


async def main(count: int) -> None:
    servers = [Recorded() for _ in range(count)]
    for server in servers:
        await server.start()
    print(json.dumps([server.base_url for server in servers]), flush=True)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(json.dumps(obey(servers, json.loads(line))), flush=True)
    for server in servers:
        await server.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
