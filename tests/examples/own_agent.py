"""An agent of one's own class, and a pipeline of agents and plain functions. Offline as it stands."""

import asyncio

from callboard import Agency, Agent, AgentRequest, Answer, Pipeline, handoff


class Clerk:
    """Answers by itself, where other agents ask a model."""

    name = "Clerk"
    description = "Knows in which file a thing is."

    async def answer(self, request: AgentRequest) -> Answer:
        asked_by = request.handoff.sender if request.handoff else request.context.user
        return Answer(f"{asked_by} finds it on page 7", cost=0.01)


def loud(text: str) -> str:
    return text.upper()


async def main() -> None:
    clerk = Clerk()
    search = Pipeline("Search", clerk, loud, description="Finds things, and says it loud.")
    lead = Agent("Lead", "Delegate everything.", model="offline", handoffs=[handoff(search)])
    async with Agency(lead, clerk) as agency:
        print(await agency.run("Where is the contract?", agent="Clerk", user="Ann"))
        answer = await agency.run("Where is the contract?")
        print(answer.text)
        print(answer.chain, answer.cost)


asyncio.run(main())
