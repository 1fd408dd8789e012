"""A conversation that outgrows its model: old tool output goes first, then a summary is made. Offline as it stands."""

import asyncio

from callboard import Agency, Agent, ChildSpec, ContextReduced, DropToolOutput, Request, RunEvent, Summarize
from callboard.testing import FunctionModel


def model(request: Request) -> str:
    """Stands for a vendor's model, which also makes the summaries."""
    if request.messages[0].text.startswith("Summarize"):
        return "Ann plans a journey to Lisbon in May."
    first = request.messages[1].text.splitlines()[-1]
    return f"{len(request.messages) - 1} messages, from {first[:40]!r}"


def tell(event: RunEvent) -> None:
    if isinstance(event, ContextReduced):
        print(f"{event.left_out} messages left out" + (", and summarized" if event.summarized else ""))


async def main() -> None:
    agent = Agent("Guide", "You plan journeys.", context=DropToolOutput() | Summarize(tokens=400))
    async with Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        agency.subscribe(tell)
        for day in range(1, 7):
            question = f"Day {day} in Lisbon: {'what is there to see? ' * 12}"
            answer = await agency.run(question, conversation="journey")
            print(answer.text)
        print(len(answer.messages), "messages in the conversation")


if __name__ == "__main__":
    asyncio.run(main())
