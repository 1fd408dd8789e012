"""A tool that shows the model a picture and a document, not their bytes as text."""

import asyncio
import base64

from callboard import Agency, Agent, ChildSpec, File, Image, Request, Text, ToolCall, tool
from callboard.testing import FunctionModel

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@tool(risk="safe")
def screenshot() -> Image:
    """What the screen shows."""
    return Image(f"data:image/png;base64,{PIXEL}")


@tool(risk="safe")
def invoice(number: int) -> list[Text | File]:
    """An invoice with its document."""
    document = base64.b64encode(b"%PDF-1.4").decode()
    return [Text(f"Invoice {number}, paid."), File(f"data:application/pdf;base64,{document}", f"{number}.pdf")]


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model; it says what it was shown."""
    results = [message for message in request.messages if message.role == "tool"]
    if not results:
        return [ToolCall("1", "screenshot", "{}"), ToolCall("2", "invoice", '{"number": 7}')]
    return ", ".join(type(part).__name__ for result in results for part in result.content)


async def main() -> None:
    agent = Agent("Clerk", "You look after invoices.", tools=[screenshot, invoice])
    async with Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        print((await agency.run("Is invoice 7 paid?")).text)


if __name__ == "__main__":
    asyncio.run(main())
