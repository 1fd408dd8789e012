"""A picture and a document in a message, marks for the vendor's prompt cache, and a tool held to its schema.

The vendor here is simulated, over real HTTP on loopback, so that one can look at what it was sent.
"""

import asyncio
import base64

from pydantic import SecretStr

from callboard import Completion, Endpoint, File, Image, Message, Pool, ProviderSpec, Request, System, Text, ToolSpec
from callboard.providers.simulated import SimulatedProvider


def data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


PHOTO = Image(data_url("image/png", b"\x89PNG..."))
MANUAL = File(
    data_url("application/pdf", b"%PDF-1.7..."), "manual.pdf", cache="1h"
)  # the prefix up to here, for an hour
ORDER = ToolSpec(
    "order",
    "Order a spare part.",
    {
        "type": "object",
        "properties": {"part": {"type": "string"}},
        "required": ["part"],
        "additionalProperties": False,
    },
    strict=True,
    cache=True,
)
ASK = Request(
    (Message("user", (MANUAL, PHOTO, Text("Which part is broken? Say it in a word."))),),
    "claude-sonnet-5",
    tools=(ORDER,),
    max_tokens=50,
)


async def main() -> None:
    async with (
        SimulatedProvider(Completion(Message("assistant", "The lid."), "stop")) as server,
        System("shop") as system,
    ):
        spec = ProviderSpec("acme", "anthropic", SecretStr("any"), server.url)
        pool = system.supervise(Pool.spec([Endpoint.of(spec)]))
        print((await pool.ask(ASK)).message.text)
        _, sent = server.log[-1]
        for block in sent["messages"][0]["content"]:
            print(block["type"], block.get("cache_control"))
        (tool,) = sent["tools"]
        print(tool["name"], tool["strict"], tool["cache_control"])


asyncio.run(main())
