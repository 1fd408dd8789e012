"""Conversations: look at one that is kept, try another way from a step of it, take back, and check today's code."""

import asyncio
import tempfile
from pathlib import Path

from callboard import Agency, Agent, ChildSpec, Hook, HookContext, Request, ToolCall, guardrail, tool
from callboard.testing import FunctionModel


@tool(risk="safe")
async def price(item: str) -> str:
    """What an item costs."""
    return {"tea": "3", "cake": "5"}[item]


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model."""
    last = request.messages[-1]
    if last.role == "tool":
        return f"It costs {last.text}."
    return [ToolCall(f"call-{len(request.messages)}", "price", f'{{"item": "{last.text}"}}')]


@guardrail("toolcall")
def no_cake(context: HookContext) -> None:
    """A rule that came later."""
    assert context.call is not None
    if "cake" in context.call.arguments:
        raise ValueError("cake is not for sale any more")


def shop(journal: Path, *hooks: Hook) -> Agency:
    """The team, on its journal."""
    agent = Agent("Shop", "You sell.", tools=[price], hooks=hooks)
    return Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model"), journal=journal)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "shop.db")
        async with shop(journal) as agency:
            await agency.run("tea", conversation="ada", user="ada")
            await agency.run("cake", conversation="ada", user="ada")
            view = await agency.conversation("ada")
            for step in view.steps:
                asked = [f"{one.call.name}({one.call.arguments})" for one in step.calls]
                print(step.number, step.message.text or asked)
            other = await agency.fork("ada", at=2)  # as it was after the first answer
            print(len((await agency.run("cake", conversation=other, user="ada")).messages), "messages in the fork")
            await agency.rewind("ada", to=2)
            print(len((await agency.conversation("ada")).messages), "messages after rewinding")
            print(len(await agency.conversations(user="ada")), "conversations of ada's")
        async with shop(journal, no_cake) as today:  # the next version of the program
            for difference in (await today.replay(other)).differences:
                print(difference.kind, difference.step, difference.text)
            print(await today.erase(user="ada"), "erased")


if __name__ == "__main__":
    asyncio.run(main())
