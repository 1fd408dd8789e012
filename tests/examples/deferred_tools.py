"""Many tools: the model is shown a search, and the schemas of what it has found."""

import asyncio
from typing import Any

from callboard import Agency, Agent, ChildSpec, Request, ToolCall, tool_from_schema
from callboard.testing import FunctionModel


async def done(arguments: dict[str, Any]) -> str:
    return "done"


TOOLS = [
    tool_from_schema(
        name=f"{verb}_{thing}",
        description=f"{verb.title()} a {thing} in the office's own systems.",
        schema={"type": "object", "properties": {"id": {"type": "string", "description": f"which {thing}"}}},
        handler=done,
        risk="safe",
    )
    for thing in ("event", "invoice", "message", "room", "contract", "order", "ticket", "parcel", "visitor", "car")
    for verb in ("open", "move", "close", "cancel")
]


def model(request: Request) -> str | ToolCall:
    """Stands for a vendor's model; it says what it was shown."""
    print("shown:", ", ".join(spec.name for spec in request.tools))
    results = [message for message in request.messages if message.role == "tool"]
    if not results:
        return ToolCall("1", "search_tools", '{"query": "cancel an invoice", "limit": 2}')
    if len(results) == 1:
        return ToolCall("2", "cancel_invoice", '{"id": "2025-17"}')
    return results[-1].text


async def main() -> None:
    clerk = Agent("Clerk", "You look after the office.", tools=TOOLS, defer_tools=True)
    async with Agency(clerk, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        print((await agency.run("Cancel invoice 2025-17.")).text)


if __name__ == "__main__":
    asyncio.run(main())
