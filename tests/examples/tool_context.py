"""A tool that is told who asks, what it depends on, and says how far it is and what it has spent."""

import asyncio
from dataclasses import dataclass, field

from callboard import Agency, Agent, Caller, ChildSpec, Request, RunFinished, ToolCall, ToolContext, ToolProgress, tool
from callboard.testing import FunctionModel


@dataclass
class Library:
    """Stands for a database."""

    lent: dict[str, str] = field(default_factory=dict)


@tool(risk="safe")
async def borrow(context: ToolContext[Library], title: str) -> str:
    """Borrow a book."""
    context.progress(f"looking for {title}", fraction=0.5)
    context.deps.lent[title] = context.caller.user
    context.track_usage(0.02, "a day's loan")
    return f"{title} is yours, {context.caller.user}."


def model(request: Request) -> str | ToolCall:
    """Stands for a vendor's model."""
    last = request.messages[-1]
    return last.text if last.role == "tool" else ToolCall("1", "borrow", '{"title": "Emma"}')


async def main() -> None:
    library = Library()
    librarian = Agent("Librarian", "You lend books.", tools=[borrow])
    async with Agency(librarian, model=ChildSpec(FunctionModel, (model,), name="model"), deps=library) as agency:
        async for event in agency.run_streaming("I should like to read Emma.", caller=Caller("ada", "acme")):
            if isinstance(event, ToolProgress):
                print(f"{event.tool}: {event.text} ({event.fraction:.0%})")
            elif isinstance(event, RunFinished) and event.answer is not None:
                print(event.answer.text, f"${event.answer.cost}")
    print(library.lent)
    # In a test, without an agency:
    print((await borrow.run({"title": "Emma"}, context=ToolContext(deps=library))).text)


if __name__ == "__main__":
    asyncio.run(main())
