"""Cases against an agency, and a comparison with how it did before."""

import asyncio

from callboard import Agency, Agent, Answer, Case, Expected, ExpectedCall, compare_evaluations, evaluate, tool


@tool
def price(item: str) -> str:
    """The price of an item of the shop."""
    return {"tea": "3", "cake": "5"}.get(item, "not sold")


def short(answer: Answer) -> str | None:
    """Whether an answer is short."""
    return None if len(answer.text) < 400 else f"{len(answer.text)} characters"


CASES = [
    Case("price", "What is the price of tea?", Expected(contains="3", tools=[ExpectedCall("price", {"item": "tea"})])),
    Case("greeting", "Good morning", Expected(no_tools="*", code=[short])),
]


async def main() -> None:
    async with Agency(Agent("Clerk", "You sell tea.", tools=[price]), model="offline") as agency:
        before = await evaluate(agency, CASES, repeat=3)
        agency.remove_tool("Clerk", "price")
        now = await evaluate(agency, CASES, repeat=3)
    for case in now.cases:
        print(case.name, f"{case.successes} of {len(case.attempts)}", *sorted(set(case.attempts[0].problems)), sep="; ")
    print("worse:", *compare_evaluations(before, now).worse)


asyncio.run(main())
