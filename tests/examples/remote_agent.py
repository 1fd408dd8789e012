"""An agent on another machine: what it sees of the conversation, and a run as chunks of OpenAI's chat completions.

The other machine is a simulated one here, over real HTTP on loopback.
"""

import asyncio
from collections.abc import Sequence

from callboard import Agency, Agent, Completion, Message, RemoteAgent, Request, Usage, as_chunks, handoff
from callboard.providers.simulated import SimulatedProvider


def there(request: Request) -> Completion:
    """What is at work over there."""
    seen = [message.text for message in request.messages if message.role == "user"]
    return Completion(Message("assistant", f"I was told: {' | '.join(seen)}"), "stop", Usage(20, 5))


def without_secrets(messages: Sequence[Message]) -> Sequence[Message]:
    return [message for message in messages if message.role == "user" and "password" not in message.text]


async def main() -> None:
    async with SimulatedProvider(there, keys=["far-key"]) as server:
        far = RemoteAgent("Far", server.base_url, api_key="far-key", description="Reads contracts.")
        print(far == RemoteAgent("Far", server.base_url, api_key="far-key", description="Reads contracts."))
        desk = Agent(
            "Desk",
            "Delegate everything.",
            model="offline",
            handoffs=[handoff(far, kind="transfer", history_filter=without_secrets)],
        )
        async with Agency(desk) as agency:
            question = [Message("user", "The password is hunter2."), Message("user", "Read the contract.")]
            async for chunk in as_chunks(agency.run_streaming(question)):
                if "callboard" in chunk:  # work is going on
                    print(chunk["callboard"])
                for choice in chunk["choices"]:  # none in the last one, which has the usage
                    print(choice["delta"].get("content") or "", end="")


asyncio.run(main())
