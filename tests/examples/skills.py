"""A skill that opens what its tools need, and one that builds on it. Offline as it stands."""

import asyncio

from callboard import Agency, Agent, ChildSpec, Request, Skill, SkillContext, ToolCall, http
from callboard.testing import FunctionModel


class Stock(Skill):
    """Opens its stock as the agency starts."""

    name = "stock"
    description = "Knows what is in stock."
    instructions = "Look into the stock before you promise anything."

    def __init__(self, **items: int) -> None:
        super().__init__(tools=[self.count], routes=[http("/stock/{item}")(self.count)])
        self.delivered = items
        self.items: dict[str, int] = {}

    async def initialize(self, context: SkillContext) -> None:
        self.items = dict(self.delivered)
        print("stock opens")

    async def close(self) -> None:
        print("stock closes")

    async def count(self, item: str) -> int:
        """How many of an item are there."""
        return self.items.get(item, 0)


class Orders(Skill):
    """Builds on the stock."""

    name = "orders"
    requires = ("stock",)

    async def initialize(self, context: SkillContext) -> None:
        print("orders open, with", *context.skills)


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model: it counts tea."""
    if request.messages[-1].role == "user":
        return [ToolCall("call-1", "count", '{"item": "tea"}')]
    return f"There are {request.messages[-1].text}."


async def main() -> None:
    clerk = Agent("Clerk", skills=[Orders(), Stock(tea=3, cake=5)])
    async with Agency(clerk, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        print((await agency.run("How much tea is there?")).text)
        print(agency.get_skill("Clerk", "stock").description, agency.skill_available("Clerk", "orders"))
        print(dict(agency.describe("Clerk").capabilities))


asyncio.run(main())
