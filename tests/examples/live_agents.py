"""An agent that says what it can do, and learns and unlearns while it is at work. Offline as it stands."""

import asyncio
import json
from dataclasses import asdict

from callboard import Agency, Agent, ChildSpec, Request, RequestContext, Skill, ToolCall, tool
from callboard.testing import FunctionModel


@tool(risk="safe")
async def price(item: str) -> str:
    """The price of something."""
    return {"tea": "3", "cake": "5"}[item]


class Clerk(Agent):
    """A class of one's own says what its agents are."""

    name = "Clerk"
    description = "Sells tea and cake."

    def instructions(self, context: RequestContext) -> str:
        return f"You are {self.name}, and serve {context.user}."


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model: it calls the first tool it has."""
    if request.messages[-1].role == "user" and request.tools:
        return [ToolCall(f"call-{len(request.messages)}", request.tools[0].name, '{"item": "tea"}')]
    return f"{request.messages[0].text} {request.messages[-1].text}"


async def main() -> None:
    async with Agency(Clerk(), model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        print(await agency.run("How much is tea?", user="ada"))
        agency.add_skill("Clerk", Skill("prices", "Ask for the price.", tools=[price]))
        said = asdict(agency.describe("Clerk"))
        print(json.dumps([[each["name"], each["source"], each["scopes"]] for each in said["tools"]]))
        answer = await agency.run("How much is tea?", user="ada")
        print(answer.messages[-2].text)
        agency.remove_skill("Clerk", "prices")
        print(len(agency.describe("Clerk").tools))


asyncio.run(main())
