"""Functions: the model writes a program that calls them. One waits for a person, and the program with it; one is an
agent, which is asked about several things at once."""

import asyncio
import json
from collections.abc import Mapping

from typing_extensions import TypedDict

from callboard import Agency, Agent, ApprovalRequested, ChildSpec, Functions, Prompt, Request, SubAgent, ToolCall
from callboard.testing import FunctionModel

PROGRAM = """
import asyncio
names = await shop.missing()
prices = await asyncio.gather(*[shop.price(name) for name in names])
needs = await asyncio.gather(*[judge(name) for name in names])
for name, price, need in zip(names, prices, needs):
    if price < 5 and need["how_many"]:
        print(await shop.order(name, count=need["how_many"]))
sum(prices)
"""


class Need(TypedDict):
    how_many: int
    why: str


def judge(prompt: Prompt, thing: Mapping[str, str]) -> None:
    prompt.system("judge", f"How many of {thing['name']} does a small office need in a week?")


def clerk(prompt: Functions) -> None:
    orders, set_orders = prompt.state("orders", [], list[str])
    prompt.define_data("orders", orders)

    @prompt.function(namespace="shop", risk="safe")
    async def missing() -> list[str]:
        """What there is none of."""
        return ["tea", "milk"]

    @prompt.function(namespace="shop", risk="safe")
    async def price(name: str) -> float:
        """What one of a thing costs."""
        return {"tea": 7.5, "milk": 1.5}[name]

    prompt.function(SubAgent("judge", "How many are needed.", {"name": str}, judge, response_schema=Need))

    @prompt.function(namespace="shop")  # what nobody declared safe is asked about
    async def order(name: str, count: int) -> str:
        """Order a thing."""
        set_orders(lambda before: [*before, f"{count} {name}"])
        return f"ordered {count} {name}"


def model(request: Request) -> str | ToolCall:
    """Stands for a vendor's model."""
    told, last = request.messages[0].text, request.messages[-1]
    if "<judge>" in told:
        return json.dumps({"how_many": 2 if "milk" in told else 0, "why": "for the coffee"})
    if last.role != "tool":
        return ToolCall("call-1", "RunPython", json.dumps({"code": PROGRAM}))
    return f"{last.text}\n{told}"


async def main() -> None:
    agent = Agent("Clerk", prompt=clerk, plugins=Functions, autonomy="supervised")
    async with Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:

        def ask(event: object) -> None:
            if isinstance(event, ApprovalRequested):
                print(f"may {event.call_id} call {event.tool}({event.arguments})? yes")
                agency.approve(event)

        agency.subscribe(ask)
        print((await agency.run("Order what is missing and cheap.")).text)


asyncio.run(main())
